"""Convergent cross mapping between muscles and joints, with exchanged trials as the null (Sugihara et al. 2012)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reach_analysis._common.errors import ConfigError, DataError
from reach_analysis._common.figures import BLUE, ORANGE, drawing, label, panels
from reach_analysis._common.progress import Stage, silent
from reach_analysis.behaviour.muscles import kind_of_actuators, simulated
from reach_analysis.config import CouplingConfig
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.data.series import over_steps, resample
from reach_analysis.forecasting.ccm import Libraries, cross_map
from reach_analysis.forecasting.embedding import Lags, embed, trial_data
from reach_analysis.forecasting.forecaster import target_rows
from reach_analysis.forecasting.nulls import trial_permuted
from reach_analysis.representation.similarity import common_window
from reach_analysis.statistics.permutation import holm, p_value
from reach_analysis.studies.forecast_questions import joints_of, targets_of, working_rate
from reach_analysis.studies.section import Column, Section, interval_column, table
from reach_analysis.studies.study import Study, StudyFigure

Courses = Mapping[str, Float[np.ndarray, "trial time"]]
"""Series of trials by the name of their joint or actuator."""

MOST_JOINTS = 6
"""Joints that are taken where none are named."""
TITLE = "Convergent cross mapping"
QUESTION = (
    "Which variable drives which? If one of the {actuators} drives a joint, the history of the joint contains the "
    "course of that actuator. It can then be recovered from the joint, and better with more trials in the library."
)


OBSERVED = (
    "The policy observes the joints, so joints drive {driven} in this system by construction, besides {driven} moving "
    "joints: cross maps in both directions are expected, and converge if the method works."
)


def run(rollouts: Rollouts, config: CouplingConfig, stage: Stage = silent) -> Study:
    """Cross map every muscle with every joint, both ways."""
    if len(config.lags) != 3:
        raise ConfigError(f"lags: expected E, tau and Tp, got {config.lags}")
    muscles, notes = targets_of(rollouts, config.muscles, config.signal)
    pose = over_steps(rollouts.series("qpos").select(joints_of(rollouts, config.joints)))
    joints = list(pose.channels)
    if not config.joints and len(joints) > MOST_JOINTS:
        joints = pose.most_varying(MOST_JOINTS)
        notes.append(f"Of {len(pose.channels)} joint angles, the {len(joints)} that vary most were taken.")
    rate = working_rate(rollouts, config.rate_hz)
    pose = resample(pose.select(joints), rate)
    activity = simulated(rollouts, config.signal, muscles, rate)
    (angles, drives), trials = common_window([pose, activity])
    levels = rollouts.levels
    sizes, strata = _sizes(len(angles), config.sizes), levels.strata(trials)
    tick = stage("cross maps", len(joints) + len(muscles))

    def across(histories: Courses, wanted: Courses) -> dict[tuple[str, str], Skill]:
        found = {}
        for history in histories:
            for one in _maps(history, histories[history], wanted, sizes, config, strata):
                found[one.history, one.wanted] = one
            tick(1)
        return found

    by_muscle = dict(zip(muscles, np.moveaxis(drives, 2, 0), strict=True))
    by_joint = dict(zip(joints, np.moveaxis(angles, 2, 0), strict=True))
    to_muscle, to_joint = across(by_joint, by_muscle), across(by_muscle, by_joint)
    pairs = [(to_muscle[joint, muscle], to_joint[muscle, joint]) for muscle in muscles for joint in joints]
    rows = [_row(one) for both in pairs for one in both]
    if config.permutations:
        adjusted = holm(np.array([row["p"] for row in rows]))
        rows = [row | {"p_holm": float(p)} for row, p in zip(rows, adjusted, strict=True)]
    lags = config.lags
    caption = (
        f"How well the history of one variable recovers another (Pearson's r), by the number of trials in the "
        f"library: mean and 95 % of {config.samples} libraries drawn at random; each state is predicted without its "
        f"own trial. Dashed: 95 % quantile of {config.permutations} exchanges of {levels.exchanged} at the largest "
        f"library. n = {levels.counted(trials)} at {rate:g} Hz; E = {lags[0]}, tau = {lags[1]}, Tp = {lags[2]} samples."
    )
    kind = kind_of_actuators(rollouts)
    figure = skill_by_library(pairs, joints, muscles, kind.removesuffix("s"))
    return Study(
        name="coupling",
        results=rows,
        inputs=(rollouts.path,),
        tables={"coupling": rows},
        figures=(StudyFigure("coupling", figure, caption),),
        notes=(OBSERVED.format(driven=kind), *notes),
    )


def _sizes(trials: int, wanted: list[int]) -> tuple[int, ...]:
    """Library sizes in trials: those of the settings, or a few between 2 and all but one, spaced by their logarithm."""
    largest = trials - 1
    if largest < 3:
        raise DataError(f"cross mapping needs at least 4 trials of equal length, got {trials}")
    chosen = wanted or np.geomspace(2, largest, 5).round().astype(int).tolist()
    return tuple(sorted(set(chosen)))


def _maps(
    history: str,
    course: Float[np.ndarray, "trial time"],
    wanted: Courses,
    sizes: tuple[int, ...],
    config: CouplingConfig,
    strata: Int[np.ndarray, " trial"],
) -> list[Skill]:
    """Everything that one history may recover, with its null at the largest library."""
    targets = list(wanted.values())
    data = trial_data(list(course), list(targets[0]), [str(number) for number in range(len(course))]).standardised()
    embedding, seed = embed(data, Lags(*config.lags)), config.seed
    rows = target_rows(embedding)
    about = [data.with_target(target.ravel()) for target in targets]
    recorded = np.column_stack([one.target for one in about])
    result = cross_map(embedding, Libraries(sizes, config.samples, seed), targets=recorded[rows])
    low, high = np.nanquantile(result.rho, [0.025, 0.975], axis=1)
    drawn = [trial_permuted(one, config.permutations, seed, strata) for one in about] if config.permutations else []
    columns = np.column_stack([recorded, *(one.values for one in drawn)])
    at_all = cross_map(embedding, Libraries((len(course),), 1, seed), targets=columns[rows]).rho[0, 0]
    out = []
    for place, (name, value) in enumerate(zip(wanted, at_all[: len(targets)], strict=True)):
        null = np.split(at_all[len(targets) :], len(targets))[place]
        p = p_value(float(value), null, complete=drawn[place].complete) if drawn else float("nan")
        skill = result.skill[:, place], low[:, place], high[:, place]
        out.append(Skill(history, name, result.libraries.sizes, *skill, null, p))
    return out


def _row(skill: Skill) -> dict[str, Any]:
    return {
        "history": skill.history, "finds": skill.wanted,
        "smallest_library": skill.sizes[0], "largest_library": skill.sizes[-1],
        "skill_smallest": float(skill.mean[0]), "skill": float(skill.mean[-1]),
        "low": float(skill.low[-1]), "high": float(skill.high[-1]),
        "convergence": float(skill.mean[-1] - skill.mean[0]),
        "null_median": float(np.median(skill.null)) if len(skill.null) else float("nan"),
        "null_95": float(np.quantile(skill.null, 0.95)) if len(skill.null) else float("nan"), "p": skill.p,
    }  # fmt: skip


@dataclass(frozen=True)
class Skill:
    """One direction of a cross map."""

    history: str
    """Whose history is looked up."""
    wanted: str
    sizes: tuple[int, ...]
    """Of the libraries, trials."""
    mean: Float[np.ndarray, " size"]
    """Over libraries of each size."""
    low: Float[np.ndarray, " size"]
    high: Float[np.ndarray, " size"]
    null: Float[np.ndarray, " draw"]
    """With trials exchanged, at the largest library; may be empty."""
    p: float
    """That the null finds as much; NaN without one."""


def skill_by_library(
    skills: Sequence[tuple[Skill, Skill]], joints: Sequence[str], muscles: Sequence[str], kind: str
) -> Figure:
    """A row a muscle, a column a joint; blue: the joint recovers the muscle, orange: the reverse; `kind`: its name."""
    lowest = min([-0.1, *(float(skill.low.min()) - 0.05 for both in skills for skill in both)])
    ways = ((BLUE, f"joint recovers {kind}"), (ORANGE, f"{kind} recovers joint"))
    with drawing():
        figure, axes = panels(2.1 * len(joints) + 0.4, 1.9 * len(muscles) + 0.5, rows=len(muscles), columns=len(joints))
        for axis, both in zip([axis for row in axes for axis in row], skills, strict=True):
            for skill, (colour, name) in zip(both, ways, strict=True):
                axis.plot(skill.sizes, skill.mean, "o-", ms=3, color=colour, label=name)
                axis.fill_between(skill.sizes, skill.low, skill.high, color=colour, alpha=0.2, linewidth=0)
                if len(skill.null):
                    axis.axhline(float(np.quantile(skill.null, 0.95)), color=colour, ls="--", lw=1)
            axis.set_title(f"{label(both[0].history, 14)}, {label(both[0].wanted, 16)}", fontsize=8)
            axis.set_ylim(lowest, 1.0)
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        for axis in axes[-1]:
            axis.set_xlabel("library (trials)")
        for row in axes:
            row[0].set_ylabel("Pearson's r")
        handles, names = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=2)
        return figure


def section(study: Study) -> Section:
    """Cross maps at the largest library."""
    columns = (
        Column("history of", "history"), Column("recovers", "finds"),
        interval_column("r [95 % of libraries]", "skill", ""), Column("r, smallest library", "skill_smallest"),
        Column("null, median", "null_median"), Column("null, 95 %", "null_95"), Column("p", "p", p=True),
        Column("p, Holm", "p_holm", p=True),
    )  # fmt: skip
    return Section((table("Cross maps at the largest library, with exchanged trials", columns, study.results),))
