"""Rollouts as files: what body and network did on every clip; see docs/schema/rollouts.md (mimic.rollouts 1.0).

A rollout of T control steps has T + 1 states: ctrl[k], action[k] and activations[k] act on state k and give state k +
1. Values after the last step taken are NaN, and `valid` is 0.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from track_mjx.build import Setup
from track_mjx.clips import hash_of_model
from track_mjx.contract.writing import Variable, write_file
from track_mjx.episodes import Played, Recorded
from track_mjx.labels import (
    actuator_labels,
    body_labels,
    qpos_labels,
    qpos_units,
    qvel_labels,
    qvel_units,
    unit_name,
)
from track_mjx.provenance import environment, generator, now

ALIGNMENT = "ctrl[k], activations[k] act on state k and give state k+1"
_WXYZ = {"quaternion_order": "wxyz"}


@dataclass(frozen=True)
class RolloutInfo:
    """What a file says about how it was made.

    Attributes:
        engine: physics engine and version.
        seeds: of the repeats; one for a single pass.
        deterministic: the policy acted on its means.
        checkpoint_step: environment steps the policy was trained for; None where no trained policy acted.
        checkpoint_sha256: hash of the policy.
        config_yaml: resolved settings of the run.
        activations: write the hidden activations.
    """

    engine: str
    seeds: tuple[int, ...]
    deterministic: bool
    checkpoint_step: int | None
    checkpoint_sha256: str | None
    config_yaml: str
    activations: bool = True


def policy_sha256(leaves: Mapping[str, np.ndarray]) -> str:
    """Hash of a checkpoint: names and bytes of its leaves, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(leaves):
        digest.update(name.encode() + b"\0" + np.ascontiguousarray(leaves[name]).tobytes())
    return digest.hexdigest()


def write_rollouts(path: Path, setup: Setup, clips: Sequence[int], played: Sequence[Played], info: RolloutInfo) -> None:
    """Write played clips, one pass a seed.

    Args:
        path: the file.
        setup: task and clips.
        clips: numbers of the clips played.
        played: one a seed, with records.
        info: how they were made.

    Raises:
        OutputError: when it cannot be written.
    """
    length = max(one.valid.shape[1] for one in played)
    passes = [_variables(setup, clips, _padded(one, length), info) for one in played]
    if len(passes) == 1:
        merged = passes[0]
    else:
        seeds = Variable(("seed",), np.asarray(info.seeds, np.int64), "random seed of each repeat", "1")
        merged = {"seed": seeds} | {name: _stacked(name, [one[name] for one in passes]) for name in passes[0]}

    write_file(path, _attributes(setup, clips, info), merged)


def _stacked(name: str, parts: Sequence[Variable]) -> Variable:
    """One variable with a leading axis of seeds; scales, names and the reference are the same in all passes."""
    first = parts[0]
    if first.dims[:1] != ("clip",) or name in ("clip", "clip_name", "trial_id") or name.startswith("reference/"):
        return first
    values = np.stack([part.values for part in parts])
    return Variable(("seed", *first.dims), values, first.meaning, first.units, first.attributes)


def _padded(played: Played, length: int) -> Played:
    """Lengthen a pass that ended early; what is added is not valid."""
    missing = length - played.valid.shape[1]
    if missing == 0:
        return played

    def pad(array: np.ndarray) -> np.ndarray:
        return np.pad(array, [(0, 0), (0, missing)] + [(0, 0)] * (array.ndim - 2), mode="edge")

    def pad_tree(tree: Any) -> Any:
        import jax

        return jax.tree.map(pad, tree)

    flat = {
        name: pad_tree(value)
        for name, value in played._asdict().items()
        if name not in ("reason", "valid", "terminated")
    }
    off = {name: np.pad(getattr(played, name), [(0, 0), (0, missing)]) for name in ("valid", "terminated")}
    return played._replace(**flat, **off)


def _attributes(setup: Setup, clips: Sequence[int], info: RolloutInfo) -> dict[str, Any]:
    arena, body, source = setup.task.body.arena, setup.task.body, setup.clips
    found = {
        "Conventions": "CF-1.11, mimic-1.0",
        "schema_name": "mimic.rollouts",
        "schema_version": "1.0",
        "title": f"{source.model_name}: {len(clips)} clips imitated in physics",
        "history": f"{now()} {generator()} rollout",
        "created_utc": now(),
        "generator": generator(),
        "model_name": source.model_name,
        "model_sha256": hash_of_model(arena.mjcf_xml, source.assets),
        "length_unit_m": source.length_unit_m,
        "rate_hz": 1.0 / body.ctrl_dt,
        "source_files": json.dumps([{"name": source.path.name, "sha256": source.sha256}]),
        "random_seed": info.seeds[0] if len(info.seeds) == 1 and not info.deterministic else None,
        "root_body": arena.root_body,
        "end_effectors": json.dumps(list(arena.end_effectors)) if arena.end_effectors else None,
        "ctrl_dt_s": body.ctrl_dt,
        "sim_dt_s": setup.config.physics.sim_dt_s,
        "n_substeps": arena.n_substeps,
        "reference_rate_hz": source.rate_hz,
        "checkpoint_sha256": info.checkpoint_sha256,
        "checkpoint_step": info.checkpoint_step,
        "engine": info.engine,
        "deterministic": int(info.deterministic),
        "alignment": ALIGNMENT,
    }
    return {name: value for name, value in found.items() if value is not None}


def _variables(setup: Setup, clips: Sequence[int], played: Played, info: RolloutInfo) -> dict[str, Variable]:
    recorded = played.recorded
    assert recorded is not None
    valid = played.valid
    states = np.concatenate([np.ones_like(valid[:, :1]), valid], axis=1)
    return {
        **_scales(setup, valid.shape[1], len(clips)),
        **_clip_values(setup, clips, played),
        **_state_values(setup, clips, recorded, states),
        **_step_values(setup, played, recorded, valid),
        **_network_values(setup, recorded, valid, info),
        **_contacts(setup, recorded, valid),
        **_reference(setup, clips),
        **_provenance(setup, info),
    }


def _scales(setup: Setup, n_steps: int, n_clips: int) -> dict[str, Variable]:
    model, dt = setup.task.body.model, setup.task.body.ctrl_dt
    labels: dict[str, tuple[Any, str, str | None]] = {
        "clip": (np.arange(n_clips), "imitated clips", "1"),
        "state_time": (np.arange(n_steps + 1) * dt, "time of states from the start of the rollout", "s"),
        "step_time": (np.arange(n_steps) * dt, "time at which actions begin", "s"),
        "names_qpos": (qpos_labels(model), "one label per element of qpos", None),
        "names_qvel": (qvel_labels(model), "one label per element of qvel", None),
        "names_xpos": (body_labels(model), "body names", None),
        "space": (("x", "y", "z"), "axes of space", None),
        "quat": (("w", "x", "y", "z"), "elements of a quaternion", None),
        "actuator": (actuator_labels(model), "actuator names", None),
        "metric": (setup.task.metric_names, "names of reward terms and costs", None),
    }
    latent = setup.config.network.latent
    if latent:
        labels["latent_unit"] = (np.arange(latent), "latent dimensions", "1")
    return {name: Variable((name,), values, meaning, units) for name, (values, meaning, units) in labels.items()}


def _clip_values(setup: Setup, clips: Sequence[int], played: Played) -> dict[str, Variable]:
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


def _blanked(values: Any, valid: np.ndarray) -> np.ndarray:
    """Single precision, NaN where not valid."""
    mask = valid.reshape(*valid.shape, *[1] * (values.ndim - 2))
    return np.where(mask, values, np.nan).astype(np.float32)


def _state_values(setup: Setup, clips: Sequence[int], recorded: Recorded, valid: np.ndarray) -> dict[str, Variable]:
    body, source = setup.task.body, setup.clips
    unit = source.length_unit_m
    position, speed = qpos_units(body.model, unit), qvel_units(body.model, unit)
    states = recorded.states
    reference = setup.reference
    rows = np.stack([
        np.asarray(reference.start)[clip]
        + np.minimum(np.arange(valid.shape[1]), np.asarray(reference.length)[clip] - 1)
        for clip in clips
    ])  # fmt: skip
    act = np.full((*valid.shape, body.model.nu), np.nan, np.float32)
    for actuator, column in enumerate(body.act_columns):
        if column >= 0:
            act[..., actuator] = states.act[..., column]
    axes, lengths = ("clip", "state_time"), _path_units(setup)
    qpos = {"column_units": position, **_WXYZ}
    paths = {"column_units": lengths}
    speeds = {"column_units": tuple("rad s-1" if u == "rad" else f"{u} s-1" for u in lengths)}
    found = {
        "qpos": (states.qpos, "names_qpos", "generalised coordinates", qpos),
        "qvel": (states.qvel, "names_qvel", "generalised velocities", {"column_units": speed}),
        "qpos_ref": (np.asarray(reference.qpos)[rows], "names_qpos", "what the body was asked to follow", qpos),
        "actuator_length": (states.actuator_length, "actuator", "length of each actuator's path", paths),
        "actuator_velocity": (states.actuator_velocity, "actuator", "its velocity", speeds),
    }
    out = {
        name: Variable((*axes, dim), _blanked(values, valid), meaning, "per column", attributes)
        for name, (values, dim, meaning, attributes) in found.items()
    }
    xpos, xquat = _blanked(states.xpos * unit, valid), _blanked(states.xquat, valid)
    out["xpos"] = Variable((*axes, "names_xpos", "space"), xpos, "position of each body in the world", "m")
    out["xquat"] = Variable((*axes, "names_xpos", "quat"), xquat, "orientation of each body", "1", _WXYZ)
    out["act"] = Variable((*axes, "actuator"), _blanked(act, valid), "muscle activation or other actuator state", "1")
    return out


def _path_units(setup: Setup) -> tuple[str, ...]:
    """Unit of each actuator's length: an angle for one that turns a joint, else a length."""
    import mujoco

    model = setup.task.body.model
    joint = (int(mujoco.mjtTrn.mjTRN_JOINT), int(mujoco.mjtTrn.mjTRN_JOINTINPARENT))
    length = unit_name(setup.clips.length_unit_m)
    turning = (int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_BALL))
    units = []
    for kind, target in zip(model.actuator_trntype.tolist(), model.actuator_trnid[:, 0].tolist(), strict=True):
        units.append("rad" if kind in joint and int(model.jnt_type[target]) in turning else length)
    return tuple(units)


def _force_units(setup: Setup) -> tuple[str, ...]:
    """Unit of each actuator's force, of an MJCF in kilograms and seconds."""
    unit = unit_name(setup.clips.length_unit_m)
    force = "N" if unit == "m" else f"kg {unit} s-2"
    torque = "N m" if unit == "m" else f"kg {unit}2 s-2"
    return tuple(torque if path == "rad" else force for path in _path_units(setup))


def _ctrl_units(setup: Setup) -> tuple[str, ...]:
    """Controls have no unit of their own in MuJoCo: what they mean is up to each actuator."""
    return ("1",) * setup.task.body.model.nu


def _step_values(setup: Setup, played: Played, recorded: Recorded, valid: np.ndarray) -> dict[str, Variable]:
    task, axes = setup.task, ("clip", "step_time")
    force = np.asarray(recorded.states.actuator_force)[:, 1:]
    metrics = np.stack([played.metrics[name] for name in task.metric_names], axis=-1)
    weight = np.asarray(task.metric_weights, np.float32)
    forces = {"column_units": _force_units(setup), "sampled": "last substep"}
    running = {"flag_values": np.array([0, 1], np.uint8), "flag_meanings": "running terminated"}
    usable = {"flag_values": np.array([0, 1], np.uint8), "flag_meanings": "invalid valid"}
    return {
        "ctrl": Variable(
            (*axes, "actuator"), _blanked(recorded.ctrl, valid), "control applied, after mapping to ctrlrange",
            "per column", {"column_units": _ctrl_units(setup)},
        ),
        "action": Variable((*axes, "actuator"), _blanked(recorded.action, valid), "the policy's output", "1"),
        "actuator_force": Variable(
            (*axes, "actuator"), _blanked(force, valid), "force of each actuator during the step", "per column", forces
        ),
        "reward": Variable(axes, _blanked(played.reward, valid), "reward of the step", "1"),
        "metrics": Variable((*axes, "metric"), _blanked(metrics, valid), "each reward term and cost, unweighted", "1"),
        "metric_weight": Variable(("metric",), weight, "weight of each term in the reward; costs negative", "1"),
        "terminated": Variable(
            axes, played.terminated.astype(np.uint8), "the step ended the rollout before the clip's end", "1", running
        ),
        "valid": Variable(axes, valid.astype(np.uint8), "the step was taken", "1", usable),
    }  # fmt: skip


def _network_values(setup: Setup, recorded: Recorded, valid: np.ndarray, info: RolloutInfo) -> dict[str, Variable]:
    axes, found = ("clip", "step_time"), {}
    intention = recorded.output.intention
    if setup.config.network.latent:
        whole = (*axes, "latent_unit")
        kind = {"deterministic": int(info.deterministic)}
        found["latent_mean"] = Variable(whole, _blanked(intention.mean, valid), "mean of the intention", "1")
        found["latent_logvar"] = Variable(
            whole, _blanked(intention.logvar, valid), "log variance of the intention", "1"
        )
        found["latent"] = Variable(whole, _blanked(intention.latent, valid), "the intention used", "1", kind)
    if not info.activations:
        return found
    for name, values in recorded.output.activations.items():
        part, layer = name.split("/")
        scale = f"activations/{part}/{layer.replace('layer', 'unit')}"
        width = values.shape[-1]
        found[scale] = Variable((scale,), np.arange(width), "units of one layer", "1")
        attributes = {"stage": setup.networks.layer_stage, "width": width}
        values = _blanked(values, valid)
        found[f"activations/{name}"] = Variable((*axes, scale), values, "hidden activations", "1", attributes)
    return found


def _contacts(setup: Setup, recorded: Recorded, valid: np.ndarray) -> dict[str, Variable]:
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


def _reference(setup: Setup, clips: Sequence[int]) -> dict[str, Variable]:
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


def _provenance(setup: Setup, info: RolloutInfo) -> dict[str, Variable]:
    texts = {
        "mjcf_xml": (setup.task.body.arena.mjcf_xml, "the body in its arena, as MJCF"),
        "config_yaml": (info.config_yaml, "resolved settings of the run"),
        "environment_json": (json.dumps(environment(), indent=1), "versions of programs"),
    }
    found = {f"provenance/{name}": Variable((), text, meaning) for name, (text, meaning) in texts.items()}
    for name, content in setup.clips.assets.items():
        path = f"provenance/assets/{name}"
        found[path] = Variable((path,), np.frombuffer(content, np.uint8), "bytes of a file the MJCF names", "1")
    return found
