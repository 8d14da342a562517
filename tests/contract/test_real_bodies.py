"""Files of the real bodies conform, whatever the length unit of their MJCF, far from the origin too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from contract import examples, kit
from stac_mjx._common.mjcf import qpos_labels
from stac_mjx.body.mjcf import compile_spec, read_spec
from stac_mjx.records import read_clips, write_clips


@pytest.mark.parametrize(
    ("mjcf", "unit_m"),
    [
        ("rat/rodent.xml", 1.0),
        ("fly/fruitfly_force_free.xml", 0.01),
        ("worm/celegans.xml", 1e-3),
        ("mouse/mouse_nomesh.xml", 1.0),
        ("stick/stick_fast.xml", 1.0),
        ("mouse_arm/arm_muscle.xml", 1.0),
    ],
)
def test_files_of_real_bodies_conform(data_dir: Path, tmp_path: Path, mjcf, unit_m):
    spec, assets = read_spec(data_dir / mjcf)
    xml, model = compile_spec(spec, assets, mjcf)
    rng = np.random.default_rng(0)
    n_frames = 40
    qpos, qvel, xpos, xquat = examples.poses(n_frames, rng, model, unit_m)
    if qpos_labels(model)[0].endswith("_x"):
        qpos[:, :3] += 0.3 / unit_m
        xpos, xquat = examples.kinematics(model, qpos, unit_m)
    info = examples.info(
        mjcf_xml=xml, assets=assets, length_unit_m=unit_m, root_body=None, end_effectors=(), skeleton=()
    )
    clips = examples.clips_of(model, qpos, xpos, xquat, xpos[:, 1:5], info=info, qvel=qvel)
    write_clips(tmp_path / "a.h5", clips)
    kit.assert_conforms(tmp_path / "a.h5")
    assert read_clips(tmp_path / "a.h5").info.assets == assets
