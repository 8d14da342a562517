"""Off-screen drawing with MuJoCo, and the remedy where this machine cannot draw."""

from __future__ import annotations

import os
import sys
import warnings

import mujoco

from ..errors import OutputError
from ..mjcf import one_line

_HELP = (
    "On Linux without a screen, set MUJOCO_GL=egl (graphics card; on Debian and Ubuntu install libegl1 and "
    "libgl1-mesa-dri where there is none) or MUJOCO_GL=osmesa (processor; install libosmesa6)"
)


def open_canvas(model: mujoco.MjModel, width: int, height: int) -> mujoco.Renderer:
    """Open a renderer for pictures of `width` x `height` pixels; a context manager."""
    # every element the model can show (geoms, skins, pieces of tendons) twice, and decoration
    max_geom = 10_000 + 2 * (model.ngeom + model.nskin + 20 * (model.ntendon + model.nwrap))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the error below repeats what GLFW warns about
            _use_egl_without_screen()
            return mujoco.Renderer(model, height, width, max_geom)
    # the bindings fail in these ways if a library, a driver or a screen is missing
    except (ImportError, AttributeError, RuntimeError, OSError, mujoco.FatalError) as error:
        setting = os.environ.get("MUJOCO_GL", "")
        raise OutputError(f"cannot draw on this machine (MUJOCO_GL={setting!r}): {one_line(error)}. {_HELP}") from error


def _use_egl_without_screen() -> None:
    """Draw with EGL on Linux without a screen: MuJoCo picks GLFW on import, which needs a screen."""
    chosen = any(os.environ.get(name) for name in ("MUJOCO_GL", "DISPLAY", "WAYLAND_DISPLAY"))
    if sys.platform == "linux" and not chosen:
        import mujoco.egl
        from mujoco.rendering.classic import gl_context

        gl_context.GLContext = mujoco.egl.GLContext
