"""The recording that ships with the package: 46 reaches of a mouse's forelimb, generated, so that their truth is known.

Each clip is one reach of 300 ms: the paw rests, moves to one of eight targets on a circle in front of the animal along
a bell-shaped speed profile, and drifts there. Start, duration, curvature and end point vary from reach to reach.
Median wrist displacement 10 mm and peak speed 0.25 m/s, against 12.5 mm and 0.29 m/s in the recorded reaches of
Leonardis et al. 2025.
"""

from __future__ import annotations

import mujoco
import numpy as np
from jaxtyping import Float

from stac_mjx.body.body import Body, load_body
from stac_mjx.body.presets import body_preset
from stac_mjx.synthetic.motion import Flaws, Motion, Truth, record, smooth_noise

N_REACHES = 46
N_TARGETS = 8
N_FRAMES = 60
RATE_HZ = 200.0

_JOINTS = ("sh_elv", "sh_extension", "sh_rotation", "elbow")
_REST = np.radians([-14.0, -27.0, -18.0, 55.0])
_REST_SD = np.radians([3.0, 5.0, 2.0, 4.0])
_REACHED = np.radians([-30.0, -45.0, 45.0, 0.0])
_CENTRE_M = np.array([0.0056, 0.0088, -0.0010])
_RADIUS_M = 0.0018
_SCATTER_M = 0.00035
# postures stay this far inside the limits, so that bend and drift have room; all angles stay one degree inside
_POSTURE_MARGIN = np.radians(5.0)
_MARGIN = np.radians(1.0)


def mouse_arm_reaches(seed: int = 0, body: Body | None = None) -> Truth:
    """Generate the reaches.

    Args:
        seed: everything follows from it.
        body: a mouse arm with joints sh_elv, sh_extension, sh_rotation and elbow and body wrist_body; None: the
            embedded one.

    Returns:
        46 clips of 60 frames at 200 Hz with 0.1 mm noise and offsets 0.2 mm off the initial ones; event
        ``reach_onset`` (seconds from the start of each clip); labels ``target_1`` to ``target_8``.
    """
    body = body or load_body(body_preset("mouse_arm"))
    rng = np.random.default_rng(seed)
    target = rng.permutation(np.arange(N_REACHES) % N_TARGETS)
    onset = rng.uniform(0.025, 0.060, N_REACHES)
    qpos = np.concatenate([_reach(body, int(target[i]), float(onset[i]), rng) for i in range(N_REACHES)])
    offsets = body.marker_offset + rng.normal(0.0, 2e-4, body.marker_offset.shape)
    clips = {
        "clip_names": tuple(f"reach_{i + 1:02d}" for i in range(N_REACHES)),
        "clip_lengths": np.full(N_REACHES, N_FRAMES, dtype=np.int64),
        "rate_hz": RATE_HZ,
        "events": {"reach_onset": onset},
        "labels": tuple(f"target_{number + 1}" for number in target),
    }
    return record(body, qpos, offsets, Flaws(noise_m=1e-4), rng, **clips)


def _reach(body: Body, target: int, onset: float, rng: np.random.Generator) -> Float[np.ndarray, "frame nq"]:
    """Return joint angles of one reach, always within the limits.

    A minimum-jerk move (Flash and Hogan 1985) from rest to the target's posture, bent on the way, then a slow drift;
    the additions are shrunk together where they would leave the joint ranges.
    """
    lower, upper = _limits(body, _MARGIN)
    inner = _limits(body, _POSTURE_MARGIN)
    angle = 2 * np.pi * target / N_TARGETS
    goal = _CENTRE_M + _RADIUS_M * np.array([np.cos(angle), 0.0, np.sin(angle)]) + rng.normal(0.0, _SCATTER_M, 3)
    start = np.clip(rng.normal(_REST, _REST_SD), *inner)
    end = solve_wrist(body, goal, np.clip(_REACHED + rng.normal(0.0, np.radians(3.0), 4), *inner))
    duration = float(np.clip(rng.normal(0.082, 0.009), 0.065, 0.110))
    time = np.arange(N_FRAMES) / RATE_HZ
    progress = np.clip((time - onset) / duration, 0.0, 1.0) ** rng.uniform(0.9, 1.05)
    base = start + (end - start) * _minimum_jerk(progress)[:, None]
    bend = 64 * (progress * (1 - progress)) ** 3
    hold = _minimum_jerk(np.clip((time - onset - duration) / (time[-1] - onset), 0.0, 1.0))
    tremor = smooth_noise(Motion(n_frames=N_FRAMES, rate_hz=RATE_HZ, cutoff_hz=12.0), 4, rng)
    extra = (
        bend[:, None] * rng.normal(0.0, np.radians(4.0), 4)
        + hold[:, None] * rng.normal(np.radians([0.0, 0.0, -4.0, 3.0]), np.radians(3.0))
        + np.radians(0.25) * tremor
    )
    return _in_model_order(body, base + _shrink(base, extra, lower, upper) * extra)


def _minimum_jerk(progress: np.ndarray) -> np.ndarray:
    """Return the position along a minimum-jerk move, 0 to 1, at relative time 0 to 1."""
    return progress**3 * (10 - 15 * progress + 6 * progress**2)


def _shrink(base: np.ndarray, extra: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> float:
    """Return the largest factor up to 1 by which `extra` can be added to `base` without leaving the limits."""
    room = np.where(extra > 0, upper - base, base - lower)
    return float(min(1.0, (room / np.maximum(np.abs(extra), 1e-12)).min()))


def _limits(body: Body, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """Return lower and upper limits of the four joints, `margin` (rad) inside the model's."""
    limits = np.array([body.model.joint(name).range for name in _JOINTS])
    return limits[:, 0] + margin, limits[:, 1] - margin


def _in_model_order(body: Body, angles: np.ndarray) -> np.ndarray:
    """Put the four angles where this model keeps them in qpos."""
    qpos = np.tile(body.model.qpos0, (len(angles), 1))
    for column, name in enumerate(_JOINTS):
        qpos[:, body.model.joint(name).qposadr[0]] = angles[:, column]
    return qpos


def solve_wrist(body: Body, goal_m: Float[np.ndarray, "3"], guess: Float[np.ndarray, "4"]) -> Float[np.ndarray, "4"]:
    """Return joint angles near `guess` that bring the wrist to a point, by damped least squares within the limits.

    The point is reached to 0.1 mm or as closely as the limits allow.
    """
    model = body.model
    data = mujoco.MjData(model)
    wrist = model.body("wrist_body").id
    columns = [int(model.joint(name).dofadr[0]) for name in _JOINTS]
    lower, upper = _limits(body, _POSTURE_MARGIN)
    jacobian = np.zeros((3, model.nv))
    angles = guess.copy()
    for _ in range(30):
        data.qpos[:] = _in_model_order(body, angles[None])[0]
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        miss = goal_m - data.xpos[wrist] * body.length_unit_m
        if np.linalg.norm(miss) < 1e-4:
            break
        mujoco.mj_jacBody(model, data, jacobian, None, wrist)
        reduced = jacobian[:, columns] * body.length_unit_m
        # damping of 0.3 mm/rad keeps the step sane near a stretched arm
        step = reduced.T @ np.linalg.solve(reduced @ reduced.T + 9e-8 * np.eye(3), miss)
        angles = np.clip(angles + np.clip(step, -0.3, 0.3), lower, upper)
    return angles
