"""From settings and clips to a task with its networks, for a new run and for one that is opened again."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from track_mjx._common.errors import ConfigError, InputError, RunError, raise_all, shorten, unknown
from track_mjx._common.settings import validate
from track_mjx.body.anatomy import Anatomy
from track_mjx.body.arena import build_arena
from track_mjx.body.parts import lock_joints
from track_mjx.clips import Clips, cut, read_clips, with_windows, without_short
from track_mjx.compiled import compiled
from track_mjx.config import RunConfig, TrainConfig
from track_mjx.devices import devices_for
from track_mjx.physics.engine import engine_name, make_engine, verify_division
from track_mjx.physics.fields import Engine
from track_mjx.physics.randomized import randomized
from track_mjx.policy.networks import Networks
from track_mjx.policy.perturbation import Perturbation
from track_mjx.policy.play import Player
from track_mjx.policy.policy import Policy, empty_statistics
from track_mjx.policy.pretrained import Pretrained, read_pretrained
from track_mjx.runs.checkpoints import unflatten
from track_mjx.runs.run_folder import DECODER, RunFolder, RunRecord
from track_mjx.task.holding import holding_controls, holding_ranges
from track_mjx.task.reference import Reference, build_reference, choose
from track_mjx.task.registry import make_task
from track_mjx.task.step import Observation
from track_mjx.task.task import Cases, Task, needs_of

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Setup:
    """A task on clips, and the networks that are to solve it."""

    config: TrainConfig
    clips: Clips
    """As they are played: cut to length."""
    task: Task
    networks: Networks
    reference: Reference
    """All clips at the control rate, as recorded; errors are measured against it."""
    followed: Reference
    """The same as rewarded and observed: smoothed, where that is asked for."""
    windows: list[int] = field(default_factory=list)
    """Numbers of the clips that are overlapping windows: they are trained on, and belong to no set."""
    pretrained: Pretrained | None = None
    """The decoder of another run, as it is used."""

    def engine(self, *, all_fields: bool = False, varied: bool = False) -> Engine:
        """An engine for this task; it computes what the task reads, or everything; `varied` as in training."""
        arena = self.task.body.arena
        wanted = None if all_fields else self.used_fields
        engine = make_engine(self.config.physics, arena.model, arena.n_substeps, wanted)
        return randomized(engine, arena.model, self.config.randomize, self.config.seed) if varied else engine

    def player(self, *, all_fields: bool = False, perturbation: Perturbation | None = None) -> Player:
        """Player of episodes; errors are against the clips as recorded, with `all_fields` as followed."""
        recorded = None if all_fields else self.on_device(self.reference)
        return Player(self.task, self.networks, self.engine(all_fields=all_fields), recorded, perturbation)

    def initial_policy(self, key: Array) -> Policy:
        """Return the policy before any training; statistics of proprioception are those of a pretrained decoder."""
        statistics = empty_statistics(self.observation)
        if self.pretrained is not None:
            statistics = statistics._replace(proprioception=self.pretrained.statistics)
        return Policy(compiled(Networks.init, self.networks)(key, self.observation), statistics)

    def on_device(self, reference: Reference, clips: Any = None) -> Reference:
        """A reference as device arrays, with these clips only."""
        chosen = reference if clips is None else choose(reference, clips)
        return jax.tree.map(jnp.asarray, chosen)

    def case_names(self, cases: Cases) -> tuple[str, ...]:
        """Name of each case: that of its clip, and its label."""
        names = (self.clips.clip_name[clip] for clip in cases.clip.tolist())
        return tuple(f"{name}:{label}" if label else name for name, label in zip(names, cases.label, strict=True))

    @cached_property
    def used_fields(self) -> set[str]:
        """Physics fields that some term reads, and positions of bodies, by which every policy is judged."""
        return {*needs_of(self.task, self.followed).fields, "xpos"}

    @property
    def observation(self) -> Observation:
        """An observation of one simulation, zeros, for its shape."""
        shapes = needs_of(self.task, self.followed).observation
        return Observation(*(np.zeros((1, *shape), np.float32) for shape in shapes))


def build(config: TrainConfig, clips: Clips, pretrained: Pretrained | None = None) -> Setup:
    """Build the task and networks of a config, perhaps with the decoder of another run.

    Raises:
        ConfigError: for settings outside their limits, and unknown terms and parts of the body.
        BodyError: when MuJoCo rejects the body in its arena.
        InputError: when the body has no actuators, or a clip is shorter than a control step.
    """
    validate(config)
    engine_name(config.physics.engine)
    clips, windows = _cut(without_short(clips, config.physics.ctrl_dt_s), config)
    clips = lock_joints(clips, config.arena.lock_joints)
    arena = build_arena(clips, config.arena, config.physics)
    body = Anatomy(arena, clips.length_unit_m, config.physics.ctrl_dt_s)
    if body.model.nu == 0:
        raise InputError(f"{clips.path}: the body has no actuators; it cannot be controlled")
    regions = [name for bodies in config.task.regions.values() for name in bodies]
    where = "task.regions (of the preset: choose that of another animal, or remove one with '~task.regions.NAME')"
    raise_all(ConfigError, where, [unknown("body", n, body.bodies) for n in regions if n not in body.bodies])
    reference = build_reference(clips, body)
    if config.task.action == "reference" and not config.task.action_range:
        # stored in the config of the run, because other clips are played with the same ranges
        config.task.action_range = holding_ranges(body, np.asarray(reference.qpos))
        if not config.task.action_range:
            _log.warning("task.action=reference: no actuator is a position servo; actions are as with affine")
    task: Task = make_task(body, config.task)
    followed = build_reference(clips, body, config.task.smoothing_s) if config.task.smoothing_s > 0 else reference
    if config.task.action == "offset" or config.cloning.steps:
        setting = "cloning.steps" if config.cloning.steps else "task.action=offset"
        followed = followed._replace(held=_held(body, np.asarray(followed.qpos), setting))
    given = None if pretrained is None else pretrained.parameters
    networks = Networks(config.network, body.model.nu, given, config.decoder)
    setup = Setup(config, clips, task, networks, reference, followed, windows, pretrained)
    _verify_decoder(setup)
    _ = setup.used_fields  # every term runs once, so that errors in it are raised now
    return setup


def _verify_decoder(setup: Setup) -> None:
    """Refuse uses of a decoder that contradict each other."""
    use, dt, problems = setup.config.decoder, setup.task.body.ctrl_dt, []
    if abs(use.hold_steps(dt) * dt - use.hold_s) > 1e-6 * dt and use.hold_s > 0:
        problems.append(f"decoder.hold_s: expected a whole number of control steps of {dt:g} s, got {use.hold_s:g}")
    if use.mode == "learnable" and use.acts == "latent":
        problems.append("decoder.policy=latent: the decoder is part of the environment there, which learns nothing; "
                        "decoder.mode=learnable needs policy=action")  # fmt: skip
    if setup.config.network.decoder_cell != "none" and not setup.config.network.decoder:
        problems.append("network.decoder_cell: needs a hidden layer before it (network.decoder)")
    if setup.networks.recurrent and use.decision_steps(dt) > 1:
        problems.append("decoder.hold_s: a recurrent policy of actions decides in every control step")
    if setup.config.cloning.steps and (use.run or use.hold_s > 0):
        problems.append("cloning.steps: imitates controls step by step, without decoder.run and decoder.hold_s")
    raise_all(ConfigError, "settings", problems)


def _cut(clips: Clips, config: TrainConfig) -> tuple[Clips, list[int]]:
    """Cut the clips as the settings say; return them, and the numbers of the windows at their end."""
    length, stride = config.task.clip_s, config.task.clip_stride_s
    if stride is not None and config.run.train_clips is not None:
        raise ConfigError("run.train_clips, task.clip_stride_s: windows are cut from all clips; set one of the two")
    if stride is None:
        return cut(clips, length), []
    if length is None:
        raise ConfigError("task.clip_stride_s: task.clip_s is not set; it is the length of the windows")
    pieces = cut(clips, length)
    train, _ = choose_sets(pieces, config.run)
    return with_windows(clips, length, stride, sorted(set(range(len(pieces.clip_name))) - set(train)))


def _held(body: Anatomy, qpos: Float[np.ndarray, "frame qpos"], setting: str) -> Float[np.ndarray, "frame actuator"]:
    """Controls that hold poses, which a setting needs, or what lacks for that."""
    held = holding_controls(body, qpos).astype(np.float32)
    others = [name for name, controls in zip(body.actuators, held.T, strict=True) if np.isnan(controls).any()]
    if others:
        raise ConfigError(f"{setting}: no position servo: {shorten(others)}; set arena.actuators=servo")
    return held


def verify(setup: Setup) -> None:
    """Refuse settings of a training that contradict each other or this machine, before a run folder is created."""
    ppo, run = setup.config.ppo, setup.config.run
    problems = []
    if setup.config.cloning.steps and not setup.task.follows_reference:
        problems.append(f"cloning.steps: task.kind={setup.config.task.kind} follows no reference to copy")
    if setup.config.cloning.steps and setup.config.task.action not in ("affine", "reference"):
        problems.append("cloning.steps: only task.action=affine or reference puts out servo angles")
    if setup.networks.recurrent and ppo.shuffle != "unrolls":
        problems.append("network.decoder_cell: learned through whole unrolls only; set ppo.shuffle=unrolls")
    if ppo.minibatch_items < 1:
        problems.append(f"ppo.minibatches: {ppo.minibatches} are more than the ppo.shuffle={ppo.shuffle} of an update")
    if run.checkpoint_every is not None and run.checkpoint_every % run.log_every:
        problems.append(f"run.checkpoint_every: expected a multiple of run.log_every={run.log_every}")
    validate(setup.config, "settings", problems)
    verify_division(engine_name(setup.config.physics.engine), devices_for(run.devices, ppo).count)


def split(n_clips: int, test_fraction: float, seed: int, train_clips: int | None = None) -> tuple[list[int], list[int]]:
    """Choose train and held-out clips; at least one clip is trained on.

    `test_fraction` of the clips is held out; of the others, `train_clips` are trained on (None: all).
    """
    n_test = round(test_fraction * n_clips)
    if test_fraction > 0 and n_clips > 1:
        n_test = min(max(1, n_test), n_clips - 1)
    n_test = 0 if n_clips == 1 else n_test
    order = np.random.default_rng(seed).permutation(n_clips)
    train, test = order[n_test:], order[:n_test]
    if train_clips is not None and train_clips > len(train):
        raise ConfigError(
            f"run.train_clips={train_clips}: of {n_clips} clips {n_test} are held out; {len(train)} are left"
        )
    return sorted(train[:train_clips].tolist()), sorted(test.tolist())


def choose_sets(clips: Clips, run: RunConfig, n_windows: int = 0) -> tuple[list[int], list[int]]:
    """Choose train and held-out clips among those that ``run.select`` selects, without the windows at the end."""
    chosen = [clip for clip in clips.select(run.select, "run.select") if clip < len(clips.clip_name) - n_windows]
    train, test = split(len(chosen), run.test_fraction, run.split_seed, run.train_clips)
    return [chosen[i] for i in train], [chosen[i] for i in test]


SETS = ("train", "test", "all")


def open_setup(
    folder: RunFolder,
    settings: TrainConfig,
    clips: str | None = None,
    *,
    whole: bool = False,
    resumed: bool = False,
) -> tuple[Setup, list[int], list[int]]:
    """Rebuild the task of a run.

    Args:
        folder: the run.
        settings: its settings, perhaps changed.
        clips: another clips file; None: that of the run.
        whole: do not cut the clips of that file, whatever the run did with its own.
        resumed: the run is trained further, on the clips of the same names, also where the file is another one.

    Returns:
        The setup, and the numbers of train and held-out clips; of another file, all count as held out.

    Raises:
        RunError: when the file has another body, is not the one the run was trained on though none was given, or
            lacks clips of the run.
        UserError: as `read_clips` and `build` do.
    """
    record = folder.record()
    if whole and settings.task.clip_s is not None:
        if not clips or is_clips_file_of(record, clips):
            raise ConfigError("whole=true: pieces of the run's own clips were trained on; give others as clips=FILE")
        settings.task.clip_s = None
    path = Path(clips or record.clips).expanduser()
    if not clips and not path.exists():
        raise InputError(f"{path}: no such file; if the clips of the run were moved, clips=FILE says where they are")
    loaded = read_clips(path)
    if loaded.model_sha256 != record.model_sha256:
        raise RunError(
            f"{path}: its body ({loaded.model_name}) is not the one the run was trained with ({record.model_name}): "
            "another MJCF or another scale"
        )
    same = loaded.sha256 == record.clips_sha256
    if not same and not clips:
        takes = "trains on its clips of the same names" if resumed else "counts all its clips as held out"
        raise RunError(f"{path}: not the file the run was trained on; it was changed since. clips={path} {takes}")
    if not same and resumed:
        _log.warning("%s: not the file the run was trained on; its clips of the same names are used", path)
    other = not same and not resumed
    if other:
        settings.task.clip_stride_s = None
    acts = settings.decoder.acts
    setup = build(settings, loaded, None if acts == "direct" else read_pretrained(folder.path / DECODER))
    names = list(setup.clips.clip_name)
    if other:
        return setup, [], list(range(len(names)))
    missing = [f"clip {name!r} of the run is missing" for name in (*record.train, *record.test) if name not in names]
    raise_all(RunError, str(path), missing[:5])
    return setup, [names.index(name) for name in record.train], [names.index(name) for name in record.test]


def is_clips_file_of(record: RunRecord, path: str) -> bool:
    """Say whether a file has the very content that a run was trained on."""
    file = Path(path).expanduser()
    return file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == record.clips_sha256


def sets_of(setup: Setup, train: list[int], test: list[int], clip_set: str, select: Any = ()) -> dict[str, list[int]]:
    """The sets of clips by name, empty ones left out; of selected clips, all that were not trained on are held out."""
    if select:
        chosen = set(setup.clips.select(select)) - set(setup.windows)
        train, test = sorted(chosen & set(train)), sorted(chosen - set(train))
    if clip_set not in SETS:
        raise ConfigError(f"clip_set: {unknown('set', clip_set, SETS)}")
    sets = {"train": train, "test": test, "all": sorted([*train, *test])}
    filled = {name: clips for name, clips in sets.items() if clips}
    if clip_set not in filled:
        raise InputError(
            f"clip_set={clip_set}: the set is empty: of {setup.clips.path.name}, {len(train)} clips were trained on, "
            f"{len(test)} were held out; use clip_set={' or clip_set='.join(filled)}"
        )
    return filled


def load_policy(folder: RunFolder, setup: Setup, which: str | int) -> tuple[int, Policy]:
    """Read the policy of a checkpoint: its step, networks and statistics."""
    step, leaves = folder.checkpoints.load(which)
    return step, policy_of(setup, leaves, str(folder.checkpoints.path(step)))


def policy_of(setup: Setup, leaves: Mapping[str, np.ndarray], where: str) -> Policy:
    """Build the policy from the leaves of a checkpoint; `where` names it in messages."""
    shapes = jax.eval_shape(setup.initial_policy, jax.random.key(0))._asdict()
    like = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    wanted = {
        name.removeprefix("learner/"): leaf
        for name, leaf in leaves.items()
        if name.startswith(("learner/parameters/", "learner/statistics/"))
    }
    return Policy(**jax.tree.map(jnp.asarray, unflatten(wanted, like, where)))
