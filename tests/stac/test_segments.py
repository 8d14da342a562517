"""Scales of segments: exact bodies, recovery of known scales, and what only the prior decides."""

from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
import pytest
from stac import bodies_for_tests as bodies
from stac_mjx._common.errors import BodyError
from stac_mjx.body.body import Body, load_body, with_segments
from stac_mjx.body.presets import body_preset
from stac_mjx.calibration.calibrate import offset_pull
from stac_mjx.calibration.precision import FrameSample
from stac_mjx.calibration.segments import Start, fit_segments
from stac_mjx.config import CalibrationConfig, FitConfig, SolverConfig
from stac_mjx.inputs import match
from stac_mjx.inverse_kinematics.pose_solver import Observation, pose_solver
from stac_mjx.inverse_kinematics.solve import solve
from stac_mjx.records import read_clips, read_offsets
from stac_mjx.results import register
from stac_mjx.synthetic.motion import Flaws, Motion, make_truth

LEG = """
<mujoco>
  <worldbody>
    <body name="hip" pos="0 0 1"><freejoint name="root"/><geom type="box" size=".1 .1 .05"/>
      <body name="thigh" pos="0.1 0 0">
        <joint name="swing" axis="0 1 0" range="-80 80"/><joint name="spread" axis="1 0 0" range="-40 40"/>
        <geom type="capsule" size=".04" fromto="0 0 0 0 0 -.4"/><site name="a" pos="0 .04 -.1"/>
        <body name="shank" pos="0 0 -0.4">
          <joint name="knee" axis="0 1 0" range="-120 0"/><site name="b" pos="0 .04 -.1"/>
          <geom type="capsule" size=".03" fromto="0 0 0 0 0 -.4"/>
          <body name="foot" pos="0 0 -0.4"><joint name="ankle" axis="0 1 0" pos="0 0 .01" range="-50 50"/>
            <inertial pos=".05 0 0" mass="1" diaginertia=".01 .02 .02"/></body>
        </body>
      </body>
    </body>
  </worldbody>
  <tendon><spatial name="t"><site site="a"/><site site="b"/></spatial></tendon>
  <actuator><muscle name="m" tendon="t" lengthrange=".2 .6"/></actuator>
</mujoco>
"""
PLACES = {
    "hip": [(0.1, 0.1, 0), (-0.1, 0.1, 0.05), (0, -0.1, 0.02), (0.05, 0, 0.1)],
    "thigh": [(0.05, 0, -0.1), (0, 0.05, -0.2), (0.05, 0.03, -0.35)],
    "shank": [(0.04, 0, -0.1), (0, 0.04, -0.2), (0.03, 0.03, -0.35)],
    "foot": [(0.12, 0, 0), (0, 0.05, 0.02), (0.1, -0.05, 0.03)],
}


def leg(folder: Path) -> Body:
    markers = {f"{name}{i}": (name, list(at)) for name, places in PLACES.items() for i, at in enumerate(places)}
    groups = {"upper": ["thigh"], "lower": ["sha*"], "foot": ["foot"]}
    return bodies.body_of(folder, LEG, markers, segments=groups)


def test_a_scaled_body_is_exact_in_lengths_and_masses(tmp_path: Path) -> None:
    body, factors = leg(tmp_path), {"thigh": 1.25, "foot": 0.8}
    scaled = with_segments(body, factors)
    qpos = bodies.random_qpos(body.model, 5, 0)
    for pose in qpos:
        old, new = mujoco.MjData(body.model), mujoco.MjData(scaled.model)
        old.qpos[:], new.qpos[:] = pose, pose
        mujoco.mj_forward(body.model, old)
        mujoco.mj_forward(scaled.model, new)
        hip, thigh, shank, foot = (body.body_names.index(name) for name in ("hip", "thigh", "shank", "foot"))
        for parent, child, factor in ((hip, thigh, 1.0), (thigh, shank, 1.25)):
            np.testing.assert_allclose(
                new.xpos[child] - new.xpos[parent], factor * (old.xpos[child] - old.xpos[parent]), atol=1e-9
            )
        joint = body.joint_names.index("ankle")  # its anchor is 1 cm above the foot's origin
        np.testing.assert_allclose(new.xipos[foot] - new.xanchor[joint],
                                   0.8 * (old.xipos[foot] - old.xanchor[joint]), atol=1e-9)  # fmt: skip
        np.testing.assert_allclose(new.xmat, old.xmat, atol=1e-12)
    np.testing.assert_allclose(scaled.model.body_mass, body.model.body_mass, rtol=1e-9)
    np.testing.assert_allclose(scaled.model.body_inertia[foot], 0.64 * body.model.body_inertia[foot], rtol=1e-9)
    stretch = scaled.model.tendon_length0 / body.model.tendon_length0
    np.testing.assert_allclose(scaled.model.actuator_lengthrange, stretch[:, None] * [[0.2, 0.6]], rtol=1e-6)


def true_scales(seed: int) -> dict[str, float]:
    factors = np.random.default_rng(seed).uniform(0.8, 1.25, 3).tolist()
    return dict(zip(["thigh", "shank", "foot"], factors, strict=True))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_known_scales_are_found_and_what_only_the_prior_decides_is_said(tmp_path: Path, seed: int) -> None:
    """From poses 0.05 rad off, and offsets of the model of scale 1."""
    body, true = leg(tmp_path), true_scales(seed)
    truth = make_truth(with_segments(body, true), Motion(n_frames=100), Flaws(noise_m=1e-3), seed=seed)
    solver, rng = pose_solver(body, SolverConfig()), np.random.default_rng(seed)
    qpos = truth.qpos.copy()
    for pose in qpos:
        mujoco.mj_integratePos(body.model, pose, rng.normal(0.0, 0.05, body.model.nv), 1.0)
    seen = Observation(truth.keypoints.positions, truth.keypoints.confidence, np.ones(100, np.int64))
    sample = FrameSample(np.arange(100), np.zeros(100, np.int64), np.ones(100))
    start = Start(seen, sample, body.tree.from_model(qpos), body.marker_offset)
    found = fit_segments(solver, start, offset_pull(solver, CalibrationConfig()), 0.1)
    error = found.scale / list(true.values()) - 1
    assert np.abs(error[:2]).max() < 0.02
    assert (found.standard_error[:2] < 0.02).all()
    # nothing hangs on the foot, so its scale and the offsets on it are one
    assert (found.resolution > 0.5).tolist() == [True, True, False]
    [warning] = found.warnings()
    assert "foot" in warning
    assert "upper" not in warning


def test_a_scale_is_found_from_poses_at_their_limits(tmp_path: Path) -> None:
    """A spine that is too short for the recording is straightened as far as its joints go."""
    spine, names = "", [f"v{i}" for i in range(8)]
    for name in reversed(names):
        hinges = '<joint axis="0 1 0" range="-8 8"/><joint axis="0 0 1" range="-8 8"/>'
        spine = f'<body name="{name}" pos=".1 0 0">{hinges}<geom size=".02"/>{spine}</body>'
    xml = f"""<mujoco><worldbody><body name="trunk"><freejoint/><geom size=".1"/>{spine}</body></worldbody></mujoco>"""
    places = {"trunk": PLACES["hip"]} | {name: [(0.02, 0.05, 0), (0.02, -0.03, 0.05)] for name in ("v2", "v5", "v7")}
    markers = {f"{name}{i}": (name, list(at)) for name, many in places.items() for i, at in enumerate(many)}
    body = bodies.body_of(tmp_path, xml, markers, segments={"spine": names})
    longer = with_segments(body, dict.fromkeys(names, 1.2))
    truth = make_truth(longer, Motion(n_frames=60), Flaws(noise_m=1e-3), seed=0)
    solver = pose_solver(body, SolverConfig())
    seen = Observation(truth.keypoints.positions, truth.keypoints.confidence, np.ones(60, np.int64))
    poses = solve(solver, seen, body.marker_offset).qpos
    assert np.mean(np.abs(np.abs(poses[:, 7:]) - np.radians(8)) < 1e-6) > 0.1
    start = Start(seen, FrameSample(np.arange(60), np.zeros(60), np.ones(60)), poses, body.marker_offset)
    found = fit_segments(solver, start, offset_pull(solver, CalibrationConfig()), 0.1)
    assert abs(found.scale[0] / 1.2 - 1) < 0.02


@pytest.mark.slow
def test_files_of_a_fit_hold_the_scales_and_the_scaled_body(tmp_path: Path) -> None:
    body, true = leg(tmp_path), true_scales(0)
    truth = make_truth(with_segments(body, true), Motion(n_frames=100), Flaws(noise_m=1e-3), seed=0)
    settings = FitConfig(calibration=CalibrationConfig(segments=True, frames=60))
    fit = register(match(body, truth.keypoints, settings), settings)
    fit.save(tmp_path, report=False)
    offsets, clips = read_offsets(tmp_path / "offsets.h5"), read_clips(tmp_path / "clips.h5")
    assert offsets.segment == ("upper", "lower", "foot")
    scales = np.asarray(offsets.segment_scale)
    np.testing.assert_allclose(scales[:2], [true["thigh"], true["shank"]], rtol=0.02)
    model = mujoco.MjModel.from_xml_string(clips.info.mjcf_xml)
    np.testing.assert_allclose(model.body("shank").pos[2], -0.4 * scales[0], rtol=1e-6)
    assert fit.summary()["mean_error_mm"] < 2.0
    assert any("scale of segments foot" in text for text in fit.caveats)


def test_groups_are_checked(tmp_path: Path) -> None:
    body = leg(tmp_path)
    assert body.config is not None
    for groups, words in (({"a": ["thgh"]}, "thigh"), ({"a": ["thigh"], "b": ["th*"]}, "2 groups")):
        with pytest.raises(BodyError, match=words):
            load_body(replace(body.config, segments=groups))


def test_groups_of_the_human_cover_both_sides(data_dir: Path) -> None:
    body = load_body(body_preset("human", mjcf=str(data_dir / "human/humanoid_CMU.xml")))
    for names in body.segments.values():
        assert {name[1:] for name in names if name[0] == "l" and name != "lowerback"} == {
            name[1:] for name in names if name[0] == "r" and name != "root"
        }
