"""Set-up shared by all tests: a quiet CPU-only JAX with a compilation cache, shape checks, and the real recordings.

The environment variables must be set before anything imports JAX or MuJoCo, hence at import of this file. Tests that
start processes of their own hand them on.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

ROOT = Path(__file__).resolve().parents[1]

os.environ.setdefault("JAX_PLATFORMS", "cpu")
if sys.platform == "linux":  # other systems have no EGL and choose their own way to draw
    os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("MPLBACKEND", "Agg")
# Compiling costs more than computing here: the second run of the tests takes its programs from this folder.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".pytest_cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")

# Shapes and types in signatures are checked at run time, in tests only.
install_import_hook(["stac_mjx", "track_mjx", "reach_analysis"], "beartype.beartype")


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root folder of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real recordings: $MIMIC_DATA, or shared/data beside the checkout; skips where it is absent."""
    folder = Path(os.environ.get("MIMIC_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no recordings: {folder} does not exist; set MIMIC_DATA to the data folder")
    return folder


@pytest.fixture
def canvas_here() -> None:
    """Skip where this machine cannot draw; the two packages that draw do so in the same way."""
    import mujoco
    from stac_mjx._common.errors import OutputError
    from stac_mjx._common.render.canvas import Canvas

    try:
        Canvas(mujoco.MjModel.from_xml_string("<mujoco/>"), 16, 16).close()
    except OutputError as error:
        pytest.skip(str(error))


@pytest.fixture(autouse=True, scope="module")
def forget_programs() -> Iterator[None]:
    """Let go of compiled programs after each file of tests.

    Each holds some memory maps, and a process may have 65,530 of them on Linux; XLA crashes on the next one.
    """
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
        gc.collect()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that asks for the recordings, so that ``-m 'not data'`` leaves them out."""
    for item in items:
        if "data_dir" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.data)
