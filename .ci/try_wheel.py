"""Try one wheel in the environment it was installed into alone: ``python -I .ci/try_wheel.py PACKAGE WHEEL``."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
import tempfile
import time
import zipfile
from importlib.metadata import distributions, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODULES = {"stac-mjx": "stac_mjx", "track-mjx": "track_mjx", "reach-analysis": "reach_analysis"}
TRAINING = {"flax", "optax", "distrax", "orbax-checkpoint", "mujoco-mjx", "tfp-nightly", "torch", "tensorflow", "wandb"}
HELP_SECONDS = 1.0
KEPT = ROOT / "tests" / "contract" / "kept"
CHECKED = {
    "stac-mjx": ("reference_clips-1.0.h5", "offsets-1.0.h5", "rollouts-1.0.h5"),
    "track-mjx": ("reference_clips-1.0.h5",),
    "reach-analysis": ("rollouts-1.0.h5",),
}
"""Kept files that the package must accept."""


def run_command(package: str, *arguments: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """Run the installed command of `package`; return the result and the wall time in seconds."""
    command = Path(sys.executable).with_name(package)
    start = time.perf_counter()
    result = subprocess.run(
        [command, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    return result, time.perf_counter() - start


def faults_of_command(package: str) -> list[str]:
    """Check ``--help``, ``--version`` and an unknown verb of the installed command."""
    faults = []
    run_command(package, "--help")  # the first call also writes the byte code
    result, wall = run_command(package, "--help")
    if result.returncode or package not in result.stdout:
        faults.append(f"--help exits with {result.returncode}: {result.stdout}{result.stderr}")
    if wall > HELP_SECONDS:
        faults.append(f"--help took {wall:.2f} s, more than {HELP_SECONDS} s")
    result, _ = run_command(package, "--version")
    if result.returncode or version(package) not in result.stdout:
        faults.append(f"--version exits with {result.returncode}: {result.stdout}{result.stderr}")
    result, _ = run_command(package, "no-such-verb")
    if result.returncode != 2 or "Traceback" in result.stderr:
        faults.append(f"an unknown verb exits with {result.returncode}, expected 2 and no traceback: {result.stderr}")
    return faults


def faults_of_independence(package: str) -> list[str]:
    """Check that the package imports, that the other two are absent, and that stac-mjx installs no training library."""
    importlib.import_module(MODULES[package])
    others = [module for name, module in MODULES.items() if name != package and importlib.util.find_spec(module)]
    faults = [f"{module} can be imported too" for module in others]
    if package == "stac-mjx":
        installed = {(dist.metadata["Name"] or "").lower() for dist in distributions()}
        faults += [f"it brings the training dependency {name}" for name in sorted(installed & TRAINING)]
    return faults


def faults_of_content(package: str, wheel: Path) -> list[str]:
    """Check that every committed file of the package's source, data included, is in the wheel."""
    source = ROOT / "packages" / package / "src"
    listing = subprocess.run(["git", "ls-files", "-z", "."], cwd=source, capture_output=True, text=True, check=True)
    committed = {name for name in listing.stdout.split("\0") if name}
    if not committed:
        return [f"git lists no file in {source}"]
    with zipfile.ZipFile(wheel) as archive:
        return [f"the wheel lacks {name}" for name in sorted(committed - set(archive.namelist()))]


def faults_of_conformance(package: str) -> list[str]:
    """Let the installed command check kept files of the file contract, and a truncated one."""
    kept = [str(KEPT / name) for name in CHECKED[package]]
    result, _ = run_command(package, "check", *kept)
    faults = [f"check of {kept} exits with {result.returncode}: {result.stderr}"] if result.returncode else []
    with tempfile.TemporaryDirectory() as folder:
        cut = Path(folder) / "cut.h5"
        cut.write_bytes(Path(kept[0]).read_bytes()[:5000])
        result, _ = run_command(package, "check", str(cut))
    if result.returncode == 0 or "Traceback" in result.stderr or "cut.h5" not in result.stdout + result.stderr:
        faults.append(f"check of a truncated file exits with {result.returncode}: {result.stdout}{result.stderr}")
    return faults


def main() -> int:
    """Print all faults of the wheel, or one line; return the exit code."""
    package, wheel = sys.argv[1], Path(sys.argv[2])
    faults = [
        *faults_of_independence(package),
        *faults_of_command(package),
        *faults_of_conformance(package),
        *faults_of_content(package, wheel),
    ]
    for fault in faults:
        print(f"{wheel.name}: {fault}")
    if not faults:
        count = sum(1 for _ in distributions())
        print(f"{wheel.name}: installs alone ({count} distributions), its command works, all its files are included")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
