"""The `track-mjx` command. Version 0.1.0 has no verbs yet: it answers ``--help`` and ``--version``."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from importlib.metadata import version

HELP = """\
track-mjx: train controllers that reproduce recorded movement of an animal in MuJoCo physics.

usage: track-mjx --help | --version

It will read clips.h5 files (mimic.reference_clips), which `stac-mjx fit` writes.
This version has no verbs; training comes with the next one.
"""
OPTIONS = ("--help", "--version")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (default: those of the process) and return its exit code, 2 for a misuse."""
    arguments = sys.argv[1:] if arguments is None else arguments
    match list(arguments):
        case [] | ["-h" | "--help"]:
            print(HELP, end="")
            return 0
        case ["--version"]:
            print(f"track-mjx {version('track-mjx')}")
            return 0
        case [("-h" | "--help" | "--version"), extra, *_]:
            print(f"track-mjx: unexpected argument {extra!r}; this version has no verbs", file=sys.stderr)
            return 2
        case [first, *_]:
            near = difflib.get_close_matches(first, OPTIONS, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(OPTIONS)}"
            print(f"track-mjx: unknown verb {first!r}; this version has none; {hint}", file=sys.stderr)
    return 2
