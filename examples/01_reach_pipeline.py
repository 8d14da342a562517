"""Run the whole pipeline: embedded reaches, two trained controllers, a video and a report.

    python examples/01_reach_pipeline.py [--out results] [--steps 5000000]

The commands run one after the other and exchange files only, so each can be run alone. One controller is trained to
follow the joints, the other also has costs on muscle use. The report compares them. The two trainings take most of the
time: one or two minutes each on two CPU cores. Results of an earlier run in the same folder are replaced.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

PACKAGES = {"stac-mjx": "stac_mjx", "track-mjx": "track_mjx", "reach-analysis": "reach_analysis"}
DEFAULT_STEPS = 5_000_000
CONTROLLERS = {
    "joint_only": [],
    # the costs of paper A, table 2, in the proportion they have there to the reward
    "physics_aware": ["task.costs.control.weight=0.03", "task.costs.energy.weight=0.002"],
}


class Step(NamedTuple):
    """A command, and its duration in seconds on two server cores in 2026, used for estimates."""

    command: list[str]
    seconds: float


def plan(out: Path, steps: int, video: bool) -> list[Step]:
    """Return the commands in order."""
    clips = out / "registered" / "clips.h5"
    rollouts = {name: out / f"{name}.h5" for name in CONTROLLERS}
    commands = [Step(["stac-mjx", "fit", f"out={out / 'registered'}"], 12)]
    for name, costs in CONTROLLERS.items():
        run = out / name
        train = ["track-mjx", "train", "preset=mouse_arm_quick", f"clips={clips}", f"out={run}", f"run.steps={steps}"]
        commands += [
            Step([*train, *costs], 15 + 85 * steps / DEFAULT_STEPS),
            Step(["track-mjx", "evaluate", f"run={run}"], 10),
            Step(["track-mjx", "rollout", f"run={run}", f"out={rollouts[name]}"], 10),
        ]
    if video:
        film = ["track-mjx", "render", f"rollouts={rollouts['physics_aware']}", f"out={out / 'reach.mp4'}"]
        commands.append(Step(film, 12))
    files = ",".join(f"{name}:{path}" for name, path in rollouts.items())
    report = ["reach-analysis", "report", f"rollouts={{{files}}}", "emg=synthetic:physics_aware", f"clips={clips}"]
    return [*commands, Step([*report, f"out={out / 'report'}"], 100)]


def seconds_left(steps: list[Step], taken: list[float]) -> float:
    """Estimate the time of the steps that follow those that have `taken` some seconds.

    A step takes what the last one of its verb took, or else its seconds at the median pace of this machine so far.
    """
    done, rest = steps[: len(taken)], steps[len(taken) :]
    pace = median(seconds / step.seconds for step, seconds in zip(done, taken, strict=True)) if taken else 1.0
    seen = {step.command[1]: seconds for step, seconds in zip(done, taken, strict=True)}
    return sum(seen.get(step.command[1], pace * step.seconds) for step in rest)


def clear(out: Path) -> None:
    """Remove the results of an earlier run: a training does not overwrite another one."""
    for name in ("registered", *CONTROLLERS, "report"):
        shutil.rmtree(out / name, ignore_errors=True)


def clock(seconds: float) -> str:
    """Format minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def main() -> int:
    """Run the pipeline; return the exit code of the first command that fails, or 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder of the results (default: results)")
    parser.add_argument(
        "--steps", type=int, default=DEFAULT_STEPS, help="control steps of each training (default: %(default)s)"
    )
    parser.add_argument("--no-video", action="store_true", help="render no video")
    arguments = parser.parse_args()
    steps = plan(arguments.out, arguments.steps, not arguments.no_video)
    clear(arguments.out)
    begin, taken = time.perf_counter(), []
    for number, step in enumerate(steps, 1):
        elapsed = time.perf_counter() - begin
        left = clock(seconds_left(steps, taken))
        print(
            f"\n[{number}/{len(steps)}, {clock(elapsed)} elapsed, about {left} left] {' '.join(step.command)}",
            flush=True,
        )
        program, *rest = step.command
        code = subprocess.run([sys.executable, "-m", PACKAGES[program], *rest], check=False).returncode
        if code:
            print(f"{program} {rest[0]} failed with exit code {code}", file=sys.stderr)
            return code
        taken.append(time.perf_counter() - begin - elapsed)
    report = arguments.out.resolve() / "report" / "report.html"
    print(f"\nDone in {clock(time.perf_counter() - begin)}. The report: {report}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
