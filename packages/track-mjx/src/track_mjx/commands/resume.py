"""`track-mjx resume`: go on with a training."""

from __future__ import annotations

from track_mjx._common.cli import require
from track_mjx.config import ResumeConfig


def run(config: ResumeConfig) -> int:
    """Go on from the last checkpoint of a run."""
    from track_mjx._common.progress import use_compilation_cache
    from track_mjx.learning.learning import learn
    from track_mjx.learning.runs import open_setup
    from track_mjx.learning.trainer import verify
    from track_mjx.processes import join_processes
    from track_mjx.runs.run_folder import RunFolder

    folder = RunFolder.open(require(config.run, "run", "run"))
    join_processes(config.distributed)
    use_compilation_cache()
    settings = folder.config()
    # where a run is computed is no part of it
    settings.run.devices, settings.run.distributed = config.devices, config.distributed
    if config.steps is not None:
        settings.run.steps = config.steps
    settings.run.max_minutes = settings.run.max_minutes if config.max_minutes is None else config.max_minutes
    setup, train, test = open_setup(folder, settings)
    verify(setup)
    return learn(setup, folder, (train, test), resume=True)
