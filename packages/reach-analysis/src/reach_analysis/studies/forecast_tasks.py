"""What the forecast study predicts from what: muscles from joints, EMG from joints and control, each from its own past.

All series are brought to one rate, to the trials that all have, and to one length, because only trials of equal length
can be exchanged under the null.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from reach_analysis.config import EmgConfig, ForecastConfig
from reach_analysis.emg import EmgChain, first_samples, windows
from reach_analysis.errors import ConfigError, DataError
from reach_analysis.forecasting.embedding import TrialData, trial_data
from reach_analysis.forecasting.nulls import Noise
from reach_analysis.muscles import USUAL_ACTUATORS, actuator_for, simulated
from reach_analysis.records import TrialSeries, over_steps, resample
from reach_analysis.representation.similarity import common_window
from reach_analysis.rollouts import Rollouts
from reach_analysis.signals import band_pass, low_pass, rectify
from reach_analysis.studies.emg import chain_of, load_emg

CIRCULAR = (
    "The policy observes the joints and decides the control: predicting muscles from the joints' history asks how well "
    "the controller's own map can be read off, not whether joints drive muscles."
)
EDGE_S = 0.05
"""Noise filtered before and after a window, so that the filters have settled."""


@dataclass(frozen=True)
class Question:
    """One thing to forecast.

    Attributes:
        name: what is predicted from what.
        data: standardised predictors, and the target.
        own: whether the target's own past is all there is to go by.
        noise: white noise through the recording's own processing, for EMG.
        notes: what a reader must know.
    """

    name: str
    data: TrialData
    own: bool
    noise: Noise | None = None
    notes: tuple[str, ...] = ()


def questions(rollouts: Rollouts, config: ForecastConfig) -> tuple[list[Question], list[Path], list[str]]:
    """Everything the settings ask for, the recordings read, and what has to be said about them.

    Raises:
        ReachError: when joints, muscles or EMG are not there, or trials cannot be matched.
    """
    joints, muscles = joints_of(rollouts, config.predictors), targets_of(rollouts, config.targets)
    rate = config.rate_hz or rollouts.rate_hz
    pose = resample(over_steps(rollouts.series("qpos").select(joints)), rate)
    activity = simulated(rollouts, config.signal, muscles, rate)
    control = simulated(rollouts, "ctrl", list(rollouts.names["actuator"]), rate)
    emg, inputs, notes = None, [], []
    if config.emg:
        settings = EmgConfig(
            emg=config.emg, trials=config.trials, muscles=config.muscles, recording=config.recording, seed=config.seed
        )
        loaded, inputs, notes = load_emg({"rollouts": rollouts}, settings)
        chain = replace(chain_of(settings.chain), samples=None)
        emg = (loaded.envelope, chain, loaded.raw_rate_hz)
    series = [pose, activity, control, *([emg[0]] if emg else [])]
    stacks, trials, begin = _equal(series)
    notes += _lost(rollouts, trials)
    ids = list(trials)
    out = _simulated_questions(stacks[0], stacks[1], muscles, ids, config.signal)
    if emg:
        predictors = np.concatenate([stacks[0], _varying(stacks[2])], axis=2)
        noise = _Filtered(emg[1], emg[2], len(ids), stacks[3].shape[1], begin)
        out += _emg_questions(predictors, stacks[3], emg[0].channels, ids, noise)
    return out, inputs, notes


def _simulated_questions(
    pose: np.ndarray, activity: np.ndarray, muscles: Sequence[str], ids: list[str], signal: str
) -> list[Question]:
    out = []
    for column, muscle in enumerate(muscles):
        target = activity[..., column]
        if not np.ptp(target) > 0:
            raise DataError(f"{signal} of {muscle} does not vary: there is nothing to forecast")
        data = trial_data(list(pose), list(target), ids).standardised()
        out.append(Question(f"{muscle} ({signal}) from joints", data, own=False, notes=(CIRCULAR,)))
        past = trial_data(list(target), list(target), ids, own=0).standardised()
        out.append(Question(f"{muscle} ({signal}) from its own past", past, own=True))
    return out


def _emg_questions(
    predictors: np.ndarray, envelope: np.ndarray, channels: Sequence[str], ids: list[str], noise: Noise
) -> list[Question]:
    out = []
    for column, muscle in enumerate(channels):
        target = envelope[..., column]
        data = trial_data(list(predictors), list(target), ids).standardised()
        out.append(Question(f"{muscle} EMG from joints and control", data, own=False, noise=noise))
        past = trial_data(list(target), list(target), ids, own=0).standardised()
        out.append(Question(f"{muscle} EMG from its own past", past, own=True, noise=noise))
    return out


def joints_of(rollouts: Rollouts, wanted: Sequence[str]) -> list[str]:
    """Joints that states are built from: those wanted, or all angles that vary.

    Raises:
        ConfigError: when none is wanted and none varies.
        DataError: when angles are missing.
    """
    if wanted:
        return list(wanted)
    pose = rollouts.series("qpos")
    units = rollouts.column_units("qpos")
    rows, _ = pose.rows()
    angles = rows[:, [unit == "rad" for unit in units]]
    if not np.isfinite(angles).all():
        raise DataError(f"{rollouts.path}: qpos: {int((~np.isfinite(angles)).sum())} angles are not finite")
    chosen = [
        name
        for name, unit, column in zip(pose.channels, units, rows.T, strict=True)
        if unit == "rad" and column.std() > 0
    ]
    if not chosen:
        raise ConfigError("predictors is not set, and no joint angle varies")
    return chosen


def targets_of(rollouts: Rollouts, wanted: Sequence[str]) -> list[str]:
    """Muscles that are predicted: those wanted, or the long biceps and the lateral triceps of paper A.

    Raises:
        ConfigError: when one that is wanted is not there.
    """
    actuators = list(rollouts.names["actuator"])
    if wanted:
        return [actuator_for(name, actuators, {}) for name in wanted]
    usual = []
    for muscle in USUAL_ACTUATORS:
        try:
            usual.append(actuator_for(muscle, actuators, {}))
        except ConfigError:  # another body: then the first muscles stand in
            continue
    return usual or actuators[:2]


def _equal(series: list[TrialSeries]) -> tuple[list[np.ndarray], tuple[str, ...], float]:
    """Series over common trials of one length, the names of these trials, and the time they begin at."""
    marked = []
    for one in series:
        # each sample carries the number of its trial along, so that names survive the stacking
        numbers = {name: float(i) for i, name in enumerate(series[0].trials)}
        values = tuple(
            np.concatenate([rows, np.full((len(rows), 1), numbers.get(name, -1.0))], axis=1)
            for name, rows in zip(one.trials, one.values, strict=True)
        )
        marked.append(replace(one, channels=(*one.channels, "trial number"), values=values))
    stacks = common_window(marked)
    trials = tuple(series[0].trials[int(number)] for number in stacks[0][:, 0, -1])
    begin = max(float(one.take(trials).start_s.max()) for one in series)
    return [stack[..., :-1] for stack in stacks], trials, begin


def _lost(rollouts: Rollouts, trials: Sequence[str]) -> list[str]:
    lost = len(rollouts.trials) - len(trials)
    return [f"{lost} trials were left out: they ended early, or no other series has them."] if lost else []


def _varying(stack: np.ndarray) -> np.ndarray:
    """Channels that vary; a muscle that is never driven tells nothing."""
    spread = stack.reshape(-1, stack.shape[-1]).std(axis=0)
    return stack[..., spread > 0]


@dataclass(frozen=True)
class _Filtered:
    """Draws EMG of no muscle: white noise through the very chain of the recording."""

    chain: EmgChain
    rate_hz: float
    n_trials: int
    n_samples: int
    begin_s: float

    def __call__(self, rng: np.random.Generator) -> np.ndarray:
        length = (self.n_samples + 1) / self.chain.rate_hz
        raw_samples = round((length + 2 * EDGE_S) * self.rate_hz)
        trials = tuple(str(number) for number in range(self.n_trials))
        values = tuple(rng.normal(size=(self.n_trials, raw_samples, 1)))
        raw = TrialSeries("noise", "1", self.rate_hz, trials, ("noise",), values, np.zeros(self.n_trials))
        chain = self.chain
        envelope = low_pass(rectify(band_pass(raw, *chain.band_hz, order=chain.order)), chain.envelope_hz, chain.order)
        cut = windows(envelope, np.full(self.n_trials, EDGE_S), (0.0, length))
        return first_samples(resample(cut, chain.rate_hz), self.n_samples).stacked()[..., 0].ravel()
