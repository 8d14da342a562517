"""Copy common/, the one source of the code that the packages share, into ``packages/*/src/*/_common``.

usage: python scripts/sync_common.py [--check]

Copies are identical to the byte. With ``--check`` nothing is written: every difference is listed, and the exit code is
1 when there is one.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WITHOUT = {
    "reach_analysis": (
        "mjcf.py",
        "motion_files.py",
        "nwb.py",
        "nwb_session.py",
        "render",
        "rotations.py",
        "hdf5/enclosed.py",
    ),
    "stac_mjx": ("regions.py", "survival.py"),
    "track_mjx": ("c3d.py",),
}
"""Files and folders of common/ that a package does not get."""


def differences(root: Path = ROOT) -> Iterator[tuple[Path | None, Path]]:
    """Yield (source, copy) for every copy that is missing or differs, and (None, copy) for every file that is gone."""
    source = root / "common"
    files = [path.relative_to(source) for path in sorted(source.rglob("*")) if path.is_file() and _is_kept(path)]
    for target in sorted(root.glob("packages/*/src/*/_common")):
        without = WITHOUT.get(target.parent.name, ())
        wanted = [file for file in files if not any(file.is_relative_to(name) for name in without)]
        for file in wanted:
            copy = target / file
            if not copy.is_file() or copy.read_bytes() != (source / file).read_bytes():
                yield source / file, copy
        for path in sorted(target.rglob("*")):
            file = path.relative_to(target)
            if path.is_file() and _is_kept(path) and file not in wanted:
                yield None, path


def _is_kept(path: Path) -> bool:
    return "__pycache__" not in path.parts


def main(arguments: list[str]) -> int:
    """Copy, or with ``--check`` list what differs."""
    if arguments not in ([], ["--check"]):
        print(__doc__)
        return 2
    found = list(differences())
    for source, copy in found:
        name = copy.relative_to(ROOT)
        if arguments:
            print(f"{name}: {'is not in common/' if source is None else f'differs from {source.relative_to(ROOT)}'}")
        elif source is None:
            copy.unlink()
            if not any(copy.parent.iterdir()):
                copy.parent.rmdir()
            print(f"removed {name}")
        else:
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
            print(f"wrote {name}")
    if arguments and found:
        print("run: python scripts/sync_common.py (after changing common/, never the copies)")
    return 1 if arguments and found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
