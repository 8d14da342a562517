"""The pages of docs/schema: tables that follow from the JSON, and examples that run."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from contract import examples
from stac_mjx.records import write_clips


@pytest.fixture(scope="module")
def refresh(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("refresh", repository / "docs/schema/refresh.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", ["reference_clips", "offsets", "rollouts"])
def test_tables_follow_from_the_json(repository: Path, refresh: ModuleType, kind):
    page = (repository / "docs/schema" / f"{kind}.md").read_text(encoding="utf-8")
    assert page == refresh.render(kind), "run docs/schema/refresh.py"
    assert page.count("| MUST |") > 10


def test_the_examples_run(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    text = (repository / "docs/schema/README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    assert len(blocks) == 2
    clips = examples.clips()
    write_clips(tmp_path / "clips.h5", clips)
    examples.write_rollouts(tmp_path / "rollouts.h5")
    monkeypatch.chdir(tmp_path)
    by_h5py: dict = {}
    exec(blocks[0], by_h5py)
    np.testing.assert_allclose(by_h5py["third_clip"], clips.qpos[10:, 11], rtol=1e-6)
    by_xarray: dict = {}
    exec(blocks[1], by_xarray)
    np.testing.assert_allclose(by_xarray["third_clip"], clips.xpos[10:, 2, 2], rtol=1e-6)
    assert by_xarray["layer"].dims == ("clip", "step_time", "unit_1")
    by_xarray["clips"].close()
    by_xarray["everything"].close()
