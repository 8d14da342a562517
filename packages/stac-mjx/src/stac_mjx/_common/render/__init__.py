"""Pictures and films of bodies."""

from __future__ import annotations

from ..errors import OutputError


def import_mujoco() -> None:
    """Import MuJoCo, which loads the libraries that MUJOCO_GL names; raise an OutputError where they are missing."""
    try:
        import mujoco  # noqa: F401
    except (ImportError, AttributeError, RuntimeError, OSError) as error:
        raise OutputError(
            f"MuJoCo does not load: {' '.join(str(error).split())}. If MUJOCO_GL is set, unset it or install what it "
            "names (egl: libegl1; osmesa: libosmesa6)"
        ) from error
