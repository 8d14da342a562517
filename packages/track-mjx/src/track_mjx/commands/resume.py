"""`track-mjx resume`: go on with a training."""

from __future__ import annotations

from track_mjx.app import require
from track_mjx.config import ResumeConfig


def run(config: ResumeConfig) -> int:
    """Go on from the last checkpoint of a run."""
    from track_mjx.learning import learn
    from track_mjx.processes import join_processes
    from track_mjx.progress import use_compilation_cache
    from track_mjx.run_folder import RunFolder
    from track_mjx.runs import open_setup
    from track_mjx.training import verify

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
