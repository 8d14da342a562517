"""EMG envelopes, and simulated muscles against them by condition (paper A, sections 2.2 and 3.5, Fig. 2B-D)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from reach_analysis._common.errors import ConfigError, unknown
from reach_analysis._common.progress import Stage, silent
from reach_analysis.behaviour.muscles import (
    ConditionDifference,
    FitSettings,
    MuscleFit,
    actuator_for,
    compare,
    condition_differences,
    simulated,
)
from reach_analysis.config import ChainConfig, EmgConfig
from reach_analysis.data.emg import Emg, EmgChain, process
from reach_analysis.data.nwb import NwbLayout, read_nwb
from reach_analysis.data.recordings import TableColumns, TrialTable, read_emg_csv, read_trials
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.data.series import Matched, TrialSeries
from reach_analysis.statistics.estimates import Resampling
from reach_analysis.studies.muscles import averages, errors_by_condition, single_trials
from reach_analysis.studies.study import Shown, Study
from reach_analysis.synthetic.emg import EmgSettings, make_emg

SYNTHETIC = "synthetic"


def study(conditions: Mapping[str, Rollouts], config: EmgConfig, stage: Stage = silent) -> Study:
    """Compare every condition with the EMG.

    Raises:
        UserError: when recordings cannot be read, or do not fit each other or the rollouts.
    """
    tick = stage("EMG", 1 + len(conditions))
    emg, inputs, notes = load_emg(conditions, config)
    tick(1)
    settings = FitSettings(config.largest_lag_s, config.onset_fraction, Resampling(config.resamples, seed=config.seed))
    fits: list[MuscleFit] = []
    pairs: dict[str, dict[str, dict[str, Matched]]] = {signal: {} for signal in config.signals}
    for name, rollouts in conditions.items():
        for signal in config.signals:
            found, by_muscle = _condition(name, rollouts, signal, emg, config, settings)
            fits += found
            pairs[signal][name] = by_muscle
        tick(1)
    differences = condition_differences(fits, settings.resampling)
    first = next(iter(pairs[config.signals[0]].values()))
    notes += [*_joining_notes(next(iter(first.values()))), *_lag_notes(fits)]
    return Study(
        name="emg",
        title="Simulated muscles and EMG",
        results={
            "fits": [_row(fit) for fit in fits],
            "differences": [_difference_row(entry) for entry in differences],
            "trials": {fit.condition: fit.trials for fit in fits},
            "emg": {"scale": emg.scale, "unit": emg.unit, "left_out": emg.left_out, "chain": asdict(emg.chain),
                    "raw_rate_hz": emg.raw_rate_hz, "synthetic": is_synthetic(config.emg)},
        },
        inputs=(*inputs, *(rollouts.path for rollouts in conditions.values())),
        tables=_tables(emg, fits, differences),
        figures=_figures(fits, pairs, emg, config),
        notes=tuple(notes),
    )  # fmt: skip


def load_emg(conditions: Mapping[str, Rollouts], config: EmgConfig) -> tuple[Emg, list[Path], list[str]]:
    """Envelopes as the settings ask for them, the files they come from, and what has to be said about them.

    Raises:
        UserError: when recordings cannot be read, or do not fit each other.
    """
    chain, recording = chain_of(config.chain), config.recording
    if is_synthetic(config.emg):
        raw, table, note = _synthetic(conditions, config)
        return process(raw, table, chain), [], [note]
    if isinstance(config.emg, str):
        path = Path(config.emg).expanduser()
        if path.suffix.lower() != ".nwb":
            raise ConfigError(
                f"emg: expected a map from muscle to CSV file, one .nwb file, or 'synthetic'; got {config.emg!r}"
            )
        layout = NwbLayout(recording.nwb_series, recording.nwb_channels or {}, recording.start_column)
        raw, table = read_nwb(path, layout)
        return process(raw, table, chain), [path], _left_out_notes(table)
    if not isinstance(config.emg, Mapping) or not config.emg:
        raise ConfigError("emg is not set; for example emg={biceps:biceps.csv,triceps:triceps.csv} trials=trials.csv")
    if not config.trials:
        raise ConfigError("trials is not set: the table of when each reach starts; for example trials=trials.csv")
    files = {str(muscle): Path(str(path)).expanduser() for muscle, path in config.emg.items()}
    table_path = Path(config.trials).expanduser()
    columns = TableColumns(
        recording.id_column,
        recording.start_column,
        recording.end_column,
        recording.frame_rate_hz,
        recording.first_row,
    )
    table = read_trials(table_path, columns)
    raw = read_emg_csv(files, table, recording.rate_hz, recording.unit)
    return process(raw, table, chain), [*files.values(), table_path], _left_out_notes(table)


def recordings_of(config: Any) -> EmgConfig:
    """The recordings that the settings of another study name (emg, trials, muscles, recording)."""
    return EmgConfig(emg=config.emg, trials=config.trials, muscles=config.muscles, recording=config.recording)


def require_recorded(config: EmgConfig) -> None:
    """Refuse synthetic EMG where it would say nothing.

    Raises:
        ConfigError: when the EMG is to be made from the rollouts themselves.
    """
    if is_synthetic(config.emg):
        raise ConfigError("emg=synthetic is made from one condition's own activation; give recordings to compare runs")


def chain_of(config: ChainConfig) -> EmgChain:
    """The settings of the chain as a record.

    Raises:
        ConfigError: when band or window do not have two edges.
    """
    if len(config.band_hz) != 2 or len(config.window_s) != 2:
        raise ConfigError(f"band_hz and window_s have two edges each, got {config.band_hz} and {config.window_s}")
    return EmgChain(
        (config.band_hz[0], config.band_hz[1]),
        config.order,
        config.envelope_hz,
        (config.window_s[0], config.window_s[1]),
        config.rate_hz,
        config.samples,
        config.percentile,
    )


def is_synthetic(emg: Any) -> bool:
    """Say whether this setting asks for EMG made from rollouts."""
    return isinstance(emg, str) and emg.split(":")[0] == SYNTHETIC


def _synthetic(conditions: Mapping[str, Rollouts], config: EmgConfig) -> tuple[TrialSeries, TrialTable, str]:
    """EMG made from the activation of one condition, and its trial table."""
    name = config.emg.partition(":")[2] or next(iter(conditions))
    if name not in conditions:
        raise ConfigError(f"emg: {unknown('condition', name, list(conditions))}")
    rollouts = conditions[name]
    chosen = _chosen(config)
    muscles = list(chosen) or ["biceps", "triceps"]
    actuators = [actuator_for(muscle, rollouts.names["actuator"], chosen) for muscle in muscles]
    activation = replace(simulated(rollouts, "act", actuators, None), channels=tuple(muscles))
    # trials that ended at once have nothing to make EMG from
    alive = [name for name, length in zip(activation.trials, activation.lengths, strict=True) if length > 1]
    activation = activation.take(alive)
    activation = replace(activation, start_s=np.zeros(len(alive)))
    settings = EmgSettings(seed=config.seed, tail_s=max(0.15, config.chain.window_s[1]))
    raw = make_emg(activation, settings)
    start = np.full(len(alive), settings.lead_s)
    table = TrialTable("synthetic trials", raw.trials, np.arange(len(alive)), start, start + 0.3, {}, "in seconds")
    note = (
        f"The EMG is synthetic: noise of 60-700 Hz whose amplitude follows the activation of condition {name!r}. It "
        "shows that the chain works; it says nothing about the animal, and that condition agrees with it by "
        "construction."
    )
    return raw, table, note


def _chosen(config: EmgConfig) -> dict[str, str]:
    if config.muscles is None:
        return {}
    if not isinstance(config.muscles, Mapping):
        raise ConfigError(f"muscles: expected a map from EMG channel to actuator, got {config.muscles!r}")
    return {str(muscle): str(actuator) for muscle, actuator in config.muscles.items()}


def _condition(
    name: str, rollouts: Rollouts, signal: str, emg: Emg, config: EmgConfig, settings: FitSettings
) -> tuple[list[MuscleFit], dict[str, Matched]]:
    muscles = emg.envelope.channels
    actuators = [actuator_for(muscle, rollouts.names["actuator"], _chosen(config)) for muscle in muscles]
    rate = emg.envelope.rate_hz if config.resample else None
    simulation = simulated(rollouts, signal, actuators, rate)
    fits, both = compare(name, signal, simulation, emg.envelope, settings)
    by_muscle = {
        muscle: replace(both, first=both.first.select([actuator]), second=both.second.select([muscle]))
        for muscle, actuator in zip(muscles, actuators, strict=True)
    }
    return fits, by_muscle


def _left_out_notes(table: TrialTable) -> list[str]:
    if not table.left_out:
        return []
    return [f"{len(table.left_out)} trials of {table.source} were left out, for example: "
            + "; ".join(f"{name} {why}" for name, why in list(table.left_out.items())[:3])]  # fmt: skip


def _joining_notes(both: Matched) -> list[str]:
    notes = []
    if both.only_first:
        notes.append(f"{len(both.only_first)} simulated trials have no EMG and were left out.")
    if both.only_second:
        notes.append(f"{len(both.only_second)} recorded trials have no rollout and were left out.")
    return notes


def _lag_notes(fits: list[MuscleFit]) -> list[str]:
    edge = [f"{fit.condition}, {fit.muscle}, {fit.signal}" for fit in fits if fit.lag_at_edge]
    return [f"The lag lies at the edge of what was tried for {'; '.join(edge)}: it may be larger."] if edge else []


def _row(fit: MuscleFit) -> dict[str, Any]:
    names = ("condition", "muscle", "actuator", "signal")
    row: dict[str, Any] = {name: getattr(fit, name) for name in names} | {"trials": fit.mae.n}
    for name in ("mae", "rmse", "correlation", "onset_s"):
        estimate = getattr(fit, name)
        row |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return row | {"onset_trials": fit.onset_s.n, "correlation_of_means": fit.correlation_of_means, "lag_s": fit.lag_s}


def _difference_row(entry: ConditionDifference) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(entry, name) for name in ("muscle", "signal", "first", "second")}
    row["trials"] = entry.mae.estimate.n
    for name in ("mae", "correlation"):
        found = getattr(entry, name)
        row |= {
            f"{name}_difference": found.estimate.value,
            f"{name}_low": found.estimate.low,
            f"{name}_high": found.estimate.high,
            f"{name}_p": found.p,
        }
    return row


def _tables(emg: Emg, fits: list[MuscleFit], differences: list[ConditionDifference]) -> dict[str, list[dict]]:
    envelopes = [
        {"trial": trial, "time_s": float(time)} | dict(zip(emg.envelope.channels, map(float, row), strict=True))
        for number, trial in enumerate(emg.envelope.trials)
        for time, row in zip(emg.envelope.times(number), emg.envelope.values[number], strict=True)
    ]
    tables = {"emg_fits": [_row(fit) for fit in fits], "emg_envelopes": envelopes}
    if differences:
        tables["emg_differences"] = [_difference_row(entry) for entry in differences]
    return tables


def _figures(
    fits: list[MuscleFit], pairs: Mapping[str, Mapping[str, Mapping[str, Matched]]], emg: Emg, config: EmgConfig
) -> tuple[Shown, ...]:
    signal = config.signals[0]
    chain = emg.chain
    made = "Synthetic EMG. " if is_synthetic(config.emg) else ""
    how = (
        f"{made}EMG: {emg.raw_rate_hz:g} Hz, band {chain.band_hz[0]:g}-{chain.band_hz[1]:g} Hz, envelope "
        f"{chain.envelope_hz:g} Hz, {chain.rate_hz:g} Hz block averages, divided by the {chain.percentile:g}th "
        "percentile over trials."
    )
    n = fits[0].mae.n
    shown = [
        Shown(
            "emg_error",
            errors_by_condition(fits),
            f"Mean absolute error between simulated muscles and EMG envelopes; dots: trials (n = {n}), bars: "
            f"{100 * fits[0].mae.level:g} % bootstrap intervals over trials ({config.resamples} resamples, BCa). {how}",
        )
    ]
    for signal in config.signals:
        shown.append(
            Shown(
                f"emg_average_{signal}",
                averages(pairs[signal], signal),
                f"Average over trials of EMG and simulated {signal}, shaded: standard error of the mean over trials "
                f"(n = {n}). {how}",
            )
        )
    signal = config.signals[0]
    caption = f"Single trials, spread evenly over the recording: EMG and simulated {signal}. {how}"
    return (*shown, Shown("emg_trials", single_trials(pairs[signal], signal), caption))
