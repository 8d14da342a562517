"""The notebooks of examples/ run from their first cell to their last, at small scale."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest

SMALL: dict[str, dict[str, Any]] = {
    "01_register": {"CALIBRATION_FRAMES": 20},
    "02_train": {"STEPS": 5_120, "SETTINGS": {"ppo": {"n_envs": 128}, "run": {"evaluate_clips": 4}}},
    "03_transfer": {"STEPS": 2_560, "SETTINGS": {"ppo": {"n_envs": 128}, "run": {"evaluate_clips": 4}}},
    "04_analyse": {
        "SETTINGS": {"resamples": 100},
        "REPORT": {"studies": {
            "forecast": {"permutations": 19, "surrogates": 19, "resamples": 100, "folds": 3},
            "synergies": {"largest": 3, "folds": 3}, "coupling": {"permutations": 19, "samples": 3},
            "similarity": {"draws": 39},
        }},
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_windows() -> Iterator[None]:
    plt.switch_backend("agg")
    yield
    plt.close("all")


def run_notebook(path: Path, parameters: dict[str, Any]) -> dict[str, Any]:
    """Execute the code cells in one namespace, `parameters` after the cell that sets them; return it."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{path.name}, cell {number}", "exec"), names)
            if "parameters" in cell["metadata"].get("tags", ()):
                assert set(parameters) <= set(names), "parameters of the notebook"
                names.update(parameters)
    return names


@pytest.mark.slow
def test_notebooks_go_from_a_recording_to_a_report(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    books = sorted((repository / "examples" / "notebooks").glob("*.ipynb"))
    assert [book.stem for book in books] == list(SMALL)
    for book in books:
        run_notebook(book, SMALL[book.stem])
        assert all(not cell.get("outputs") for cell in json.loads(book.read_text())["cells"]), "kept without outputs"
    assert (tmp_path / "report" / "report.html").is_file()
