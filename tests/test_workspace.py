"""The workspace: pins, package files, CI scripts and workflows."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"stac-mjx": "stac_mjx", "track-mjx": "track_mjx", "reach-analysis": "reach_analysis"}
TRAINING = {"flax", "optax", "distrax", "orbax-checkpoint", "mujoco-mjx", "torch", "brax", "wandb"}


def read_toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


WORKSPACE = read_toml(ROOT / "pyproject.toml")
PROJECTS = {name: read_toml(ROOT / "packages" / name / "pyproject.toml")["project"] for name in PACKAGES}


def pins() -> dict[str, list[Requirement]]:
    by_name: dict[str, list[Requirement]] = defaultdict(list)
    for line in WORKSPACE["tool"]["uv"]["constraint-dependencies"]:
        by_name[canonicalize_name(Requirement(line).name)].append(Requirement(line))
    return by_name


def direct_requirements() -> Iterator[tuple[str, Requirement]]:
    for group in WORKSPACE["dependency-groups"].values():
        yield from (("dependency group", Requirement(entry)) for entry in group if isinstance(entry, str))
    for name, project in PROJECTS.items():
        for lines in [project["dependencies"], *project["optional-dependencies"].values()]:
            yield from ((name, Requirement(line)) for line in lines)


def test_no_package_requires_another_and_stac_mjx_no_training_library() -> None:
    required = defaultdict(set)
    for owner, requirement in direct_requirements():
        required[owner].add(canonicalize_name(requirement.name))
    assert all(required[package].isdisjoint(PACKAGES) for package in PACKAGES)
    assert required["stac-mjx"].isdisjoint(TRAINING)


def test_pins_are_exact_and_within_the_ranges_of_the_packages() -> None:
    for same in pins().values():
        assert all(re.fullmatch(r"==[^*,]+", str(pin.specifier)) for pin in same), same
        assert len(same) == 1 or all(pin.marker for pin in same), f"{same} needs markers"
    problems = []
    for owner, requirement in direct_requirements():
        versions = [str(pin.specifier)[2:] for pin in pins()[canonicalize_name(requirement.name)]]
        if not versions or not all(requirement.specifier.contains(v, prereleases=True) for v in versions):
            problems.append(f"{owner}: {requirement}, pinned {versions}")
    assert problems == [], "run python scripts/refresh_pins.py"


def test_no_committed_file_names_a_registry_host() -> None:
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout")
    # split, so that this file passes
    hosts = re.compile(rb"\b(py" + rb"pi\.org|python" + rb"hosted\.org|npm" + rb"js\.(org|com)|ana" + rb"conda\.org)\b")
    paths = [ROOT / name for name in listing.stdout.splitlines()]
    assert [path for path in paths if path.is_file() and hosts.search(path.read_bytes())] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_package_ships_types_licence_and_changelog_of_its_version(package: str) -> None:
    folder, project = ROOT / "packages" / package, PROJECTS[package]
    assert (folder / "src" / PACKAGES[package] / "py.typed").is_file()
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert f"## [{project['version']}]" in (folder / "CHANGELOG.md").read_text(encoding="utf-8")
    assert project["requires-python"] == WORKSPACE["project"]["requires-python"]
    assert project["scripts"] == {package: f"{PACKAGES[package]}.cli:main"}


def workflow(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Triggers and jobs of a workflow, and that its default permissions write nothing."""
    content = yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8"))
    assert content["permissions"] in ({}, {"contents": "read"})
    return content[True], content["jobs"]  # YAML 1.1 reads the key `on` as true


def runs(job: dict[str, Any]) -> list[str]:
    return [step["run"] for step in job["steps"] if "run" in step]


def test_readme_and_ci_run_the_same_commands() -> None:
    command = 'python -m pip install uv && uv run --python "$(command -v python)" pytest'
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert command in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert command in script
    assert set(re.findall(r"^ *step (\S+)", script, re.MULTILINE)) >= {
        "lint", "format", "types", "pins", "imports", "common", "words", "tests", "docs", "wheels",
    }  # fmt: skip
    _, jobs = workflow("ci")
    assert WORKSPACE["project"]["requires-python"].removeprefix(">=") in jobs["check"]["strategy"]["matrix"]["python"]
    assert [runs(jobs[name])[-1] for name in ("check", "lowest")] == ["bash .ci/run", "bash .ci/lowest"]


def test_only_the_publishing_job_may_publish_and_it_runs_nothing_of_ours() -> None:
    triggers, jobs = workflow("release")
    assert triggers == {"push": {"tags": [f"{package}-v*" for package in PACKAGES]}}
    assert "bash .ci/run" in runs(jobs["build"])
    assert 'bash .ci/release "$GITHUB_REF_NAME" .' in runs(jobs["build"])[-1]
    assert jobs["build"]["permissions"] == {"contents": "read"}
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert jobs["publish"]["needs"] == "build"
    assert not runs(jobs["publish"])
    assert all("checkout" not in step.get("uses", "") for step in jobs["publish"]["steps"])


@pytest.mark.parametrize("tag", ["track-mjx-v9.9.9", "no-package-v0.1.0"])
def test_no_release_of_a_tag_that_is_not_a_package_and_its_version(tag: str, tmp_path: Path) -> None:
    command = ["bash", str(ROOT / ".ci" / "release"), tag, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert tag in result.stderr
    assert not list(tmp_path.iterdir())
