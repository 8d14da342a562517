"""Code blocks of the documentation run at small scale; links lead to existing files."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from documentation import PROGRAMS, ROOT, Block, Runner, blocks_of

FRONT = ROOT / "docs" / "index.md"
# The schema pages are run by tests/contract/test_pages.py.
PAGES = [
    *sorted(path for path in (ROOT / "docs").glob("*.md") if path != FRONT),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "configs/README.md")),
    *sorted((ROOT / "packages").glob("*/README.md")),
]
FROM_NOTHING = {"tutorial.md"}
"""Pages that begin in an empty folder; the others begin with the results of the front page."""


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def follow(page: Path, folder: Path, programs: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("COLUMNS", "100")
        runner = Runner(programs)
        for block in blocks_of(page):
            runner.run(block)


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory, programs: Path) -> Path:
    """A folder in which the front page was followed."""
    folder = tmp_path_factory.mktemp("front")
    follow(FRONT, folder, programs)
    shutil.copy(folder / "results" / "clips.h5", folder / "clips.h5")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if blocks_of(page)], ids=name_of)
def test_page(page: Path, request: pytest.FixtureRequest, programs: Path, tmp_path: Path) -> None:
    here = tmp_path / "here"
    if page.name in FROM_NOTHING:
        here.mkdir()
    else:
        shutil.copytree(request.getfixturevalue("front"), here, copy_function=os.link)
    (here / "configs").symlink_to(ROOT / "configs")  # as in the root of a checkout
    follow(page, here, programs)


@pytest.mark.parametrize("page", [FRONT, *PAGES, *(ROOT / "docs").glob("*/*.md")], ids=name_of)
def test_links_within_the_repository_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    inside = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in inside if not (page.parent / link).exists()] == []


@pytest.mark.parametrize(
    ("language", "tag", "text", "message"),
    [
        ("sh", "", "stac-mjx fitt\n", "exit code 2"),
        ("console", "", "$ stac-mjx fitt\nall is well\n", "shown"),
        ("sh", "slurm", "track-mjx train ppo.n_env=4\n", "unknown setting"),
        ("sh", "install", "pip install 'track-mjx[cuda99]'\n", "no extra"),
        ("sh", "maybe", "true\n", "unknown kind"),
    ],
)
def test_a_wrong_block_fails(language: str, tag: str, text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=message):
        Runner(tmp_path).run(Block("page.md:1", language, tag, text))


@pytest.mark.parametrize("page", [FRONT, *PAGES], ids=name_of)
def test_source_files_named_on_a_page_exist(page: Path) -> None:
    roots = [ROOT, ROOT / "tests", *(ROOT / "packages").glob("*/src")]
    named = re.findall(r"`([\w-]+/[\w./*-]+(?:/|\.(?:py|toml|json)))`", page.read_text(encoding="utf-8"))
    assert [path for path in named if not any(any(root.glob(path)) for root in roots)] == []


def test_the_architecture_page_lists_all_rooms() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for package, module in PROGRAMS.items():
        folder = ROOT / "packages" / package / "src" / module
        files = [path.relative_to(folder).parts for path in folder.rglob("*.*") if path.suffix != ".pyc"]
        rooms = {parts[0] + "/" * (len(parts) > 1) for parts in files} - {"__init__.py", "__main__.py", "py.typed"}
        tree = page.partition(f"```text\n{module}/\n")[2].partition("```")[0]
        assert set(re.findall(r"^  (\S+)", tree, re.MULTILINE)) == rooms
