"""The three commands behave alike: mistakes, help, settings, files, completion, and light starts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

PACKAGES = {"stac-mjx": "stac_mjx", "track-mjx": "track_mjx", "reach-analysis": "reach_analysis"}
VERB = {"stac-mjx": "fit", "track-mjx": "train", "reach-analysis": "pca"}
INPUT = {
    "stac-mjx": "keypoints.path=nowhere.h5",
    "track-mjx": "clips=nowhere.h5",
    "reach-analysis": "rollouts=nowhere.h5",
}
HEAVY = {"jax", "mujoco", "matplotlib", "scipy", "h5py", "pandas", "flax", "numpy", "hydra", "rich"}
MOST_MODULES = 150
"""Modules of the standard library and ours that --help may load; NumPy alone has more."""


@pytest.fixture(params=PACKAGES)
def package(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which the commands run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def part(package: str, name: str) -> ModuleType:
    return import_module(f"{PACKAGES[package]}.{name}")


def schema(package: str, verb: str) -> type:
    return part(package, "_common.cli").load(part(package, "cli").VERBS[verb].config)


def complaint(package: str, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must fail by one message and code 2, and return the message without program and verb."""
    assert part(package, "cli").main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert err.startswith(
        f"{package}: " if arguments[0] not in part(package, "cli").VERBS else f"{package} {arguments[0]}: "
    )
    assert err.endswith("\n")
    return err.split(": ", 1)[1]


MISTAKES: dict[str, tuple[Callable[[str], list[str]], str]] = {
    "verb": (lambda p: ["chekc"], "unknown verb 'chekc'; did you mean 'check'?"),
    "setting": (lambda p: [VERB[p], "oout=x"], "settings: unknown setting 'oout'; did you mean 'out'"),
    "setting after a plus": (lambda p: [VERB[p], "+oout=x"], "settings: unknown setting 'oout'; did you mean 'out'"),
    "option": (lambda p: [VERB[p], "--multrun"], "unknown option '--multrun'; did you mean '--multirun'?"),
    "no value": (lambda p: [VERB[p], "out"], "settings: 'out': settings are given as name=value"),
    "type": (lambda p: [VERB[p], "seed=many"], "Value 'many' of type 'str' could not be converted to Integer"),
    "brackets": (lambda p: [VERB[p], "out=[a"], "out=[a: cannot be read"),
    "file": (lambda p: [VERB[p], INPUT[p], "out=o"], "nowhere.h5: "),
    "completion": (lambda p: ["-sc", "install=tcsh"], "-sc: expected install=SHELL or uninstall=SHELL"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_same_mistake_same_words(package: str, mistake: str, empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, words = MISTAKES[mistake]
    assert words in complaint(package, arguments(package), capsys)
    assert list(empty.iterdir()) == []


def test_version_overview_and_help_have_the_same_parts(package: str, capsys: pytest.CaptureFixture[str]) -> None:
    cli = part(package, "cli")
    assert cli.main(["--version"]) == 0
    assert re.fullmatch(rf"{package} (\d+\.\d+\.\d+|unreleased)\n", capsys.readouterr().out)
    assert cli.main(["--help"]) == 0
    overview = capsys.readouterr().out
    assert overview.startswith(f"{package}: ")
    assert f"usage: {package} VERB [setting=value ...]" in overview
    assert f"Help on a verb and all its settings: {package} VERB --help.   Version: {package} --version." in overview
    assert cli.main([]) == cli.main(["-h"]) == cli.main(["help"]) == 0
    assert capsys.readouterr().out == 3 * overview
    for verb, entry in cli.VERBS.items():
        assert f"  {verb} " in overview
        assert cli.main([verb, "--help"]) == 0
        out = capsys.readouterr().out
        parts = [f"{package} {verb}: ", "usage: ", "examples:\n", "settings, with their defaults:\n", "--cfg job shows"]
        places = [out.index(words) for words in parts]
        assert places == sorted(places)
        assert max(map(len, out.splitlines())) <= 120
        assert f"  {package} {verb}" in out
        text = " ".join(out.split())
        for setting in part(package, "_common.settings").settings_of(schema(package, verb)):
            assert setting.help, setting.key
            assert f" {setting.key} " in text
            assert setting.help in text
        assert callable(part(package, "_common.cli").load(entry.run))


def test_settings_of_every_verb_compose_and_nothing_is_done(
    package: str, empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli = part(package, "cli")
    for verb in cli.VERBS:
        assert cli.main([verb, "--cfg", "job"]) == 0
        first = next(iter(part(package, "_common.settings").settings_of(schema(package, verb)))).key.split(".")[0]
        assert f"{first}:" in capsys.readouterr().out
    assert list(empty.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["a.h5", "b c.h5", "--cfg", "job"],
        ["--cfg", "job", "a.h5", "b c.h5"],
        ["a.h5", "-cd", ".", "b c.h5", "--cfg=job"],
        ["--config-dir", ".", "-c", "job", "a.h5", "-p", "KEY", "b c.h5"],
        ["a.h5", "--package", "KEY", "b c.h5", "-c", "job"],
    ],
)
@pytest.mark.usefixtures("empty")
def test_check_takes_files_between_options(
    package: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    cli = part(package, "cli")
    key = cli.VERBS["check"].files
    given = [key if argument == "KEY" else argument for argument in arguments]
    assert cli.main(["check", *given]) == 0
    out = capsys.readouterr().out
    assert [line.split("- ")[-1] for line in out.splitlines() if "h5" in line] == ["a.h5", "b c.h5"]


@pytest.mark.parametrize("before", [None, "0"])
def test_a_command_leaves_the_process_as_it_was(
    package: str, before: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    if before is not None:
        monkeypatch.setenv("HYDRA_FULL_ERROR", before)
    environment, arguments = dict(os.environ), list(sys.argv)
    for given in (["--cfg", "job"], ["seed=many"], ["oout=x"]):
        part(package, "cli").main([VERB[package], *given])
    assert dict(os.environ) == environment
    assert sys.argv == arguments


def test_a_renamed_setting_is_refused_with_its_new_name(package: str, capsys: pytest.CaptureFixture[str]) -> None:
    cli, common = part(package, "cli"), part(package, "_common.cli")
    app = common.App("", cli.VERBS, renamed={"outcome": "out", "gone": ""})
    assert app.main([VERB[package], "outcome=x", "+gone.inside=1"]) == 2
    err = capsys.readouterr().err
    assert all(name in err for name in ("'outcome'", "'out'", "'gone'", "removed"))


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["VERB", "--help"]])
def test_help_loads_few_modules_and_none_that_is_heavy(package: str, arguments: list[str]) -> None:
    given = [VERB[package] if argument == "VERB" else argument for argument in arguments]
    code = (
        f"import sys\nbefore = set(sys.modules)\nfrom {PACKAGES[package]}.cli import main\nmain({given!r})\n"
        "print(*(set(sys.modules) - before), file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = ended.stderr.split()
    assert HEAVY.isdisjoint(loaded)
    assert len(loaded) <= MOST_MODULES


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash completes here")
@pytest.mark.parametrize(
    ("package", "typed", "offered"),
    [
        ("stac-mjx", "fi", ["fit"]),
        ("stac-mjx", "fit body=ra", ["body=rat"]),
        ("track-mjx", "train ppo.learning", ["ppo.learning_rate="]),
        ("reach-analysis", "sp", ["spectra"]),
    ],
)
def test_bash_completes_verbs_presets_and_settings(
    programs: Path, package: str, typed: str, offered: list[str]
) -> None:
    line, word = f"{package} {typed}", typed.count(" ") + 1
    script = (
        f'eval "$({package} -sc install=bash)"\nCOMP_LINE="{line}" COMP_POINT={len(line)} COMP_CWORD={word}\n'
        'hydra_bash_completion\nprintf "%s\\n" "${COMPREPLY[@]}"'
    )
    roots = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": roots}
    ended = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert sorted(ended.stdout.split()) == offered, ended.stderr


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_completion_script_names_the_command(package: str, shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert part(package, "cli").main(["-sc", f"install={shell}"]) == 0
    assert re.search(rf"complete .*{package}", capsys.readouterr().out)
