"""The embedded mouse forelimb: names, sizes, what each muscle does, and that it can be simulated."""

from importlib import resources
from pathlib import Path

import mujoco
import numpy as np
import pytest

FLEXORS = ("Brachialis", "Biceps_Long")
EXTENSORS = ("Triceps_Lateral", "Triceps_Long")
MUSCLES = ("Pec_C", "Lat", "PD", "AD", "MD", *EXTENSORS, *FLEXORS)
JOINTS = ("sh_elv", "sh_extension", "sh_rotation", "elbow")
HANGING = np.radians([-10.0, -10.0, 20.0, 20.0])


@pytest.fixture(scope="module")
def arm() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_path(str(resources.files("stac_mjx") / "bodies" / "mouse_arm.xml"))


def moment_arms(model: mujoco.MjModel, qpos: np.ndarray) -> dict[str, dict[str, float]]:
    """Change of length per angle, m/rad, of every muscle about every joint; negative: pulling raises the angle."""
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    mujoco.mj_forward(model, data)
    dense = np.zeros((model.nu, model.nv))
    mujoco.mju_sparse2dense(dense, data.actuator_moment, data.moment_rownnz, data.moment_rowadr, data.moment_colind)
    return {model.actuator(a).name: dict(zip(JOINTS, dense[a], strict=True)) for a in range(model.nu)}


def poses_within_limits(model: mujoco.MjModel, count: int) -> np.ndarray:
    lower, upper = model.jnt_range.T
    return np.random.default_rng(0).uniform(lower, upper, (count, model.nq))


def test_names_are_those_of_the_field(arm):
    assert tuple(arm.joint(i).name for i in range(arm.njnt)) == JOINTS
    assert tuple(arm.actuator(i).name for i in range(arm.nu)) == MUSCLES
    bodies = ("world", "ground", "clavicle", "scapula", "humerus", "ulna", "radius", "wrist_body")
    assert tuple(arm.body(i).name for i in range(arm.nbody)) == bodies
    for site, body in (("shoulder_track", "scapula"), ("elbow_track", "ulna"), ("wrist_track", "wrist_body")):
        assert arm.body(arm.site(site).bodyid[0]).name == body
    assert arm.camera("close-profile").id == 0


def test_it_stands_alone(arm):
    assert arm.nmesh == arm.ntex - 1 == 0  # the sky is computed
    assert (arm.opt.timestep, arm.opt.integrator) == (0.00125, mujoco.mjtIntegrator.mjINT_EULER)
    np.testing.assert_array_equal(arm.opt.gravity, [0, 0, -9.81])


def test_masses_are_those_of_a_mouse(arm):
    assert 2e-4 < arm.body_mass.sum() < 1e-3
    for name in ("humerus", "ulna", "wrist_body"):
        body = arm.body(name)
        # radius of gyration of a limb segment: a few millimetres at most
        assert 2e-4 < np.sqrt(body.inertia.max() / body.mass[0]) < 3e-3


def test_kinematics_equal_the_lab_model(arm, data_dir: Path):
    lab = mujoco.MjModel.from_xml_path(str(data_dir / "mouse_arm" / "akira_muscle_nomesh.xml"))
    np.testing.assert_allclose(arm.jnt_range, lab.jnt_range)
    ours, theirs = mujoco.MjData(arm), mujoco.MjData(lab)
    for qpos in poses_within_limits(arm, 20):
        ours.qpos[:] = theirs.qpos[:] = qpos
        mujoco.mj_kinematics(arm, ours)
        mujoco.mj_kinematics(lab, theirs)
        for i in range(arm.nbody):
            np.testing.assert_allclose(ours.xpos[i], theirs.body(arm.body(i).name).xpos, atol=1e-12)


def test_elbow_muscles_keep_their_sign_everywhere(arm):
    for qpos in poses_within_limits(arm, 300):
        arms = moment_arms(arm, qpos)
        for name in FLEXORS:
            assert -1.5e-3 < arms[name]["elbow"] < -1e-4
        for name in EXTENSORS:
            assert 1e-4 < arms[name]["elbow"] < 1.5e-3


PROTRACT, ADDUCT, TURN_INWARD = "sh_rotation", "sh_elv", "sh_extension"
RAISE = {PROTRACT: ("AD", "Biceps_Long"), ADDUCT: ("Pec_C", "Lat"), TURN_INWARD: ("Pec_C", "Lat")}
LOWER = {PROTRACT: ("PD", "Lat", "Triceps_Long"), ADDUCT: ("MD", "AD"), TURN_INWARD: ("PD",)}


@pytest.mark.parametrize(("sign", "actions"), [(-1, RAISE), (1, LOWER)])
def test_shoulder_muscles_act_as_in_the_animal(arm, sign, actions):
    arms = moment_arms(arm, HANGING)
    for joint, muscles in actions.items():
        assert all(sign * arms[muscle][joint] > 1e-4 for muscle in muscles), joint


def test_muscle_parameters_are_sane(arm):
    lower, upper, force = arm.actuator_gainprm[:, :3].T
    assert force.min() >= 0.2
    assert force.max() <= 1.2
    # stretched further than this, a muscle's passive pull outweighs gravity and carries the arm away
    assert upper.max() <= 1.2
    assert lower.min() >= 0.5
    assert (upper - lower >= 0.2).all()
    optimal = np.ptp(arm.actuator_lengthrange, axis=1) / (upper - lower)
    assert (optimal > 1e-3).all()
    assert (optimal < 1.25e-2).all()


def test_length_ranges_hold_over_all_poses(arm):
    data = mujoco.MjData(arm)
    lengths = []
    for qpos in poses_within_limits(arm, 500):
        data.qpos[:] = qpos
        mujoco.mj_forward(arm, data)
        lengths.append(data.actuator_length.copy())
    first, last = arm.actuator_lengthrange.T
    assert (np.min(lengths, axis=0) >= first).all()
    assert (np.max(lengths, axis=0) <= last).all()
    # and they are no wider than needed
    assert (np.ptp(lengths, axis=0) > 0.85 * (last - first)).all()


def test_wild_excitation_stays_finite(arm):
    data = mujoco.MjData(arm)
    rng = np.random.default_rng(1)
    for trial in range(8):
        mujoco.mj_resetData(arm, data)
        data.qpos[:] = poses_within_limits(arm, 8)[trial]
        for step in range(240):
            if step % (trial + 1) == 0:
                data.ctrl[:] = rng.integers(0, 2, arm.nu)
            mujoco.mj_step(arm, data)
            assert np.abs(data.qvel).max() < 300
            assert (data.qpos > arm.jnt_range[:, 0] - 0.2).all()
            assert (data.qpos < arm.jnt_range[:, 1] + 0.2).all()
    assert not any(warning.number for warning in data.warning)


@pytest.mark.parametrize(("muscles", "sign"), [(FLEXORS, 1), (EXTENSORS, -1)])
def test_elbow_moves_the_way_its_muscles_pull(arm, muscles, sign):
    data = mujoco.MjData(arm)
    data.qpos[:] = HANGING
    data.ctrl[:] = [name in muscles for name in MUSCLES]
    mujoco.mj_step(arm, data, nstep=80)
    assert sign * (data.joint("elbow").qpos[0] - HANGING[3]) > np.radians(30)


@pytest.mark.usefixtures("canvas_here")
@pytest.mark.parametrize("camera", ["close-profile", "front", "oblique"])
def test_it_renders_in_view(arm, camera):
    data = mujoco.MjData(arm)
    data.qpos[:] = HANGING
    mujoco.mj_forward(arm, data)
    with mujoco.Renderer(arm, 120, 160) as renderer:
        renderer.enable_segmentation_rendering()
        renderer.update_scene(data, camera)
        seen = renderer.render()[..., 0] >= 0
    assert 0.03 < seen.mean() < 0.5
    # nothing is cut off at the border
    assert not np.concatenate([seen[0], seen[-1], seen[:, 0], seen[:, -1]]).any()
