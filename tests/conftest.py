"""Set-up of all tests: JAX on the CPU with a compilation cache, shape checks of array code, and the real recordings.

The environment variables are set before anything imports JAX or MuJoCo. Child processes inherit them.
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
if sys.platform == "linux":  # elsewhere MuJoCo chooses
    os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("MPLBACKEND", "Agg")
# Most time goes into compilation. Later trainings of one kind, and a second run, read their programs from here.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".pytest_cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
# JAX's setting for programs that take longer to optimise than to run: a training of the tests takes a third less.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

ARRAY_CODE = {
    "stac_mjx": (
        "_common.rotations",
        "calibration",
        "inverse_kinematics",
        "kinematics",
        "keypoints.alignment",
        "synthetic",
    ),
    "track_mjx": ("_common.rotations", "body", "learning", "physics", "policy", "task"),
    "reach_analysis": ("behaviour", "data.emg", "forecasting", "representation", "statistics", "topology"),
}
"""Modules and folders that compute on arrays; shapes and types in their signatures are checked at run time."""

install_import_hook(
    [f"{package}.{name}" for package, names in ARRAY_CODE.items() for name in names], "beartype.beartype"
)

MOST_MAPS = 30_000
"""Memory maps at which compiled programs are dropped; Linux allows 65,530, and XLA crashes on the next one."""


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root folder of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real recordings: $MIMIC_DATA, or shared/data next to the checkout; skip if missing."""
    folder = Path(os.environ.get("MIMIC_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no recordings: {folder} does not exist; set MIMIC_DATA to the data folder")
    return folder


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with our commands and python, for PATH."""
    folder = tmp_path_factory.mktemp("bin")
    for package in ("", *ARRAY_CODE):
        path = folder / (package.replace("_", "-") or "python")
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" {package and "-m " + package} "$@"\n')
        path.chmod(0o755)
    return folder


@pytest.fixture
def canvas_here() -> None:
    """Skip where MuJoCo cannot draw."""
    import mujoco
    from stac_mjx._common.errors import OutputError
    from stac_mjx._common.render.canvas import open_canvas

    try:
        open_canvas(mujoco.MjModel.from_xml_string("<mujoco/>"), 16, 16).close()
    except OutputError as error:
        pytest.skip(str(error))


@pytest.fixture(autouse=True, scope="module")
def forget_programs() -> Iterator[None]:
    """Drop compiled programs after a file of tests when they hold many memory maps (Linux only)."""
    yield
    maps = Path("/proc/self/maps")
    if "jax" in sys.modules and maps.exists() and maps.read_bytes().count(b"\n") > MOST_MAPS:
        sys.modules["jax"].clear_caches()
        gc.collect()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that asks for the recordings, so that ``-m 'not data'`` leaves them out."""
    for item in items:
        if "data_dir" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.data)
