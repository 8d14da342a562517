"""Feet of a rollout and of the animal: contacts, cycles of the leading foot, duty factors and phase lags."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from reach_analysis._common.errors import ConfigError, DataError, shorten, unknown
from reach_analysis.behaviour.gait import (
    Contact,
    Cycles,
    circular_mean,
    cycle_speeds,
    duty_factors,
    find_cycles,
    phase_lags,
    planted,
    stances,
)
from reach_analysis.config import GaitConfig
from reach_analysis.data.clips import read_clips
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.data.series import TrialSeries
from reach_analysis.statistics.estimates import Estimate, Resampling, ratio_of

LEAD = ("hand_l", "*fore*left*", "*left*fore*", "*fore*_l", "*f-l*", "*t1*left*", "*left*t1*", "*lf*", "*fl*")
"""Forefeet that lead a cycle, the first pattern that fits one; paper B takes the left forepaw."""


@dataclass(frozen=True)
class Feet:
    """Contacts and stances of every foot, the cycles of the leading one, and contacts that are not feet."""

    lead: str
    contacts: dict[str, TrialSeries]
    stances: dict[str, list[Contact]]
    cycles: Cycles
    slow: int
    never: tuple[str, ...]


def feet_of(rollouts: Rollouts, config: GaitConfig) -> Feet:
    """Contacts of the rollout's feet, and cycles of the leading one.

    Raises:
        DataError: where no contacts are stored, or there is no cycle.
        ConfigError: for a leading foot that is not there.
    """
    if not rollouts.contacts:
        raise DataError(f"{rollouts.path}: no contacts are stored (contact/...), which gait needs")
    names = config.feet or list(rollouts.contacts)
    contacts = {name: rollouts.contact(name) for name in names}
    on_ground = {name: stances(series, config.shortest_stance_s) for name, series in contacts.items()}
    never = () if config.feet else tuple(name for name in names if not any(trial.any() for trial in on_ground[name]))
    names = [name for name in names if name not in never] or names
    lead = config.lead or _lead(names)
    if lead not in names:
        raise ConfigError(f"lead: {unknown('foot', lead, names)}")
    contacts = {name: contacts[name] for name in names}
    shortest, longest = _edges(config.cycle_s)
    cycles = find_cycles(on_ground[lead], contacts[lead], shortest, longest)
    slow = 0
    if config.min_speed > 0 and len(cycles):
        root = str(rollouts.attributes.get("root_body") or rollouts.names["names_xpos"][1])
        fast = cycle_speeds(rollouts.series("xpos").select([f"{root}/x", f"{root}/y"]), cycles) >= config.min_speed
        cycles, slow = cycles.take(fast), int((~fast).sum())
    if not len(cycles):
        raise DataError(
            f"{rollouts.path}: {lead} has no cycle of {shortest:g} to {longest:g} s"
            + (f" and at least {config.min_speed:g} m/s" if config.min_speed else "")
            + f" in {len(rollouts.trials)} trials of {rollouts.n_steps.max() / rollouts.rate_hz:.3g} s at most; "
            + f"cycle_s sets the bounds, lead the foot ({shorten(names)})"
        )
    return Feet(lead, contacts, on_ground, cycles, slow, never)


def _edges(pair: Sequence[float]) -> tuple[float, float]:
    if len(pair) != 2:
        raise ConfigError(f"cycle_s: expected the shortest and the longest cycle, got {list(pair)}")
    return pair[0], pair[1]


def _lead(names: Sequence[str]) -> str:
    """The left forefoot, or the left one where only one pair of feet has sides, as in a biped."""
    for pattern in LEAD:
        hits = [name for name in names if fnmatchcase(name.lower(), pattern)]
        if len(hits) == 1:
            return hits[0]
    left = [name for name in names if any(other in names for other in _mirrored(name))] or list(names)
    if len(left) == 1:
        return left[0]
    raise ConfigError(f"lead is not set, and which of {shorten(list(names))} is the left forefoot, or the left foot of "
                      f"a biped, is not clear from the names; set it, for example lead={left[0]}")  # fmt: skip


def _mirrored(name: str) -> Iterator[str]:
    """The name with one "left" or "l" replaced by the other side."""
    for hit in re.finditer("left|l", name, re.IGNORECASE):
        other = "right" if len(hit[0]) > 1 else "r"
        for written in (other, other.capitalize(), other.upper()):
            yield name[: hit.start()] + written + name[hit.end() :]


def foot_rows(feet: Feet, config: GaitConfig, resampling: Resampling) -> list[dict[str, Any]]:
    """Duty factor and phase lag of each foot with their intervals."""
    shortest, longest = _edges(config.cycle_s)
    rows = []
    for name, series in feet.contacts.items():
        own = find_cycles(feet.stances[name], series, shortest, longest)
        duty = over_trials(duty_factors(feet.stances[name], series, own), own.trial, "1", resampling)
        lags = phase_lags(feet.stances[name], series, feet.cycles)
        _, agreement = circular_mean(lags)
        lag = phase_over_trials(lags, feet.cycles.trial, resampling)
        touching = int(np.isfinite(lags).sum())
        rows.append({
            "foot": name, "own_cycles": len(own), **duty.row("duty_factor", "duty"), **lag.row("phase_lag", "phase"),
            "trials": duty.n,
            "phase_agreement": agreement if touching > 1 else float("nan"),  # one lag agrees with itself
            "cycles_with_touch_down": touching,
        })  # fmt: skip
    return rows


def animal_rows(
    rollouts: Rollouts, feet: Feet, config: GaitConfig, resampling: Resampling
) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of the animal's own feet, and how often the rule that judges them is right about the rollout's."""
    clips = read_clips(Path(str(config.clips)).expanduser())
    names = [name for name in feet.contacts if name in clips.bodies]
    if feet.lead not in names:
        raise DataError(f"{clips.path}: {unknown('body', feet.lead, clips.bodies)}; feet of the animal are its bodies")
    places = [clips.read("xpos", name)[..., :2] for name in rollouts.clip_names]
    contacts, right = {}, []
    for name in names:
        own = tuple(rows[:, clips.bodies.index(name)] for rows in places)
        path = TrialSeries(name, "m", clips.rate_hz, rollouts.trials, ("x", "y"), own, np.zeros(len(own)))
        contacts[name] = planted(path, config.planted)
        ours = planted(rollouts.series("xpos").select([f"{name}/x", f"{name}/y"]), config.planted)
        right += [judged[: len(true)] == true for judged, true in
                  zip(ours.values, feet.contacts[name].values, strict=True)]  # fmt: skip
    on_ground = {name: stances(series, config.shortest_stance_s) for name, series in contacts.items()}
    cycles = find_cycles(on_ground[feet.lead], contacts[feet.lead], *_edges(config.cycle_s))
    rows = foot_rows(Feet(feet.lead, contacts, on_ground, cycles, 0, ()), config, resampling)
    share = 100 * np.concatenate(right).mean()
    note = f"Contacts of the animal are judged by the speed of its feet, which is right in {share:.3g} % of our steps."
    return rows, [note]


def over_trials(
    values: Float[np.ndarray, " cycle"], trial: Int[np.ndarray, " cycle"], unit: str, resampling: Resampling
) -> Estimate:
    """Mean over cycles; its interval is over trials or what is above them, because cycles of one trial are alike."""
    known = np.isfinite(values)
    sums, counts = (_by_trial(trial[known], part, resampling) for part in (values[known], np.ones(known.sum())))
    return ratio_of(sums, counts, unit, resampling, least=0.0)


def _by_trial(
    trial: Int[np.ndarray, " cycle"], values: Float[np.ndarray, " cycle"], resampling: Resampling
) -> Float[np.ndarray, " trial"]:
    """Sum of the values of each trial."""
    return np.bincount(trial, values, minlength=resampling.n_values).astype(float)


def phase_over_trials(
    phases: Float[np.ndarray, " cycle"], trial: Int[np.ndarray, " cycle"], resampling: Resampling
) -> Estimate:
    """Mean direction of phases over cycles, 0 to 1, its interval over trials; ends may lie below 0 or above 1."""
    known = np.isfinite(phases)
    mean, _ = circular_mean(phases)
    away = 2 * np.pi * (phases[known] - mean)
    along = _by_trial(trial[known], np.cos(away), resampling)
    if (along[np.unique(trial[known])] <= 0).any():  # trials in opposite phase: the mean says little
        return Estimate(mean, np.nan, np.nan, "1", len(np.unique(trial[known])))
    slope = ratio_of(_by_trial(trial[known], np.sin(away), resampling), along, "1", resampling)
    low, high = mean + np.arctan([slope.low, slope.high]) / (2 * np.pi)
    return Estimate(mean, float(low), float(high), "1", slope.n, slope.level)
