"""Use the package from Python: run a study, look at its numbers and figures, save them.

    import reach_analysis

    study = reach_analysis.analyse("gait", "rollouts.h5", lead="hand_L")
    study.results, study.tables, study.notes
    study.figures[0].figure
    study.save("results")
    reach_analysis.write_report({"joint_only": "a.h5", "physics_aware": "b.h5"}, "report", clips="clips.h5")

Studies are the verbs of the command (``reach-analysis --help``), settings are theirs; nested ones are dictionaries.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from reach_analysis._common.errors import ConfigError, unknown
from reach_analysis._common.files import results_folder
from reach_analysis._common.progress import Stage, progress_bars, silent
from reach_analysis._common.settings import configure
from reach_analysis.config import ReportConfig
from reach_analysis.data.inputs import conditions, one_rollout
from reach_analysis.report.build import PAGE, build, write
from reach_analysis.report.opening import gather
from reach_analysis.studies.study import Study, levels_note
from reach_analysis.verbs import STUDIES, load


def analyse(study: str, rollouts: Any = None, *, progress: bool = False, **settings: Any) -> Study:
    """Run one study.

    Args:
        study: name of the verb, as ``forecast``.
        rollouts: a path of a rollouts file; of several conditions, a list of paths or a map from name to path.
        progress: show bars in a terminal or notebook.
        settings: other settings of the verb, as ``permutations=5000``.

    Raises:
        ConfigError: when study or setting is unknown or invalid.
        InputError, ContractError: when a file cannot be read or has too little data.
    """
    names = [name for name, row in STUDIES.items() if row.help]
    if study not in names:
        raise ConfigError(unknown("study", study, names))
    if rollouts is not None:
        settings["rollouts"] = _text(rollouts)
    config = configure(STUDIES[study].config(), settings, study)
    with progress_bars() if progress else nullcontext(silent) as stage:
        return next(iter(studies(study, config, stage)))


def studies(name: str, config: Any, stage: Stage = silent) -> Iterator[Study]:
    """Run a study and, if the settings ask for it, its replication of the public notebooks."""
    row = STUDIES[name]
    takes = row.takes if row.takes != "optional" else "one" if config.rollouts else "none"
    read = {"one": one_rollout, "all": conditions}.get(takes)
    rollouts: Any = None
    if read:
        pattern = getattr(config, "clip_pattern", None)
        rollouts = read(config.rollouts, pattern, config.rollouts_seed, config.levels)
    one = [rollouts] if takes == "one" else list((rollouts or {}).values())
    notes = (note for each in one for note in (each.unread_seeds, levels_note(each)) if not row.repeats)
    said = tuple(dict.fromkeys(filter(None, notes)))
    makers = [f"{row.module}:run", *([row.replication] if row.replication and config.replication else [])]
    for maker in makers:
        made: Study = load(maker)(rollouts, config, stage)
        yield replace(made, settings=config, notes=(*said, *made.notes))


def write_report(rollouts: Any, out: str | Path, *, progress: bool = False, **settings: Any) -> Path:
    """Write all studies on one page; return its path.

    Args:
        rollouts: as for `analyse`.
        out: folder of the page, its numbers, figures and tables.
        progress: show bars in a terminal or notebook.
        settings: other settings of ``reach-analysis report``, as ``clips="clips.h5"``.

    Raises:
        UserError: as `analyse`; OutputError when the folder cannot be written.
    """
    config = configure(ReportConfig(), {**settings, "rollouts": _text(rollouts), "out": os.fspath(out)}, "report")
    inputs = gather(config)
    with results_folder(config.out, "") as folder, progress_bars() if progress else nullcontext(silent) as stage:
        write(build(inputs, config, stage), folder)
    return folder / PAGE


def _text(rollouts: Any) -> Any:
    """Paths as the settings hold them."""
    if isinstance(rollouts, Mapping):
        return {str(name): os.fspath(path) for name, path in rollouts.items()}
    return os.fspath(rollouts) if isinstance(rollouts, str | Path) else [os.fspath(path) for path in rollouts]
