"""`stac-mjx render`: a video of the body and the keypoints."""

from __future__ import annotations

from stac_mjx._common.cli import require
from stac_mjx._common.errors import OutputError
from stac_mjx.config import RenderConfig


def run(config: RenderConfig) -> int:
    """Write an mp4 of one clip."""
    require(config.clips, "clips", "results/clips.h5")
    _import_mujoco()
    from stac_mjx._common.progress import reporting
    from stac_mjx.render import render_clip

    with reporting(None) as (log, stage):
        ticks = []

        def progress(_done: int, total: int) -> None:
            if not ticks:
                ticks.append(stage("render", total))
            ticks[0](1)

        path = render_clip(config, progress)
        log.info(str(path))
    return 0


def _import_mujoco() -> None:
    """Import MuJoCo, which at once loads the libraries that MUJOCO_GL names.

    Raises:
        OutputError: when they are missing.
    """
    try:
        import mujoco  # noqa: F401
    except (ImportError, AttributeError, RuntimeError, OSError) as error:
        raise OutputError(
            f"MuJoCo does not load: {' '.join(str(error).split())}. If MUJOCO_GL is set, unset it or install what it "
            "names (egl: libegl1; osmesa: libosmesa6)"
        ) from error
