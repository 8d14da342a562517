"""Simulated muscles against EMG with the public notebooks' choices and with ours.

There 59 of 119 simulated steps (147.5 ms) and 250 ms of EMG were both stretched over 60 samples, the control, clipped
to 0 and 1, stood for the muscle, and the i-th simulated trial was compared with the i-th recorded one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from reach_analysis._common.progress import Stage, silent
from reach_analysis.behaviour.muscles import actuator_for, compare, correlation, simulated
from reach_analysis.config import EmgConfig
from reach_analysis.data.emg import Emg
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.data.series import TrialSeries
from reach_analysis.replication.table import Comparison, comparison_study
from reach_analysis.studies.recordings import actuators_of, load_emg
from reach_analysis.studies.study import Study, each

WINDOW_S = 0.25
"""EMG of the public comparison, from the start of the reach."""
SAMPLES = 60
PERCENTILE = 98.0

Pair = tuple[np.ndarray, np.ndarray]
"""Simulation and EMG, (trial, time), NaN where a trial has ended."""


def compare_muscles(conditions: Mapping[str, Rollouts], config: EmgConfig, stage: Stage = silent) -> Study:
    """Every condition and muscle, ours and theirs."""
    emg, inputs, notes = load_emg(conditions, config)
    rows = []
    for name, rollouts in each(stage, "replication", conditions.items()):
        for muscle in emg.envelope.channels:
            rows += _muscle(name, muscle, rollouts, emg, config)
    counts = [f"n = {min(row.ours_n for row in rows)} trials.", *notes]
    return comparison_study("emg", rows, (*inputs, *(one.path for one in conditions.values())), counts)


def _muscle(name: str, muscle: str, rollouts: Rollouts, emg: Emg, config: EmgConfig) -> list[Comparison]:
    actuator = actuator_for(muscle, rollouts.names["actuator"], actuators_of(config))
    envelope = emg.envelope.select([muscle])
    act, ctrl = (simulated(rollouts, signal, [actuator], None) for signal in ("act", "ctrl"))
    act_there, ctrl_there = (simulated(rollouts, name, [actuator], envelope.rate_hz) for name in ("act", "ctrl"))
    ours = _matched(act_there, envelope)
    public: dict[str, tuple[str, str, Pair]] = {
        "half the simulation and 250 ms of EMG, both stretched": (
            "the same times", f"both over {SAMPLES} samples, by sample number", _stretched(act, envelope)),
        "control for the muscle": (
            "muscle activation", "control, clipped to 0 and 1", _matched(_clipped(ctrl_there), envelope)),
        "trials joined by position": (
            "trials joined by name", "the i-th with the i-th", _matched(_renamed(act_there, envelope), envelope)),
        "all of them, as published": (
            "names, times, activation", "positions, stretched, control",
            _stretched(_renamed(_clipped(ctrl), envelope), envelope)),
    }  # fmt: skip
    measures: tuple[tuple[str, Callable[[Pair], float]], ...] = (("mean absolute error", _mae), ("correlation", _r))
    return [
        Comparison(
            f"{muscle}, {name}", departure, one, two, measure, value(ours), value(pair), len(ours[0]), len(pair[0]),
            value(_exchanged(ours)), value(_exchanged(pair)),
        )
        for measure, value in measures for departure, (one, two, pair) in public.items()
    ]  # fmt: skip


def _clipped(control: TrialSeries) -> TrialSeries:
    return control.map(lambda rows: np.clip(rows, 0.0, 1.0))


def _matched(simulation: TrialSeries, envelope: TrialSeries) -> Pair:
    """Both over the trials and times they share."""
    _, both = compare("", "", simulation, envelope, EmgConfig(largest_lag_s=0.0, resamples=100))
    return both.first.padded()[..., 0], both.second.padded()[..., 0]


def _renamed(simulation: TrialSeries, envelope: TrialSeries) -> TrialSeries:
    """Simulated trials under the names of the recorded ones, in the order of the files."""
    count = min(len(simulation.trials), len(envelope.trials))
    return replace(simulation.take(simulation.trials[:count]), trials=envelope.trials[:count])


def _stretched(simulation: TrialSeries, envelope: TrialSeries) -> Pair:
    """The first half of each simulated trial and the first 250 ms of each recorded one, both over 60 samples."""
    common = [name for name in envelope.trials if name in simulation.trials]
    ours, theirs = [], []
    for mine, recorded in zip(simulation.take(common).values, envelope.take(common).values, strict=True):
        ours.append(_over(mine[: max(1, len(mine) // 2), 0]))
        theirs.append(_over(recorded[: max(1, round(WINDOW_S * envelope.rate_hz)), 0]))
    emg = np.stack(theirs)
    return np.stack(ours), emg / np.percentile(emg, PERCENTILE)


def _over(values: np.ndarray) -> np.ndarray:
    return np.interp(np.linspace(0, 1, SAMPLES), np.linspace(0, 1, len(values)), values)


def _exchanged(pair: Pair) -> Pair:
    """Each simulated trial with the EMG of the next one."""
    return pair[0], np.roll(pair[1], 1, axis=0)


def _mae(pair: Pair) -> float:
    return float(np.nanmean(np.nanmean(np.abs(pair[0] - pair[1]), axis=1)))


def _r(pair: Pair) -> float:
    return float(np.nanmean([correlation(one, two) for one, two in zip(*pair, strict=True)]))
