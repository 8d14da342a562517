"""Multiruns, whose jobs may run in other processes or on other machines: what failed, and the table at the end."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

_FAILED = "failed"
"""Folder below that of a sweep: one text a job that failed. Processes share nothing else."""


def sweep_folder(arguments: Sequence[str]) -> Path | None:
    """The folder of a multirun, from the arguments that Hydra gets; None where there is none."""
    if not {"-m", "--multirun"} & set(arguments):
        return None
    given = [text.split("=", 1)[1] for text in arguments if text.startswith("hydra.sweep.dir=")]
    return Path(given[-1].strip("'\"")).expanduser()


def begin_sweep(folder: Path | None) -> None:
    """Forget what failed the last time."""
    if folder is not None:
        shutil.rmtree(folder / _FAILED, ignore_errors=True)


def note_failure(folder: Path, job: str, message: str) -> None:
    """Leave word that a job failed, in the process of the job."""
    (folder / _FAILED).mkdir(parents=True, exist_ok=True)
    (folder / _FAILED / f"{job}.txt").write_text(message, encoding="utf-8")


def end_sweep(verb: str, folder: Path) -> int:
    """Tell which jobs failed, and compare the runs of a training; return the exit code."""
    if verb == "train":
        from track_mjx.runs.compare import has_runs
        from track_mjx.runs.comparison_files import compare

        if has_runs(folder):
            sys.stdout.write(compare(folder, str(folder)))
    failed = sorted((folder / _FAILED).glob("*.txt"))
    for path in failed:
        message = path.read_text(encoding="utf-8")
        sys.stderr.write(f"track-mjx {verb}: job {path.stem} failed: {message}\n")
    return 2 if failed else 0
