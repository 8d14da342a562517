"""What CI and releases do, and the forms that contributors fill in: they parse, and agree with .ci/run."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
GITHUB = ROOT / ".github"
PACKAGES = ("stac-mjx", "track-mjx", "reach-analysis")
SCRIPT = (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def triggers(workflow: dict) -> dict:
    return workflow[True]  # YAML 1.1 reads the key `on` as a truth value


def runs(job: dict) -> list[str]:
    return [step["run"] for step in job["steps"] if "run" in step]


def test_ci_covers_what_must_hold() -> None:
    steps = re.findall(r"^\s*step (\S+)", SCRIPT, re.MULTILINE)
    assert steps == ["install", "lint", "format", "types", "pins", "tests", "docs", "wheels", '"$package']
    assert re.search(rf"^for package in {' '.join(PACKAGES)}; do$", SCRIPT, re.MULTILINE)
    assert "sphinx-build -W" in SCRIPT
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert settings["tool"]["pytest"]["ini_options"]["testpaths"] == ["tests"]
    assert (ROOT / "tests" / "contract").is_dir()
    assert "docs" in settings["dependency-groups"]


def test_workflow_runs_the_script_on_two_pythons_and_on_the_lowest_dependencies() -> None:
    workflow = read(GITHUB / "workflows" / "ci.yml")
    check, lowest = workflow["jobs"]["check"], workflow["jobs"]["lowest"]
    pythons = check["strategy"]["matrix"]["python"]
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    oldest = settings["project"]["requires-python"].removeprefix(">=")
    assert len(pythons) >= 2
    assert oldest in pythons
    assert runs(check)[-1] == "bash .ci/run"
    assert runs(lowest)[-1] == "bash .ci/lowest"
    assert [step["with"]["python-version"] for step in lowest["steps"] if "python-version" in step.get("with", {})] == [
        oldest
    ]
    assert "lowest-direct" in (ROOT / ".ci" / "lowest").read_text(encoding="utf-8")
    assert workflow["permissions"] == {"contents": "read"}
    assert {"push", "pull_request"} <= set(triggers(workflow))


@pytest.mark.parametrize("script", ["run", "lowest"])
def test_scripts_are_bash(script: str) -> None:
    subprocess.run(["bash", "-n", str(ROOT / ".ci" / script)], check=True)


def test_a_tag_releases_its_package_and_only_the_publishing_job_may_publish() -> None:
    workflow = read(GITHUB / "workflows" / "release.yml")
    assert triggers(workflow) == {"push": {"tags": [f"{package}-v*" for package in PACKAGES]}}
    assert workflow["permissions"] == {}
    jobs = workflow["jobs"]
    assert jobs["build"]["permissions"] == {"contents": "read"}
    assert "bash .ci/run" in runs(jobs["build"])
    assert any('uv build --package "$PACKAGE"' in command for command in runs(jobs["build"]))
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert jobs["publish"]["needs"] == "build"
    assert not runs(jobs["publish"]), "the job that publishes runs nothing of ours"
    assert all("checkout" not in step.get("uses", "") for step in jobs["publish"]["steps"])
    assert "secrets." not in (GITHUB / "workflows" / "release.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("tag", "package", "version"),
    [("stac-mjx-v0.1.0", "stac-mjx", "0.1.0"), ("reach-analysis-v10.2.3", "reach-analysis", "10.2.3")],
)
def test_tags_are_taken_apart_as_the_release_does(tag: str, package: str, version: str) -> None:
    commands = "\n".join(runs(read(GITHUB / "workflows" / "release.yml")["jobs"]["build"]))
    parts = re.findall(r'"\$\{GITHUB_REF_NAME(%-v\*|##\*-v)\}"', commands)
    assert parts == ["%-v*", "##*-v"]
    script = f'GITHUB_REF_NAME={tag}; echo "${{GITHUB_REF_NAME%-v*}} ${{GITHUB_REF_NAME##*-v}}"'
    assert subprocess.check_output(["bash", "-c", script], text=True).split() == [package, version]


@pytest.mark.parametrize("form", ["bug", "new_body", "feature"])
def test_issue_forms_ask_for_what_is_needed(form: str) -> None:
    found = read(GITHUB / "ISSUE_TEMPLATE" / f"{form}.yml")
    assert found["name"]
    assert found["description"]
    identities = [field["id"] for field in found["body"]]
    assert len(identities) == len(set(identities))
    assert any(field.get("validations", {}).get("required") for field in found["body"])
    assert {field["type"] for field in found["body"]} <= {"dropdown", "textarea", "input", "checkboxes", "markdown"}


@pytest.mark.parametrize(
    "page",
    [
        "CODE_OF_CONDUCT.md",
        "SECURITY.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "CITATION.cff",
        ".github/pull_request_template.md",
    ],
)
def test_pages_for_contributors_are_there(page: str) -> None:
    assert len((ROOT / page).read_text(encoding="utf-8")) > 400
