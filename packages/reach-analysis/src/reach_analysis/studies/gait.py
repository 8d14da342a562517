"""Gait of a rollout: cycles, joints over the cycle, footfalls, duty factors, phase lags (paper B, section 4.6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from reach_analysis._common.errors import ConfigError, DataError, shorten, unknown
from reach_analysis._common.progress import Stage, silent
from reach_analysis.behaviour.gait import (
    Contact,
    Cycles,
    circular_mean,
    cycle_speeds,
    duty_factors,
    find_cycles,
    phase_lags,
    phase_normalised,
    stances,
)
from reach_analysis.config import GaitConfig
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.data.series import TrialSeries
from reach_analysis.figures.behaviour import JointCycle, footfalls, gait_cycles
from reach_analysis.statistics.estimates import FEWEST_UNITS, Estimate, Resampling, ratio_of
from reach_analysis.studies.section import Column, Section, interval, interval_column, table
from reach_analysis.studies.study import Study, StudyFigure

POINTS = 100
"""Points of a cycle."""
TITLE = "Gait"
QUESTION = (
    "How do the simulated feet step? A cycle runs from one touch-down of the leading foot to the next. Contacts of the "
    "animal are not stored, so only the joints are compared with those of the clips."
)


LEAD = ("hand_l", "*fore*left*", "*left*fore*", "*fore*_l", "*f-l*", "*t1*left*", "*left*t1*", "*lf*", "*fl*")
"""Feet that lead a cycle, the first pattern that fits one; paper B takes the left forepaw."""

USUAL_JOINTS = ("*shoulder*", "*elbow*", "*hip*", "*knee*")
MOST_JOINTS = 12
"""Joints drawn where none are named."""


@dataclass(frozen=True)
class _Feet:
    """Contacts and stances of every foot, the cycles of the leading one, and contacts that are not feet."""

    lead: str
    contacts: dict[str, TrialSeries]
    stances: dict[str, list[Contact]]
    cycles: Cycles
    slow: int
    never: tuple[str, ...]


def run(rollouts: Rollouts, config: GaitConfig, stage: Stage = silent) -> Study:
    """Cycles of the leading foot, and what the others and the joints do in them."""
    tick = stage("gait", 3)
    feet = _feet(rollouts, config)
    tick(1)
    resampling = Resampling(config.resamples, seed=config.seed).of(rollouts.levels, rollouts.trials)
    rows = _foot_rows(feet, config, resampling)
    joints = _joints(rollouts, feet, config)
    tick(1)
    cycle_rows = [
        {"trial": feet.contacts[feet.lead].trials[feet.cycles.trial[i]], "begin_s": float(feet.cycles.begin_s[i]),
         "end_s": float(feet.cycles.end_s[i])}
        for i in range(len(feet.cycles))
    ]  # fmt: skip
    duration = over_trials(feet.cycles.end_s - feet.cycles.begin_s, feet.cycles.trial, "s", resampling)
    n_trials = len(np.unique(feet.cycles.trial))
    still = [row["foot"] for row in rows if not row["own_cycles"]]
    results = {
        "lead": feet.lead, "cycles": len(feet.cycles), "trials": n_trials, "without_cycles": len(still),
        "duration_s": duration.value, "duration_low_s": duration.low, "duration_high_s": duration.high, "feet": rows,
        "joints": [_joint_row(joint) for joint in joints],
    }  # fmt: skip
    tick(1)
    return Study(
        name="gait",
        results=results,
        inputs=(rollouts.path,),
        tables={"gait_feet": rows, "gait_joints": results["joints"], "gait_cycles": cycle_rows},
        figures=_figures(feet, joints, config, rollouts),
        notes=tuple(_notes(feet, still, n_trials, config)),
    )


def _notes(feet: _Feet, still: list[str], n_trials: int, config: GaitConfig) -> Iterator[str]:
    """What a reader must know: few trials, what was left out, feet that do not step."""
    if n_trials < FEWEST_UNITS:
        yield f"Trials are the units of intervals; {n_trials} with cycles are too few for one."
    if feet.slow:
        yield f"{feet.slow} cycles slower than {config.min_speed:g} m/s were left out."
    if feet.never:
        yield f"Never in contact with the ground, and left out: {', '.join(feet.never)}."
    if still:
        yield (
            f"{', '.join(still)} have no cycle of their own, so the movement of {feet.lead} may not be locomotion; "
            "min_speed (m/s) leaves out cycles in which the body hardly moves."
        )


def _feet(rollouts: Rollouts, config: GaitConfig) -> _Feet:
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
            + f" in {len(rollouts.trials)} trials of {rollouts.n_steps.max() / rollouts.rate_hz:.3g} s at most"
        )
    return _Feet(lead, contacts, on_ground, cycles, slow, never)


def _edges(pair: Sequence[float]) -> tuple[float, float]:
    if len(pair) != 2:
        raise ConfigError(f"cycle_s: expected the shortest and the longest cycle, got {list(pair)}")
    return pair[0], pair[1]


def _lead(names: Sequence[str]) -> str:
    for pattern in LEAD:
        hits = [name for name in names if fnmatchcase(name.lower(), pattern)]
        if len(hits) == 1:
            return hits[0]
    raise ConfigError(f"lead is not set, and none of {shorten(list(names))} is recognised as the left forefoot; set it")


def _foot_rows(feet: _Feet, config: GaitConfig, resampling: Resampling) -> list[dict[str, Any]]:
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


def over_trials(
    values: Float[np.ndarray, " cycle"], trial: Int[np.ndarray, " cycle"], unit: str, resampling: Resampling
) -> Estimate:
    """Mean over cycles; its interval is over trials or what is above them, because cycles of one trial are alike."""
    known = np.isfinite(values)
    sums, counts = (_by_trial(trial[known], part, resampling) for part in (values[known], np.ones(known.sum())))
    return ratio_of(sums, counts, unit, resampling)


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


def _joints(rollouts: Rollouts, feet: _Feet, config: GaitConfig) -> list[JointCycle]:
    pose, reference = rollouts.series("qpos"), rollouts.series("qpos_ref")
    units = dict(zip(pose.channels, rollouts.column_units("qpos"), strict=True))
    names = config.joints or [
        name
        for name in pose.channels
        if units[name] == "rad" and any(fnmatchcase(name.lower(), p) for p in USUAL_JOINTS)
    ]
    chosen = list(names)[:MOST_JOINTS] or [name for name in pose.channels if units[name] == "rad"][:MOST_JOINTS]
    if not chosen:
        return []
    picked, _ = pose.select(chosen).known()
    chosen = list(picked.channels)
    factor = np.array([180 / np.pi if units[name] == "rad" else 1.0 for name in chosen])
    simulated = phase_normalised(picked, feet.cycles, POINTS) * factor
    known = reference.select(chosen)
    rows, _ = known.rows()
    followed = np.full(simulated.shape, np.nan)
    there = np.asarray(np.isfinite(rows).all(axis=0))
    if there.any():
        present = [name for name, has in zip(chosen, there, strict=True) if has]
        followed[..., there] = phase_normalised(known.select(present), feet.cycles, POINTS)
    followed *= factor
    return [
        JointCycle(name, "deg" if units[name] == "rad" else units[name], simulated[..., i], followed[..., i])
        for i, name in enumerate(chosen)
    ]


def _joint_row(joint: JointCycle) -> dict[str, Any]:
    """Range over the mean cycle, and how far simulated and followed mean cycles are apart."""
    ours, theirs = joint.simulated.mean(axis=0), joint.reference.mean(axis=0)
    return {
        "joint": joint.joint,
        "unit": joint.unit,
        "cycles": len(joint.simulated),
        "range_simulated": float(np.ptp(ours)),
        "range_reference": float(np.ptp(theirs)),
        "rms_of_means": float(np.sqrt(((ours - theirs) ** 2).mean())),
        "sd_between_cycles_simulated": float(joint.simulated.std(axis=0).mean()),
        "sd_between_cycles_reference": float(joint.reference.std(axis=0).mean()),
    }


def _figures(feet: _Feet, joints: list[JointCycle], config: GaitConfig, rollouts: Rollouts) -> tuple[StudyFigure, ...]:
    walking = [rollouts.trials[number] for number in np.unique(feet.cycles.trial)]
    counts = f"n = {len(feet.cycles)} cycles of {feet.lead} in {rollouts.levels.counted(walking)}"
    how = f"contacts and gaps shorter than {1e3 * config.shortest_stance_s:g} ms removed"
    trial = int(np.bincount(feet.cycles.trial).argmax())
    lead = feet.contacts[feet.lead]
    rows = [(name, _bars(feet.stances[name][trial], series, trial)) for name, series in feet.contacts.items()]
    duration = lead.lengths[trial] / lead.rate_hz
    shown = [
        StudyFigure(
            "gait_footfalls",
            footfalls(rows, duration, f"trial {lead.trials[trial]}", rollouts.series("reward").values[trial][:, 0]),
            f"Footfalls of the trial with the most cycles: black while a foot is in contact ({how}); below: "
            f"the reward of each step; {counts}.",
        )
    ]
    if joints:
        caption = (
            f"Joints over the gait cycle, from one touch-down of {feet.lead} to the next: mean and standard deviation "
            f"over cycles, resampled to {POINTS} points by cubic interpolation; {counts}; {how}."
        )
        shown.insert(0, StudyFigure("gait_joints", gait_cycles(joints), caption))
    return tuple(shown)


def _bars(stance: Contact, series: TrialSeries, trial: int) -> list[tuple[float, float]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], stance.astype(np.int8), [0]])))
    start = float(series.start_s[trial])
    return [
        (start + begin / series.rate_hz, start + end / series.rate_hz)
        for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    ]


def section(study: Study) -> Section:
    """Feet and joints over the cycle, and how many cycles there are."""
    numbers = study.results
    tables = (
        table(
            "Feet",
            (Column("foot", "foot"), interval_column("duty factor [95 %]", "duty_factor", "duty"),
             interval_column("phase lag (cycles) [95 %]", "phase_lag", "phase"), Column("agreement", "phase_agreement"),
             Column("touch-downs", "cycles_with_touch_down"), Column("own cycles", "own_cycles"),
             Column("trials", "trials")),
            numbers["feet"],
        ),
        table(
            "Joints over the cycle",
            (Column("joint", "joint"), Column("unit", "unit"), Column("range", "range_simulated"),
             Column("range, reference", "range_reference"), Column("rms difference", "rms_of_means"),
             Column("cycles", "cycles")),
            numbers["joints"],
        ),
    )  # fmt: skip
    counted = "One gait cycle" if numbers["cycles"] == 1 else f"{numbers['cycles']} gait cycles"
    duration = interval(numbers["duration_s"], numbers["duration_low_s"], numbers["duration_high_s"])
    still = numbers["without_cycles"]
    doubt = f"; {still} of {len(numbers['feet'])} feet have none, so it may not be locomotion" if still else ""
    return Section(tables, (f"{counted} of {duration} s{doubt}.",))
