"""The generator is exact: poses within limits, markers by MuJoCo, flaws of the stated size."""

import mujoco
import numpy as np
import pytest
from stac import bodies_for_tests as bodies
from stac_mjx._common.errors import ConfigError
from stac_mjx.body.body import Body, load_body
from stac_mjx.body.presets import body_preset
from stac_mjx.synthetic.motion import Flaws, Motion, Truth, make_truth, marker_positions
from stac_mjx.synthetic.reaches import mouse_arm_reaches, solve_wrist


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Body:
    """A body with every joint type, written in centimetres."""
    markers = {name: (name, [0.001 * (i + 1), 0.02, -0.01]) for i, name in enumerate(["root", "hinged", "slider"])}
    return bodies.body_of(tmp_path_factory.mktemp("chain"), bodies.EVERY_JOINT, markers, unit="cm")


@pytest.fixture(scope="module")
def reaches() -> Truth:
    return mouse_arm_reaches(0)


def assert_within_limits(model: mujoco.MjModel, qpos: np.ndarray) -> None:
    scalar = (model.jnt_type >= int(mujoco.mjtJoint.mjJNT_SLIDE)) & (model.jnt_limited == 1)
    columns = qpos[:, model.jnt_qposadr[scalar]]
    assert (columns > model.jnt_range[scalar, 0]).all()
    assert (columns < model.jnt_range[scalar, 1]).all()


def test_poses_keep_to_all_limits(chain):
    truth = make_truth(chain, Motion(n_frames=400, amplitude=3.0), seed=1)
    assert_within_limits(chain.model, truth.qpos)
    at = chain.qpos_names.index("ball_qw")
    angle = 2 * np.arccos(np.clip(np.abs(truth.qpos[:, at]), 0, 1))
    assert np.radians(45) < angle.max() < np.radians(70)
    assert np.ptp(truth.qpos[:, chain.qpos_names.index("bend")]) > np.radians(90)


def test_quaternions_are_unit_and_continuous(chain):
    truth = make_truth(chain, Motion(n_frames=500, rate_hz=200.0), seed=2)
    for name in ("free_qw", "ball_qw"):
        at = chain.qpos_names.index(name)
        quat = truth.qpos[:, at : at + 4]
        np.testing.assert_allclose(np.linalg.norm(quat, axis=1), 1, atol=1e-12)
        assert ((quat[1:] * quat[:-1]).sum(axis=1) > 0.9).all()


def test_motion_is_band_limited(chain):
    motion = Motion(n_frames=1000, rate_hz=100.0, cutoff_hz=2.0)
    x = make_truth(chain, motion, seed=3).qpos[:, 0]
    windowed = np.abs(np.fft.rfft((x - x.mean()) * np.hanning(len(x)))) ** 2
    frequency = np.fft.rfftfreq(len(x), 1 / motion.rate_hz)
    assert windowed[frequency > 2.5].sum() < 1e-3 * windowed.sum()


def test_markers_are_metres_and_follow_mujoco(chain):
    truth = make_truth(chain, Motion(n_frames=20), offset_sd_m=0.002, seed=4)
    data = mujoco.MjData(chain.model)
    data.qpos[:] = truth.qpos[7]
    mujoco.mj_forward(chain.model, data)
    body = data.body("slider")
    expected = body.xpos * 0.01 + body.xmat.reshape(3, 3) @ truth.offsets[2]
    np.testing.assert_allclose(truth.positions[7, 2], expected, atol=1e-12)


def test_offsets_scatter_and_without_flaws_the_recording_is_the_truth(chain):
    shifts = np.array([make_truth(chain, Motion(n_frames=1), offset_sd_m=0.003, seed=s).offsets for s in range(60)])
    assert np.std(shifts - chain.marker_offset) == pytest.approx(0.003, rel=0.15)
    truth = make_truth(chain, Motion(n_frames=30, n_clips=3), seed=5)
    np.testing.assert_array_equal(truth.keypoints.positions, truth.positions)
    assert truth.keypoints.observed.all()
    assert truth.keypoints.clip_lengths.tolist() == [30, 30, 30]
    assert (truth.keypoints.unit, truth.keypoints.names) == ("m", ("root", "hinged", "slider"))
    np.testing.assert_array_equal(truth.offsets, chain.marker_offset)


def test_flaws_have_the_stated_size(chain):
    flaws = Flaws(noise_m=0.001, missing_fraction=0.2, gap_frames=8.0, outlier_fraction=0.05, outlier_m=0.1)
    truth = make_truth(chain, Motion(n_frames=3000, n_clips=2), flaws, seed=6)
    missing = ~truth.keypoints.observed
    assert missing.mean() == pytest.approx(0.2, abs=0.03)
    runs = np.diff(np.flatnonzero(np.diff(np.pad(missing[:, 0], 1).astype(int))))[::2]
    assert runs.mean() == pytest.approx(8.0, rel=0.25)
    error = truth.keypoints.positions - truth.positions
    kept = truth.keypoints.observed & ~truth.outliers
    assert error[kept].std() == pytest.approx(0.001, rel=0.03)
    away = np.linalg.norm(error[truth.outliers], axis=-1)
    assert away.mean() == pytest.approx(0.1, rel=0.1)
    assert away.min() > 0.045
    assert truth.outliers.mean() == pytest.approx(0.05 * 0.8, rel=0.2)
    assert np.isnan(truth.keypoints.positions[missing]).all()
    assert (truth.keypoints.confidence[missing] == 0).all()


def test_the_seed_decides_everything(chain):
    flaws = Flaws(noise_m=0.001, missing_fraction=0.1)
    first, again, other = (make_truth(chain, Motion(n_frames=10), flaws, seed=s) for s in (7, 7, 8))
    np.testing.assert_array_equal(first.keypoints.positions, again.keypoints.positions)
    np.testing.assert_array_equal(first.qpos, again.qpos)
    assert not np.array_equal(first.qpos, other.qpos)


@pytest.mark.parametrize(
    ("motion", "flaws", "message"),
    [
        (Motion(n_frames=0), Flaws(), "motion.n_frames"),
        (Motion(cutoff_hz=60.0), Flaws(), "motion.cutoff_hz"),
        (Motion(), Flaws(missing_fraction=1.0), "flaws.missing_fraction"),
        (Motion(), Flaws(gap_frames=0.5), "flaws.gap_frames"),
        (Motion(), Flaws(noise_m=-1.0), "flaws.noise_m"),
    ],
)
def test_senseless_numbers_are_refused(chain, motion, flaws, message):
    with pytest.raises(ConfigError, match=message):
        make_truth(chain, motion, flaws)


@pytest.mark.parametrize("species", ["rat", "mouse", "fly", "stick", "worm"])
def test_real_bodies_move_within_limits(data_dir, species):
    body = bodies.real_body(data_dir, species)
    truth = make_truth(body, Motion(n_frames=30), seed=9)
    assert_within_limits(body.model, truth.qpos)
    assert 0.1 < np.ptp(truth.positions[0], axis=0).max() / body.size_m < 3


# --- the embedded reaches ---------------------------------------------------------------------------------------------


def test_reaches_have_the_promised_form(reaches):
    keypoints = reaches.keypoints
    assert keypoints.names == ("Shoulder", "Elbow", "Wrist")
    assert keypoints.clip_lengths.tolist() == [60] * 46
    assert keypoints.rate_hz == 200.0
    assert len(set(keypoints.clip_names)) == 46
    counts = [reaches.keypoints.labels.count(f"target_{k}") for k in range(1, 9)]
    assert (min(counts), max(counts)) == (5, 6)
    assert not np.array_equal(mouse_arm_reaches(1).qpos, reaches.qpos)
    # all stay a degree inside the limits
    lower, upper = load_body(body_preset("mouse_arm")).model.jnt_range.T
    assert (reaches.qpos >= lower + np.radians(1.0) - 1e-9).all()
    assert (reaches.qpos <= upper - np.radians(1.0) + 1e-9).all()


def wrist_paths(truth: Truth) -> np.ndarray:
    """True wrist paths, (clip, frame, 3), metres."""
    return truth.positions[:, 2].reshape(46, 60, 3)


def test_reaches_are_as_fast_and_wide_as_recorded_ones(reaches):
    paths = wrist_paths(reaches)
    speed = np.linalg.norm(np.gradient(paths, 1 / 200, axis=1), axis=-1)
    peak = speed.max(axis=1)
    assert 0.20 < np.median(peak) < 0.32
    assert peak.min() > 0.10
    assert peak.max() < 0.45
    away = np.linalg.norm(paths - paths[:, :1], axis=-1).max(axis=1)
    assert 0.008 < np.median(away) < 0.014
    # one bell: the paw is slow before and after
    assert np.median(speed[:, :4]) < 0.05 * np.median(peak)
    assert np.median(speed[:, 50:]) < 0.10 * np.median(peak)


def test_onset_is_where_the_wrist_starts_to_move(reaches):
    paths = wrist_paths(reaches)
    speed = np.linalg.norm(np.diff(paths, axis=1), axis=-1) * 200
    crossed = (speed > 0.1 * speed.max(axis=1, keepdims=True)).argmax(axis=1) / 200
    late = crossed - reaches.keypoints.events["reach_onset"]
    assert (np.abs(late) < 0.025).all()


def test_targets_are_told_apart_and_reaches_vary(reaches):
    ends = wrist_paths(reaches)[:, 36]
    labels = np.array(reaches.keypoints.labels)
    centres = np.array([ends[labels == f"target_{k}"].mean(axis=0) for k in range(1, 9)])
    nearest = np.linalg.norm(ends[:, None] - centres[None], axis=-1).argmin(axis=1)
    assert (np.array([f"target_{k + 1}" for k in nearest]) == labels).mean() > 0.75
    within = np.array([ends[labels == f"target_{k}"].std(axis=0).mean() for k in range(1, 9)])
    assert (within > 1e-4).all()


def test_wrist_solver_reaches_points_it_can_reach():
    body = load_body(body_preset("mouse_arm"))
    angles = np.radians([-25.0, -40.0, 30.0, 10.0])
    goal = marker_positions(body, angles[None], np.zeros((3, 3)))[0, 2]
    found = solve_wrist(body, goal, angles + 0.2)
    reached = marker_positions(body, found[None], np.zeros((3, 3)))[0, 2]
    assert np.linalg.norm(reached - goal) < 1e-4


def test_other_arms_can_reach_too(data_dir):
    body = load_body(body_preset("mouse_arm", mjcf=str(data_dir / "mouse_arm" / "akira_muscle_nomesh.xml")))
    np.testing.assert_allclose(mouse_arm_reaches(3, body).positions, mouse_arm_reaches(3).positions, atol=1e-9)
