"""The code blocks of the documentation, and how each kind is run.

What stands in the pages is run as it stands, at small scale, in the order of the page and in a folder of its own:

- ``sh``: each command runs and must succeed. ``# in CI: run.steps=20480`` behind a command adds these settings.
- ``console``: ``$ command`` with its real output, compared word by word; numbers may differ, ``...`` is anything.
- ``python``: runs; the blocks of a page share their names.
- a block whose first line is a comment with a file's name (``# own/body/leg.yaml``) is written to that file.
- ``matlab``: every path it reads must exist in the file.
- ``sh install`` needs a network: the packages, extras and scripts it names must exist. ``sh gpu``, ``sh slurm`` and
  ``sh data`` need a machine or data that CI lacks: the settings of every command must compose.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import h5py
import pytest

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = {"stac-mjx": "stac_mjx", "track-mjx": "track_mjx", "reach-analysis": "reach_analysis"}
TAGS = {"", "install", "gpu", "slurm", "data"}
LANGUAGES = {"sh", "console", "python", "yaml", "xml", "csv", "matlab", "text"}
_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"(?:#|<!--) (\S+\.(?:yaml|xml|py|csv))(?: -->)?\s*")
_SHELL = re.compile(r"[|&;<>$`*?]|^\w+=")
_NUMBER = re.compile(r"\d[\d,_]*(?:\.\d+)?(?:e[-+]?\d+)?")


@dataclass(frozen=True)
class Block:
    """One fenced block: its page and line, language, tag and text."""

    page: Path
    line: int
    language: str
    tag: str
    text: str

    def __str__(self) -> str:
        """Where it is."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """All fenced blocks of a page but MyST's directives."""
    text = page.read_text(encoding="utf-8")
    found = []
    for hit in _FENCE.finditer(text):
        language, _, tag = hit["info"].strip().partition(" ")
        if language.startswith("{"):
            continue
        found.append(Block(page, text.count("\n", 0, hit.start()) + 1, language, tag, hit["text"]))
    return found


def commands_of(text: str) -> list[str]:
    """The commands of a shell block: continued lines joined, additions for CI made, comments gone."""
    lines = re.sub(r"\s*\\\n\s*", " ", text).splitlines()
    found = []
    for line in lines:
        command, _, comment = line.partition(" # ")
        more = comment.partition("in CI:")[2].strip()
        command = f"{command.strip()} {more}".strip()
        if command and not command.startswith("#"):
            found.append(command)
    return found


def first_job(words: list[str]) -> list[str]:
    """The first job of a sweep whose settings are only to be shown, which Hydra does not do for sweeps."""
    if "--multirun" not in words or "--cfg" not in words:
        return words
    first = [re.sub(r"^([\w.+/]+=[^\[{'\",]*),.*$", r"\1", word) for word in words]
    return [word for word in first if word != "--multirun"]


def same_but_numbers(shown: str, printed: str) -> bool:
    """Whether output is what a page shows: spaces and numbers may differ, ``...`` stands for anything."""
    words = [_NUMBER.sub("#", " ".join(part.split())) for part in shown.split("...")]
    pattern = ".*".join(re.escape(part.strip()) for part in words)
    return re.fullmatch(rf"\s*{pattern}\s*", _NUMBER.sub("#", " ".join(printed.split())), re.DOTALL) is not None


class Runner:
    """Runs blocks in the current folder; keeps the names of a page's Python blocks."""

    def __init__(self, programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.programs, self.capsys = programs, capsys
        self.names: dict[str, Any] = {"__name__": "__page__"}

    def run(self, block: Block) -> None:
        """Run a block, or check what can be checked."""
        assert block.language in LANGUAGES, f"{block}: no such language: {block.language!r}"
        assert block.tag in TAGS, f"{block}: no such tag: {block.tag!r}"
        file = _FILE.match(block.text.splitlines()[0])
        if file:
            Path(file[1]).parent.mkdir(parents=True, exist_ok=True)
            Path(file[1]).write_text(block.text, encoding="utf-8")
        elif block.tag == "install":
            _check_install(block)
        elif block.tag:
            for command in commands_of(block.text):
                self._compose(command, block)
        elif block.language == "sh":
            for command in commands_of(block.text):
                code, printed = self.command(command)
                assert code == 0, f"{block}: {command}\nexit code {code}\n{printed}"
        elif block.language == "console":
            self._console(block)
        elif block.language == "python":
            exec(compile(block.text, str(block), "exec"), self.names)
        elif block.language == "matlab":
            _check_matlab(block)

    def command(self, command: str) -> tuple[int, str]:
        """Run one command, ours in this process; return exit code, and what it printed."""
        words = first_job(shlex.split(command))
        if words[0] in PROGRAMS and not _SHELL.search(re.sub(r"'[^']*'|\"[^\"]*\"", "", command)):
            self.capsys.readouterr()
            code = import_module(f"{PROGRAMS[words[0]]}.cli").main(words[1:])
            out, err = self.capsys.readouterr()
            return code, out + err
        paths = os.pathsep.join(path for path in sys.path if path)
        environment = {**os.environ, "PATH": f"{self.programs}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": paths}
        ended = subprocess.run(
            ["bash", "-euc", command], env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        return ended.returncode, ended.stdout + ended.stderr

    def _console(self, block: Block) -> None:
        parts = re.split(r"^\$ (.*)\n?", block.text, flags=re.MULTILINE)
        assert len(parts) > 1, f"{block}: no command; commands begin with '$ '"
        for line, shown in zip(parts[1::2], parts[2::2], strict=True):
            code, printed = self.command(commands_of(line)[0])
            assert code in (0, 2), f"{block}: {line}\n{printed}"
            if shown.strip():
                assert same_but_numbers(shown, printed), f"{block}: {line}\nshown:\n{shown}\nprinted:\n{printed}"

    def _compose(self, command: str, block: Block) -> None:
        """Compose the settings of a command of ours, of the first job where it sweeps."""
        words = shlex.split(command.rstrip("& "))
        while words and re.fullmatch(r"\w+=\S*", words[0]):
            words = words[1:]
        if not words or words[0] not in PROGRAMS:
            assert words[:1] in ([], ["wait"]), f"{block}: what is {command!r}?"
            return
        if "--help" not in words:
            words = first_job([*words, "--cfg", "job"])
        code, printed = self.command(shlex.join(words))
        assert code == 0, f"{block}: {command}\n{printed}"


def _check_install(block: Block) -> None:
    """Packages and extras that are named, and scripts, must exist."""
    for command in commands_of(block.text):
        words = shlex.split(command)
        for word in words:
            named = re.fullmatch(r"(?:\./packages/)?(stac-mjx|track-mjx|reach-analysis)(?:\[([\w,]+)\])?", word)
            if named:
                manifest = (ROOT / "packages" / named[1] / "pyproject.toml").read_text(encoding="utf-8")
                for extra in (named[2] or "").split(","):
                    assert not extra or re.search(rf"^{extra} = ", manifest, re.MULTILINE), f"{block}: no extra {extra}"
            if re.fullmatch(r"(examples|scripts)/\S+", word):
                assert (ROOT / word).exists(), f"{block}: no {word}"


def _check_matlab(block: Block) -> None:
    """Every data set that is read must be there, and every name that is looked for among its labels."""
    for file, path in re.findall(r"h5read\('([^']+)', '/([^']+)'\)", block.text):
        with h5py.File(file) as opened:
            assert path in opened, f"{block}: {file} holds no {path}"
