"""What body and muscles did, as variables of a rollouts file; what was not reached is NaN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from track_mjx._common.hdf5.contract_writing import Variable
from track_mjx._common.mjcf import actuator_force_units, actuator_path_units, qpos_units, qvel_units
from track_mjx.learning.setup import Setup
from track_mjx.policy.play import Recording, Rollout

_WXYZ = {"quaternion_order": "wxyz"}


def clip_values(setup: Setup, clips: Sequence[int], played: Rollout) -> dict[str, Variable]:
    """Names of the clips, and how each rollout ended."""
    source, reasons = setup.clips, setup.task.reasons
    flags = {"flag_values": np.arange(len(reasons), dtype=np.uint8), "flag_meanings": " ".join(reasons)}
    found = {
        "clip_name": Variable(("clip",), tuple(source.clip_name[i] for i in clips), "name of the imitated clip"),
        "clip_start_time": Variable(("clip",), np.zeros(len(clips)), "time in the reference clip at state 0", "s"),
        "termination_reason": Variable(("clip",), played.reason, "why each rollout ended", "1", flags),
    }
    if source.trial_id is not None:
        found["trial_id"] = Variable(("clip",), tuple(source.trial_id[i] for i in clips), "trial of the experiment")
    return found


def blanked(values: Any, valid: np.ndarray) -> np.ndarray:
    """Single precision, NaN where not valid."""
    mask = valid.reshape(*valid.shape, *[1] * (values.ndim - 2))
    return np.where(mask, values, np.nan).astype(np.float32)


def state_values(setup: Setup, clips: Sequence[int], recorded: Recording, valid: np.ndarray) -> dict[str, Variable]:
    """Pose, velocity and muscles in states 0..T."""
    body, source = setup.task.body, setup.clips
    unit = source.length_unit_m
    position, speed = qpos_units(body.model, unit), qvel_units(body.model, unit)
    states = recorded.states
    reference = setup.followed
    rows = np.stack([
        np.asarray(reference.start)[clip]
        + np.minimum(np.arange(valid.shape[1]), np.asarray(reference.length)[clip] - 1)
        for clip in clips
    ])  # fmt: skip
    act = np.full((*valid.shape, body.model.nu), np.nan, np.float32)
    for actuator, column in enumerate(body.act_columns):
        if column >= 0:
            act[..., actuator] = states.act[..., column]
    axes, lengths = ("clip", "state_time"), actuator_path_units(body.model, unit)
    qpos = {"column_units": position, **_WXYZ}
    paths = {"column_units": lengths}
    speeds = {"column_units": tuple(f"{length} s-1" for length in lengths)}
    found = {
        "qpos": (states.qpos, "names_qpos", "generalised coordinates", qpos),
        "qvel": (states.qvel, "names_qvel", "generalised velocities", {"column_units": speed}),
        "qpos_ref": (np.asarray(reference.qpos)[rows], "names_qpos", "what the body was asked to follow", qpos),
        "actuator_length": (states.actuator_length, "actuator", "length of each actuator's path", paths),
        "actuator_velocity": (states.actuator_velocity, "actuator", "its velocity", speeds),
    }
    out = {
        name: Variable((*axes, dim), blanked(values, valid), meaning, "per column", attributes)
        for name, (values, dim, meaning, attributes) in found.items()
    }
    xpos, xquat = blanked(states.xpos * unit, valid), blanked(states.xquat, valid)
    out["xpos"] = Variable((*axes, "names_xpos", "space"), xpos, "position of each body in the world", "m")
    out["xquat"] = Variable((*axes, "names_xpos", "quat"), xquat, "orientation of each body", "1", _WXYZ)
    out["act"] = Variable((*axes, "actuator"), blanked(act, valid), "muscle activation or other actuator state", "1")
    return out


def step_values(setup: Setup, played: Rollout, recorded: Recording, valid: np.ndarray) -> dict[str, Variable]:
    """Controls, forces, reward and its terms in steps 0..T-1.

    Controls have no unit of their own in MuJoCo: what they mean is up to each actuator.
    """
    task, axes = setup.task, ("clip", "step_time")
    force = np.asarray(recorded.states.actuator_force)[:, 1:]
    metrics = np.stack([played.metrics[name] for name in task.metric_names], axis=-1)
    weight = np.asarray(task.metric_weights, np.float32)
    forces = {
        "column_units": actuator_force_units(task.body.model, setup.clips.length_unit_m),
        "sampled": "last substep",
    }
    running = {"flag_values": np.array([0, 1], np.uint8), "flag_meanings": "running terminated"}
    usable = {"flag_values": np.array([0, 1], np.uint8), "flag_meanings": "invalid valid"}
    return {
        "ctrl": Variable(
            (*axes, "actuator"), blanked(recorded.ctrl, valid), "control applied, after mapping to ctrlrange",
            "per column", {"column_units": ("1",) * task.body.model.nu},
        ),
        "action": Variable((*axes, "actuator"), blanked(recorded.action, valid), "the policy's output", "1"),
        "actuator_force": Variable(
            (*axes, "actuator"), blanked(force, valid), "force of each actuator during the step", "per column", forces
        ),
        "reward": Variable(axes, blanked(played.reward, valid), "reward of the step", "1"),
        "metrics": Variable((*axes, "metric"), blanked(metrics, valid), "each reward term and cost, unweighted", "1"),
        "metric_weight": Variable(("metric",), weight, "weight of each term in the reward; costs negative", "1"),
        "terminated": Variable(
            axes, played.terminated.astype(np.uint8), "the step ended the rollout before the clip's end", "1", running
        ),
        "valid": Variable(axes, valid.astype(np.uint8), "the step was taken", "1", usable),
    }  # fmt: skip


def contacts(setup: Setup, recorded: Recording, valid: np.ndarray) -> dict[str, Variable]:
    """Which end effectors touched the world in each step."""
    flags = {"flag_values": np.array([0, 1], np.uint8), "flag_meanings": "off on"}
    sensors = np.asarray(recorded.states.sensordata)[:, 1:]
    return {
        f"contact/{name}": Variable(
            ("clip", "step_time"),
            ((sensors[..., columns] > 0).any(-1) & valid).astype(np.uint8),
            "the body touched the world during the step",
            "1",
            flags,
        )
        for name, columns in setup.task.body.contact_columns.items()
    }


def reference_values(setup: Setup, clips: Sequence[int]) -> dict[str, Variable]:
    """The clips imitated, once, at their own rate."""
    source = setup.clips
    length = source.clip_length[list(clips)].astype(np.int64)
    rows = [np.arange(source.clip_start[i], source.clip_start[i] + source.clip_length[i]) for i in clips]
    frame = "reference/reference_frame"
    units = {"column_units": qpos_units(setup.task.body.model, source.length_unit_m), **_WXYZ}
    time = np.concatenate([np.arange(n) / source.rate_hz for n in length])
    start = np.cumsum(length) - length
    return {
        frame: Variable((frame,), np.arange(int(length.sum())), "frames of all clips, end to end", "1"),
        "reference/clip_start": Variable(("clip",), start, "first reference frame of each clip", "1"),
        "reference/clip_length": Variable(("clip",), length, "reference frames of each clip", "1"),
        "reference/time": Variable((frame,), time, "time from the start of the clip", "s"),
        "reference/qpos": Variable(
            (frame, "names_qpos"), source.qpos[np.concatenate(rows)].astype(np.float32),
            "the reference once, at its own rate", "per column", units,
        ),
    }  # fmt: skip
