"""A decoder of another run in this one: settings it depends on, whether the body suits it, and its whitened latents.

Paper B, sections 2.5 and 4.4.4: a policy trained on imitation is an encoder of the reference and a decoder of
intentions; for another task, a new policy puts out the intentions, and the decoder, which has learned to move the body,
is kept frozen, is learned further, or is drawn at random.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, fields
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from track_mjx._common.errors import ConfigError, RunError, raise_all
from track_mjx._common.mjcf import joint_labels
from track_mjx.body.anatomy import Anatomy
from track_mjx.config import ArenaConfig, TrainConfig
from track_mjx.learning.setup import Setup, is_clips_file_of, load_policy, open_setup
from track_mjx.policy.networks import Networks
from track_mjx.policy.play import Player
from track_mjx.policy.policy import Policy
from track_mjx.policy.pretrained import Pretrained, whitened
from track_mjx.runs.run_folder import RunFolder

_log = logging.getLogger(__name__)

FREE_ARENA = ("floor", "floor_height_m", "terrain")
"""Settings of the arena that may differ from those of the decoder's run."""
NEEDED = (
    *(f"arena.{entry.name}" for entry in fields(ArenaConfig) if entry.name not in FREE_ARENA),
    *(f"physics.{name}" for name in ("sim_dt_s", "ctrl_dt_s", "solver", "iterations", "ls_iterations", "integrator")),
    *(f"task.{name}" for name in ("proprioception", "action", "action_range")),
    *(f"network.{name}" for name in ("decoder", "decoder_cell", "latent", "layer_norm")),
)
"""Settings on which a decoder depends."""
TAKEN = ("run.test_fraction", "run.split_seed")
"""Settings that are those of its run unless others are given, so that the same clips are held out."""
_MOST_CLIPS = 64
"""Train clips whose latents are used to whiten them."""


@dataclass(frozen=True, eq=False)
class Source:
    """The run of a decoder, opened."""

    setup: Setup
    step: int
    policy: Policy
    train: list[int]
    """Numbers of its train clips."""


def open_source(config: TrainConfig) -> Source | None:
    """Open ``decoder.run`` and put what its decoder depends on into the config; None where no run is given.

    Settings that are still at their defaults take the values of the run; ``clips`` too.

    Raises:
        ConfigError: when a setting is neither at its default nor that of the run; all are named, with both values.
        RunError: when the run has no decoder that moves the body alone.
        UserError: as `open_setup`.
    """
    if not config.decoder.run:
        return None
    folder = RunFolder.open(config.decoder.run)
    theirs = folder.config()
    if not theirs.network.latent:
        raise RunError(f"{folder.path}: network.latent=0: it has no intention, so no decoder of its own")
    if theirs.task.action == "offset":
        raise RunError(f"{folder.path}: task.action=offset: its decoder alone does not move the body")
    if theirs.decoder.run:
        raise RunError(f"{folder.path}: it took its decoder from {theirs.decoder.run}; give that run")
    record = folder.record()
    config.clips = config.clips or record.clips
    _take_settings(config, theirs)
    moved = config.clips != record.clips and not is_clips_file_of(record, record.clips)
    setup, train, _ = open_setup(folder, theirs, config.clips if moved else None, resumed=True)
    step, policy = load_policy(folder, setup, config.decoder.checkpoint)
    return Source(setup, step, policy, train)


def _take_settings(config: TrainConfig, theirs: TrainConfig) -> None:
    defaults, problems = TrainConfig(), []
    for key in (*NEEDED, *TAKEN):
        section, name = key.split(".")
        mine, given = getattr(getattr(config, section), name), getattr(getattr(theirs, section), name)
        if mine in (given, getattr(getattr(defaults, section), name)):
            setattr(getattr(config, section), name, given)  # also where equal: the order of terms counts
        elif key in NEEDED:
            problems.append(f"{key}: {mine}, but {given} in decoder.run={config.decoder.run}")
    raise_all(ConfigError, "settings on which the decoder depends", problems)


def pretrained(config: TrainConfig, source: Source | None) -> Pretrained | None:
    """The decoder of a run as this one uses it: with whitened latents, or with random parameters; None for none."""
    if source is None or config.decoder.acts == "direct":
        return None
    policy, statistics = source.policy, source.policy.statistics.proprioception
    parameters = policy.parameters["decoder"]
    if config.decoder.mode == "random":
        fresh = Networks(source.setup.config.network, source.setup.task.body.model.nu)
        parameters = fresh.init(jax.random.key(config.seed), source.setup.observation)["decoder"]
    elif config.decoder.whiten:
        parameters = whitened(parameters, *latent_moments(source))
    return Pretrained(jax.tree.map(jnp.asarray, parameters), statistics)


def latent_moments(source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the intentions' means while the train clips are followed."""
    setup = source.setup
    player = Player(setup.task, setup.networks, setup.engine())
    clips = np.asarray(source.train[:_MOST_CLIPS])
    played = player.play(source.policy, setup.on_device(setup.followed), clips, record=True)
    assert played.recording is not None
    means = np.asarray(played.recording.output.intention.mean)[played.valid].astype(np.float64)
    return means.mean(0), means.std(0)


def verify_body(source: Source, body: Anatomy) -> None:
    """Refuse another body than that of the decoder; one of another MJCF with the same names is noted."""
    theirs, run = source.setup.task.body, source.setup.config.out
    problems = [
        f"{what}: {', '.join(mine)}; in decoder.run={run}: {', '.join(given)}"
        for what, mine, given in (
            ("joints", joint_labels(body.model), joint_labels(theirs.model)),
            ("actuators", body.actuators, theirs.actuators),
        )
        if tuple(mine) != tuple(given)
    ]
    raise_all(ConfigError, "the body is not that of the decoder", problems)
    if body.arena.mjcf_xml != theirs.arena.mjcf_xml:
        _log.info("the body and its arena are not the MJCF that the decoder was trained in; joints and actuators agree")


def about(setup: Setup, source: Source | None) -> dict[str, Any]:
    """What the record of a run says of its task and decoder."""
    decoder = None
    if source is not None and setup.pretrained is not None:
        decoder = {"run": setup.config.decoder.run, "step": source.step, "sha256": setup.pretrained.sha256}
    return {"outcomes": setup.task.outcomes, "decoder": decoder}
