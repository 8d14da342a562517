"""What the forecast study predicts from what: muscles from joints, EMG from joints and control, each from its own past.

All series are brought to one rate, to the trials that all have, and to one length, because only trials of equal length
can be exchanged under the null.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from reach_analysis._common.errors import ConfigError, DataError, shorten
from reach_analysis.behaviour.muscles import (
    USUAL_ACTUATORS,
    actuator_for,
    kind_of_actuators,
    known_actuators,
    simulated,
)
from reach_analysis.config import ChainConfig, ForecastConfig
from reach_analysis.data.emg import Emg, envelope_of, first_samples, windows
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.data.series import TrialSeries, over_steps, resample, same_rate
from reach_analysis.forecasting.embedding import Lags, TrialData, trial_data
from reach_analysis.forecasting.forecaster import grid
from reach_analysis.forecasting.nulls import Noise
from reach_analysis.representation.pca import components
from reach_analysis.representation.similarity import common_window
from reach_analysis.studies.recordings import load_emg, recordings_of
from reach_analysis.studies.study import lost_notes

CIRCULAR = (
    "The policy observes the joints and decides the control: predicting {driven} from the joints' history asks how "
    "well the controller's own map can be read off, not whether joints drive {driven}."
)
PAPER_E = 3
"""Embedding dimension of paper A, which predictors have to leave room for."""
STAND_INS = 2
"""Actuators that are forecast where a body has no biceps and triceps."""
EDGE_S = 0.05
"""Noise filtered before and after a window, so that the filters have settled."""


@dataclass(frozen=True)
class Question:
    """One thing to forecast."""

    name: str
    """What is predicted from what."""
    data: TrialData
    """Standardised predictors, and the target."""
    own: bool
    """Whether the target's own past is all there is to go by."""
    noise: Noise | None = None
    """White noise through the recording's own processing, for EMG."""
    notes: tuple[str, ...] = ()


def questions(rollouts: Rollouts, config: ForecastConfig) -> tuple[list[Question], list[Path], list[str]]:
    """Everything the settings ask for, the recordings read, and what has to be said about them."""
    joints = joints_of(rollouts, config.predictors)
    targets, notes = targets_of(rollouts, config.targets, config.signal)
    rate = working_rate(rollouts, config.rate_hz)
    notes += _slower(rate, config.rate_hz)
    pose = resample(over_steps(rollouts.series("qpos").select(joints)), rate)
    activity = simulated(rollouts, config.signal, targets, rate)
    control = simulated(rollouts, "ctrl", list(rollouts.names["actuator"]), rate)
    emg, inputs = None, []
    also: list[TrialSeries] = []
    if config.emg:
        emg, inputs, said = _recorded(rollouts, config, rate)
        notes += said
        followed = rollouts.series("qpos_ref" if config.reference else "qpos").select(joints)
        also = [emg.envelope, resample(over_steps(followed), rate)]
    stacks, trials = common_window([pose, activity, control, *also])
    notes += lost_notes(rollouts, trials)
    still = [name for name, column in zip(targets, np.moveaxis(stacks[1], 2, 0), strict=True) if not np.ptp(column) > 0]
    if still:
        raise DataError(f"{config.signal} of {shorten(still)} does not vary: there is nothing to forecast")
    circular = CIRCULAR.format(driven=kind_of_actuators(rollouts))
    names = tuple(f"{name} ({config.signal})" for name in targets)
    to_forecast = [_Wanted(names, stacks[1], "joints", stacks[0], notes=(circular,))]
    if emg:
        predictors = np.concatenate([stacks[4], _varying(stacks[2])], axis=2)
        chain = replace(emg.chain, samples=None)
        noise = _Filtered(chain, emg.raw_rate_hz, len(trials), stacks[3].shape[1])
        names = tuple(f"{name} EMG" for name in emg.envelope.channels)
        source = "reference joints and control" if config.reference else "joints and control"
        to_forecast.append(_Wanted(names, stacks[3], source, predictors, noise))
    most = max(1, config.largest_dimension // PAPER_E)
    return ([question for wanted in to_forecast for question in _questions(wanted, list(trials), most)], inputs, notes)


class _Wanted(NamedTuple):
    """Targets of one kind, and what they are forecast from."""

    names: tuple[str, ...]
    values: np.ndarray
    source: str
    """What the predictors are, in words."""
    predictors: np.ndarray
    noise: Noise | None = None
    """White noise through the targets' own processing, for EMG."""
    notes: tuple[str, ...] = ()
    """What has to be said about forecasts from the predictors."""


def _questions(wanted: _Wanted, ids: list[str], most: int) -> list[Question]:
    """Two questions a target: from the predictors, at most so many of them, and from its own past."""
    out = []
    any_target = list(wanted.values[..., 0])
    shared, fewer = _fewer(trial_data(list(wanted.predictors), any_target, ids).standardised(), most, wanted.source)
    notes = (*wanted.notes, *fewer)
    for name, target in zip(wanted.names, np.moveaxis(wanted.values, 2, 0), strict=True):
        data = shared.with_target(target.ravel())
        out.append(Question(f"{name} from {wanted.source}", data, own=False, noise=wanted.noise, notes=notes))
        past = trial_data(list(target), list(target), ids, own=0).standardised()
        out.append(Question(f"{name} from its own past", past, own=True, noise=wanted.noise))
    return out


def _fewer(data: TrialData, most: int, source: str) -> tuple[TrialData, list[str]]:
    """Standardised predictors as they are or, where there are more than `most`, their first principal components.

    Components keep their variances, so distances are those of all predictors but for what the last components hold.
    """
    count = data.predictors.shape[1]
    if count <= most:
        return data, []
    result = components(data.predictors, source)
    note = (
        f"{count} series ({source}) are more than states can hold: they are built from their first {most} principal "
        f"components (each series over its standard deviation, all trials), which hold "
        f"{100 * result.explained[:most].sum():.3g} % of the variance."
    )
    return replace(data, predictors=result.scores(data.predictors, most)), [note]


def _recorded(rollouts: Rollouts, config: ForecastConfig, rate_hz: float) -> tuple[Emg, list[Path], list[str]]:
    """EMG at the rate of everything else."""
    chain = config.chain
    if not same_rate(rate_hz, chain.rate_hz):
        chain = replace(chain, rate_hz=rate_hz, samples=None)
    return load_emg({"rollouts": rollouts}, replace(recordings_of(config), chain=chain, seed=config.seed))


def working_rate(rollouts: Rollouts, wanted_hz: float | None) -> float:
    """The wanted rate, or that of the rollouts where it is lower: repeated values are not new samples."""
    return min(wanted_hz or rollouts.rate_hz, rollouts.rate_hz)


def _slower(rate_hz: float, wanted_hz: float | None) -> list[str]:
    if wanted_hz is None or same_rate(rate_hz, wanted_hz):
        return []
    return [
        f"Rollouts have {rate_hz:g} samples a second, so that is the rate here, not {wanted_hz:g}: repeated samples "
        "would be forecast as if they were new."
    ]


def lags_within(data: TrialData, config: ForecastConfig) -> tuple[Lags, ...]:
    """The settings' lags whose states stay within the largest dimension; the first where none does."""
    items = grid(config.E, config.tau, config.Tp)
    return tuple(lags for lags in items if lags.E * data.predictors.shape[1] <= config.largest_dimension) or items[:1]


def joints_of(rollouts: Rollouts, wanted: Sequence[str]) -> list[str]:
    """Joints that states are built from: those wanted, or all angles that vary and are known in every sample."""
    if wanted:
        return list(wanted)
    pose = rollouts.series("qpos")
    units = rollouts.column_units("qpos")
    rows, _ = pose.rows()
    angles = rows[:, [unit == "rad" for unit in units]]
    if angles.size and not np.isfinite(angles).all(axis=0).any():
        raise DataError(f"{rollouts.path}: qpos: {int((~np.isfinite(angles)).sum())} angles are not finite")
    chosen = [
        name
        for name, unit, column in zip(pose.channels, units, rows.T, strict=True)
        if unit == "rad" and np.isfinite(column).all() and column.std() > 0
    ]
    if not chosen:
        raise ConfigError("predictors is not set, and no joint angle varies")
    return chosen


def targets_of(rollouts: Rollouts, wanted: Sequence[str], signal: str) -> tuple[list[str], list[str]]:
    """Actuators that are forecast, and a note about the choice.

    Those wanted; else the long biceps and the lateral triceps of paper A; else the two that vary most.
    """
    actuators = list(rollouts.names["actuator"])
    if wanted:
        return [actuator_for(name, actuators, {}) for name in wanted], []
    usual = []
    for muscle in USUAL_ACTUATORS:
        try:
            usual.append(actuator_for(muscle, actuators, {}))
        except ConfigError:  # another body
            continue
    if usual:
        return usual, []
    chosen = simulated(rollouts, signal, known_actuators(rollouts, signal), None).most_varying(STAND_INS)
    return chosen, [f"This body has no biceps or triceps: the {len(chosen)} of {len(actuators)} actuators whose "
                    f"{signal} varies most stand in."]  # fmt: skip


def _varying(stack: np.ndarray) -> np.ndarray:
    """Channels that vary; a muscle that is never driven carries no information."""
    spread = stack.reshape(-1, stack.shape[-1]).std(axis=0)
    return stack[..., spread > 0]


@dataclass(frozen=True, eq=False)
class _Filtered:
    """Draws EMG of no muscle: white noise through the very chain of the recording. Equal ones share their draws."""

    chain: ChainConfig
    rate_hz: float
    n_trials: int
    n_samples: int

    def __eq__(self, other: object) -> bool:
        return repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __call__(self, rng: np.random.Generator) -> np.ndarray:
        length = (self.n_samples + 1) / self.chain.rate_hz
        raw_samples = round((length + 2 * EDGE_S) * self.rate_hz)
        # trials side by side, as channels, so that each filter runs once
        trials = tuple(str(number) for number in range(self.n_trials))
        values = rng.normal(size=(self.n_trials, raw_samples)).T
        raw = TrialSeries("noise", "1", self.rate_hz, ("all",), trials, (values,), np.zeros(1))
        start = np.array([EDGE_S])
        cut = windows(envelope_of(raw, self.chain), start, 0.0, start + length)
        return first_samples(resample(cut, self.chain.rate_hz), self.n_samples).values[0].T.ravel()
