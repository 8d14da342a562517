"""Rollouts as files: what body and network did on every clip; see docs/schema/rollouts.md (mimic.rollouts 1.3).

A rollout of T control steps has T + 1 states: ctrl[k], action[k] and activations[k] act on state k and give state k +
1. Values after the last step taken are NaN, and `valid` is 0.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from track_mjx._common.errors import ConfigError
from track_mjx._common.files import output_file
from track_mjx._common.hdf5.info import FileInfo, Source, info_attributes, info_values
from track_mjx._common.hdf5.record import Record
from track_mjx._common.hdf5.schema import load_schema
from track_mjx._common.hdf5.writing import Pending, Put, Variable, build_record, open_record
from track_mjx._common.progress import Stage, counter, silent
from track_mjx._common.system import generator, now
from track_mjx.config import PerturbConfig, RolloutConfig
from track_mjx.learning.setup import Setup, open_setup, policy_of, sets_of
from track_mjx.physics.fields import zero_physics
from track_mjx.policy.perturbation import perturbation, silenced, weakened
from track_mjx.policy.play import realignment
from track_mjx.policy.policy import Policy
from track_mjx.policy.tape import Rollout
from track_mjx.rollouts.variables import KIND, scales, variables
from track_mjx.runs.checkpoints import policy_sha256
from track_mjx.runs.run_folder import RunFolder, config_yaml
from track_mjx.task.task import Cases

PIECE_BYTES = 1 << 25
"""Records that are held at a time; what is written of them takes several times as much."""
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
    settings = folder.config(config.engine, config.terrain_seed, config.parameters)
    setup, train, test = open_setup(folder, settings, config.clips, whole=config.whole)
    realign = realignment(setup.task, config.deviation_mm) if config.whole else None
    if config.deviation_mm is not None and realign is None:
        raise ConfigError("deviation_mm: ends episodes of rollouts that begin again; set whole=true")
    # read once: while a training runs, "last" and "best" may change between two readings
    step, leaves = folder.checkpoints.load(config.checkpoint)
    policy = policy_of(setup, leaves, str(folder.checkpoints.path(step)))
    setup, policy = _perturbed(setup, policy, config.perturb)
    clips = sets_of(setup, train, test, config.clip_set, config.select)[config.clip_set]
    cases = setup.task.cases(setup.followed, clips)
    n_steps = int(setup.task.n_steps(setup.followed, cases.clip).max())
    player = setup.player(all_fields=True, perturbation=perturbation(setup.task.body, config.perturb, n_steps))
    player.piece = piece_steps(setup, len(cases.clip))
    output_file(path)
    reference = setup.on_device(setup.followed)

    def pieces_of(seed: int | None) -> Iterator[Rollout]:
        show = counter(stage, "rollout" if seed is None else f"seed {seed}")
        player.watch = lambda done, of: show(done, of) is None
        return player.pieces(policy, reference, cases, seed=seed, record=True, realign=realign)

    own = {**dict.fromkeys(train, "train"), **(dict.fromkeys(test, "test") if train else {})}
    origin = Origin(
        player.engine.name, step, policy_sha256(leaves), tuple(own.get(clip, "") for clip in cases.clip.tolist())
    )
    seeds = [None] if config.deterministic else list(config.seeds)
    write_rollouts(path, setup, cases, (pieces_of(seed) for seed in seeds), config, origin)
    return len(cases.clip)


def piece_steps(setup: Setup, n_cases: int) -> int:
    """Control steps of which the records of all cases take about `PIECE_BYTES`."""
    network, physics = setup.config.network, zero_physics(setup.task.body.model, 1)
    numbers = sum(leaf.size for leaf in physics) + sum(network.encoder) + sum(network.decoder)
    return max(1, PIECE_BYTES // (4 * numbers * n_cases))


def _perturbed(setup: Setup, policy: Policy, config: PerturbConfig) -> tuple[Setup, Policy]:
    """Return a setup and a policy with weak actuators and silent units."""
    body = setup.task.body
    arena = replace(body.arena, model=weakened(body, config.actuators))
    networks, policy = silenced(setup.networks, policy, config.latents, config.units)
    return replace(setup, networks=networks, task=replace(setup.task, body=replace(body, arena=arena))), policy


def write_rollouts(
    path: Path,
    setup: Setup,
    cases: Cases,
    passes: Iterable[Iterable[Rollout]],
    config: RolloutConfig,
    origin: Origin,
) -> None:
    """Write clips while they are played, in pieces; the file appears when all are written.

    `passes` are one a seed: its pieces in order, with records.
    """
    with ExitStack() as stack:
        put: Put | None = None
        for row, pieces in enumerate(passes):
            repeat = () if _seeds(config) is None else (row,)
            reason = np.zeros(len(cases.clip), np.uint8)
            for piece in pieces:
                values = variables(setup, cases, piece, config)
                if put is None:
                    put = stack.enter_context(open_record(path, _record(setup, cases, values, config, origin)))
                reason |= values["termination_reason"].values  # 0 in all pieces but the one where a clip ended
                values["termination_reason"] = reason
                for name, value in values.items():
                    _put(put, name, value, repeat, piece.first)


def _record(setup: Setup, cases: Cases, values: Mapping[str, Any], config: RolloutConfig, origin: Origin) -> Record:
    """The file without what is played; `values` are those of the first piece."""
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
        "deviation_mm": config.deviation_mm,
    }
    n_steps = int(setup.task.n_steps(setup.followed, cases.clip).max())
    repeats = () if _seeds(config) is None else (len(config.seeds),)
    pending = {name: _pending(name, value, n_steps, repeats) for name, value in values.items() if value is not None}
    once = {**scales(setup, n_steps), **info_values(about), "seed": _seeds(config)}
    return build_record(KIND, attributes, {**pending, **once, "clip_set": origin.clip_set or ("",) * len(cases.clip)})


def _seeds(config: RolloutConfig) -> np.ndarray | None:
    """Labels of the axis of repeats, which a file of one pass does not have."""
    return np.asarray(config.seeds, np.int64) if len(config.seeds) > 1 else None


def _pending(name: str, value: Any, n_steps: int, repeats: tuple[int, ...]) -> Any:
    """What is known of a data set before it is played: its shape, or all where the file has it once."""
    dims = _dims(name)
    if not dims:
        return value
    own = value if isinstance(value, Variable) else Variable(value)
    shape = list(np.shape(own.values))
    if "step_time" in dims or "state_time" in dims:
        shape[1] = n_steps + ("state_time" in dims)
    piece = (*(1 for _ in repeats), *np.shape(own.values))
    return Variable(Pending((*repeats, *shape), piece), own.attributes)


def _dims(name: str) -> tuple[str, ...]:
    """Dimensions of a data set that each pass has; none for what the file has once."""
    schema = load_schema(KIND)
    rule = schema.rule(name)
    return rule.dims if rule is not None and schema.takes_leading(name, rule.dims) else ()


def _put(put: Put, name: str, value: Any, repeat: tuple[int, ...], first: int) -> None:
    """Set what a piece that begins with step `first` says of one data set."""
    dims = _dims(name)
    if not dims:
        return
    values, where = np.asarray(value.values if isinstance(value, Variable) else value), [*repeat, slice(None)]
    if "state_time" in dims and first > 0:  # the piece before has its first state
        values, first = values[:, 1:], first + 1
    if len(dims) > 1:
        where.append(slice(first, first + values.shape[1]))
    put(name, tuple(where), values)


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
