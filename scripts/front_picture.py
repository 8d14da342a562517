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
    from track_mjx._common.render.canvas import open_canvas
    from track_mjx._common.render.scene import stage_model
    from track_mjx.render.footage import read_footage
    from track_mjx.render.scene import GhostScene

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rollouts", type=Path, required=True)
    parser.add_argument("--clip", required=True, help="name of the clip in the rollouts")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "_static" / "reach.png")
    options = parser.parse_args()
    body, (take,) = read_footage(options.rollouts, [options.clip], None)
    model, pictures = stage_model(body.mjcf_xml, body.assets, WIDTH, HEIGHT), []
    with open_canvas(model, WIDTH, HEIGHT) as canvas:
        scene = GhostScene(take, canvas, body.length_unit_m, GHOST)
        camera = scene.stage.camera(None, AZIMUTH, ELEVATION)
        for moment in MOMENTS_S:
            state = int(np.abs(take.time - moment).argmin())
            pictures.append(scene.picture(state, camera))
            print(f"{take.time[state]:.3f} s: off by {1000 * body.length_unit_m * scene.body_error(state):.2f} mm")
    Image.fromarray(np.concatenate(pictures, axis=1)).quantize(128).save(options.out, optimize=True)
    print(f"{options.out}: {options.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
