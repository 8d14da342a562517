"""The sections of the report in their order: what each asks, with which settings, of which rollouts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reach_analysis import config as schemas
from reach_analysis._common.errors import DataError
from reach_analysis._common.progress import Stage
from reach_analysis.replication import forecast as replicated
from reach_analysis.report.sections import Inputs, Make, Plan
from reach_analysis.report_config import ComparisonConfig, CouplingConfig, ReportConfig
from reach_analysis.studies import (
    comparison,
    coupling,
    emg,
    errors,
    forecast,
    gait,
    pca,
    similarity,
    spectra,
    survival,
    sweep,
    synergies,
    topology,
)
from reach_analysis.studies.study import Study


def _recordings(config: ReportConfig) -> dict[str, Any]:
    return {"emg": config.emg, "trials": config.trials, "recording": config.recording, "muscles": config.muscles}


def _emg_of(config: ReportConfig) -> dict[str, Any]:
    """Recordings for studies of one condition: EMG made from a rollout tells nothing about it, and is left out."""
    return {} if emg.is_synthetic(config.emg) else _recordings(config)


def _emg(inputs: Inputs, config: ReportConfig, settings: Any, condition: str, stage: Stage) -> Study:
    if not config.emg:
        raise DataError("no EMG was given (emg=... trials=...), so muscles could not be held against recordings")
    return emg.study(inputs.conditions, settings, stage)


def _comparison(inputs: Inputs, config: ReportConfig, settings: Any, condition: str, stage: Stage) -> Study:
    if len(inputs.conditions) < 2:
        raise DataError("only one rollouts file was given, so there is nothing to compare; rollouts={a:FILE,b:FILE}")
    return comparison.study(inputs.conditions, settings, stage)


def _sweep(inputs: Inputs, config: ReportConfig, settings: Any, condition: str, stage: Stage) -> Study:
    if not config.runs:
        raise DataError("no runs of a sweep were given (runs='sweep/*')")
    return sweep.study(sweep.find_runs(config.runs), settings, stage)


def _of_one(study: Callable[..., Study]) -> Make:
    """A study of one condition's rollouts."""
    return lambda inputs, config, settings, condition, stage: study(inputs.conditions[condition], settings, stage)


def _of_all(study: Callable[..., Study]) -> Make:
    """A study of all conditions together."""
    return lambda inputs, config, settings, condition, stage: study(inputs.conditions, settings, stage)


PLANS: tuple[Plan, ...] = (
    Plan(
        "errors",
        "Tracking errors by region",
        "How far is the simulated animal from the movement it was asked to follow, and which part of the body strays "
        "most? Registration is how far the recorded keypoints are from the body fitted to them; tracking is how far "
        "the controlled body is from that fit.",
        lambda inputs, config, condition: schemas.ErrorsConfig(
            clips=str(inputs.clips[condition]) if condition in inputs.clips else None, seed=config.seed
        ),
        _of_one(errors.study),
        asked=lambda config: bool(config.clips),
    ),
    Plan(
        "survival",
        "Survival",
        "How long does the controller last before it strays so far that the episode is ended? Episodes that reach the "
        "end of their clip are counted as still alive there (censored).",
        lambda inputs, config, condition: schemas.SurvivalConfig(),
        _of_all(survival.study),
        "all",
    ),
    Plan(
        "comparison",
        "Controllers side by side",
        "What does a cost on effort change? Every trial is followed by each controller, so differences are taken trial "
        "by trial.",
        lambda inputs, config, condition: ComparisonConfig(seed=config.seed),
        _comparison,
        "all",
    ),
    Plan(
        "emg",
        "Muscles against EMG",
        "Do the muscles of the simulation do what the animal's muscles did in the same trial? Trials are matched by "
        "name, and both sides have a time of their own in seconds.",
        lambda inputs, config, condition: schemas.EmgConfig(seed=config.seed, **_recordings(config)),
        _emg,
        "all",
        lambda config: bool(config.emg),
    ),
    Plan(
        "spectra",
        "Spectra of the actions",
        "Does the controller chatter? Power above the frequencies of the movement itself costs effort and follows "
        "nothing.",
        lambda inputs, config, condition: schemas.SpectraConfig(seed=config.seed),
        _of_all(spectra.study),
        "all",
    ),
    Plan(
        "pca",
        "Representation: principal components",
        "How many dimensions do the intention and the layers use? Variance along the first three components of all "
        "samples is what the papers print; variance of trials left out of the fit says whether it would hold for new "
        "trials; the participation ratio counts dimensions without a cut.",
        lambda inputs, config, condition: schemas.PcaConfig(seed=config.seed, resamples=100),
        _of_one(pca.study),
    ),
    Plan(
        "similarity",
        "Representation: similarity",
        "Which layers carry the same information as the {actuators} and the joints? Trials of one task look alike "
        "anyway; exchanging trials shows how much of a similarity is that.",
        lambda inputs, config, condition: schemas.SimilarityConfig(seed=config.seed, draws=200, **_emg_of(config)),
        _of_one(similarity.study),
    ),
    Plan(
        "synergies",
        "Muscle synergies",
        "Are muscles driven in groups? The number of groups is the smallest that predicts left-out muscles in left-out "
        "trials as well as the best.",
        lambda inputs, config, condition: schemas.SynergiesConfig(seed=config.seed),
        _of_one(synergies.study),
    ),
    Plan(
        "forecast",
        "Forecasting",
        "Can {actuators} and EMG be forecast from the history of the joints? A correlation alone says little here: "
        "trials of one task look alike, and filtered signals are smooth. So every score stands beside what it has to "
        "beat: targets of exchanged trials, artificial targets with the same spectrum, the mean trial, the present "
        "value (persistence), a linear model of the same lags (ridge), and the ceiling of a common time course.",
        lambda inputs, config, condition: schemas.ForecastConfig(seed=config.seed, **_emg_of(config)),
        _of_one(forecast.study),
        "focus",
    ),
    Plan(
        "coupling",
        "Convergent cross mapping",
        "Who drives whom? If one of the {actuators} drives a joint, the joint's history holds its course: that can be "
        "read off, and the better the more trials there are to look it up in.",
        lambda inputs, config, condition: CouplingConfig(seed=config.seed),
        _of_one(coupling.study),
        "focus",
    ),
    Plan(
        "topology",
        "Topology of the intention",
        "Does the intention run in a loop? A loop counts only beyond what the covariance, the distances from the mean, "
        "the spectra and the courses that trials share would make by themselves.",
        lambda inputs, config, condition: schemas.TopologyConfig(seed=config.seed, max_dimension=1, draws=39),
        _of_one(topology.study),
        "focus",
        extra=True,
    ),
    Plan(
        "replication",
        "The public notebooks' choices",
        "What do the choices of the notebooks that were published with paper A do to the forecasts? Each is made "
        "alone, everything else as above, and beside it stands what the same choice scores when there is nothing to "
        "find.",
        lambda inputs, config, condition: schemas.ForecastConfig(seed=config.seed, **_emg_of(config)),
        _of_one(replicated.compare_forecasts),
        "focus",
        extra=True,
    ),
    Plan(
        "gait",
        "Gait",
        "Do the feet fall as the animal's did? Cycles run from one touch-down of the leading foot to the next.",
        lambda inputs, config, condition: schemas.GaitConfig(seed=config.seed),
        _of_one(gait.study),
    ),
    Plan(
        "sweep",
        "Sweep of runs",
        "What does a setting of the training buy, and what does it cost? Every point is a training run; lines are "
        "means over seeds.",
        lambda inputs, config, condition: schemas.SweepConfig(
            runs=config.runs,
            parameter=config.parameter,
            clip_pattern=config.clip_pattern,
            seed=config.seed,
            **_emg_of(config),
        ),
        _sweep,
        "all",
        lambda config: bool(config.runs),
    ),
)
"""The sections in their order."""
