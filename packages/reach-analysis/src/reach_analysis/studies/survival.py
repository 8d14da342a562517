"""How long rollouts last before they end early, by condition (paper B, Fig. 2c)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from reach_analysis._common.progress import Stage, silent
from reach_analysis._common.survival import Survival, kaplan_meier
from reach_analysis.config import SurvivalConfig
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.figures.behaviour import survival_curves
from reach_analysis.studies.study import Shown, Study


def study(conditions: Mapping[str, Rollouts], config: SurvivalConfig, stage: Stage = silent) -> Study:
    """Survival of every condition; rollouts that reach the clip's end are censored there.

    Raises:
        UserError: when a rollouts file holds no episode.
    """
    tick = stage("conditions", len(conditions))
    curves: dict[str, Survival] = {}
    results: list[dict[str, Any]] = []
    for name, rollouts in conditions.items():
        ended = np.array([reason is not None for reason in rollouts.ended])
        curve = kaplan_meier(rollouts.n_steps / rollouts.rate_hz, ended, config.level)
        curves[name] = curve
        names = ("survival", "low", "high")
        at = {f"{time:g}": dict(zip(names, curve.at(time), strict=True)) for time in config.times_s}
        results.append({
            "condition": name, "episodes": len(ended), "ended": int(ended.sum()), "median_s": curve.median,
            "last_seen_s": float(curve.time[-1]), "reasons": dict(Counter(r for r in rollouts.ended if r)), "at_s": at,
        })  # fmt: skip
        tick(1)
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
        f"{counts}."
    )
    notes = [f"{row['condition']}: no episode ended early." for row in results if not row["ended"]]
    return Study(
        name="survival",
        title="Survival of rollouts",
        results=results,
        inputs=tuple(rollouts.path for rollouts in conditions.values()),
        tables={"survival": rows},
        figures=(Shown("survival", survival_curves(curves), caption),),
        notes=tuple(notes),
    )
