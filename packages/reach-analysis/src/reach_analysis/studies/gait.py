"""Gait of a rollout: cycles, joints over the cycle, footfalls, duty factors, phase lags (paper B, section 4.6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from reach_analysis._common.progress import Stage, silent
from reach_analysis.behaviour.gait import Contact, Cycles, phase_normalised
from reach_analysis.behaviour.muscles import MUSCLES, active_muscles, actuator_for, kind_of_actuators, simulated
from reach_analysis.config import GaitConfig
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.data.series import TrialSeries
from reach_analysis.figures.behaviour import JointCycle, footfalls, gait_cycles
from reach_analysis.statistics.estimates import FEWEST_UNITS, Resampling
from reach_analysis.studies.gait_feet import Feet, animal_rows, feet_of, foot_rows, over_trials
from reach_analysis.studies.recordings import actuators_of, load_emg, recordings_of
from reach_analysis.studies.section import Column, Section, interval, interval_column, table
from reach_analysis.studies.study import Study, StudyFigure

POINTS = 100
"""Points of a cycle."""
TITLE = "Gait"
QUESTION = (
    "How do the simulated feet step? A cycle runs from one touch-down of the leading foot to the next. Contacts of the "
    "animal are not recorded; with clips they are judged by the speed of its feet."
)


USUAL_JOINTS = ("*shoulder*", "*elbow*", "*hip*", "*knee*")
MOST_JOINTS = 12
"""Joints drawn where none are named."""


def run(rollouts: Rollouts, config: GaitConfig, stage: Stage = silent) -> Study:
    """Cycles of the leading foot, and what the others and the joints do in them."""
    tick = stage("gait", 3)
    feet = feet_of(rollouts, config)
    tick(1)
    resampling = Resampling(config.resamples, seed=config.seed).of(rollouts.levels, rollouts.trials)
    rows = foot_rows(feet, config, resampling)
    animal, said = animal_rows(rollouts, feet, config, resampling) if config.clips else ([], [])
    joints, (muscles, files, more) = _joints(rollouts, feet, config), _muscles(rollouts, feet, config)
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
        "animal": animal, "joints": [_joint_row(joint) for joint in (*joints, *muscles)],
    }  # fmt: skip
    tick(1)
    return Study(
        name="gait",
        results=results,
        inputs=(rollouts.path, *([Path(config.clips)] if config.clips else []), *files),
        tables={
            "gait_feet": rows,
            **({"gait_feet_animal": animal} if animal else {}),
            "gait_joints": results["joints"],
            "gait_cycles": cycle_rows,
        },
        figures=_figures(feet, (joints, muscles), config, rollouts),
        notes=(*_notes(feet, still, n_trials, config), *said, *more),
    )


def _notes(feet: Feet, still: list[str], n_trials: int, config: GaitConfig) -> Iterator[str]:
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


def _muscles(rollouts: Rollouts, feet: Feet, config: GaitConfig) -> tuple[list[JointCycle], list[Path], list[str]]:
    """Activation over the cycle: of the muscles with EMG next to it, or without EMG of those that vary most."""
    cycles, inputs, notes = feet.cycles, [], []
    if config.emg:
        emg, inputs, notes = load_emg({"rollouts": rollouts}, recordings_of(config))
        chosen = actuators_of(recordings_of(config))
        names = emg.envelope.channels
        actuators = [actuator_for(name, rollouts.names["actuator"], chosen) for name in names]
        activity = simulated(rollouts, "act", actuators, None)
        cycles, places = _recorded(cycles, activity.trials, emg.envelope)
        recorded = phase_normalised(emg.envelope, replace(cycles, trial=places), POINTS)
        notes.append(f"{len(cycles)} cycles lie within recorded EMG.")
    elif kind_of_actuators(rollouts) == MUSCLES:
        activity, notes = active_muscles(rollouts)
        names = activity.most_varying(min(MOST_JOINTS, len(activity.channels)))
        activity, recorded = activity.select(names), np.full((len(cycles), POINTS, len(names)), np.nan)
    else:
        return [], [], []
    shown = phase_normalised(activity, cycles, POINTS)
    drawn = [JointCycle(name, "activation", shown[..., i], recorded[..., i]) for i, name in enumerate(names)]
    return drawn if len(cycles) else [], inputs, notes


def _recorded(cycles: Cycles, trials: Sequence[str], emg: TrialSeries) -> tuple[Cycles, Int[np.ndarray, " cycle"]]:
    """Cycles that lie within the EMG of their trial, and the number of that trial there."""
    place = np.array([emg.trials.index(name) if name in emg.trials else -1 for name in trials])[cycles.trial]
    spans = np.array([emg.times(number)[[0, -1]] for number in range(len(emg.trials))])[place]
    inside = (place >= 0) & (cycles.begin_s >= spans[:, 0]) & (cycles.end_s <= spans[:, 1])
    return cycles.take(inside), place[inside]


def _joints(rollouts: Rollouts, feet: Feet, config: GaitConfig) -> list[JointCycle]:
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


def _figures(
    feet: Feet, drawn: tuple[list[JointCycle], list[JointCycle]], config: GaitConfig, rollouts: Rollouts
) -> tuple[StudyFigure, ...]:
    """Joints and muscles over the cycle, and the footfalls of one trial."""
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
    for name, what, lines, of in (("gait_muscles", "Muscles", ("EMG", "simulated"), drawn[1]),
                                  ("gait_joints", "Joints", ("reference", "simulated"), drawn[0])):  # fmt: skip
        caption = (
            f"{what} over the gait cycle, from one touch-down of {feet.lead} to the next: mean and standard deviation "
            f"over cycles, resampled to {POINTS} points by cubic interpolation; {counts}; {how}."
        )
        if of:
            shown.insert(0, StudyFigure(name, gait_cycles(of, lines), caption))
    return tuple(shown)


def _bars(stance: Contact, series: TrialSeries, trial: int) -> list[tuple[float, float]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], stance.astype(np.int8), [0]])))
    start = float(series.start_s[trial])
    return [
        (start + begin / series.rate_hz, start + end / series.rate_hz)
        for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    ]


FEET = (
    Column("foot", "foot"), interval_column("duty factor [95 %]", "duty_factor", "duty"),
    interval_column("phase lag (cycles) [95 %]", "phase_lag", "phase"), Column("agreement", "phase_agreement"),
    Column("touch-downs", "cycles_with_touch_down"), Column("own cycles", "own_cycles"), Column("trials", "trials"),
)  # fmt: skip


def section(study: Study) -> Section:
    """Feet and joints over the cycle, and how many cycles there are."""
    numbers = study.results
    tables = (
        table("Feet", FEET, numbers["feet"]),
        table("Feet of the animal, contacts judged by speed", FEET, numbers["animal"]),
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
