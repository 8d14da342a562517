"""The recordings that settings name: EMG from CSV or NWB files, or synthetic EMG made from a condition's activation."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from reach_analysis._common.errors import ConfigError, DataError, unknown
from reach_analysis.behaviour.muscles import actuator_for, simulated
from reach_analysis.config import ChainConfig, EmgConfig
from reach_analysis.data.analog import in_unit, read_trials_of
from reach_analysis.data.emg import Emg, process
from reach_analysis.data.emg_quality import channel_quality, quality_notes, trial_quality
from reach_analysis.data.inputs import named_files
from reach_analysis.data.nwb import read_nwb
from reach_analysis.data.recordings import TrialTable, read_emg_csv, read_trials
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.data.series import TrialSeries
from reach_analysis.synthetic.emg import EmgSettings, make_emg

SYNTHETIC = "synthetic"
ROWS_HZ = 30000.0
"""Samples per second of CSV files with a row a trial (paper A)."""


@dataclass(frozen=True)
class Recording:
    """Raw EMG of the settings, before any processing."""

    raw: TrialSeries
    table: TrialTable
    inputs: list[Path]
    notes: list[str]
    """What has to be said about them."""
    mvc: TrialSeries | None = None
    """Maximal contractions of the same channels."""


def load_emg(conditions: Mapping[str, Rollouts], config: EmgConfig) -> tuple[Emg, list[Path], list[str]]:
    """Envelopes of the settings, the files that were read, and notes, also about poor channels."""
    one, chain = read_recording(conditions, config), config.chain
    emg = _processed(_Known.of(one, chain, chain))
    poor = () if is_synthetic(config.emg) else _remarks(_Known.of(one, chain, (chain.band_hz, chain.order)))
    return emg, one.inputs, [*one.notes, *poor]


@dataclass(frozen=True)
class _Known:
    """A recording and the chain it goes through; equal where all samples, and what counts of the settings, are."""

    digest: bytes
    recording: Recording = field(compare=False)
    chain: ChainConfig = field(compare=False)

    @classmethod
    def of(cls, recording: Recording, chain: ChainConfig, counts: Any) -> _Known:
        """With a digest of everything that counts."""
        raw, table, mvc = recording.raw, recording.table, recording.mvc
        times = (raw.start_s, table.start_s, table.end_s)
        said = (counts, raw.name, raw.unit, raw.rate_hz, raw.trials, raw.channels, mvc and mvc.rate_hz, table.source,
                table.rate_note, table.trials, table.left_out, *(edges.tolist() for edges in times))  # fmt: skip
        digest = hashlib.sha256(repr(said).encode())
        for rows in (*raw.values, *(mvc.values if mvc else ())):
            digest.update(repr(rows.shape).encode() + rows.tobytes())
        return cls(digest.digest(), recording, chain)


@lru_cache(maxsize=2)
def _processed(what: _Known) -> Emg:
    """Envelopes, kept because all studies of a report take the same recording, whole trials or cut around a reach."""
    return process(what.recording.raw, what.recording.table, what.chain, mvc=what.recording.mvc)


@lru_cache(maxsize=1)
def _remarks(what: _Known) -> tuple[str, ...]:
    """Remarks about poor channels, kept for the same reason."""
    return tuple(quality_notes(channel_quality(trial_quality(what.recording.raw, what.chain))))


def read_recording(conditions: Mapping[str, Rollouts] | None, config: Any) -> Recording:
    """Raw EMG that settings name: made from rollouts, a CSV a muscle, NWB, or recordings with a channel a muscle."""
    if not config.emg:
        raise DataError(
            "no recordings: emg is not set; for example emg={biceps:biceps.csv,triceps:triceps.csv} trials=trials.csv"
        )
    if is_synthetic(config.emg):
        if not conditions:
            raise ConfigError("emg=synthetic is made from the activation in rollouts, and none are given")
        return _synthetic(conditions, config)
    raw, table, inputs = _read(config.emg, config)
    raw, table = _without(config.recording.leave_out, raw, table)
    mvc, more = None, []
    if config.mvc:
        files = named_files(config.mvc, "mvc")
        more = list(files.values())
        mvc = in_unit(read_trials_of(files, config.recording, None)[0].select(raw.channels), raw.unit)
    notes = [*table.notes, *_left_out_notes(table)]
    return Recording(raw, table, [*inputs, *more], notes, mvc)


def _read(emg: Any, config: Any) -> tuple[TrialSeries, TrialTable, list[Path]]:
    """Raw EMG, its trials and its files."""
    recording = config.recording
    table_path = Path(config.trials).expanduser() if config.trials else None
    if isinstance(emg, Mapping):
        if table_path is None:
            raise ConfigError("trials is not set: the table of when each reach starts; for example trials=trials.csv")
        files = {str(muscle): Path(str(path)).expanduser() for muscle, path in emg.items()}
        table = read_trials(table_path, recording)
        raw = read_emg_csv(files, table, recording.rate_hz or ROWS_HZ, recording.unit, recording.emg_names)
        return raw, table, [*files.values(), table_path]
    files = named_files(emg, "emg")
    paths = list(files.values())
    table = read_trials(table_path, recording) if table_path else None
    read = [*paths, *([table_path] if table_path else [])]
    if paths[0].suffix.lower() == ".nwb":
        if len(paths) > 1:
            raise ConfigError(f"emg: one NWB file is read, got {len(paths)}")
        return *read_nwb(paths[0], recording, table), read
    return *read_trials_of(files, recording, table), read


def _without(names: Sequence[str], raw: TrialSeries, table: TrialTable) -> tuple[TrialSeries, TrialTable]:
    """Recordings without the trials of `recording.leave_out`."""
    if lost := [name for name in names if name not in raw.trials]:
        raise ConfigError(f"recording.leave_out: {unknown('trial', lost[0], raw.trials)}")
    kept = [name for name in raw.trials if name not in names]
    if not kept:
        raise ConfigError("recording.leave_out: no trial is left")
    why = dict.fromkeys(names, "is in recording.leave_out")
    return raw.take(kept), replace(table, left_out=table.left_out | why)


def envelope_rows(emg: Emg) -> list[dict[str, Any]]:
    """Envelopes as the rows of a table."""
    series = emg.envelope
    return [
        {"trial": trial, "time_s": float(time)} | dict(zip(series.channels, map(float, row), strict=True))
        for number, trial in enumerate(series.trials)
        for time, row in zip(series.times(number), series.values[number], strict=True)
    ]


def how_made(emg: Emg, config: Any) -> str:
    """How envelopes were made, for captions."""
    chain = emg.chain
    made = "Synthetic EMG. " if is_synthetic(config.emg) else ""
    notch = f"{chain.notch_hz:g} Hz and harmonics removed, " if chain.notch_hz else ""
    rest = f"the {chain.baseline:g}th percentile over trials subtracted, " if chain.baseline is not None else ""
    one = "the largest envelope of maximal contractions" if config.mvc else (
        f"the {chain.percentile:g}th percentile over trials")  # fmt: skip
    return (
        f"{made}EMG: {emg.raw_rate_hz:g} Hz, {notch}band {chain.band_hz[0]:g}-{chain.band_hz[1]:g} Hz, envelope "
        f"{chain.envelope_hz:g} Hz (Butterworth filters of order {chain.order}, forwards and backwards, which doubles "
        f"the roll-off: -6 dB at the edges), values below 0 set to 0, {chain.rate_hz:g} Hz block averages, {rest}"
        f"divided by {one}."
    )


def recordings_of(config: Any) -> EmgConfig:
    """The recordings that the settings of another study name."""
    names = ("emg", "trials", "muscles", "recording", "mvc", "chain")
    return EmgConfig(**{name: getattr(config, name) for name in names})


def require_recorded(config: EmgConfig) -> None:
    """Refuse synthetic EMG where it would be meaningless."""
    if is_synthetic(config.emg):
        raise ConfigError("emg=synthetic is made from one condition's own activation; give recordings to compare runs")


def is_synthetic(emg: Any) -> bool:
    """Say whether this setting asks for EMG made from rollouts."""
    return isinstance(emg, str) and emg.split(":")[0] == SYNTHETIC


def _synthetic(conditions: Mapping[str, Rollouts], config: EmgConfig) -> Recording:
    """EMG made from the activation of one condition, and its trial table."""
    name = config.emg.partition(":")[2] or next(iter(conditions))
    if name not in conditions:
        raise ConfigError(f"emg: {unknown('condition', name, list(conditions))}")
    rollouts = conditions[name]
    chosen = actuators_of(config)
    muscles = list(chosen) or ["biceps", "triceps"]
    actuators = [actuator_for(muscle, rollouts.names["actuator"], chosen) for muscle in muscles]
    activation = replace(simulated(rollouts, "act", actuators, None), channels=tuple(muscles))
    # trials of one sample are too short for EMG
    alive = [name for name, length in zip(activation.trials, activation.lengths, strict=True) if length > 1]
    activation = activation.take(alive)
    activation = replace(activation, start_s=np.zeros(len(alive)))
    settings = EmgSettings(seed=config.seed, tail_s=max([0.15, *config.chain.window_s]))
    raw = make_emg(activation, settings)
    start = np.full(len(alive), settings.lead_s)
    table = TrialTable("synthetic trials", raw.trials, np.arange(len(alive)), start, start + 0.3, {}, "in seconds")
    note = (
        f"The EMG is synthetic: noise of 60-700 Hz whose amplitude follows the activation of condition {name!r}. It "
        "shows that the processing works. It says nothing about the animal, and that condition agrees with it by "
        "construction."
    )
    return Recording(raw, table, [], [note])


def actuators_of(config: EmgConfig) -> dict[str, str]:
    """Actuator of each EMG channel that the settings name."""
    if config.muscles is None:
        return {}
    if not isinstance(config.muscles, Mapping):
        raise ConfigError(f"muscles: expected a map from EMG channel to actuator, got {config.muscles!r}")
    return {str(muscle): str(actuator) for muscle, actuator in config.muscles.items()}


def _left_out_notes(table: TrialTable) -> list[str]:
    if not table.left_out:
        return []
    return [f"{len(table.left_out)} trials of {table.source} were left out, for example: "
            + "; ".join(f"{name} {why}" for name, why in list(table.left_out.items())[:3])]  # fmt: skip
