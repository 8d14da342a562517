"""The data sets of a rollouts file (mimic.rollouts, docs/schema/rollouts.md) by path, for all steps or a piece of them.

What was not reached is NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Int

from track_mjx._common.hdf5.writing import Variable
from track_mjx._common.mjcf import (
    actuator_force_units,
    actuator_labels,
    actuator_path_units,
    body_labels,
    qpos_labels,
    qpos_units,
    qvel_labels,
    qvel_units,
)
from track_mjx.config import RolloutConfig
from track_mjx.learning.setup import Setup
from track_mjx.policy.play import reasons_of
from track_mjx.policy.tape import Recording, Rollout
from track_mjx.task.step import NON_FINITE
from track_mjx.task.task import Cases

Values = dict[str, Any]

KIND = "mimic.rollouts"

_WXYZ = {"quaternion_order": "wxyz"}


def variables(setup: Setup, cases: Cases, rollout: Rollout, config: RolloutConfig) -> Values:
    """Return the data sets of episodes, or of a piece of them: from the state before its first step on."""
    recording, valid = rollout.recording, rollout.valid
    assert recording is not None
    states = np.concatenate([np.ones_like(valid[:, :1]), valid], axis=1)
    return {
        **clip_names(setup, cases),
        "clip_start_time": np.zeros(len(valid)),
        **end_values(setup, rollout, config),
        **state_values(setup, cases.clip, rollout.first, recording, states),
        **step_values(setup, rollout, recording, valid),
        **network_values(setup, recording, valid, config),
        **contacts(setup, recording, valid),
        **reference_values(setup, cases.clip),
        "goal/position": setup.task.goal_positions_m(cases.goal),
    }


def scales(setup: Setup, n_steps: int) -> Values:
    """Labels of the dimensions that are not fixed by the page."""
    model, dt = setup.task.body.model, setup.task.body.ctrl_dt
    return {
        "state_time": np.arange(n_steps + 1) * dt,
        "step_time": np.arange(n_steps) * dt,
        "names_qpos": qpos_labels(model),
        "names_qvel": qvel_labels(model),
        "names_xpos": body_labels(model),
        "actuator": actuator_labels(model),
        "metric": tuple(setup.task.metric_names),
    }


def clip_names(setup: Setup, cases: Cases) -> Values:
    """Names of the episodes, and the labels of their clips."""
    labels = {path: tuple(values[i] for i in cases.clip) for path, values in setup.clips.labels.items()}
    return {"clip_name": setup.case_names(cases), **labels}


def blanked(values: Any, valid: np.ndarray) -> np.ndarray:
    """Single precision, NaN where not valid."""
    mask = valid.reshape(*valid.shape, *[1] * (values.ndim - valid.ndim))
    return np.where(mask, values, np.float32(np.nan)).astype(np.float32, copy=False)


def end_values(setup: Setup, rollout: Rollout, config: RolloutConfig) -> Values:
    """Where and why rollouts end, and with `whole` the episodes within them; a piece says nothing of ends elsewhere."""
    reasons = reasons_of(setup.task)[: None if config.whole else -1]
    flags = {"flag_values": np.arange(len(reasons), dtype=np.uint8), "flag_meanings": " ".join(reasons)}
    if not config.whole:
        return {"terminated": rollout.terminated, "termination_reason": Variable(rollout.reason, flags)}
    ended = np.where(rollout.valid, rollout.ended_by, 0).astype(np.uint8)
    broken = (rollout.ended_by == NON_FINITE).any(1)
    return {
        "ended_by": Variable(ended, flags),
        "terminated": rollout.terminated & (ended == 0),
        "termination_reason": Variable(np.where(broken, NON_FINITE, 0).astype(np.uint8), flags),
    }


def state_values(
    setup: Setup, clips: Int[np.ndarray, " case"], first: int, recording: Recording, valid: np.ndarray
) -> Values:
    """Pose, velocity and muscles in the states from `first` on."""
    body, unit, states = setup.task.body, setup.clips.length_unit_m, recording.states
    reference = setup.followed
    rows = np.stack([
        np.asarray(reference.start)[clip]
        + np.minimum(first + np.arange(valid.shape[1]), np.asarray(reference.length)[clip] - 1)
        for clip in clips
    ])  # fmt: skip
    asked = np.broadcast_to(np.asarray(reference.qpos)[rows], states.qpos.shape)
    if not setup.task.follows_reference:
        asked = np.full_like(asked, np.nan)
    act = np.full((*valid.shape, body.model.nu), np.nan, np.float32)
    for actuator, column in enumerate(body.act_columns):
        if column >= 0:
            act[..., actuator] = states.act[..., column]
    lengths = actuator_path_units(body.model, unit)
    qpos = {"column_units": qpos_units(body.model, unit), **_WXYZ}
    attributes: dict[str, tuple[Any, Mapping[str, Any]]] = {
        "qpos": (states.qpos, qpos),
        "qvel": (states.qvel, {"column_units": qvel_units(body.model, unit)}),
        "qpos_ref": (asked, qpos),
        "xpos": (states.xpos * unit, {}),
        "xquat": (states.xquat, _WXYZ),
        "act": (act, {}),
        "actuator_length": (states.actuator_length, {"column_units": lengths}),
        "actuator_velocity": (
            states.actuator_velocity,
            {"column_units": tuple(f"{length} s-1" for length in lengths)},
        ),
    }
    return {name: Variable(blanked(values, valid), own) for name, (values, own) in attributes.items()}


def step_values(setup: Setup, rollout: Rollout, recording: Recording, valid: np.ndarray) -> Values:
    """Controls, forces, reward and its terms in each step.

    Controls have no unit in MuJoCo: their meaning depends on each actuator.
    """
    task = setup.task
    force = np.asarray(recording.states.actuator_force)[:, 1:]
    metrics = np.stack([rollout.metrics[name] for name in task.metric_names], axis=-1)
    units = actuator_force_units(task.body.model, setup.clips.length_unit_m, setup.config.arena.mass_unit)
    return {
        "ctrl": Variable(blanked(recording.ctrl, valid), {"column_units": ("1",) * task.body.model.nu}),
        "action": blanked(recording.action, valid),
        "actuator_force": Variable(blanked(force, valid), {"column_units": units, "sampled": "last substep"}),
        "reward": blanked(rollout.reward, valid),
        "metrics": blanked(metrics, valid),
        "metric_weight": np.asarray(task.metric_weights, np.float32),
        "valid": valid,
    }


def network_values(setup: Setup, recording: Recording, valid: np.ndarray, config: RolloutConfig) -> Values:
    """Intentions (mean, log variance, sample) and, with `activations`, every hidden layer."""
    values: Values = {}
    intention, activations = setup.networks.described(recording.output)
    if intention.latent.shape[-1]:
        values["latent_mean"] = blanked(intention.mean, valid)
        values["latent"] = Variable(blanked(intention.latent, valid), {"deterministic": int(config.deterministic)})
    if intention.logvar.shape[-1]:
        values["latent_logvar"] = blanked(intention.logvar, valid)
    for name, layer in activations.items() if config.activations else ():
        attributes = {"stage": setup.networks.stage(name), "width": layer.shape[-1]}
        values[f"activations/{name}"] = Variable(blanked(layer, valid), attributes)
    return values


def contacts(setup: Setup, recording: Recording, valid: np.ndarray) -> Values:
    """Which end effectors touched the world in each step."""
    sensors = np.asarray(recording.states.sensordata)[:, 1:]
    return {
        f"contact/{name}": (sensors[..., columns] > 0).any(-1) & valid
        for name, columns in setup.task.body.contact_columns.items()
    }


def reference_values(setup: Setup, clips: Int[np.ndarray, " case"]) -> Values:
    """The clips imitated, once, at their rate; where the task follows none, their first frames."""
    source = setup.clips
    length = source.clip_length[clips].astype(np.int64)
    if not setup.task.follows_reference:
        length = np.ones_like(length)
    rows = [np.arange(first, first + n) for first, n in zip(source.clip_start[clips], length, strict=True)]
    units = {"column_units": qpos_units(setup.task.body.model, source.length_unit_m), **_WXYZ}
    return {
        "reference/clip_start": np.cumsum(length) - length,
        "reference/clip_length": length,
        "reference/time": np.concatenate([np.arange(n) / source.rate_hz for n in length]),
        "reference/qpos": Variable(source.qpos[np.concatenate(rows)].astype(np.float32), units),
    }
