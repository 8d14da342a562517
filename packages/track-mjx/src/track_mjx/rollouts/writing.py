"""Rollouts as files: what body and network did on every clip; see docs/schema/rollouts.md (mimic.rollouts 1.1).

A rollout of T control steps has T + 1 states: ctrl[k], action[k] and activations[k] act on state k and give state k +
1. Values after the last step taken are NaN, and `valid` is 0.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import jax
import numpy as np

from track_mjx._common.files import output_file
from track_mjx._common.hdf5.info import FileInfo, Source, info_attributes, info_values
from track_mjx._common.hdf5.writing import build_record, write_record
from track_mjx._common.progress import Stage, counter, silent
from track_mjx._common.system import generator, now
from track_mjx.config import PerturbConfig, RolloutConfig
from track_mjx.learning.setup import Setup, open_setup, policy_of, sets_of
from track_mjx.policy.perturbation import perturbation, silenced, weakened
from track_mjx.policy.play import Rollout
from track_mjx.policy.policy import Policy
from track_mjx.rollouts.variables import KIND, variables
from track_mjx.runs.checkpoints import policy_sha256
from track_mjx.runs.run_folder import RunFolder, config_yaml
from track_mjx.task.task import Cases

ALIGNMENT = "ctrl[k], activations[k] act on state k and give state k+1"


@dataclass(frozen=True)
class Origin:
    """What made rollouts; stored as attributes of the file."""

    engine: str
    """Physics engine and version."""
    checkpoint_step: int | None = None
    """Environment steps the policy was trained for; None where no trained policy acted."""
    checkpoint_sha256: str | None = None
    """Hash of the checkpoint that acted."""
    clip_set: tuple[str, ...] = ()
    """Set of each clip in the training, ``train`` or ``test``; "" where it is not known."""


def roll_out(folder: RunFolder, config: RolloutConfig, path: Path, stage: Stage = silent) -> int:
    """Play the clips of a run, or of another file, once a seed, and write them; return how many clips.

    `stage` shows the progress of each pass.

    Raises:
        TrackError: when run, checkpoint or clips do not fit, or the file cannot be written.
    """
    setup, train, test = open_setup(folder, folder.config(config.engine, config.terrain_seed), config.clips)
    # read once: while a training runs, "last" and "best" may change between two readings
    step, leaves = folder.checkpoints.load(config.checkpoint)
    policy = policy_of(setup, leaves, str(folder.checkpoints.path(step)))
    setup, policy = _perturbed(setup, policy, config.perturb)
    clips = sets_of(setup, train, test, config.clip_set)[config.clip_set]
    cases = setup.task.cases(setup.followed, clips)
    output_file(path)
    player = setup.player(all_fields=True)
    player.perturbation = perturbation(setup.task.body, config.perturb)
    reference = setup.on_device(setup.followed)
    seeds = [None] if config.deterministic else list(config.seeds)

    def pass_of(seed: int | None) -> Rollout:
        show = counter(stage, "rollout" if seed is None else f"seed {seed}")
        player.watch = lambda done, of: show(done, of) is None
        return player.play(policy, reference, cases, seed=seed, record=True)

    own = {**dict.fromkeys(train, "train"), **(dict.fromkeys(test, "test") if train else {})}
    origin = Origin(
        player.engine.name, step, policy_sha256(leaves), tuple(own.get(clip, "") for clip in cases.clip.tolist())
    )
    write_rollouts(path, setup, cases, [pass_of(seed) for seed in seeds], config, origin)
    return len(cases.clip)


def _perturbed(setup: Setup, policy: Policy, config: PerturbConfig) -> tuple[Setup, Policy]:
    """Return a setup and a policy with weak actuators and silent units."""
    body = setup.task.body
    arena = replace(body.arena, model=weakened(body, config.actuators))
    networks, policy = silenced(setup.networks, policy, config.latents, config.units)
    return replace(setup, networks=networks, task=replace(setup.task, body=replace(body, arena=arena))), policy


def write_rollouts(
    path: Path, setup: Setup, cases: Cases, played: Sequence[Rollout], config: RolloutConfig, origin: Origin
) -> None:
    """Write played clips, one pass a seed.

    Args:
        path: the file.
        setup: task and clips.
        cases: the episodes played.
        played: one a seed, with records.
        config: how they were played.
        origin: by what.

    Raises:
        OutputError: when it cannot be written.
    """
    together = played[0] if len(played) == 1 else jax.tree.map(lambda *x: np.stack(x), *played)
    values = variables(setup, cases, together, config)
    values["clip_set"] = origin.clip_set or ("",) * len(cases.clip)
    if len(played) > 1:
        values["seed"] = np.asarray(config.seeds, np.int64)
    about = _file_info(setup, len(cases.clip), config)
    attributes = {
        **info_attributes(about, KIND),
        "task": setup.config.task.kind,
        "decoder_mode": None if setup.pretrained is None else setup.config.decoder.mode,
        "decoder_sha256": None if setup.pretrained is None else setup.pretrained.sha256,
        "engine": origin.engine,
        "checkpoint_step": origin.checkpoint_step,
        "checkpoint_sha256": origin.checkpoint_sha256,
        "ctrl_dt_s": setup.task.body.ctrl_dt,
        "sim_dt_s": setup.config.physics.sim_dt_s,
        "n_substeps": setup.task.body.arena.n_substeps,
        "reference_rate_hz": setup.clips.rate_hz,
        "deterministic": int(config.deterministic),
        "alignment": ALIGNMENT,
        "perturbation": json.dumps(asdict(config.perturb)) if config.perturb != PerturbConfig() else None,
    }
    write_record(path, build_record(KIND, attributes, values | info_values(about)))


def _file_info(setup: Setup, n_cases: int, config: RolloutConfig) -> FileInfo:
    what = "clips imitated" if setup.task.follows_reference else f"episodes of {setup.config.task.kind}"
    arena, source = setup.task.body.arena, setup.clips
    return FileInfo(
        title=f"{source.model_name}: {n_cases} {what} in physics",
        model_name=source.model_name,
        mjcf_xml=arena.mjcf_xml,
        length_unit_m=source.length_unit_m,
        rate_hz=1.0 / setup.task.body.ctrl_dt,
        assets=source.assets,
        source_files=(Source(source.path, source.sha256),),
        history=f"{now()} {generator()} rollout",
        random_seed=config.seeds[0] if len(config.seeds) == 1 and not config.deterministic else None,
        synthetic=source.synthetic,
        root_body=arena.root_body,
        end_effectors=tuple(arena.end_effectors),
        config_yaml=config_yaml(setup.config),
    )
