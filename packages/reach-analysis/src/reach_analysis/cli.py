"""The `reach-analysis` command. Version 0.1.0 has no verbs yet: it answers ``--help`` and ``--version``."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from importlib.metadata import version

HELP = """\
reach-analysis: analyse rollouts of trained controllers next to recordings of the animal.

usage: reach-analysis --help | --version

It will read rollouts.h5 files (mimic.rollouts) next to EMG and trial tables.
This version has no verbs; analyses come in a later one.
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
            print(f"reach-analysis {version('reach-analysis')}")
            return 0
        case [("-h" | "--help" | "--version"), extra, *_]:
            print(f"reach-analysis: unexpected argument {extra!r}; this version has no verbs", file=sys.stderr)
            return 2
        case [first, *_]:
            near = difflib.get_close_matches(first, OPTIONS, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(OPTIONS)}"
            print(f"reach-analysis: unknown verb {first!r}; this version has none; {hint}", file=sys.stderr)
    return 2
