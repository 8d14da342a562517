"""Code blocks of the documentation, run at small scale in the order of the page.

- ``sh``: each command must succeed. ``# in CI: run.steps=20480`` after a command adds or replaces settings.
- ``console``: ``$ command`` and its output, compared word by word. Numbers may differ; ``...`` matches anything.
- ``python``: the blocks of a page share their names.
- a block whose first line is a comment with a file name (``# own/body/leg.yaml``) is written to that file.
- ``matlab``: every path it reads must exist in the file.
- ``sh install``: extras and scripts it names must exist. ``sh gpu``, ``sh slurm``, ``sh data``: settings must compose.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import h5py

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = {"stac-mjx": "stac_mjx", "track-mjx": "track_mjx", "reach-analysis": "reach_analysis"}
_FENCE = re.compile(r"^```(?P<language>\w+) ?(?P<tag>\w*)\n(?P<text>.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"(?:#|<!--) (\S+\.(?:yaml|xml|py|csv))(?: -->)?\s*")
_SHELL = re.compile(r"[|&;<>$`*?]|^\w+=")
_NUMBER = re.compile(r"\d[\d,_]*(?:\.\d+)?(?:e[-+]?\d+)?")


@dataclass(frozen=True)
class Block:
    """One fenced block; `place` is its page and line."""

    place: str
    language: str
    tag: str
    text: str


def blocks_of(page: Path) -> list[Block]:
    """All fenced blocks of a page except MyST directives."""
    text = page.read_text(encoding="utf-8")
    hits = _FENCE.finditer(text)
    return [Block(f"{page}:{text.count(chr(10), 0, hit.start()) + 1}", hit[1], hit[2], hit["text"]) for hit in hits]


def commands_of(text: str) -> list[str]:
    """Commands of a shell block: continued lines joined, comments removed, settings for CI added or put in place."""
    commands = []
    for line in re.sub(r"\s*\\\n\s*", " ", text).splitlines():
        command, _, note = line.partition(" # ")
        for setting in note.partition("in CI:")[2].split():
            key = re.escape(setting.partition("=")[0])
            command = f"{re.sub(rf' {key}=[^ ]*', '', command.rstrip())} {setting}"
        commands.append(command.strip())
    return [command for command in commands if command and not command.startswith("#")]


def first_job(words: list[str]) -> list[str]:
    """The first job of a sweep of which only the settings are shown; Hydra cannot show those of a sweep."""
    if not {"--multirun", "--cfg"} <= set(words):
        return words
    first = [re.sub(r"^([\w.+/]+=[^\[{'\",]*),.*$", r"\1", word) for word in words]
    return [word for word in first if word != "--multirun"]


def same_but_numbers(shown: str, printed: str) -> bool:
    """Whether output equals what a page shows, except for numbers, spaces and ``...``."""
    words = [_NUMBER.sub("#", " ".join(part.split())) for part in shown.split("...")]
    pattern = ".*".join(re.escape(part.strip()) for part in words)
    return re.fullmatch(rf"\s*{pattern}\s*", _NUMBER.sub("#", " ".join(printed.split())), re.DOTALL) is not None


def run_here(words: list[str]) -> tuple[int, str]:
    """Run one of our commands in this process; return exit code and output."""
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        code = import_module(f"{PROGRAMS[words[0]]}.cli").main(words[1:])
    return code, out.getvalue()


@dataclass
class Runner:
    """Runs blocks in the current folder. `programs` is a folder with our commands, for PATH."""

    programs: Path
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__page__"})

    def run(self, block: Block) -> None:
        """Run a block, or check what can be checked without running it."""
        file = _FILE.match(block.text.splitlines()[0])
        if file:
            Path(file[1]).parent.mkdir(parents=True, exist_ok=True)
            Path(file[1]).write_text(block.text, encoding="utf-8")
            return
        match block.language, block.tag:
            case "sh", "":
                for command in commands_of(block.text):
                    self._expect(0, command, block)
            case "sh", "install":
                _check_install(block)
            case "sh", "gpu" | "slurm" | "data":
                for command in commands_of(block.text):
                    self._compose(command, block)
            case "console", "":
                self._console(block)
            case "python", "":
                exec(compile(block.text, block.place, "exec"), self.names)
            case "matlab", "":
                for name, path in re.findall(r"h5read\('([^']+)', '/([^']+)'\)", block.text):
                    with h5py.File(name) as opened:
                        assert path in opened, f"{block.place}: {name} has no {path}"
            case "yaml" | "xml" | "csv" | "text", "":
                pass
            case _:
                raise AssertionError(f"{block.place}: unknown kind of block: {block.language} {block.tag}")

    def command(self, command: str) -> tuple[int, str]:
        """Run one command, ours in this process; return exit code and output."""
        words = first_job(shlex.split(command))
        if words[0] in PROGRAMS and not _SHELL.search(re.sub(r"'[^']*'|\"[^\"]*\"", "", command)):
            return run_here(words)
        paths = os.pathsep.join(path for path in sys.path if path)
        environment = {**os.environ, "PATH": f"{self.programs}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": paths}
        shell = ["bash", "-euc", command]
        ended = subprocess.run(shell, env=environment, capture_output=True, text=True, timeout=600, check=False)
        return ended.returncode, ended.stdout + ended.stderr

    def _expect(self, expected: int, command: str, block: Block) -> None:
        code, printed = self.command(command)
        assert code == expected, f"{block.place}: {command}\nexit code {code}\n{printed}"

    def _console(self, block: Block) -> None:
        parts = re.split(r"^\$ (.*)\n?", block.text, flags=re.MULTILINE)
        assert len(parts) > 1, f"{block.place}: no line begins with '$ '"
        for line, shown in zip(parts[1::2], parts[2::2], strict=True):
            code, printed = self.command(commands_of(line)[0])
            assert code in (0, 2), f"{block.place}: {line}\n{printed}"
            same = not shown.strip() or same_but_numbers(shown, printed)
            assert same, f"{block.place}: {line}\nshown:\n{shown}\nprinted:\n{printed}"

    def _compose(self, command: str, block: Block) -> None:
        words = shlex.split(command.rstrip("& "))
        while words and re.fullmatch(r"\w+=\S*", words[0]):
            del words[0]
        if words and words[0] in PROGRAMS:
            self._expect(0, shlex.join(words if "--help" in words else first_job([*words, "--cfg", "job"])), block)


def _check_install(block: Block) -> None:
    for name, extras in re.findall(
        r"(?<![\w/-])(?:\./packages/)?(stac-mjx|track-mjx|reach-analysis)\[([\w,]+)\]", block.text
    ):
        manifest = (ROOT / "packages" / name / "pyproject.toml").read_text(encoding="utf-8")
        for extra in extras.split(","):
            assert re.search(rf"^{extra} = ", manifest, re.MULTILINE), f"{block.place}: {name} has no extra {extra}"
    for script in re.findall(r"\b(?:examples|scripts)/\S+", block.text):
        assert (ROOT / script).exists(), f"{block.place}: missing {script}"
