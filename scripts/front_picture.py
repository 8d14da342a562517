"""Draw the picture of the front page, ``docs/_static/reach.png``, from the rollouts that its commands make.

    stac-mjx fit out=results
    track-mjx train preset=mouse_arm_quick clips=results/clips.h5 out=run
    track-mjx rollout run=run out=rollouts.h5
    python scripts/front_picture.py --rollouts rollouts.h5 --clip reach_07

Take a clip that the controller was not trained on: ``run/run.json`` lists them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
MOMENTS_S = (0.0, 0.08, 0.16)
WIDTH, HEIGHT = 480, 360
GHOST = 0.45
AZIMUTH, ELEVATION = 120.0, -20.0


def main() -> None:
    """Draw one clip at three moments, side by side, with 128 colours to keep the file small."""
    from PIL import Image
    from track_mjx._common.render.canvas import Canvas
    from track_mjx._common.render.extent import measure
    from track_mjx._common.render.scene import Scene, stage_model
    from track_mjx.render.footage import read_footage

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rollouts", type=Path, required=True)
    parser.add_argument("--clip", required=True, help="name of the clip in the rollouts")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "_static" / "reach.png")
    options = parser.parse_args()
    body, (take,) = read_footage(options.rollouts, [options.clip], None)
    model = stage_model(body, WIDTH, HEIGHT)
    extent = measure(model, (take.qpos, take.qpos_ref), float(take.time[1] - take.time[0]), body.length_unit_m)
    scene, pictures = Scene(take, model, extent, GHOST), []
    camera = scene.following_camera(AZIMUTH, ELEVATION)
    with Canvas(model, WIDTH, HEIGHT) as canvas:
        for moment in MOMENTS_S:
            state = int(np.abs(take.time - moment).argmin())
            pictures.append(scene.picture(canvas, state, camera))
            print(f"{take.time[state]:.3f} s: off by {1000 * body.length_unit_m * scene.body_error(state):.2f} mm")
    Image.fromarray(np.concatenate(pictures, axis=1)).quantize(128).save(options.out, optimize=True)
    print(f"{options.out}: {options.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
