"""What holds the workspace together: independent packages, complete pins, light imports, and one test command."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"stac-mjx": "stac_mjx", "track-mjx": "track_mjx", "reach-analysis": "reach_analysis"}
HEAVY = {"jax", "mujoco", "matplotlib", "scipy", "h5py", "pandas", "flax"}


def read_toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def manifest(package: str) -> dict[str, Any]:
    return read_toml(ROOT / "packages" / package / "pyproject.toml")


def pins() -> list[Requirement]:
    return [Requirement(line) for line in read_toml(ROOT / "pyproject.toml")["tool"]["uv"]["constraint-dependencies"]]


def direct_requirements() -> Iterator[tuple[str, Requirement]]:
    root = read_toml(ROOT / "pyproject.toml")
    for group in root["dependency-groups"].values():
        yield from (("dependency group", Requirement(entry)) for entry in group if isinstance(entry, str))
    for package in PACKAGES:
        project = manifest(package)["project"]
        for lines in [project["dependencies"], *project["optional-dependencies"].values()]:
            yield from ((package, Requirement(line)) for line in lines)


def imported_modules(source: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module


def committed_files() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_package_imports_another(package: str) -> None:
    others = set(PACKAGES.values()) - {PACKAGES[package]}
    sources = sorted((ROOT / "packages" / package / "src").rglob("*.py"))
    assert sources
    offences = [
        f"{source.relative_to(ROOT)}: {name}"
        for source in sources
        for name in imported_modules(source)
        if name.split(".")[0] in others
    ]
    assert offences == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_package_requires_another(package: str) -> None:
    required = {canonicalize_name(req.name) for owner, req in direct_requirements() if owner == package}
    assert required.isdisjoint(PACKAGES)


def test_every_pin_is_exact_and_no_two_pins_of_a_package_hold_at_once() -> None:
    by_name: dict[str, list[Requirement]] = {}
    for pin in pins():
        assert re.fullmatch(r"==[^*,]+", str(pin.specifier)), f"{pin} is not an exact version"
        by_name.setdefault(canonicalize_name(pin.name), []).append(pin)
    assert len(by_name) > 50
    for same in by_name.values():
        assert len(same) == 1 or all(pin.marker for pin in same), f"{same} needs markers"


def test_every_direct_requirement_is_pinned_within_its_range() -> None:
    by_name: dict[str, list[Requirement]] = {}
    for pin in pins():
        by_name.setdefault(canonicalize_name(pin.name), []).append(pin)
    faults = []
    for owner, requirement in direct_requirements():
        chosen = by_name.get(canonicalize_name(requirement.name), [])
        if not chosen:
            faults.append(f"{owner}: {requirement} has no pin")
        versions = [str(pin.specifier).removeprefix("==") for pin in chosen]
        faults += [
            f"{owner}: {requirement} excludes its pin {version}"
            for version in versions
            if not requirement.specifier.contains(version, prereleases=True)
        ]
    assert faults == [], "run python scripts/refresh_pins.py"


def test_pins_and_lock_file_name_the_same_versions() -> None:
    lock = ROOT / "uv.lock"
    if not lock.is_file():
        pytest.skip("no uv.lock here; uv writes it on its first run")
    locked = {
        (canonicalize_name(entry["name"]), entry["version"])
        for entry in read_toml(lock)["package"]
        if "registry" in entry["source"]
    }
    pinned = {(canonicalize_name(pin.name), str(pin.specifier).removeprefix("==")) for pin in pins()}
    assert locked == pinned, "run python scripts/refresh_pins.py"


def test_no_committed_file_names_a_registry_host() -> None:
    # The names are put together here, so that this file passes too.
    hosts = re.compile(r"\b(py" + r"pi\.org|python" + r"hosted\.org|npm" + r"js\.(org|com)|ana" + r"conda\.org)\b")
    offences = [
        f"{path.relative_to(ROOT)}: {hit.group()}"
        for path in committed_files()
        if (hit := hosts.search(path.read_bytes().decode("utf-8", errors="ignore")))
    ]
    assert offences == []


@pytest.mark.parametrize("module", PACKAGES.values())
def test_import_of_package_and_command_is_light(module: str) -> None:
    code = f"import sys, {module}, {module}.cli; print(*(set(sys.modules) & {HEAVY!r}))"
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


@pytest.mark.parametrize("package", PACKAGES)
def test_package_ships_types_licence_and_changelog_of_its_version(package: str) -> None:
    folder = ROOT / "packages" / package
    project = manifest(package)["project"]
    assert (folder / "src" / PACKAGES[package] / "py.typed").is_file()
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert f"## [{project['version']}]" in (folder / "CHANGELOG.md").read_text(encoding="utf-8")
    assert project["requires-python"] == read_toml(ROOT / "pyproject.toml")["project"]["requires-python"]
    assert project["scripts"] == {package: f"{PACKAGES[package]}.cli:main"}


def test_stac_mjx_requires_no_training_library() -> None:
    training = {"flax", "optax", "distrax", "orbax-checkpoint", "mujoco-mjx", "torch", "brax", "wandb"}
    required = {canonicalize_name(req.name) for owner, req in direct_requirements() if owner == "stac-mjx"}
    assert required.isdisjoint(training)


def test_readme_and_ci_run_the_tests_with_the_same_command() -> None:
    command = 'python -m pip install uv && uv run --python "$(command -v python)" pytest'
    assert command in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
