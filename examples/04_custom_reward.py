"""Add a reward and a cost: two functions that are trained on, logged and evaluated like all others.

    python examples/04_custom_reward.py [--out results_gentle] [--steps 300000] [--clips clips.h5]

`body_height_exp` rewards bodies at the height of the reference. `gentle` is a cost on muscle activation. A run folder
contains no code, so a program that opens such a run (evaluate, resume, rollout) must also define the two functions.
This script therefore starts all of them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
from jaxtyping import Float
from track_mjx.cli import main as track_mjx
from track_mjx.physics.fields import AnyArray
from track_mjx.task.registry import cost, reward
from track_mjx.task.step import Step
from track_mjx.task.terms.rewards import gaussian


@reward
def body_height_exp(step: Step, *, bodies: list[str], sigma: float) -> Float[AnyArray, " env"]:
    """Height of bodies, relative to the reference: a Gaussian of the vertical distance, m."""
    ids = step.body.body_ids(bodies)
    error = step.now.xpos[:, ids, 2] - step.target.xpos[:, ids, 2]
    return gaussian((error**2).sum(-1), sigma, None, step.body.to_model_units)


@cost
def gentle(step: Step) -> Float[AnyArray, " env"]:
    """Mean squared muscle activation."""
    return jnp.mean(step.now.act**2, axis=-1)


def run(*arguments: str) -> None:
    """Run track-mjx in this process, where the two terms are defined."""
    print(f"\ntrack-mjx {' '.join(arguments)}", flush=True)
    code = track_mjx(arguments)
    if code:
        raise SystemExit(code)


def main() -> None:
    """Train with the two terms and evaluate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results_gentle"), help="folder of the results")
    parser.add_argument("--steps", type=int, default=300_000, help="control steps of training")
    parser.add_argument("--clips", type=Path, help="clips to train on (default: register the embedded reaches)")
    arguments = parser.parse_args()
    clips, controller = arguments.clips, arguments.out / "run"
    if clips is None:
        clips = arguments.out / "registered" / "clips.h5"
        subprocess.run([sys.executable, "-m", "stac_mjx", "fit", f"out={clips.parent}", "report=false"], check=True)
    terms = (
        "task.rewards.body_height_exp={weight: 0.2, sigma: 0.002, bodies: [wrist_body]}",
        "task.costs.gentle.weight=0.1",
    )
    run(
        "train", "preset=mouse_arm_quick", f"clips={clips}", f"out={controller}", f"run.steps={arguments.steps}", *terms
    )
    run("evaluate", f"run={controller}")


if __name__ == "__main__":
    main()
