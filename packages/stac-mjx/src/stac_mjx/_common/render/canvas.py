"""Drawing without a window: an OpenGL context wherever one can be had, else a message that says what to do.

MuJoCo picks its way of drawing when it is first imported, from MUJOCO_GL. Here the choice is made when a picture is
wanted, so that it also works in a process that has imported MuJoCo long before.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from typing import Any

import mujoco
import numpy as np
from jaxtyping import UInt8

from stac_mjx._common.errors import OutputError

_OFF = ("disable", "disabled", "off", "false", "0")
_MODULES = {"egl": "mujoco.egl", "osmesa": "mujoco.osmesa", "glfw": "mujoco.glfw", "cgl": "mujoco.cgl"}
_HELP = (
    "On Linux without a screen, set MUJOCO_GL=egl (uses the graphics card; on Debian and Ubuntu install libegl1 and "
    "libgl1-mesa-dri where it has none) or MUJOCO_GL=osmesa (uses the processor; install libosmesa6)"
)


def backend() -> str:
    """Name of the way to draw: MUJOCO_GL where it is set, else what suits this system.

    Raises:
        OutputError: when MUJOCO_GL forbids drawing or holds something else.
    """
    asked = os.environ.get("MUJOCO_GL", "").lower().strip()
    if asked in _OFF:
        raise OutputError(f"nothing can be drawn: MUJOCO_GL={asked}. {_HELP}")
    if asked in _MODULES:
        return asked
    if asked in ("glx", "wgl"):
        return "glfw"
    if asked not in ("", "enable", "enabled", "on", "true", "1"):
        raise OutputError(f"MUJOCO_GL={asked} is unknown; expected egl, osmesa, glfw or nothing. {_HELP}")
    if sys.platform == "darwin":
        return "cgl"
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return "glfw" if shown or sys.platform != "linux" else "egl"


class Canvas:
    """An off-screen picture of a model. Use it as a context manager; it holds memory of the graphics card."""

    def __init__(self, model: mujoco.MjModel, width: int, height: int) -> None:
        """Open a context for pictures of `width` x `height` pixels.

        Raises:
            OutputError: when this machine cannot draw.
        """
        self._rect = mujoco.MjrRect(0, 0, width, height)
        self._picture = np.empty((height, width, 3), np.uint8)
        name = backend()
        self._context: Any = None
        self._drawer: Any = None
        try:
            with warnings.catch_warnings():
                # what GLFW warns of before it fails is in the error
                warnings.simplefilter("ignore")
                self._context = importlib.import_module(_MODULES[name]).GLContext(width, height)
                self._context.make_current()
                self._drawer = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        # the bindings fail in these ways where a library, a driver or a screen is missing
        except (ImportError, AttributeError, RuntimeError, OSError, mujoco.FatalError) as error:
            self.close()
            reason = " ".join(str(error).split())
            raise OutputError(f"nothing can be drawn on this machine with {name}: {reason}. {_HELP}") from error
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._drawer)

    def draw(self, scene: mujoco.MjvScene) -> UInt8[np.ndarray, "row column 3"]:
        """The picture of a scene; a new array, first row on top."""
        self._context.make_current()
        mujoco.mjr_render(self._rect, scene, self._drawer)
        mujoco.mjr_readPixels(self._picture, None, self._rect, self._drawer)
        return self._picture[::-1].copy()

    def close(self) -> None:
        """Give the memory back."""
        if self._drawer is not None:
            self._drawer.free()
        if self._context is not None:
            self._context.free()
        self._drawer = self._context = None

    def __enter__(self) -> Canvas:
        """The canvas itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()
