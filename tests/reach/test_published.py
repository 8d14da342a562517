"""Rollouts in the published layout: converted, analyses of them give the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from reach_analysis.cli import main
from reach_analysis.data.published import MUSCLES
from reach_analysis.data.rollouts import read_rollouts

JOINTS = ("elevation", "extension", "rotation", "elbow")
CLIPS, STEPS = 5, 30


@pytest.fixture
def arrays(tmp_path: Path) -> dict[str, np.ndarray]:
    """A published file and the part of a clips file that is read; the control is beyond 0 to 1, layers are many."""
    rng = np.random.default_rng(0)
    shapes = {f"activations/decoder/layer_{number}": (STEPS, 6) for number in (1, 2, 10)}
    shapes |= {"qposes_rollout": (STEPS + 1, 4), "qposes_ref": (STEPS + 1, 4)}
    shapes |= {"actions": (STEPS, 9), "activations/intention": (STEPS, 4)}
    made = {name: rng.normal(0.5, 0.4, (CLIPS, *shape)).astype("f4") for name, shape in shapes.items()}
    file: Any
    with h5py.File(tmp_path / "published.h5", "w") as file:
        for name, values in made.items():
            file[name] = values
    text = h5py.string_dtype()
    with h5py.File(tmp_path / "clips.h5", "w") as file:
        file.attrs.update(schema_name="mimic.reference_clips", schema_version="1.1.0", model_name="mouse_arm",
                          length_unit_m=1.0, rate_hz=200.0)  # fmt: skip
        file.create_dataset("clip_name", data=[f"trial{n:02d}_ik" for n in range(CLIPS)], dtype=text)
        file.create_dataset("names_qpos", data=JOINTS, dtype=text)
        file.create_dataset("provenance/mjcf_xml", data="<mujoco/>", dtype=text)
    return made


def test_converted_rollouts_hold_what_was_published(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    paths = [f"rollouts={tmp_path}/published.h5", f"clips={tmp_path}/clips.h5", f"out={tmp_path}/out.h5"]
    assert main(["convert", *paths]) == 0
    found = read_rollouts(tmp_path / "out.h5")
    assert (found.rate_hz, found.reference_rate_hz) == (400.0, 200.0)
    assert found.renamed(r"trial(\d+)").trials == tuple(map(str, range(CLIPS)))
    assert found.layers == ("decoder/layer_0", "decoder/layer_1", "decoder/layer_2")
    last = arrays["activations/decoder/layer_10"]
    np.testing.assert_allclose(found.layer("decoder/layer_2").stacked(), last, rtol=1e-6)
    control = found.series("ctrl").select([MUSCLES[8]])
    assert MUSCLES[8] == "Biceps_Long"
    np.testing.assert_allclose(control.stacked()[..., 0], np.clip(arrays["actions"][..., 8], 0, 1), rtol=1e-6)
    np.testing.assert_allclose(found.series("qpos_ref").stacked(), arrays["qposes_ref"], rtol=1e-6)
    pca = ["pca", f"rollouts={tmp_path}/out.h5", "resamples=0", f"out={tmp_path}/pca"]
    assert main(pca) == 0


def test_files_of_another_layout_are_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], refuses: Callable[..., str]
) -> None:
    paths = [f"rollouts={tmp_path}/published.h5", f"clips={tmp_path}/clips.h5", f"out={tmp_path}/out.h5"]
    file: Any
    with h5py.File(tmp_path / "published.h5", "r+") as file:
        del file["qposes_ref"], file["activations/intention"]
        file["qposes_ref"] = arrays["qposes_ref"][:, 1:]
        file["activations/intention"] = arrays["activations/intention"]
    assert f"qpos_ref: ({CLIPS}, {STEPS}) clips and times, expected ({CLIPS}, {STEPS + 1})" in refuses(
        "convert", *paths
    )
    with h5py.File(tmp_path / "published.h5", "r+") as file:
        del file["actions"]
    assert "actions" in refuses("convert", *paths)
    assert not (tmp_path / "out.h5").exists()
