"""What made a result: versions of programs, and the time."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib import metadata

_LIBRARIES = (
    "track-mjx", "numpy", "jax", "jaxlib", "mujoco", "mujoco-mjx", "warp-lang", "flax", "optax", "distrax",
    "orbax-checkpoint", "h5py", "hydra-core",
)  # fmt: skip


def environment() -> dict[str, str]:
    """Versions of the package, of Python and of the libraries that computed the results."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def generator() -> str:
    """Name and version of this program, as files carry it."""
    return f"track-mjx {environment().get('track-mjx', 'unreleased')}"


def now() -> str:
    """The time, ISO 8601, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
