"""Run the control-cost sweep of paper A: train, roll out, and compare the runs.

    python examples/05_control_cost_sweep.py [--out results_sweep] [--steps 2000000] [setting=value ...]

`configs/study/paper_a_control_cost.yaml` defines the sweep: seven weights of the control cost, five seeds each. This
script uses one seed and the laptop preset. Remove both, on a GPU or a cluster, to repeat the study of the paper.
Settings at the end go to the training. The last command writes reward, chatter of the actions above 10 Hz and the knee
of the curve, as a table and a figure.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

CONFIGS = Path(__file__).resolve().parents[1] / "configs"


def run(program: str, *arguments: str) -> None:
    """Run one command; exit if it fails."""
    print(f"\n{program} {' '.join(arguments)}", flush=True)
    subprocess.run([sys.executable, "-m", program.replace("-", "_"), *arguments], check=True)


def main() -> None:
    """Register the reaches, train and roll out every job of the study, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results_sweep"), help="folder of the results")
    parser.add_argument("--steps", type=int, default=2_000_000, help="control steps of each training")
    parser.add_argument("--clips", type=Path, help="clips to train on (default: register the embedded reaches)")
    parser.add_argument("settings", nargs="*", help="settings of the training, as seed=0,1")
    arguments = parser.parse_args()
    out: Path = arguments.out
    clips = arguments.clips
    if clips is None:
        clips = out / "registered" / "clips.h5"
        run("stac-mjx", "fit", f"out={clips.parent}", "report=false")
    study = (
        "--multirun",
        "--config-dir",
        str(CONFIGS),
        "+study=paper_a_control_cost",
        "preset=mouse_arm_quick",
        "seed=0",
    )
    run(
        "track-mjx",
        "train",
        *study,
        f"clips={clips}",
        f"out={out / 'runs'}",
        f"run.steps={arguments.steps}",
        *arguments.settings,
    )
    runs = sorted(path.parent for path in (out / "runs").glob("*/run.json"))
    for folder in runs:
        run("track-mjx", "rollout", f"run='{folder}'", "clip_set=test", "activations=false")
    parameter = "parameter=task.costs.control.weight"
    run("reach-analysis", "sweep", f"runs='{out / 'runs' / '*'}'", parameter, f"out={out / 'comparison'}")
    print(f"\n{len(runs)} runs compared in {out / 'comparison'}")


if __name__ == "__main__":
    main()
