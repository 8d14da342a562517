"""The task: clock, resets, rewards, ends. Each test guards against a mistake that public code made."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from track.small_setups import arm, episode_at, physics_at, walker
from track_mjx._common import rotations
from track_mjx._common.errors import ConfigError
from track_mjx.learning.setup import Setup, split
from track_mjx.physics.fields import zero_physics
from track_mjx.task.actions import to_ctrl
from track_mjx.task.reference import sample_times


def test_the_clock_never_misses_a_frame(tmp_path: Path) -> None:
    """The reward is 1 exactly when the body is at the frame of the episode time, for every frame of a long clip."""
    setup = arm(tmp_path, clips={"lengths": (400,), "rate_hz": 200.0})
    task, reference = setup.task, setup.reference
    n = int(reference.length[0]) - 1
    clock = task.start_at(reference, np.zeros(n, int), np.arange(n))[0]
    after = zero_physics(task.body.model, n)._replace(
        qpos=reference.qpos[1:], qvel=reference.qvel[1:], xpos=reference.xpos[1:], xquat=reference.xquat[1:]
    )
    moved, terms, _ = task.evaluate_terms(reference, after, clock, np.zeros((n, 3), np.float32))
    assert np.array_equal(moved.frame, np.arange(1, n + 1))
    assert np.asarray(terms["joint_position_exp"]).tolist() == [1.0] * n


def test_control_steps_between_frames_are_interpolated_and_frames_are_met(tmp_path: Path) -> None:
    setup = arm(tmp_path, clips={"lengths": (21,), "rate_hz": 40.0})
    qpos = setup.reference.qpos
    assert setup.reference.length.tolist() == [101]
    assert np.array_equal(qpos[::5], setup.clips.qpos)
    assert qpos[2] == pytest.approx(0.6 * qpos[0] + 0.4 * qpos[5], abs=1e-6)


@pytest.mark.parametrize(
    ("rate", "control"), [(200.0, 400.0), (50.0, 100.0), (75.0, 100.0), (16.0, 10.0), (300.0, 500.0)]
)
def test_sample_times_hit_every_frame_the_rates_share(rate: float, control: float) -> None:
    times = sample_times(4001, rate, control)
    assert times[-1] <= 4000
    assert 4000 - times[-1] < rate / control + 1e-9
    exact = np.arange(len(times)) * rate / control
    shared = np.abs(exact - np.round(exact)) < 1e-9
    assert shared.sum() > 1
    assert np.array_equal(times[shared], np.round(exact[shared]))


def test_interpolated_quaternions_turn_at_constant_speed(walker_setup: Setup) -> None:
    body, reference, clips = walker_setup.task.body, walker_setup.reference, walker_setup.clips
    assert body.quaternions
    for q, _ in body.quaternions:
        assert np.linalg.norm(reference.qpos[:, q : q + 4], axis=1) == pytest.approx(1.0, abs=1e-6)
        first, second = (Rotation.from_quat(clips.qpos[i, q : q + 4], scalar_first=True) for i in (3, 4))
        middle = first * Rotation.from_rotvec(0.5 * (first.inv() * second).as_rotvec())
        ours = Rotation.from_quat(reference.qpos[7, q : q + 4], scalar_first=True)
        assert (middle.inv() * ours).magnitude() < 1e-3


def test_every_reset_draws_a_new_clip_and_start_from_the_whole_range(arm_setup: Setup) -> None:
    starts = [arm_setup.task.start(arm_setup.reference, jax.random.key(i), 500)[0] for i in range(4)]
    clip = np.concatenate([np.asarray(s.clip) for s in starts])
    frame = np.concatenate([np.asarray(s.frame) for s in starts])
    length = arm_setup.reference.length[clip]
    assert set(clip.tolist()) == {0, 1, 2, 3}
    assert frame.min() == 0
    assert (frame <= length - 2).all(), "a step is left to do"
    assert (frame == length - 2).any(), "up to the last"
    assert not np.array_equal(starts[0].frame, starts[1].frame)
    part = frame / (length - 1)
    assert np.histogram(part, 5, (0, 1))[0] == pytest.approx([400] * 5, rel=0.2)


def test_a_reset_within_a_run_starts_elsewhere(arm_setup: Setup) -> None:
    """Simulations that end draw again from the key of the step; they do not come back to where they began."""
    end = int(arm_setup.reference.length[1]) - 2
    clock = episode_at(arm_setup, 1, end, 64)
    fields = physics_at(arm_setup, int(arm_setup.reference.start[1]) + end + 1, 64)
    still = np.zeros((64, 3), np.float32)
    result = arm_setup.task.step(arm_setup.reference, fields, clock, still)
    assert np.asarray(result.truncated).all()
    assert not np.asarray(result.terminated).any()
    (first, begin), (second, _) = (
        arm_setup.task.restart(arm_setup.reference, result, jax.random.key(seed)) for seed in (1, 2)
    )
    assert len(set(np.asarray(first.frame).tolist())) > 20
    assert not np.array_equal(first.frame, second.frame)
    rows = arm_setup.reference.start[np.asarray(first.clip)] + np.asarray(first.frame)
    assert np.array_equal(begin.qpos, arm_setup.reference.qpos[rows])
    assert np.array_equal(begin.qvel, arm_setup.reference.qvel[rows]), "reference velocities at reset"


def test_an_episode_ends_where_its_own_clip_ends(arm_setup: Setup) -> None:
    lengths = arm_setup.reference.length
    assert len(set(lengths.tolist())) == 3, "clips differ in length"
    for clip in range(4):
        for frame, over in ((lengths[clip] - 3, False), (lengths[clip] - 2, True)):
            fields = physics_at(arm_setup, int(arm_setup.reference.start[clip] + frame + 1))
            result = arm_setup.task.step(
                arm_setup.reference, fields, episode_at(arm_setup, clip, frame), np.zeros((1, 3), np.float32)
            )
            assert bool(result.truncated[0]) == over
            assert float(result.metrics["joint_position_exp"][0]) == 1.0, "the target never freezes before the end"


def test_the_previous_action_reaches_the_cost_before_it_is_replaced(arm_setup: Setup) -> None:
    task, fields = arm_setup.task, physics_at(arm_setup, 6)
    first = np.full((1, 3), 0.5, np.float32)
    clock, terms, _ = task.evaluate_terms(arm_setup.reference, fields, episode_at(arm_setup, 0, 5), first)
    assert float(terms["control_difference"][0]) == 0.0, "the first step of an episode is free"
    _, terms, _ = task.evaluate_terms(arm_setup.reference, fields, clock, -first)
    assert float(terms["control_difference"][0]) == pytest.approx(3.0)


def test_nothing_of_the_last_episode_is_left_after_a_reset(tmp_path: Path) -> None:
    setup = arm(tmp_path, {"costs": {"variance": {"weight": 1.0, "window": 4}, "jerk": {"weight": 1e-6}}})
    task, reference = setup.task, setup.reference
    clock = episode_at(setup, 0, 0)
    for _ in range(3):
        clock = task.evaluate_terms(reference, physics_at(setup, 9), clock, np.ones((1, 3), np.float32))[0]
    clock = clock._replace(frame=jnp.array([reference.length[0] - 2]))
    result = task.step(reference, physics_at(setup, 9), clock, np.ones((1, 3), np.float32))
    fresh, _ = task.restart(reference, result, jax.random.key(0))
    assert int(fresh.history.age[0]) == 0
    assert np.abs(np.asarray(fresh.action)).max() == 0
    assert np.abs(np.asarray(fresh.history.action)).max() == 0


def test_pose_and_velocity_noise_come_from_different_keys_and_keep_quaternions_whole(tmp_path: Path) -> None:
    setup = walker(tmp_path, {"pose_noise": 0.1, "velocity_noise": 0.1})
    task, body = setup.task, setup.task.body
    clock, (qpos, qvel, _) = task.start(setup.reference, jax.random.key(3), 200)
    rows = setup.reference.start[np.asarray(clock.clip)] + np.asarray(clock.frame)
    moved = np.zeros((200, body.model.nv))
    for i in range(200):
        start, end = setup.reference.qpos[rows[i]].astype(np.float64), np.asarray(qpos[i], np.float64)
        mujoco.mj_differentiatePos(body.model, moved[i], 1.0, start, end)
    faster = np.asarray(qvel) - setup.reference.qvel[rows]
    assert moved.std() == pytest.approx(0.1, rel=0.1)
    assert faster.std() == pytest.approx(0.1, rel=0.1)
    assert abs(np.corrcoef(moved.ravel(), faster.ravel())[0, 1]) < 0.1
    for q, _ in body.quaternions:
        assert np.linalg.norm(qpos[:, q : q + 4], axis=1) == pytest.approx(1.0, abs=1e-5)


def test_bodies_are_looked_up_by_name_whatever_the_arena_adds(walker_setup: Setup) -> None:
    reference, body = walker_setup.reference, walker_setup.task.body
    data = mujoco.MjData(body.model)
    data.qpos[:] = reference.qpos[11]
    mujoco.mj_kinematics(body.model, data)
    for name in ("foot_L", "toe_L", "foot_R", "trunk"):
        assert reference.xpos[11, body.body_ids([name])[0]] == pytest.approx(data.body(name).xpos, abs=1e-6)
    assert [body.bodies[i] for i in body.body_ids(body.arena.end_effectors)] == ["foot_L", "foot_R"]


def test_egocentric_means_world_to_body(walker_setup: Setup) -> None:
    """A point straight ahead of a turned animal lies along its own x axis."""
    quarter = np.array([[np.cos(np.pi / 4), 0, 0, np.sin(np.pi / 4)]], np.float32)
    assert np.asarray(rotations.to_body(quarter, np.array([[0.0, 1.0, 0.0]]))) == pytest.approx(
        np.array([[1.0, 0.0, 0.0]]), abs=1e-6
    )
    task, reference = walker_setup.task, walker_setup.reference
    seen = task.observe(reference, physics_at(walker_setup, 20), episode_at(walker_setup, 0, 20))
    turn = Rotation.from_euler("z", 1.0)
    turned = reference._replace(
        xpos=turn.apply(reference.xpos.reshape(-1, 3)).reshape(reference.xpos.shape).astype(np.float32),
        xquat=(turn * Rotation.from_quat(reference.xquat.reshape(-1, 4), scalar_first=True))
        .as_quat(scalar_first=True)
        .reshape(reference.xquat.shape)
        .astype(np.float32),
    )
    qpos, qvel = reference.qpos[20].copy(), reference.qvel[20].copy()
    qpos[3:7] = (turn * Rotation.from_quat(qpos[3:7], scalar_first=True)).as_quat(scalar_first=True)
    qvel[:3] = turn.apply(qvel[:3])
    fields = zero_physics(task.body.model, 1)._replace(
        qpos=qpos[None], qvel=qvel[None], xpos=turned.xpos[20][None], xquat=turned.xquat[20][None]
    )
    turned_seen = task.observe(turned, fields, episode_at(walker_setup, 0, 20))
    for here, there in zip(seen, turned_seen, strict=True):
        assert np.asarray(there) == pytest.approx(np.asarray(here), abs=2e-5), "turning the whole world changes nothing"


def test_non_finite_physics_ends_the_episode_and_is_told_apart(walker_setup: Setup) -> None:
    task, fields = walker_setup.task, physics_at(walker_setup, 5, 3)
    bad = fields.qvel.copy()
    bad[1] = np.nan
    far = fields.xpos.copy()
    far[2] += 1.0
    still = np.zeros((3, 2), np.float32)
    outcome = task.step(
        walker_setup.reference, fields._replace(qvel=bad, xpos=far), episode_at(walker_setup, 0, 4, 3), still
    )
    assert np.asarray(outcome.terminated).tolist() == [False, True, True]
    assert [task.reasons[i] for i in np.asarray(outcome.reason)] == ["clip_end", "non_finite", "too_far"]
    assert np.isfinite(np.asarray(outcome.reward)).all()


def test_actions_reach_the_whole_control_range_and_no_more(arm_setup: Setup) -> None:
    ends = np.array([[-1.0] * 3, [0.0] * 3, [1.0] * 3], np.float32)
    affine = np.asarray(to_ctrl(arm_setup.task.body, ends, "affine"))
    assert affine[:, 0] == pytest.approx([0.0, 0.5, 1.0]), "no half of the range is dead"
    clipped = np.asarray(to_ctrl(arm_setup.task.body, ends, "tanh_clip"))
    assert clipped[:, 0] == pytest.approx([0.0, 0.0, 1.0])


def test_servos_may_be_kept_to_what_holds_the_poses_of_the_reference(tmp_path: Path) -> None:
    setup = walker(tmp_path, {"action": "reference"})
    body, ranges = setup.task.body, setup.config.task.action_range
    assert list(ranges) == ["hip_R"], "hip_L is a motor: no control holds it anywhere"
    data = mujoco.MjData(body.model)
    lengths = []
    for pose in setup.reference.qpos:
        data.qpos[:] = pose
        mujoco.mj_forward(body.model, data)
        lengths.append(data.actuator_length[1])
    rest = np.clip(lengths, -0.5, 1.0)  # gain and bias of a position servo are alike: the control is the length
    half = max(4 * rest.std(), 0.05 * 1.5)
    expected = [max(-0.5, rest.mean() - half), min(1.0, rest.mean() + half)]
    assert ranges["hip_R"] == pytest.approx(expected, abs=1e-5)
    data.ctrl[1] = data.actuator_length[1]
    mujoco.mj_forward(body.model, data)
    assert data.actuator_force[1] == pytest.approx(0, abs=1e-12), "MuJoCo agrees that the servo rests"
    ends = controls(setup, np.array([[-1.0, -1.0], [1.0, 1.0]], np.float32))
    assert ends[:, 0] == pytest.approx([-1, 1])
    assert ends[:, 1] == pytest.approx(ranges["hip_R"])


def test_other_clips_are_played_with_the_ranges_of_the_training(tmp_path: Path) -> None:
    kept = {"hip_R": [-0.25, 0.5]}
    setup = walker(tmp_path, {"action": "reference", "action_range": kept})
    assert setup.config.task.action_range == kept
    assert controls(setup, np.ones((1, 2), np.float32))[0] == pytest.approx([1.0, 0.5])


def controls(setup: Setup, actions: np.ndarray, frame: int = 0) -> np.ndarray:
    n = len(actions)
    episode = setup.task.episode(n)._replace(clip=np.ones(n, np.int32), frame=np.full(n, frame, np.int32))
    return np.asarray(setup.task.ctrl(setup.followed, episode, actions))


def test_an_offset_is_added_to_the_control_that_holds_the_pose_ahead(tmp_path: Path) -> None:
    setup = walker(tmp_path, {"action": "offset", "offset": 0.02, "offset_lead": 3}, arena={"actuators": "servo"})
    body, first = setup.task.body, int(setup.reference.start[1])
    joints = np.asarray(setup.reference.qpos)[first : first + int(setup.reference.length[1]), 7:9]
    frame = int(np.abs(joints[3:]).max(1).argmin())  # far from the ends of the control range, 1 degree
    data = mujoco.MjData(body.model)
    data.qpos[:] = setup.reference.qpos[first + frame + 3]
    still, moved = controls(setup, np.array([[0, 0], [0.2, -0.1]], np.float32), frame)
    data.ctrl[:] = still
    mujoco.mj_forward(body.model, data)
    assert data.actuator_force == pytest.approx([0, 0], abs=1e-6), "MuJoCo agrees that the servos rest"
    assert moved - still == pytest.approx([0.004, -0.002], abs=1e-7)
    beyond = controls(setup, np.zeros((1, 2), np.float32), int(setup.reference.length[1]) + 50)
    assert beyond == pytest.approx(controls(setup, np.zeros((1, 2), np.float32), int(setup.reference.length[1]) - 4))


def test_an_offset_needs_servos(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"task.action=offset: no position servo: hip_L; set arena.actuators=servo"):
        walker(tmp_path, {"action": "offset"})


def test_the_split_is_by_clip_seeded_and_never_empty() -> None:
    train, test = split(34, 0.35, 0)
    assert sorted(train + test) == list(range(34))
    assert len(test) == 12
    assert split(34, 0.35, 0) == (train, test)
    assert split(34, 0.35, 1) != (train, test)
    assert split(2, 0.01, 0)[1] != []
    assert split(1, 0.5, 0) == ([0], [])
    for fewer in (1, 5, 22):
        some, same = split(34, 0.35, 0, fewer)
        assert same == test
        assert len(some) == fewer
        assert set(some) <= set(split(34, 0.35, 0, min(22, fewer + 1))[0])
    with pytest.raises(ConfigError, match=r"run\.train_clips=23: of 34 clips 12 are held out; 22 are left"):
        split(34, 0.35, 0, 23)


def test_episodes_of_training_start_early_and_last_as_long_as_they_are_told(tmp_path: Path) -> None:
    setup = arm(tmp_path, {"start_frames": 7, "episode_s": 0.05})
    task, reference = setup.task, setup.followed
    drawn, _ = task.start(reference, jax.random.key(0), 2000)
    assert set(np.asarray(drawn.frame).tolist()) == set(range(7))
    late = episode_at(setup, 2, 3, n=3)
    late = late._replace(history=late.history._replace(age=np.array([8, 9, 10])))  # the step makes 9, 10 and 11 of it
    result = task.step(reference, physics_at(setup, int(reference.start[2]) + 4, 3), late, np.zeros((3, 3), np.float32))
    assert np.asarray(result.truncated).tolist() == [False] * 3, "evaluation plays whole clips"
    assert np.asarray(task.limited(result).truncated).tolist() == [False, True, True]
