"""How long episodes last before they end early, by condition, over all repeats in a file (paper B, Fig. 2c)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from reach_analysis._common.progress import Stage, silent
from reach_analysis._common.survival import Survival, kaplan_meier
from reach_analysis.config import SurvivalConfig
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.figures.behaviour import survival_curves
from reach_analysis.studies.section import Column, Fact, Section, fact, plain, table
from reach_analysis.studies.study import Study, StudyFigure, each

NON_FINITE = "non_finite"
"""End of an episode whose simulation failed; it says nothing about tracking."""
NOTHING_ENDS = "nothing but a failed simulation could end an episode, so survival says nothing about tracking."
TITLE = "Survival"
QUESTION = (
    "How long does the controller last before its episode is ended, for example too far from the reference? Episodes "
    "that reach the end of their clip are censored there."
)


def run(conditions: Mapping[str, Rollouts], config: SurvivalConfig, stage: Stage = silent) -> Study:
    """Survival of every condition; episodes that reach the clip's end are censored there."""
    curves: dict[str, Survival] = {}
    results: list[dict[str, Any]] = []
    for name, rollouts in each(stage, "conditions", conditions.items()):
        episodes, why = rollouts.episodes(every_repeat=config.rollouts_seed is None)
        curve = kaplan_meier(episodes.steps / rollouts.rate_hz, episodes.ended, config.level)
        curves[name] = curve
        names = ("survival", "low", "high")
        at = {f"{time:g}": dict(zip(names, curve.at(time), strict=True)) for time in config.times_s}
        results.append({
            "condition": name, "episodes": len(why), "ended": int(episodes.ended.sum()), "median_s": curve.median,
            "could_end": sorted(set(rollouts.endings) - {NON_FINITE}), "last_seen_s": float(curve.time[-1]),
            "reasons": dict(Counter(filter(None, why))), "at_s": at,
        })  # fmt: skip
    rows = [
        {"condition": name, "time_s": float(time), "survival": float(curve.survival[i]), "low": float(curve.low[i]),
         "high": float(curve.high[i]), "at_risk": int(curve.at_risk[i]), "ended": int(curve.events[i]),
         "censored": int(curve.censored[i])}
        for name, curve in curves.items() for i, time in enumerate(curve.time)
    ]  # fmt: skip
    counts = ", ".join(f"{row['condition']}: {row['episodes']} episodes, {row['ended']} ended early" for row in results)
    caption = (
        f"Kaplan-Meier estimate of the fraction of episodes that have not ended; shaded: pointwise "
        f"{100 * config.level:g} % interval (log-log, Greenwood; exact binomial before the first end); ticks: "
        "episodes that reached the end of their clip. "
        f"{counts}. Episodes are taken as independent, those of a clip, of its repeats and of one run too."
    )
    notes = [
        f"{name}: {NOTHING_ENDS}" for name, rollouts in conditions.items() if not set(rollouts.endings) - {NON_FINITE}
    ]
    notes += [
        f"{row['condition']}: no episode ended early." for row in results if row["could_end"] and not row["ended"]
    ]
    return Study(
        name="survival",
        results=results,
        inputs=tuple(rollouts.path for rollouts in conditions.values()),
        tables={"survival": rows},
        figures=(StudyFigure("survival", survival_curves(curves), caption),),
        notes=tuple(notes),
    )


def facts(study: Study) -> dict[str, Fact]:
    """Survival of each condition at each time that was observed."""
    return {
        f"{time}@{row['condition']}": fact(at | {"episodes": row["episodes"]}, "survival", "", "episodes")
        for row in study.results
        for time, at in _observed(row)
    }


def _observed(row: dict[str, Any]) -> list[tuple[str, dict[str, float]]]:
    """Times up to the longest episode, with survival there."""
    return [(time, at) for time, at in row["at_s"].items() if float(time) <= row["last_seen_s"]]


def section(study: Study) -> Section:
    """Survival at the given times, and how many episodes ended early."""
    rows = [
        {"condition": row["condition"], "episodes": row["episodes"], "ended": row["ended"], "time": float(time)} | at
        for row in study.results
        for time, at in _observed(row)
    ]
    columns = (
        Column("controller", "condition"), Column("time, s", "time"),
        Column("not ended, % [95 %]", "survival", "low", "high", 100.0), Column("episodes", "episodes"),
        Column("ended early", "ended"),
    )  # fmt: skip
    findings = tuple(map(_sentence, study.results))
    return Section((table("Fraction of episodes not ended", columns, rows),), findings, opening=True)


def _sentence(row: dict[str, Any]) -> str:
    """How many episodes ended early, and why; whether any could."""
    name = plain(row["condition"])
    if row["ended"]:
        reasons = ", ".join(f"{plain(reason)}: {count}" for reason, count in row["reasons"].items())
        return f"Of {row['episodes']} episodes of {name}, {row['ended']} ended early ({reasons})."
    if not row["could_end"]:
        return f"Nothing could end an episode of {name} early, so its survival says nothing."
    ends = ", ".join(map(plain, row["could_end"]))
    return f"None of {row['episodes']} episodes of {name} ended early ({ends} would end one)."
