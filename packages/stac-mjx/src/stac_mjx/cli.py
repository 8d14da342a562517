"""The `stac-mjx` command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version

HELP = """\
stac-mjx: register 3D keypoints of an animal to its MuJoCo body.

usage: stac-mjx --help | --version
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (default: those of the process) and return its exit code, 2 for a misuse."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments in ([], ["-h"], ["--help"]):
        print(HELP, end="")
        return 0
    if arguments == ["--version"]:
        print(f"stac-mjx {version('stac-mjx')}")
        return 0
    print(f"stac-mjx: unknown verb {arguments[0]!r}; there are: --help, --version", file=sys.stderr)
    return 2
