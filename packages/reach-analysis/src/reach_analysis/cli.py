"""The `reach-analysis` command: its verbs, and the driver of each."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from reach_analysis._common.cli import App, Verb, load
from reach_analysis._common.settings import require


def study(verb: str, config: Any) -> None:
    """Run the study of a verb, and its replication of a paper, and write numbers, tables and figures."""
    from reach_analysis._common.files import output_folder
    from reach_analysis._common.progress import reporting
    from reach_analysis.studies.study import write_study

    inputs = study_inputs(verb, config)
    folder = output_folder(config.out, f"reach_results/{verb}")
    makers = [f"studies.{verb}:study"]
    if getattr(config, "replication", False):
        makers.append(REPLICATIONS[verb])
    with reporting() as (log, stage):
        for maker in makers:
            result = load(maker)(inputs, config, stage)
            for note in result.notes:
                log.warning(note)
            write_study(result, folder, config)


def study_inputs(verb: str, config: Any) -> Any:
    """What the study of a verb analyses: one rollouts file, several by condition, or the runs of a sweep."""
    from reach_analysis.data.inputs import conditions, one_rollout

    if verb == "sweep":
        from reach_analysis.studies.sweep import find_runs

        return find_runs(config.runs)
    read = conditions if verb in ("emg", "spectra", "survival") else one_rollout
    return read(config.rollouts, getattr(config, "clip_pattern", None), config.rollouts_seed)


def report(config: Any) -> None:
    """Write page, numbers, figures and tables."""
    from reach_analysis._common.files import output_folder
    from reach_analysis._common.progress import reporting
    from reach_analysis.report.build import PAGE, build, write
    from reach_analysis.report.opening import gather

    inputs = gather(config)
    folder = output_folder(config.out, "reach_results/report")
    with reporting() as (log, stage):
        write(build(inputs, config, stage), folder)
        log.info("%s", folder / PAGE)


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


def bench(config: Any) -> None:
    """Measure, print the tables and write ``BENCHMARKS.md`` and ``bench.json``."""
    from reach_analysis._common.errors import ConfigError
    from reach_analysis._common.files import output_folder
    from reach_analysis._common.progress import reporting
    from reach_analysis.bench.calibration import CASES, calibrate
    from reach_analysis.bench.report import write_bench
    from reach_analysis.bench.speed import contests, kept, measure

    if config.data_sets < 20:
        raise ConfigError(f"data_sets must be at least 20, got {config.data_sets}")
    out = output_folder(config.out, "reach_results/bench")
    tasks = list(contests(config)) if config.speed else []
    with reporting() as (log, stage):
        tick, rows = stage("speed", len(tasks)), []
        for task in tasks:
            rows.append(measure(task, config.repeats))
            log.info(f"{rows[-1].name}: ours {rows[-1].ours_s:.3g} s, pyEDM {rows[-1].pyedm_s:.3g} s")
            tick(1)
        counted = kept(config) if config.speed else []
        cases = CASES if config.truths else ()
        tick = stage("calibration", config.data_sets * len(cases))
        held = [calibrate(case, config.data_sets, tick) for case in cases]
        text = write_bench(rows, counted, held, out, bench_command(config))
    sys.stdout.write(text)


def bench_command(config: Any) -> str:
    """The command that repeats this run."""
    from dataclasses import asdict

    usual = asdict(type(config)())
    changed = [(key, value) for key, value in asdict(config).items() if value != usual[key] and key != "out"]
    return " ".join(["reach-analysis bench", *(f"{key}={str(value).lower()}" for key, value in changed)])


REPLICATIONS = {
    "emg": "replication.muscles:compare_muscles",
    "pca": "replication.components:compare_components",
    "forecast": "replication.forecast:compare_forecasts",
    "spectra": "replication.components:compare_spectra",
}
"""What verbs compute besides their study when `replication` is set."""
VERBS = {
    "emg": Verb(
        "turn raw EMG into envelopes and compare simulated muscles with them",
        config="config:EmgConfig",
        run=partial(study, "emg"),
        examples="""\
            reach-analysis emg rollouts=rollouts.h5 'emg={biceps:biceps.csv,triceps:triceps.csv}' trials=trials.csv
            reach-analysis emg 'rollouts={joint_only:a.h5,physics_aware:b.h5}' emg=synthetic:physics_aware""",
    ),
    "pca": Verb(
        "find the principal components of the intention and of every layer",
        config="config:PcaConfig",
        run=partial(study, "pca"),
        examples="""\
            reach-analysis pca rollouts=rollouts.h5 colour_by=elbow out=results
            reach-analysis pca rollouts=fly.h5 layers=[latent_mean] window_frames=31""",
    ),
    "forecast": Verb(
        "forecast muscles and EMG by simplex projection, next to nulls, baselines and ceilings",
        config="config:ForecastConfig",
        run=partial(study, "forecast"),
        examples="""\
            reach-analysis forecast rollouts=rollouts.h5 out=results
            reach-analysis forecast rollouts=rollouts.h5 E=[3] tau=[-1] engine=pyedm""",
    ),
    "similarity": Verb(
        "compare intention, layers, muscles, joints and EMG by CKA and RSA",
        config="config:SimilarityConfig",
        run=partial(study, "similarity"),
        examples="reach-analysis similarity rollouts=rollouts.h5 draws=1000",
    ),
    "synergies": Verb(
        "find muscle synergies and how many there are",
        config="config:SynergiesConfig",
        run=partial(study, "synergies"),
        examples="reach-analysis synergies rollouts=rollouts.h5 largest=6",
    ),
    "topology": Verb(
        "find loops and voids in latents and layers, next to matched nulls (extra `topology`)",
        config="config:TopologyConfig",
        run=partial(study, "topology"),
        examples="reach-analysis topology rollouts=rollouts.h5 layers=[latent_mean,decoder/layer_2]",
    ),
    "spectra": Verb(
        "measure the power of actions within a band of frequencies",
        config="config:SpectraConfig",
        run=partial(study, "spectra"),
        examples="reach-analysis spectra 'rollouts={joint_only:a.h5,physics_aware:b.h5}' low_hz=20",
    ),
    "errors": Verb(
        "measure how far joints and keypoints are from what they follow, by region",
        config="config:ErrorsConfig",
        run=partial(study, "errors"),
        examples="reach-analysis errors rollouts=rollouts.h5 clips=clips.h5",
    ),
    "survival": Verb(
        "estimate how long rollouts last before they end early",
        config="config:SurvivalConfig",
        run=partial(study, "survival"),
        examples="reach-analysis survival 'rollouts=[seed_0.h5,seed_1.h5]' times_s=[30,120]",
    ),
    "gait": Verb(
        "find gait cycles, footfalls, duty factors and phase lags from contacts",
        config="config:GaitConfig",
        run=partial(study, "gait"),
        examples="reach-analysis gait rollouts=rat.h5 lead=hand_L min_speed=0.05",
    ),
    "sweep": Verb(
        "compare the runs of a sweep: reward, high-frequency power, EMG error, the knee",
        config="config:SweepConfig",
        run=partial(study, "sweep"),
        examples="reach-analysis sweep runs='sweep/*' parameter=task.costs.control.weight",
    ),
    "report": Verb(
        "put all of it on one page: figures, tables, nulls, and the numbers of the papers",
        config="report_config:ReportConfig",
        run="cli:report",
        examples="""\
            reach-analysis report rollouts=rollouts.h5 clips=clips.h5 out=report
            reach-analysis report 'rollouts={joint_only:a.h5,physics_aware:b.h5}' clips=clips.h5 \\
                'emg={biceps:b.csv,triceps:t.csv}' trials=trials.csv runs='sweep/*' out=report
            reach-analysis report rollouts=rat.h5 studies.gait.lead=hand_L studies.forecast.permutations=5000""",
    ),
    "check": Verb(
        "compare files with the contract in docs/schema and list every violation",
        config="config:CheckConfig",
        run="cli:check",
        files="file",
        examples="reach-analysis check rollouts.h5",
    ),
    "bench": Verb(
        "measure speed next to pyEDM, and whether tests hold their level",
        config="config:BenchConfig",
        run="cli:bench",
        examples="reach-analysis bench truths=true out=results",
    ),
}
APP = App(
    "analyse rollouts of trained controllers next to recordings of the animal",
    VERBS,
    about="It reads rollouts files (mimic.rollouts, as track-mjx writes them) and raw EMG with a table of trials.\n",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (default: those of the process) and return its exit code, 2 for a misuse."""
    return APP.main(arguments)
