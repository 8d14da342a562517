"""The `reach-analysis` command: its verbs, and the driver of each."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from reach_analysis._common.cli import App, Verb
from reach_analysis._common.settings import require
from reach_analysis.verbs import STUDIES


def study(name: str, config: Any) -> None:
    """Run a study, and its replication if asked; write the results, and log notes as warnings."""
    from reach_analysis._common.files import results_folder
    from reach_analysis._common.progress import reporting
    from reach_analysis.api import studies

    with results_folder(config.out, f"reach_results/{name}") as folder, reporting() as (log, stage):
        for result in studies(name, config, stage):
            for note in result.notes:
                log.warning(note)
            result.save(folder)


def check(config: Any) -> int:
    """Print all violations of each file; return 2 when one has an error."""
    from reach_analysis._common.hdf5.check import check_file, errors_in, format_violations

    files = require(config.file, "file", "rollouts.h5")
    wrong = False
    for path in [files] if isinstance(files, str) else list(files):
        violations = check_file(Path(path))
        sys.stdout.write(format_violations(Path(path), violations) + "\n")
        wrong |= bool(errors_in(violations))
    return 2 if wrong else 0


VERBS = {
    **{
        name: Verb(row.help, config=row.config, run=partial(study, name), examples=row.examples)
        for name, row in STUDIES.items()
        if row.help
    },
    "report": Verb(
        "put all studies on one page, next to the values that the papers print",
        config="config:ReportConfig",
        run="report.build:run",
        examples="""\
            reach-analysis report rollouts=rollouts.h5 clips=clips.h5 out=report
            reach-analysis report 'rollouts={joint_only:a.h5,physics_aware:b.h5}' clips=clips.h5 \\
                'emg={biceps:b.csv,triceps:t.csv}' trials=trials.csv runs='sweep/*' out=report
            reach-analysis report rollouts=rat.h5 studies.gait.lead=hand_L studies.forecast.permutations=5000""",
    ),
    "figures": Verb(
        "draw the figures of a paper that the files allow, on one page",
        config="config:FiguresConfig",
        run="report.paper_figures:run",
        examples="""\
            reach-analysis figures paper=A 'rollouts={joint_only:a.h5,physics_aware:b.h5}' clips=clips.h5 emg=s.nwb
            reach-analysis figures paper=B rollouts=rat.h5 clips=rat_clips.h5 studies.gait.lead=hand_L""",
    ),
    "convert": Verb(
        "bring rollouts published with paper A to the layout of docs/schema",
        config="config:ConvertConfig",
        run="data.published:run",
        examples="reach-analysis convert rollouts=rollouts_full_mouse_arm_joint_only.h5 clips=clips.h5 out=a.h5",
    ),
    "check": Verb(
        "compare files with the contract in docs/schema and list every violation",
        config="config:CheckConfig",
        run="cli:check",
        files="file",
        examples="reach-analysis check rollouts.h5",
    ),
    "bench": Verb(
        "measure the speed of forecasts next to pyEDM",
        config="config:BenchConfig",
        run="bench:run",
        examples="reach-analysis bench trials=20 out=results",
    ),
}
APP = App(
    "analyse rollouts of trained controllers next to recordings of the animal",
    VERBS,
    about="It reads rollouts files (mimic.rollouts, as track-mjx writes them) and raw EMG with a table of trials.\n",
    renamed=dict.fromkeys(
        ("engine", "sweep_E", "sweep_tau", "sweep_Tp", "most_numbers", "points", "largest_E", "pyedm_permutations",
         "truths", "speed", "data_sets"), "",
    ),
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (default: those of the process) and return its exit code, 2 for a misuse."""
    return APP.main(arguments)
