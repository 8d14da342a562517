"""High-frequency power of the actions of each condition (paper A, section 2.6 and Fig. 2A)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

from reach_analysis._common.errors import ConfigError, unknown
from reach_analysis._common.progress import Stage, silent
from reach_analysis.behaviour.spectra import BandPower, band_power, long_enough, mean_spectrum, power_by_thirds
from reach_analysis.config import SpectraConfig
from reach_analysis.data.inputs import over_shared_steps
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.data.series import TrialSeries
from reach_analysis.figures.behaviour import spectra
from reach_analysis.statistics.estimates import Resampling, common_places, mean_of, paired_difference
from reach_analysis.statistics.permutation import holm
from reach_analysis.studies.section import Column, Section, interval_column, table
from reach_analysis.studies.study import Study, StudyFigure, each

TITLE = "Spectra of the actions"
QUESTION = (
    "Does the controller chatter? Power above the frequencies of the movement costs effort without improving the "
    "tracking."
)


ALL = "all actuators"
THIRDS = ("first_third", "middle_third", "last_third")
SIGNALS = ("action", "ctrl", "act", "actuator_force")


def run(conditions: Mapping[str, Rollouts], config: SpectraConfig, stage: Stage = silent) -> Study:
    """Power of every condition within the band."""
    if config.signal not in SIGNALS:
        raise ConfigError(unknown("signal", config.signal, SIGNALS))
    config = config.shared(rollouts.rate_hz for rollouts in conditions.values())
    resampling = Resampling(config.resamples, seed=config.seed)
    powers: dict[str, BandPower] = {}
    densities, thirds, notes, units = {}, {}, [], set()
    for name, rollouts in each(stage, "conditions", conditions.items()):
        full, lacking = _signal(rollouts, config)
        notes += [f"{name}: values are missing, so these were left out: {', '.join(lacking)}."] if lacking else []
        keep = long_enough(full, config.low_hz)
        # where none is, the measure itself says what is too short
        series, left_out = (full.take(keep), len(full.trials) - len(keep)) if keep else (full, 0)
        notes += (
            [f"{name}: trials that ended before two periods of {config.low_hz:g} Hz: {left_out}."] if left_out else []
        )
        units.add("1" if series.unit == "per column" else series.unit)
        powers[name] = band_power(series, config.low_hz, config.high_hz)
        densities[name] = mean_spectrum(series)
        thirds[name] = power_by_thirds(series, powers[name].low_hz, powers[name].high_hz)
    rows = []
    for name, power in powers.items():
        rows += _rows(name, power, thirds[name], resampling.of(conditions[name].levels, power.trials))
    cut, left_out = over_shared_steps(conditions)
    if left_out:
        notes.append(f"Differences leave out {left_out} steps that some controllers took and others did not.")
    first = next(iter(powers.values()))
    band = (first.low_hz, first.high_hz)
    unit = units.pop() if len(units) == 1 else "1"
    caption = (
        f"Power spectral density of {config.signal}, mean over trials (n = {len(first.trials)}) and "
        f"{len(first.channels)} actuators; shaded: the band {band[0]:g}-{band[1]:g} Hz. Cosine transform of whole "
        f"trials (each sample counts alike), mean removed, bins of {first.resolution_hz:.3g} Hz."
    )
    return Study(
        name="spectra",
        results={"band_hz": band, "rows": rows, "differences": _differences(cut, config, resampling)},
        inputs=tuple(rollouts.path for rollouts in conditions.values()),
        tables={"spectra": rows},
        figures=(StudyFigure("spectra", spectra(densities, band, "" if unit == "1" else unit), caption),),
        notes=tuple(notes),
    )


def _signal(rollouts: Rollouts, config: SpectraConfig) -> tuple[TrialSeries, list[str]]:
    """The signal of the settings, and actuators that are left out for missing values where none are named."""
    series = rollouts.series(config.signal)
    return (series.select(config.actuators), []) if config.actuators else series.known()


def _rows(name: str, power: BandPower, thirds: np.ndarray, resampling: Resampling) -> list[dict[str, Any]]:
    """One row for all actuators together, and one for each."""
    full = [(ALL, power.power.mean(axis=1), power.fraction)]
    full += [(c, power.power[:, i], power.fraction[:, i : i + 1]) for i, c in enumerate(power.channels)]
    rows = []
    for actuator, values, fraction in full:
        result = mean_of(values, "1", resampling, least=0.0)
        known = fraction[np.isfinite(fraction)]
        rows.append({
            "condition": name, "actuator": actuator, "trials": result.n, "low_hz": power.low_hz,
            "high_hz": power.high_hz, **result.row("power"),
            "fraction_of_variance": float(known.mean()) if len(known) else float("nan"),
            **(dict(zip(THIRDS, thirds.tolist(), strict=True)) if actuator == ALL else {}),
        })  # fmt: skip
    return rows


def _differences(
    conditions: Mapping[str, Rollouts], config: SpectraConfig, resampling: Resampling
) -> list[dict[str, Any]]:
    """Paired differences between conditions over the trials both have, p after Holm for all pairs."""
    powers = {}
    for name, rollouts in conditions.items():
        series, _ = _signal(rollouts, config)
        if keep := long_enough(series, config.low_hz):
            powers[name] = band_power(series.take(keep), config.low_hz, config.high_hz)
    out = []
    for (first, one), (second, two) in combinations(powers.items(), 2):
        rows = common_places(one.trials, two.trials)
        if not rows[0]:
            continue
        values = [power.power.mean(axis=1)[places] for power, places in zip((one, two), rows, strict=True)]
        units = resampling.of(conditions[first].levels, [one.trials[place] for place in rows[0]])
        result = paired_difference(values[0], values[1], "1", units)
        names = {"first": first, "second": second, "trials": result.estimate.n}
        out.append(names | result.estimate.row("difference", "") | {"p": result.p})
    tested = [row for row in out if np.isfinite(row["p"])]
    for row, adjusted in zip(tested, holm(np.array([row["p"] for row in tested])), strict=True):
        row["p_holm"] = float(adjusted)
    return out


def section(study: Study) -> Section:
    """Power of all actuators together, and differences between controllers."""
    rows = [row for row in study.results["rows"] if row["actuator"] == ALL]
    return Section((
        table(
            "Power of the actions within the band (mean square, all actuators; actions have no unit)",
            (Column("controller", "condition"), interval_column("power [95 %]", "power"),
             Column("share of variance, %", "fraction_of_variance", scale=100.0),
             *(Column(f"in the {name.replace('_', ' ')}, %", name, scale=100.0) for name in THIRDS),
             Column("trials", "trials")),
            rows,
        ),
        table(
            "Paired differences over the steps that all took, first less second",
            (Column("first", "first"), Column("second", "second"),
             interval_column("difference [95 %]", "difference", ""), Column("p", "p", p=True),
             Column("p, Holm", "p_holm", p=True),
             Column("trials", "trials")),
            study.results["differences"],
        ),
    ))  # fmt: skip
