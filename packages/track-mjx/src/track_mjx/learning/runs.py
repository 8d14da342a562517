"""Opening a run again: its settings, its clips or others of the same body, its policy."""

from __future__ import annotations

import hashlib
from pathlib import Path

import jax
import jax.numpy as jnp

from track_mjx._common.errors import ConfigError, InputError, RunError, raise_all, unknown
from track_mjx.clips import read_clips
from track_mjx.config import TrainConfig
from track_mjx.learning.setup import Setup, build
from track_mjx.policy.policy import Policy, empty_statistics
from track_mjx.runs.checkpoints import unflatten
from track_mjx.runs.run_folder import RunFolder

SETS = ("train", "test", "all")


def open_setup(
    folder: RunFolder, settings: TrainConfig, clips: str | None = None, *, whole: bool = False
) -> tuple[Setup, list[int], list[int]]:
    """Put a run's task together again.

    Args:
        folder: the run.
        settings: its settings, perhaps changed.
        clips: another clips file; None: that of the run.
        whole: do not cut the clips of that file, whatever the run did with its own.

    Returns:
        The setup, and the numbers of train and held-out clips; of another file, all count as held out.

    Raises:
        RunError: when the clips are not those of the run, or belong to another body.
        ConfigError: when the clips of the run itself are asked for whole.
    """
    record = folder.record()
    if whole and settings.task.clip_s is not None:
        if not clips or hashlib.sha256(Path(clips).expanduser().read_bytes()).hexdigest() == record.clips_sha256:
            raise ConfigError("whole=true: pieces of the run's own clips were trained on; give others as clips=FILE")
        settings.task.clip_s = None
    path = Path(clips or record.clips)
    loaded = read_clips(path)
    if loaded.model_sha256 != record.model_sha256:
        raise RunError(
            f"{path}: its body ({loaded.model_name}) is not the one the run was trained with ({record.model_name}): "
            "another MJCF or another scale"
        )
    setup = build(settings, loaded)
    names = list(setup.clips.clip_name)
    if clips is not None and loaded.sha256 != record.clips_sha256:
        return setup, [], list(range(len(names)))
    missing = [
        f"clip {name!r} of the run is no longer there" for name in (*record.train, *record.test) if name not in names
    ]
    raise_all(RunError, str(path), missing[:5])
    return setup, [names.index(name) for name in record.train], [names.index(name) for name in record.test]


def sets_of(setup: Setup, train: list[int], test: list[int], asked: str) -> dict[str, list[int]]:
    """The sets of clips by name, empty ones left out.

    Raises:
        ConfigError: when the set asked for does not exist.
        InputError: when it is empty.
    """
    if asked not in SETS:
        raise ConfigError(f"clip_set: {unknown('set', asked, SETS)}")
    sets = {"train": train, "test": test, "all": sorted([*train, *test])}
    there = {name: clips for name, clips in sets.items() if clips}
    if asked not in there:
        raise InputError(
            f"clip_set={asked}: the set is empty: of {setup.clips.path.name}, {len(train)} clips were trained on and "
            f"{len(test)} were not; clip_set={' or clip_set='.join(there)}"
        )
    return there


def load_policy(folder: RunFolder, setup: Setup, which: str | int) -> tuple[int, Policy]:
    """Read the policy of a checkpoint: its step, networks and statistics.

    Raises:
        RunError: when there is no such checkpoint, or it does not fit.
    """
    step, flat = folder.checkpoints.load(which)
    parameters = setup.networks.init(jax.random.key(0), setup.observation)
    like = {"parameters": parameters, "statistics": empty_statistics(setup.observation)}
    wanted = {
        name.removeprefix("learner/"): leaf
        for name, leaf in flat.items()
        if name.startswith(("learner/parameters/", "learner/statistics/"))
    }
    found = unflatten(wanted, like, str(folder.checkpoints.path(step)))
    return step, Policy(**jax.tree.map(jnp.asarray, found))
