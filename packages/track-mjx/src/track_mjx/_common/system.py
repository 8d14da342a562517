"""Name and version of this package, versions of its libraries, and properties of this computer."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from . import PACKAGE, PROGRAM


def generator() -> str:
    """Name and version of this program, as printed by ``--version`` and stored in files."""
    return f"{PROGRAM} {environment().get(PROGRAM, 'unreleased')}"


def environment() -> dict[str, str]:
    """Versions of Python, the package and its installed direct dependencies, and the platform."""
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    try:
        required = [re.split(r"[^\w.-]", text)[0] for text in metadata.requires(PROGRAM) or []]
    except metadata.PackageNotFoundError:
        required = []
    for name in dict.fromkeys((PROGRAM, *required, "jaxlib")):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def now() -> str:
    """The current time, ISO 8601, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def n_cores() -> int:
    """Number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """Name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def use_compilation_cache() -> None:
    """Keep compiled JAX programs between runs: in ``$PACKAGE_CACHE`` (such as $STAC_MJX_CACHE) or the user's cache."""
    import jax

    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    users = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / PROGRAM
    folder = Path(os.environ.get(f"{PACKAGE.upper()}_CACHE") or users)
    jax.config.update("jax_compilation_cache_dir", str(folder / "jax"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
