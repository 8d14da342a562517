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

from track_mjx._common.hdf5.contract_writing import Variable, write_file
from track_mjx._common.mjcf import actuator_labels, body_labels, qpos_labels, qvel_labels
from track_mjx._common.system import environment, generator, now
from track_mjx.clips import hash_of_model
from track_mjx.learning.setup import Setup
from track_mjx.policy.play import Rollout
from track_mjx.rollouts.rollout_network import network_values
from track_mjx.rollouts.rollout_seeds import padded, stacked
from track_mjx.rollouts.variables import clip_values, contacts, reference_values, state_values, step_values

ALIGNMENT = "ctrl[k], activations[k] act on state k and give state k+1"


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


def write_rollouts(
    path: Path, setup: Setup, clips: Sequence[int], played: Sequence[Rollout], info: RolloutInfo
) -> None:
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
    passes = [_variables(setup, clips, padded(one, length), info) for one in played]
    if len(passes) == 1:
        merged = passes[0]
    else:
        seeds = Variable(("seed",), np.asarray(info.seeds, np.int64), "random seed of each repeat", "1")
        merged = {"seed": seeds} | {name: stacked(name, [one[name] for one in passes]) for name in passes[0]}
    write_file(path, _attributes(setup, clips, info), merged)


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


def _variables(setup: Setup, clips: Sequence[int], played: Rollout, info: RolloutInfo) -> dict[str, Variable]:
    recorded = played.recording
    assert recorded is not None
    valid = played.valid
    states = np.concatenate([np.ones_like(valid[:, :1]), valid], axis=1)
    return {
        **_scales(setup, valid.shape[1], len(clips)),
        **clip_values(setup, clips, played),
        **state_values(setup, clips, recorded, states),
        **step_values(setup, played, recorded, valid),
        **network_values(setup, recorded, valid, deterministic=info.deterministic, activations=info.activations),
        **contacts(setup, recorded, valid),
        **reference_values(setup, clips),
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
