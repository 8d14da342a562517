"""`track-mjx render`: a video of body and reference."""

from __future__ import annotations

from track_mjx._common.cli import require
from track_mjx._common.errors import OutputError
from track_mjx.config import RenderConfig


def run(config: RenderConfig) -> int:
    """Write an mp4 of rollouts."""
    require(config.rollouts, "rollouts", "run/rollouts.h5")
    _import_mujoco()
    from track_mjx._common.progress import counting_bar, reporting
    from track_mjx.render.render import render

    with reporting() as (log, console):
        with counting_bar(console, "render") as show:
            path = render(config, show)
        log.info("%s", path)
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
