"""A spec as XML with all digits of its numbers, so that the XML compiles to the same model."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mujoco

from track_mjx._common.errors import BodyError

_EXACT_DIGITS = 17
_lock = threading.Lock()


def exact_xml(spec: mujoco.MjSpec) -> str:
    """Compile a spec and write it as XML.

    Raises:
        ValueError: when MuJoCo refuses the model.
        BodyError: when this MuJoCo cannot write exact XML.
    """
    quick_compile(spec)
    with _exact_numbers():
        return spec.to_xml()


def quick_compile(spec: mujoco.MjSpec) -> mujoco.MjModel:
    """Compile without actuator length ranges, found by simulation: most of a muscle model's compile time.

    Raises:
        ValueError: when MuJoCo refuses the model.
    """
    mode = spec.compiler.LRopt.mode
    spec.compiler.LRopt.mode = int(mujoco.mjtLRMode.mjLRMODE_NONE)
    try:
        return spec.compile()
    finally:
        spec.compiler.LRopt.mode = mode


@contextmanager
def _exact_numbers() -> Iterator[None]:
    """Let MuJoCo write all digits of a number.

    By default it writes six, which makes some valid inertias invalid. The switch is exported by MuJoCo's library but
    not bound in Python.
    """
    folder = Path(mujoco.__file__).parent
    libraries = [file for file in folder.iterdir() if file.name.startswith("libmujoco") or file.name == "mujoco.dll"]
    library = ctypes.CDLL(str(libraries[0])) if libraries else None
    if library is None or not hasattr(library, "_mjPRIVATE__set_xml_precision"):
        raise BodyError(f"MuJoCo {mujoco.__version__} cannot write exact XML; install a version this package supports")
    with _lock:
        digits = library._mjPRIVATE__get_xml_precision()
        library._mjPRIVATE__set_xml_precision(_EXACT_DIGITS)
        try:
            yield
        finally:
            library._mjPRIVATE__set_xml_precision(digits)
