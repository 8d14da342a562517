"""The `reach-analysis` command: help, version, and clear refusals."""

from __future__ import annotations

import re
from importlib import import_module

import pytest
from reach_analysis._common.cli import SCHEMAS
from reach_analysis._common.settings import settings_of
from reach_analysis.cli import EXAMPLES, VERBS, main


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
def test_help_lists_every_verb(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert "mimic.rollouts" in out
    assert all(f"  {verb} " in out for verb in VERBS)
    assert err == ""


def test_version_is_that_of_the_installed_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"reach-analysis (\d+\.\d+\.\d+|unreleased)\n", capsys.readouterr().out)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_command_an_example_and_help_on_every_setting(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(import_module(f"reach_analysis.commands.{verb}").run)
    assert EXAMPLES[verb]
    assert main([verb, "--help"]) == 0
    out = capsys.readouterr().out
    for setting in settings_of(SCHEMAS[verb]):
        assert setting.help, f"{setting.key} has no help"
        assert setting.key in out


@pytest.mark.parametrize("verb", VERBS)
def test_settings_of_every_verb_compose(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--cfg", "job"]) == 0
    assert capsys.readouterr().out


def test_unknown_verb_exits_with_2_and_the_nearest_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chekc", "rollouts.h5"]) == 2
    out, err = capsys.readouterr()
    assert "unknown verb 'chekc'; did you mean 'check'?" in err
    assert out == ""


def test_unknown_setting_exits_with_2_and_the_nearest_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "fle=a.h5"]) == 2
    assert "unknown setting 'fle'; did you mean 'file'?" in capsys.readouterr().err
