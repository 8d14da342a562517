"""Opening a run again: its settings, its clips or others of the same body, its policy."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp

from track_mjx.build import Setup, build
from track_mjx.checkpoints import unflatten
from track_mjx.clips import read_clips
from track_mjx.config import TrainConfig
from track_mjx.errors import RunError, raise_all
from track_mjx.policy import Policy, empty_statistics
from track_mjx.run_folder import RunFolder


def open_setup(
    folder: RunFolder, settings: TrainConfig, clips: str | None = None
) -> tuple[Setup, list[int], list[int]]:
    """Put a run's task together again.

    Args:
        folder: the run.
        settings: its settings, perhaps changed.
        clips: another clips file; None: that of the run.

    Returns:
        The setup, and the numbers of train and held-out clips; of another file, all count as held out.

    Raises:
        RunError: when the clips are not those of the run, or belong to another body.
    """
    record = folder.record()
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
