"""From the reaches that come with stac-mjx to a trained controller, a video and the first analyses, in one command.

    python examples/01_reach_pipeline.py [--out results] [--steps 4000000]

Commands run one after the other, each of which can be run alone; files are all that passes between them. The longest
is the training, some minutes on two CPU cores. What has been made before is made again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

PACKAGES = {"stac-mjx": "stac_mjx", "track-mjx": "track_mjx", "reach-analysis": "reach_analysis"}


def commands(out: Path, steps: int, video: bool) -> list[list[str]]:
    """The commands, in order."""
    clips, run, rollouts = out / "registered" / "clips.h5", out / "controller", out / "rollouts.h5"
    film = [["track-mjx", "render", f"rollouts={rollouts}", f"out={out / 'reach.mp4'}"]] if video else []
    return [
        ["stac-mjx", "fit", f"out={out / 'registered'}"],
        ["track-mjx", "train", "preset=mouse_arm_quick", f"clips={clips}", f"out={run}", f"run.steps={steps}"],
        ["track-mjx", "evaluate", f"run={run}"],
        ["track-mjx", "rollout", f"run={run}", f"out={rollouts}"],
        *film,
        ["reach-analysis", "pca", f"rollouts={rollouts}", f"out={out / 'pca'}"],
        ["reach-analysis", "errors", f"rollouts={rollouts}", f"clips={clips}", f"out={out / 'errors'}"],
    ]


def main() -> int:
    """Run the pipeline; return the exit code of the first command that fails, or 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder of the results (default: results)")
    parser.add_argument("--steps", type=int, default=4_000_000, help="control steps of training (default: 4000000)")
    parser.add_argument("--no-video", action="store_true", help="leave out the video, where nothing can be drawn")
    arguments = parser.parse_args()
    begin = time.perf_counter()
    steps = commands(arguments.out, arguments.steps, not arguments.no_video)
    for number, (program, *rest) in enumerate(steps, 1):
        print(f"\n[{number}/{len(steps)}] {program} {' '.join(rest)}", flush=True)
        code = subprocess.run([sys.executable, "-m", PACKAGES[program], *rest], check=False).returncode
        if code:
            print(f"{program} {rest[0]} failed with exit code {code}", file=sys.stderr)
            return code
    print(f"\nDone in {time.perf_counter() - begin:.0f} s. Look at {arguments.out / 'registered' / 'report.html'},")
    print(f"{arguments.out / 'controller' / 'evaluation'}, {arguments.out / 'pca'} and {arguments.out / 'errors'}.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
