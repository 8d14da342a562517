"""Scaling is an exact similarity: kinematics of the scaled body are the scaled kinematics of the body."""

from pathlib import Path

import mujoco
import numpy as np
import pytest
from stac.bodies_for_tests import random_qpos
from stac_mjx._common.errors import BodyError
from stac_mjx.body.mjcf import compile_spec, read_spec
from stac_mjx.body.scale import scale_spec

ZOO = """
<mujoco>
  <default>
    <geom size="0.01"/>
    <default class="slider">
      <joint type="slide" range="-0.05 0.07" ref="0.01" springref="0.02" limited="true"/>
    </default>
  </default>
  <asset>
    <mesh name="tetra" vertex="0 0 0  0.02 0 0  0 0.03 0  0 0 0.04" refpos="0.003 0.002 0.001" scale="1 2 1"/>
    <hfield name="ground" nrow="2" ncol="2" elevation="0 1 0 1" size="0.5 0.4 0.1 0.05"/>
    <skin name="coat" vertex="0 0 0 0.1 0 0 0 0.1 0" face="0 1 2">
      <bone body="trunk" bindpos="0 0 0.01" bindquat="1 0 0 0" vertid="0 1 2" vertweight="1 1 1"/>
    </skin>
  </asset>
  <worldbody>
    <geom type="hfield" hfield="ground" pos="0 0 -0.3"/>
    <camera name="eye" pos="0.3 0.1 0.2"/>
    <light pos="0 0 1"/>
    <body name="trunk" pos="0.1 0.2 0.3" quat="0.9 0.1 0.2 0.3">
      <freejoint name="root"/>
      <geom type="capsule" fromto="0 0 0 0.1 0.02 0.01" size="0.02"/>
      <geom type="mesh" mesh="tetra" pos="0.01 0 0.02"/>
      <site name="origin" pos="0.01 0.02 0.03" size="0.002"/>
      <body name="head" pos="0.1 0 0.02" euler="10 20 30">
        <joint name="neck" type="ball" pos="0.01 -0.02 0.005"/>
        <geom type="box" size="0.02 0.01 0.01" mass="0.02"/>
        <geom name="wrap" type="cylinder" size="0.012 0.03" pos="0.03 0 0" density="0"/>
      </body>
      <frame pos="0.02 0.01 0" euler="0 45 0">
        <body name="upper" pos="0.01 0 -0.05">
          <joint name="shoulder" axis="0 1 0" pos="0.004 0.001 0.01" range="-90 90" limited="true"/>
          <joint name="yaw" axis="0 0 1" pos="-0.002 0 0.01"/>
          <inertial pos="0.01 0 0" mass="0.05" diaginertia="2e-5 2e-5 1e-5"/>
          <body name="lower" pos="0 0 -0.06">
            <joint name="stretch" class="slider" axis="0 0.6 -0.8"/>
            <joint name="probe" type="slide" axis="1 0 0" limited="true" range="-0.01 0.02"/>
            <geom type="sphere" pos="0 0 -0.03"/>
            <site name="tip" pos="0.001 0.002 -0.05"/>
          </body>
        </body>
      </frame>
    </body>
  </worldbody>
  <tendon>
    <spatial name="muscle" width="0.002" range="0.02 0.3" limited="true" springlength="0.05">
      <site site="origin"/><geom geom="wrap"/><site site="tip"/>
    </spatial>
    <fixed name="angles"><joint joint="shoulder" coef="0.5"/><joint joint="yaw" coef="1"/></fixed>
    <fixed name="lengths" range="-0.1 0.2" limited="true">
      <joint joint="stretch" coef="1"/><joint joint="probe" coef="2"/>
    </fixed>
  </tendon>
  <equality>
    <connect body1="head" body2="lower" anchor="0.01 0.02 0.03" active="false"/>
    <weld body1="head" body2="upper" relpose="0.1 0.2 0.3 1 0 0 0" active="false"/>
    <joint joint1="stretch" joint2="probe" polycoef="0.01 0.5 3 0 0" active="false"/>
  </equality>
  <actuator>
    <muscle name="pull" tendon="muscle" lengthrange="0.1 0.2"/>
    <motor name="turn" joint="shoulder"/>
  </actuator>
  <keyframe><key name="stand" qpos="0.1 0.2 0.3 1 0 0 0 1 0 0 0 0.4 0.3 0.02 0.01"/></keyframe>
</mujoco>
"""

FACTOR = 0.37


def scaled_pair(path: Path, factor: float, scale_inertia: bool = False) -> tuple[mujoco.MjModel, mujoco.MjModel]:
    """The model as it is, and scaled, both through the same reader and writer."""
    models = []
    for scale in (None, factor):
        spec, assets = read_spec(path)
        if scale is not None:
            assets = scale_spec(spec, assets, scale, scale_inertia=scale_inertia)
        models.append(compile_spec(spec, assets, str(path))[1])
    return models[0], models[1]


def scaled_qpos(model: mujoco.MjModel, qpos: np.ndarray, factor: float) -> np.ndarray:
    """Scale the translations in qpos."""
    out = qpos.copy()
    for kind, at in zip(model.jnt_type, model.jnt_qposadr, strict=True):
        width = {int(mujoco.mjtJoint.mjJNT_FREE): 3, int(mujoco.mjtJoint.mjJNT_SLIDE): 1}.get(int(kind), 0)
        out[at : at + width] *= factor
    return out


def poses(model: mujoco.MjModel, qpos: np.ndarray) -> dict[str, np.ndarray]:
    """Everything with a length that forward kinematics computes."""
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    mujoco.mj_forward(model, data)
    names = ("xpos", "xipos", "xanchor", "geom_xpos", "site_xpos", "cam_xpos")
    return {name: getattr(data, name).copy() for name in names} | {"ten_length": data.ten_length.copy()}


def assert_similar(original: mujoco.MjModel, scaled: mujoco.MjModel, factor: float, seed: int = 0) -> None:
    size = np.ptp(poses(original, original.qpos0)["xpos"], axis=0).max()
    spatial = np.array([original.wrap_type[a] != mujoco.mjtWrap.mjWRAP_JOINT for a in original.tendon_adr], dtype=bool)
    for qpos in random_qpos(original, 3, seed):
        before, after = poses(original, qpos), poses(scaled, scaled_qpos(original, qpos, factor))
        for name in before:
            expected, got = before[name] * factor, after[name]
            if name == "ten_length":
                expected, got = expected[spatial], got[spatial]
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6 * size * factor, err_msg=name)


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    path = tmp_path / "zoo.xml"
    path.write_text(ZOO)
    return path


def test_every_joint_and_tendon_scales(zoo):
    original, scaled = scaled_pair(zoo, FACTOR)
    assert_similar(original, scaled, FACTOR)


def test_limits_and_references_scale_for_slides_only(zoo):
    original, scaled = scaled_pair(zoo, FACTOR)
    slide = original.jnt_type == mujoco.mjtJoint.mjJNT_SLIDE
    np.testing.assert_allclose(scaled.jnt_range[slide], original.jnt_range[slide] * FACTOR)
    np.testing.assert_array_equal(scaled.jnt_range[~slide], original.jnt_range[~slide])
    np.testing.assert_allclose(scaled.qpos0, scaled_qpos(original, original.qpos0, FACTOR))
    np.testing.assert_allclose(scaled.qpos_spring, scaled_qpos(original, original.qpos_spring, FACTOR))
    np.testing.assert_allclose(scaled.key_qpos[0], scaled_qpos(original, original.key_qpos[0], FACTOR))


def test_tendons_actuators_and_constraints_scale_where_they_are_lengths(zoo):
    original, scaled = scaled_pair(zoo, FACTOR)
    np.testing.assert_allclose(scaled.tendon_range, original.tendon_range * np.array([[FACTOR], [1], [FACTOR]]))
    np.testing.assert_allclose(scaled.tendon_lengthspring[0], original.tendon_lengthspring[0] * FACTOR)
    np.testing.assert_allclose(scaled.actuator_lengthrange[0], original.actuator_lengthrange[0] * FACTOR)
    np.testing.assert_allclose(scaled.eq_data[0, :3], original.eq_data[0, :3] * FACTOR)
    np.testing.assert_allclose(scaled.eq_data[1, :6], original.eq_data[1, :6] * FACTOR)
    # stretch = 0.01 + 0.5 probe + 3 probe^2 must hold between the scaled lengths
    probe = 0.013
    expected = np.polynomial.polynomial.polyval(probe, original.eq_data[2, :5]) * FACTOR
    assert np.polynomial.polynomial.polyval(probe * FACTOR, scaled.eq_data[2, :5]) == pytest.approx(expected)


def test_shapes_scale(zoo):
    original, scaled = scaled_pair(zoo, FACTOR)
    np.testing.assert_allclose(scaled.geom_rbound, original.geom_rbound * FACTOR, rtol=1e-6)
    np.testing.assert_allclose(scaled.mesh_vert, original.mesh_vert * FACTOR, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(scaled.hfield_size, original.hfield_size * FACTOR)
    np.testing.assert_allclose(scaled.skin_vert, original.skin_vert * FACTOR, rtol=1e-6)
    np.testing.assert_allclose(scaled.skin_bonebindpos, original.skin_bonebindpos * FACTOR, rtol=1e-6)


@pytest.mark.parametrize(("scale_inertia", "mass", "inertia"), [(False, 0, 2), (True, 3, 5)])
def test_mass_and_inertia_follow_the_stated_power(zoo, scale_inertia, mass, inertia):
    original, scaled = scaled_pair(zoo, FACTOR, scale_inertia)
    np.testing.assert_allclose(scaled.body_mass, original.body_mass * FACTOR**mass, rtol=1e-6)
    np.testing.assert_allclose(scaled.body_inertia, original.body_inertia * FACTOR**inertia, rtol=1e-5)


def test_tendon_of_angles_and_lengths_is_refused(tmp_path):
    path = tmp_path / "mixed.xml"
    path.write_text(ZOO.replace('<joint joint="yaw" coef="1"/>', '<joint joint="probe" coef="1"/>'))
    with pytest.raises(BodyError, match="'angles' adds angles to lengths"):
        scaled_pair(path, FACTOR)


@pytest.mark.parametrize(
    ("file", "factor"),
    [
        ("rat/rodent.xml", 0.9),
        ("rat/rodent_skin.xml", 0.9),
        ("rat/rodent_imitation.xml", 1.7),
        ("mouse/mouse_nomesh.xml", 1.1),
        ("fly/fruitfly_force_free.xml", 0.8),
        ("stick/stick_fast.xml", 1.5),
        ("worm/celegans.xml", 1.2),
        ("mouse_arm/akira_muscle.xml", 0.9),
    ],
)
def test_real_bodies_scale(data_dir, file, factor):
    original, scaled = scaled_pair(data_dir / file, factor)
    assert_similar(original, scaled, factor)
    if original.nskin:
        np.testing.assert_allclose(scaled.skin_vert, original.skin_vert * factor, rtol=1e-5, atol=1e-8)
        np.testing.assert_allclose(scaled.skin_bonebindpos, original.skin_bonebindpos * factor, rtol=1e-5, atol=1e-8)
