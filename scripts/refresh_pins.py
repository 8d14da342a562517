"""Refresh the exact versions in the root pyproject.toml: ``python scripts/refresh_pins.py`` (needs uv, and a network).

uv resolves the whole workspace without any pin (all packages, extras and groups, all platforms, Python >= 3.11), and
this script writes what it chose to ``constraint-dependencies``, and what builds the packages to
``build-constraint-dependencies``. With these, uv writes the same uv.lock on any machine, so the lock file need not be
kept in git. Nothing else in pyproject.toml changes. The work is done in a temporary copy: a failure changes nothing.

``--check`` changes nothing; it exits with 1 when a lock made from the pins departs from them.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EVERYTHING = ("--all-packages", "--all-extras", "--all-groups")
BUILD_ONLY = ("--only-group", "build")


def set_pins(text: str, key: str, pins: list[str]) -> str:
    """Return the pyproject `text` with the array `key` of [tool.uv] replaced by `pins`.

    Raises:
        ValueError: when `key` does not occur exactly once at the start of a line.
    """
    body = "".join(f'    "{pin}",\n' for pin in pins)
    block = f"{key} = [\n{body}]" if pins else f"{key} = []"
    new, count = re.subn(rf"^{re.escape(key)} = \[.*?\]$", lambda _: block, text, flags=re.MULTILINE | re.DOTALL)
    if count != 1:
        raise ValueError(f"pyproject.toml: expected one array {key!r} at the start of a line, got {count}")
    return new


def drop_needless_markers(lines: list[str]) -> list[str]:
    """Keep the marker of a pin only where a package has several versions; a plain pin holds on every platform."""
    names = [line.split("==")[0] for line in lines]
    versions = Counter(names)
    return [line if versions[name] > 1 else line.split(" ;")[0] for name, line in zip(names, lines, strict=True)]


def uv(*arguments: str, cwd: Path) -> str:
    """Run uv in `cwd` and return its standard output; its messages go to our standard error.

    Raises:
        subprocess.CalledProcessError: when uv fails.
    """
    return subprocess.run(["uv", *arguments], cwd=cwd, check=True, stdout=subprocess.PIPE, text=True).stdout


def resolve(workspace: Path, selection: tuple[str, ...]) -> list[str]:
    """Lock `workspace` and return the exact requirements of `selection`, sorted by name."""
    uv("lock", "--quiet", cwd=workspace)
    plain = ("--no-hashes", "--no-annotate", "--no-header", "--no-emit-workspace")
    exported = uv("export", "--quiet", "--frozen", *plain, *selection, cwd=workspace)
    return drop_needless_markers(sorted(line for line in exported.splitlines() if line.strip()))


def copy_manifests(target: Path) -> Path:
    """Copy the pyproject.toml files of the workspace to `target`; return the path of the root one."""
    for manifest in [ROOT / "pyproject.toml", *sorted(ROOT.glob("packages/*/pyproject.toml"))]:
        copy = target / manifest.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(manifest, copy)
    return target / "pyproject.toml"


def with_pins(text: str, workspace: Path) -> str:
    """Return the root pyproject `text` with the pins of a resolution of the locked `workspace`."""
    text = set_pins(text, "constraint-dependencies", resolve(workspace, EVERYTHING))
    return set_pins(text, "build-constraint-dependencies", resolve(workspace, BUILD_ONLY))


def main() -> int:
    """Refresh or check the pins; return the exit code."""
    parser = argparse.ArgumentParser(description="Refresh the pins of the workspace in pyproject.toml.")
    parser.add_argument("--check", action="store_true", help="only compare; exit 1 when the pins are not what uv locks")
    check_only = parser.parse_args().check
    before = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        manifest = copy_manifests(Path(folder))
        pinned = before
        if not check_only:
            free = set_pins(set_pins(before, "constraint-dependencies", []), "build-constraint-dependencies", [])
            manifest.write_text(free, encoding="utf-8")
            pinned = with_pins(free, manifest.parent)
            manifest.write_text(pinned, encoding="utf-8")
            (manifest.parent / "uv.lock").unlink()
        if with_pins(pinned, manifest.parent) != pinned:
            print("pyproject.toml: a lock made from the pins departs from them; run python scripts/refresh_pins.py")
            return 1
    if pinned != before:
        (ROOT / "pyproject.toml").write_text(pinned, encoding="utf-8")
    print(f"pins {'unchanged' if pinned == before else 'rewritten'}: pyproject.toml")
    return 0


if __name__ == "__main__":
    sys.exit(main())
