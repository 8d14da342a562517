"""Segments, crossfade, velocities, gaps and resampling: laws and closed forms; nothing reaches across a clip border."""

from pathlib import Path

import mujoco
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stac import bodies_for_tests as bodies
from stac_mjx.body.body import Body
from stac_mjx.kinematics import trajectory
from stac_mjx.kinematics.tree import build_tree


@given(
    lengths=st.lists(st.integers(1, 400), min_size=1, max_size=12),
    length=st.integers(20, 150),
    overlap=st.integers(0, 10),
)
def test_segments_cover_every_frame_and_never_join_clips_by_a_crossfade(
    lengths: list[int], length: int, overlap: int
) -> None:
    parts = trajectory.segments(np.array(lengths), length, overlap)
    starts = np.cumsum([0, *lengths])
    covered = 0
    for part in parts:
        assert 0 < part.stop - part.start <= length
        assert part.start == covered - part.overlap
        covered = part.stop
        if part.overlap:
            clip = np.searchsorted(starts, part.start, side="right")
            assert part.start + part.overlap <= starts[clip], "an overlap is within one clip"
    assert covered == sum(lengths)


def test_crossfade_weights_are_the_papers() -> None:
    weights = trajectory.crossfade_weights(11)
    x = np.arange(11) / 10
    np.testing.assert_allclose(weights, 0.5 * (1 + np.tanh(10 * (x - 0.5) / 2)))
    assert weights[0] < 0.01
    assert weights[-1] > 0.99
    np.testing.assert_allclose(weights + weights[::-1], 1.0)


def test_crossfade_is_continuous_and_stays_on_the_manifold(body: Body) -> None:
    tree = build_tree(body.model)
    a = bodies.random_qpos(body.model, 30, seed=0, size=0.06)
    b = a.copy()
    for pose in b:
        mujoco.mj_integratePos(body.model, pose, np.full(body.model.nv, 0.05), 1.0)
    b[:, 3:7] *= -1  # the same rotations; a crossfade of coordinates would pass through zero
    mixed = trajectory.crossfade(tree, a, b)
    np.testing.assert_allclose(np.linalg.norm(mixed[:, 3:7], axis=1), 1.0, atol=1e-5)
    ends = np.asarray(trajectory.steps(tree, mixed[[0, -1]].astype(np.float32), np.stack([a[0], b[-1]]).astype("f4")))
    assert np.abs(ends).max() < 0.05 * 0.01
    away = np.asarray(trajectory.steps(tree, a.astype(np.float32), mixed.astype(np.float32)))
    expected = trajectory.crossfade_weights(30)[:, None] * 0.05
    np.testing.assert_allclose(away[:, [6, 7, 11]], np.broadcast_to(expected, (30, 3)), atol=2e-3)

    a = bodies.random_qpos(body.model, 5, seed=1, size=0.06).astype(np.float32)
    away = np.asarray(trajectory.steps(tree, a, trajectory.crossfade(tree, a, a).astype(np.float32)))
    assert np.abs(away).max() < 1e-5


def moving(model: mujoco.MjModel, velocity: np.ndarray, n_frames: int, rate_hz: float) -> np.ndarray:
    out = [model.qpos0.copy()]
    for _ in range(n_frames - 1):
        pose = out[-1].copy()
        mujoco.mj_integratePos(model, pose, velocity, 1 / rate_hz)
        out.append(pose)
    return np.array(out)


def test_constant_velocity_is_found_exactly_at_the_rate_of_the_data(body: Body) -> None:
    velocity = np.array([0.3, -0.2, 0.1, 0.5, -0.8, 0.4, 30.0, -0.5, 0.2, 0.3, 0.1, 0.05, 0.7])
    qpos = moving(body.model, velocity, 20, 100.0)
    found = trajectory.velocities(build_tree(body.model), qpos, np.array([20]), 100.0)
    # 30 rad/s is more than the 20 that other programs cut velocities off at
    np.testing.assert_allclose(found, np.tile(velocity, (20, 1)), atol=2e-3)


def test_whole_turns_of_an_endless_hinge_are_no_movement(tmp_path: Path) -> None:
    """Frames are solved apart, so that each finds its own number of turns; limited hinges and slides have none."""
    path = tmp_path / "wheel.xml"
    path.write_text(
        "<mujoco><compiler angle='radian'/><worldbody><body name='a'><joint name='slide' type='slide'/>"
        "<joint name='wheel' axis='0 0 1'/><joint name='arm' axis='0 1 0' range='-9 9' limited='true'/>"
        "<geom size='1'/></body></worldbody></mujoco>"
    )
    tree = build_tree(mujoco.MjModel.from_xml_path(str(path)))
    smooth = np.outer(np.arange(12), [2.5, 0.4, 0.5]).astype(np.float32)
    lengths = np.array([7, 5])
    wound = smooth.copy()
    wound[:, 1] += 2 * np.pi * np.random.default_rng(0).integers(-2, 3, 12)
    found = trajectory.velocities(tree, wound, lengths, 10.0)
    np.testing.assert_allclose(found, np.tile([25.0, 4.0, 5.0], (12, 1)), atol=1e-4)
    straight = trajectory.unwound(tree, wound, lengths)
    turns = (straight - smooth)[:, 1] / (2 * np.pi)
    np.testing.assert_allclose(turns[:7], round(turns[0]), atol=1e-5)
    np.testing.assert_allclose(turns[7:], round(turns[7]), atol=1e-5)
    np.testing.assert_array_equal(straight[:, [0, 2]], smooth[:, [0, 2]])
    np.testing.assert_array_equal(trajectory.unwound(tree, straight, lengths), straight)


def test_velocities_do_not_cross_clip_borders(body: Body) -> None:
    tree = build_tree(body.model)
    qpos = bodies.random_qpos(body.model, 12, seed=2)
    lengths = np.array([5, 1, 6])
    together = trajectory.velocities(tree, qpos, lengths, 50.0)
    start = 0
    for length in lengths:
        alone = trajectory.velocities(tree, qpos[start : start + length], np.array([length]), 50.0)
        np.testing.assert_allclose(together[start : start + length], alone, atol=1e-6)
        start += length
    assert (together[5] == 0).all()


def test_fill_interpolates_within_and_holds_at_the_ends(body: Body) -> None:
    tree = build_tree(body.model)
    velocity = np.linspace(-1, 1, body.model.nv)
    qpos = moving(body.model, velocity, 20, 50.0)
    known = np.ones(20, bool)
    known[[0, 5, 6, 7, 19]] = False
    broken = np.where(known[:, None], qpos, np.nan)
    broken[~known] = body.model.qpos0
    filled = trajectory.fill(tree, broken, known, np.array([20]))
    away = np.asarray(trajectory.steps(tree, filled.astype(np.float32), qpos.astype(np.float32)))
    assert np.abs(away[5:8]).max() < 1e-5
    np.testing.assert_allclose(filled[0], filled[1], atol=1e-6)
    np.testing.assert_allclose(filled[19], filled[18], atol=1e-6)


def test_fill_takes_nothing_from_other_clips(body: Body) -> None:
    qpos = bodies.random_qpos(body.model, 6, seed=3, size=0.06)
    known = np.array([True, True, False, False, True, True])
    filled = trajectory.fill(build_tree(body.model), qpos, known, np.array([3, 3]))
    np.testing.assert_allclose(filled[2], filled[1], atol=1e-6)
    np.testing.assert_allclose(filled[3], filled[4], atol=1e-6)


@pytest.mark.parametrize(("old", "new"), [(50.0, 100.0), (100.0, 50.0), (16.0, 20.0), (200.0, 60.0)])
def test_resampling_keeps_clips_apart_and_time_right(old: float, new: float) -> None:
    lengths = np.array([7, 1, 30])
    plan = trajectory.resampling(lengths, old, new)
    start = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    assert plan.clip_lengths.tolist() == [int((n - 1) * new / old + 1e-9) + 1 for n in lengths]
    for clip, first_new in enumerate(np.concatenate([[0], np.cumsum(plan.clip_lengths)[:-1]])):
        part = slice(first_new, first_new + plan.clip_lengths[clip])
        time = (plan.first[part] - start[clip] + plan.fraction[part]) / old
        np.testing.assert_allclose(time, np.arange(plan.clip_lengths[clip]) / new, atol=1e-12)
        assert (plan.first[part] >= start[clip]).all()
        assert (plan.last[part] < start[clip] + lengths[clip]).all()
