"""Standard errors of poses: their intervals hold the truth as often as they say."""

import numpy as np
import pytest
from stac import bodies_for_tests as bodies
from stac_mjx.body.body import Body, load_body
from stac_mjx.body.presets import body_preset
from stac_mjx.calibration.known_offsets import KnownOffsets
from stac_mjx.config import FitConfig
from stac_mjx.inputs import match
from stac_mjx.kinematics.trajectory import steps
from stac_mjx.results import register
from stac_mjx.synthetic.motion import Flaws, Motion, make_truth

WALK = Motion(n_frames=400, amplitude=0.6)


def scores(
    body: Body, motion: Motion, flaws: Flaws, seeds: range, offset_sd_m: float = 0.0, caveats: list[str] | None = None
):
    """Errors over stated errors, and resolutions, of all valid frames; offsets are fitted where they are unknown."""
    ratios, resolutions = [], []
    for seed in seeds:
        truth = make_truth(body, motion, flaws, offset_sd_m=offset_sd_m, seed=seed)
        known = None if offset_sd_m else KnownOffsets(truth.offsets)
        result = register(match(body, truth.keypoints, FitConfig()), FitConfig(), known=known)
        clips, said = result.clips, [text for text in result.caveats if "to their limits" in text]
        if caveats is not None:
            caveats += said
        assert clips.qpos_stderr is not None
        assert clips.qpos_resolution is not None
        found, true = (body.tree.from_model(qpos).astype(np.float32) for qpos in (clips.qpos, truth.qpos))
        away, valid = np.asarray(steps(body.tree, found, true)), clips.valid == 1
        ratios.append((away / (clips.qpos_stderr * body.tree.dof_unit))[valid])
        resolutions.append(clips.qpos_resolution[valid])
    return np.abs(np.concatenate(ratios)), np.concatenate(resolutions)


def assert_calibrated(ratios: np.ndarray, within: float = 0.03) -> None:
    for level, factor in ((0.6827, 1.0), (0.95, 1.96)):
        assert abs(np.mean(ratios < factor) - level) < within, f"{np.mean(ratios < factor):.3f} instead of {level}"


def test_intervals_of_known_offsets_hold_their_level_for_joints_of_every_type() -> None:
    ratios, resolution = scores(bodies.every_joint(), Motion(n_frames=200, amplitude=0.6), Flaws(2e-3), range(3))
    assert_calibrated(ratios)
    for column in ratios.T:
        assert_calibrated(column, 0.06)
    assert np.median(resolution) > 0.99


@pytest.mark.parametrize(
    "flaws",
    [
        Flaws(1e-3, missing_fraction=0.3),
        Flaws(1e-3, missing_fraction=0.1, outlier_fraction=0.05),
    ],
    ids=["gaps", "outliers"],
)
def test_intervals_hold_with_gaps_and_outliers(flaws: Flaws) -> None:
    ratios, _ = scores(bodies.dense_finger(), WALK, flaws, range(3))
    assert_calibrated(ratios)


def test_intervals_include_the_errors_of_fitted_offsets() -> None:
    ratios, _ = scores(bodies.dense_finger(), WALK, Flaws(1e-3), range(6), offset_sd_m=1e-3)
    assert_calibrated(ratios, 0.05)  # six draws of offsets, that all frames share


@pytest.mark.slow
def test_intervals_of_the_arm_hold_their_level() -> None:
    ratios, _ = scores(load_body(body_preset("mouse_arm")), Motion(n_frames=500), Flaws(2e-4), range(4))
    assert_calibrated(ratios)


def test_intervals_hold_where_noise_drives_joints_to_their_limits(tmp_path) -> None:
    """A spine of narrow joints with keypoints on two vertebrae, under noise that turns each by more than its range.

    Errors of joints at their limits are not normal, so only the wide interval holds.
    """
    spine = ""
    for k in reversed(range(5)):
        hinges = '<joint axis="1 0 0" range="-20 20"/><joint axis="0 0 1" range="-20 20"/>'
        spine = f'<body name="v{k}" pos=".1 0 0">{hinges}<geom size=".02"/>{spine}</body>'
    xml = f"""<mujoco><worldbody><body name="trunk"><freejoint/><geom size=".1"/>{spine}</body></worldbody></mujoco>"""
    places = {"trunk": [(0.1, 0.1, 0), (-0.1, 0.1, 0.05), (0, -0.1, 0.02), (0.05, 0, 0.1)]}
    places |= {vertebra: [(0.02, 0.05, 0), (0.02, -0.03, 0.05)] for vertebra in ("v2", "v4")}
    markers = {f"{name}{i}": (name, list(at)) for name, many in places.items() for i, at in enumerate(many)}
    caveats: list[str] = []
    ratios, _ = scores(bodies.body_of(tmp_path, xml, markers), WALK, Flaws(1e-2), range(2), caveats=caveats)
    assert abs(np.mean(ratios[:, 6:] < 1.96) - 0.95) < 0.03
    assert abs(np.mean(ratios[:, :6] < 1) - 0.6827) < 0.1, "the trunk is free, and its errors are normal"
    assert len(caveats) == 2
    assert "joints joint_1, joint_" in caveats[0]
    assert "joint_0," not in caveats[0], "the trunk has no limits"


def test_unobserved_joints_have_the_error_of_a_guess_and_no_resolution(tmp_path) -> None:
    """A chain of three hinges, the last without a keypoint beyond it."""
    xml = """<mujoco><worldbody><body name="a"><joint name="one" range="-60 60"/><geom size="0.01"/>
      <body name="b" pos="0.1 0 0"><joint name="two" range="-60 60"/><geom size="0.01"/>
        <body name="c" pos="0.1 0 0"><joint name="three" range="-60 60"/><geom size="0.01"/></body></body></body>
      </worldbody></mujoco>"""
    markers = {f"k{i}": (body, [0.05, y, 0.0]) for i, (body, y) in enumerate([("a", 0.02), ("a", -0.02), ("b", 0.02)])}
    body = bodies.body_of(tmp_path, xml, markers)
    ratios, resolution = scores(body, WALK, Flaws(1e-4), range(2))
    assert resolution[:, :2].min() > 0.99
    assert resolution[:, 2].max() < 0.01
    assert 0.5 < np.mean(ratios[:, 2] < 1) <= 0.9
