"""The `track-mjx` command: help, version, and clear refusals."""

from __future__ import annotations

import re

import pytest
from track_mjx.cli import VERBS, main


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
def test_help_names_what_it_reads_and_every_verb(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert "mimic.reference_clips" in out
    assert all(re.search(rf"^  {verb} ", out, re.M) for verb in VERBS)
    assert err == ""


@pytest.mark.parametrize("verb", VERBS)
def test_help_on_a_verb_documents_every_setting(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    from track_mjx._common.cli import SCHEMAS
    from track_mjx._common.settings import settings_of

    assert main([verb, "--help"]) == 0
    out = capsys.readouterr().out
    for setting in settings_of(SCHEMAS[verb]):
        assert setting.help, setting.key
        assert re.search(rf"^  {re.escape(setting.key)}\b", out, re.M), setting.key


def test_version_is_that_of_the_installed_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"track-mjx (\d+\.\d+\.\d+|unreleased)\n", capsys.readouterr().out)


def test_unknown_verb_exits_with_2_and_the_nearest_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 2
    out, err = capsys.readouterr()
    assert "did you mean 'train'" in err
    assert out == ""
