"""Every code block of the documentation and the READMEs runs, at small scale; links lead somewhere."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from documentation import PROGRAMS, ROOT, Block, Runner, blocks_of, commands_of, first_job, same_but_numbers

FRONT = ROOT / "docs" / "index.md"
# The schema pages are run by tests/contract/test_pages.py, on files of that kit.
PAGES = [
    *sorted(path for path in (ROOT / "docs").glob("*.md") if path != FRONT),
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "configs" / "README.md",
    *sorted((ROOT / "packages").glob("*/README.md")),
]
FROM_NOTHING = {"tutorial.md"}
"""Pages that begin in an empty folder; the others begin with what the front page left."""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with our commands and python, for a PATH."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / "python").symlink_to(sys.executable) if os.name == "posix" else None
    for program, module in PROGRAMS.items():
        (folder / program).write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
        (folder / program).chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the front page will be followed, once."""
    return tmp_path_factory.mktemp("front")


def follow(page: Path, runner: Runner) -> None:
    for block in blocks_of(page):
        runner.run(block)


@pytest.mark.slow
def test_front_page(
    trained: Path, programs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(trained)
    follow(FRONT, Runner(programs, capsys))
    shutil.copy("results/clips.h5", "clips.h5")
    assert Path("rollouts.h5").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks_of(page)], ids=lambda path: str(path.relative_to(ROOT))
)
def test_page(
    page: Path,
    trained: Path,
    programs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    here = tmp_path / "here"
    if page.name in FROM_NOTHING:
        here.mkdir()
    else:
        if not (trained / "rollouts.h5").exists():
            pytest.skip("the front page, whose results this page uses, was not followed, or failed")
        shutil.copytree(trained, here, copy_function=os.link)
    monkeypatch.chdir(here)
    monkeypatch.setenv("COLUMNS", "100")
    Path("configs").symlink_to(ROOT / "configs")  # as in the root of a checkout, where studies are used
    follow(page, Runner(programs, capsys))


def links_of(page: Path) -> list[str]:
    return re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "page", [FRONT, *PAGES, *(ROOT / "docs").glob("*/*.md")], ids=lambda path: str(path.relative_to(ROOT))
)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    inside = [link for link in links_of(page) if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in inside if not (page.parent / link).exists()] == []


def test_blocks_and_links_are_found() -> None:
    with_blocks = {page.name for page in PAGES if blocks_of(page)}
    assert {"tutorial.md", "bodies.md", "terms.md", "machines.md", "reading.md", "README.md"} <= with_blocks
    assert {"tutorial.md", "schema/README.md"} <= set(links_of(FRONT))


def test_commands_are_found_as_a_reader_would() -> None:
    text = "# a comment\na b \\\n  c  # why\n\nd e  # in CI: x=1 y=2\n"
    assert commands_of(text) == ["a b c", "d e x=1 y=2"]


def test_the_first_job_of_a_sweep_is_shown() -> None:
    swept = ["track-mjx", "train", "--multirun", "seed=0,1", "n=[1,2]", "--cfg", "job"]
    assert first_job(swept) == ["track-mjx", "train", "seed=0", "n=[1,2]", "--cfg", "job"]
    assert first_job(swept[:-2]) == swept[:-2]


@pytest.mark.parametrize(
    ("shown", "same"),
    [
        ("took 1.5 s, 2,760 frames", True),
        ("took ... frames", True),
        ("took 1.5 min, 2,760 frames", False),
        ("took", False),
    ],
)
def test_output_is_compared_but_for_numbers(shown: str, same: bool) -> None:
    assert same_but_numbers(shown, "took 12.25 s,\n 46 frames\n") is same


def test_a_block_that_fails_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = ROOT / "docs" / "index.md"
    runner = Runner(tmp_path, capsys)
    with pytest.raises(AssertionError, match="exit code 2"):
        runner.run(Block(page, 1, "sh", "", "stac-mjx fitt\n"))
    with pytest.raises(AssertionError, match="shown"):
        runner.run(Block(page, 1, "console", "", "$ stac-mjx fitt\nall is well\n"))
    with pytest.raises(AssertionError, match="unknown setting"):
        runner.run(Block(page, 1, "sh", "slurm", "track-mjx train ppo.n_env=4\n"))
    with pytest.raises(AssertionError, match="no extra"):
        runner.run(Block(page, 1, "sh", "install", "pip install 'track-mjx[cuda99]'\n"))
    with pytest.raises(AssertionError, match="tag"):
        runner.run(Block(page, 1, "sh", "maybe", "true\n"))
