"""Measure the report of two controllers of 46 synthetic reaches with EMG: wall and user time of three runs.

Run ``python benchmarks/reach/report.py`` with nothing else running.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from reach_analysis.synthetic.emg import EmgSettings
from synthetic.emg import write_emg
from synthetic.reach import ReachSettings, write_reaches

RUNS = 3


def write_inputs(folder: Path) -> list[str]:
    """Write rollouts, with layers of 256 units, and EMG; return the arguments of the report."""
    write_reaches(folder / "joint_only.h5", ReachSettings(n_units=256, chatter=0.3))
    truth = write_reaches(folder / "physics_aware.h5", ReachSettings(n_units=256))
    muscles = {"biceps": "biceps_long", "triceps": "triceps_lateral"}
    files = write_emg(folder, truth.activation, muscles, EmgSettings())
    return [
        f"rollouts={{joint_only:{folder}/joint_only.h5,physics_aware:{folder}/physics_aware.h5}}",
        f"emg={{biceps:{files['biceps']},triceps:{files['triceps']}}}", f"trials={files['trials']}",
    ]  # fmt: skip


def main() -> None:
    """Print a line a run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arguments = write_inputs(folder)
        for run in range(RUNS):
            began, before = time.perf_counter(), os.times()
            command = [sys.executable, "-m", "reach_analysis", "report", *arguments, f"out={folder / str(run)}"]
            subprocess.run(command, check=True, capture_output=True)
            wall, after = time.perf_counter() - began, os.times()
            page = (folder / str(run) / "report.html").stat().st_size / 1e6
            sys.stdout.write(f"wall {wall:.1f} s, user {after.children_user - before.children_user:.1f} s, "
                             f"page {page:.2f} MB\n")  # fmt: skip


if __name__ == "__main__":
    main()
