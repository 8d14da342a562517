"""Register a rat recording with 23 keypoints, train a controller that imitates it, and roll it out.

    python examples/02_rat.py --recording rat.mat --mjcf rodent.xml [--out results_rat] [setting=value ...]

--recording is a DANNCE or label3d .mat, NWB, SLEAP or Anipose file, with the keypoint names of `stac-mjx fit body=rat
--help`. --mjcf is the rodent model. Without it, the model of `pip install 'stac-mjx[bodies]'` is used (Python 3.11 and
3.12). --data DIR is a folder with rat/rodent.xml and rat/recordings, and replaces both. Settings at the end go to the
training. The default preset `rat_quick` is for a laptop. The paper trained on 14 minutes of data for 650 million steps:
`--preset rat --steps 650000000`, which needs a GPU.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

FOLDER = ("rat/recordings/test_rodent_mocap_1000_frames.mat", "rat/rodent.xml")


def run(program: str, *arguments: str) -> None:
    """Run one command; exit if it fails."""
    print(f"\n{program} {' '.join(arguments)}", flush=True)
    code = subprocess.run([sys.executable, "-m", program.replace("-", "_"), *arguments], check=False).returncode
    if code:
        raise SystemExit(code)


def inputs(arguments: argparse.Namespace) -> list[str]:
    """Return the settings for the paths of recording and model."""
    data = arguments.data or os.environ.get("MIMIC_DATA")
    recording, mjcf = arguments.recording, arguments.mjcf
    if recording is None and data:
        recording, mjcf = (Path(data) / name for name in FOLDER)
    if recording is None:
        raise SystemExit(
            "no recording: set --recording FILE, or --data DIR or MIMIC_DATA (a folder with rat/recordings)"
        )
    if not Path(recording).exists():
        raise SystemExit(f"{recording}: no such file")
    return [f"keypoints.path='{recording}'", *([f"body.mjcf='{mjcf}'"] if mjcf else [])]


def main() -> None:
    """Register, check, train, evaluate, roll out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recording", type=Path, help="keypoints of a rat")
    parser.add_argument("--mjcf", type=Path, help="the rodent model")
    parser.add_argument(
        "--data", type=Path, help="folder with rat/rodent.xml and rat/recordings (default: $MIMIC_DATA)"
    )
    parser.add_argument("--out", type=Path, default=Path("results_rat"), help="folder of the results")
    parser.add_argument("--preset", default="rat_quick", help="preset of the training (default: rat_quick)")
    parser.add_argument("--steps", type=int, help="control steps of training (default: the preset's)")
    parser.add_argument("settings", nargs="*", help="settings of the training, as ppo.n_envs=1024")
    arguments = parser.parse_args()
    clips, controller = arguments.out / "registered" / "clips.h5", arguments.out / "controller"
    run("stac-mjx", "fit", "body=rat", *inputs(arguments), f"out={clips.parent}")
    run("track-mjx", "check", f"clips={clips}")
    steps = [f"run.steps={arguments.steps}"] if arguments.steps else []
    given = (f"preset={arguments.preset}", f"clips={clips}", f"out={controller}", *steps, *arguments.settings)
    run("track-mjx", "train", *given)
    run("track-mjx", "evaluate", f"run={controller}")
    run("track-mjx", "rollout", f"run={controller}", f"out={arguments.out / 'rollouts.h5'}")
    print(f"\nResults: {clips.parent / 'report.html'} and {controller}")


if __name__ == "__main__":
    main()
