"""Figure of cross maps: skill against the size of the library, a panel a pair, both directions, the null dashed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reach_analysis._common.figures import BLUE, ORANGE, drawing, label, panels


@dataclass(frozen=True)
class Skill:
    """One direction of a cross map.

    Attributes:
        history: whose history is looked up.
        wanted: what is to be found.
        sizes: of the libraries, trials.
        mean, low, high: over libraries of each size.
        null: with trials exchanged, at the largest library; may be empty.
    """

    history: str
    wanted: str
    sizes: tuple[int, ...]
    mean: Float[np.ndarray, " size"]
    low: Float[np.ndarray, " size"]
    high: Float[np.ndarray, " size"]
    null: Float[np.ndarray, " draw"]


def skill_by_library(skills: Sequence[Skill], joints: Sequence[str], muscles: Sequence[str], kind: str) -> Figure:
    """A row a muscle, a column a joint; blue: the joint finds the muscle, orange: the reverse; `kind`: its name."""
    lowest = min([-0.1, *(float(skill.low.min()) - 0.05 for skill in skills)])
    with drawing():
        figure, axes = panels(2.1 * len(joints) + 0.4, 1.9 * len(muscles) + 0.5, rows=len(muscles), columns=len(joints))
        for skill in skills:
            forwards = skill.wanted in muscles
            muscle, joint = (skill.wanted, skill.history) if forwards else (skill.history, skill.wanted)
            axis = axes[muscles.index(muscle)][joints.index(joint)]
            colour = BLUE if forwards else ORANGE
            name = f"joint finds {kind}" if forwards else f"{kind} finds joint"
            axis.plot(skill.sizes, skill.mean, "o-", ms=3, color=colour, label=name)
            axis.fill_between(skill.sizes, skill.low, skill.high, color=colour, alpha=0.2, linewidth=0)
            if len(skill.null):
                axis.axhline(float(np.quantile(skill.null, 0.95)), color=colour, ls="--", lw=1)
            axis.set_title(f"{label(joint, 14)}, {label(muscle, 16)}", fontsize=8)
            axis.set_ylim(lowest, 1.0)
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        for axis in axes[-1]:
            axis.set_xlabel("library (trials)")
        for row in axes:
            row[0].set_ylabel("Pearson's r")
        handles, names = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=2)
        return figure
