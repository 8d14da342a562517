"""The recordings that settings name: EMG from CSV or NWB files, or synthetic EMG made from a condition's activation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from reach_analysis._common.errors import ConfigError, DataError, unknown
from reach_analysis.behaviour.muscles import actuator_for, simulated
from reach_analysis.config import EmgConfig
from reach_analysis.data.emg import Emg, process
from reach_analysis.data.nwb import read_nwb
from reach_analysis.data.recordings import TrialTable, read_emg_csv, read_trials
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.data.series import TrialSeries
from reach_analysis.synthetic.emg import EmgSettings, make_emg

SYNTHETIC = "synthetic"


def load_emg(conditions: Mapping[str, Rollouts], config: EmgConfig) -> tuple[Emg, list[Path], list[str]]:
    """Envelopes of the settings, the files that were read, and notes."""
    chain, recording = config.chain, config.recording
    if is_synthetic(config.emg):
        raw, table, note = _synthetic(conditions, config)
        return process(raw, table, chain), [], [note]
    if isinstance(config.emg, str):
        path = Path(config.emg).expanduser()
        if path.suffix.lower() != ".nwb":
            raise ConfigError(
                f"emg: expected a map from muscle to CSV file, one .nwb file, or 'synthetic'; got {config.emg!r}"
            )
        raw, table = read_nwb(path, recording)
        return process(raw, table, chain), [path], _left_out_notes(table)
    if not isinstance(config.emg, Mapping) or not config.emg:
        raise DataError(
            "no recordings: emg is not set; for example emg={biceps:biceps.csv,triceps:triceps.csv} trials=trials.csv"
        )
    if not config.trials:
        raise ConfigError("trials is not set: the table of when each reach starts; for example trials=trials.csv")
    files = {str(muscle): Path(str(path)).expanduser() for muscle, path in config.emg.items()}
    table_path = Path(config.trials).expanduser()
    table = read_trials(table_path, recording)
    raw = read_emg_csv(files, table, recording.rate_hz, recording.unit, recording.emg_names)
    return process(raw, table, chain), [*files.values(), table_path], _left_out_notes(table)


def recordings_of(config: Any) -> EmgConfig:
    """The recordings that the settings of another study name (emg, trials, muscles, recording)."""
    return EmgConfig(emg=config.emg, trials=config.trials, muscles=config.muscles, recording=config.recording)


def require_recorded(config: EmgConfig) -> None:
    """Refuse synthetic EMG where it would be meaningless."""
    if is_synthetic(config.emg):
        raise ConfigError("emg=synthetic is made from one condition's own activation; give recordings to compare runs")


def is_synthetic(emg: Any) -> bool:
    """Say whether this setting asks for EMG made from rollouts."""
    return isinstance(emg, str) and emg.split(":")[0] == SYNTHETIC


def _synthetic(conditions: Mapping[str, Rollouts], config: EmgConfig) -> tuple[TrialSeries, TrialTable, str]:
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
    settings = EmgSettings(seed=config.seed, tail_s=max(0.15, *config.chain.window_s))
    raw = make_emg(activation, settings)
    start = np.full(len(alive), settings.lead_s)
    table = TrialTable("synthetic trials", raw.trials, np.arange(len(alive)), start, start + 0.3, {}, "in seconds")
    note = (
        f"The EMG is synthetic: noise of 60-700 Hz whose amplitude follows the activation of condition {name!r}. It "
        "shows that the processing works. It says nothing about the animal, and that condition agrees with it by "
        "construction."
    )
    return raw, table, note


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
