"""Figures of muscles and EMG: errors by condition, single trials, averages with their standard error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from reach_analysis._common.figures import CYCLE, INK, drawing, label, panels, trial_label
from reach_analysis.behaviour.muscles import MuscleFit, mean_and_sem
from reach_analysis.data.series import Matched


def errors_by_condition(fits: Sequence[MuscleFit]) -> Figure:
    """Mean absolute error of each condition with its interval, a panel a muscle and signal, and every trial."""
    with drawing():
        muscles = list(dict.fromkeys((fit.muscle, fit.signal) for fit in fits))
        figure, axes = panels(1.0 + 2.3 * len(muscles), 3.0, columns=len(muscles))
        for axis, key in zip(axes[0], muscles, strict=True):
            chosen = [fit for fit in fits if (fit.muscle, fit.signal) == key]
            for place, fit in enumerate(chosen):
                colour = CYCLE[place % len(CYCLE)]
                spread = np.linspace(-0.22, 0.22, len(fit.trial_mae)) if len(fit.trial_mae) > 1 else np.zeros(1)
                axis.plot(place + spread, fit.trial_mae, ".", color=colour, alpha=0.35, markersize=3)
                axis.errorbar(
                    place,
                    fit.mae.value,
                    [[fit.mae.value - fit.mae.low], [fit.mae.high - fit.mae.value]],
                    fmt="o",
                    color=colour,
                    capsize=3,
                    markersize=6,
                )
            axis.set_xticks(range(len(chosen)), [label(fit.condition, 14) for fit in chosen])
            axis.set_xlim(-0.6, len(chosen) - 0.4)
            axis.set_ylim(bottom=0)
            axis.set_title(f"{key[0]}, {key[1]}")
        axes[0][0].set_ylabel("mean absolute error\n(of EMG's 98th percentile)")
        return figure


def averages(pairs: Mapping[str, Mapping[str, Matched]], signal: str) -> Figure:
    """Average over trials of EMG and of each condition, with its standard error, a panel a muscle.

    Args:
        pairs: condition -> muscle -> matched series of simulation and EMG.
        signal: which signal was simulated, for the legend.
    """
    with drawing():
        muscles = list(dict.fromkeys(muscle for by_muscle in pairs.values() for muscle in by_muscle))
        figure, axes = panels(3.6 * len(muscles) + 1.2, 2.8, columns=len(muscles))
        for axis, muscle in zip(axes[0], muscles, strict=True):
            for number, (condition, by_muscle) in enumerate(pairs.items()):
                if number == 0:
                    _average(axis, by_muscle[muscle].second, "EMG", INK)
                _average(axis, by_muscle[muscle].first, f"{label(condition)}, {signal}", CYCLE[number % len(CYCLE)])
            axis.set_title(muscle)
            axis.set_xlabel("time from the start of the reach (ms)")
            axis.set_ylim(bottom=0)
        axes[0][0].set_ylabel("activation, envelope")
        axes[0][-1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return figure


def _average(axis, series, name: str, colour: str) -> None:  # noqa: ANN001
    mean, sem = mean_and_sem(series.padded()[..., 0])
    longest = int(np.argmax(series.lengths))
    time = 1e3 * series.times(longest)
    axis.plot(time, mean, color=colour, label=name)
    axis.fill_between(time, mean - sem, mean + sem, color=colour, alpha=0.25, linewidth=0)


SHOWN_TRIALS = 6
"""Trials drawn one by one."""


def single_trials(pairs: Mapping[str, Mapping[str, Matched]], signal: str) -> Figure:
    """A few trials spread evenly over the recording: EMG and each condition, a row a muscle."""
    with drawing():
        muscles = list(dict.fromkeys(muscle for by_muscle in pairs.values() for muscle in by_muscle))
        first = next(iter(pairs.values()))[muscles[0]].second
        places = np.linspace(0, len(first.trials) - 1, min(SHOWN_TRIALS, len(first.trials))).round().astype(int)
        chosen = [first.trials[place] for place in places]
        figure, axes = panels(1.9 * len(chosen), 1.7 * len(muscles) + 0.3, rows=len(muscles), columns=len(chosen))
        for row, muscle in zip(axes, muscles, strict=True):
            for axis, trial in zip(row, chosen, strict=True):
                for number, (condition, by_muscle) in enumerate(pairs.items()):
                    both = by_muscle[muscle]
                    if trial not in both.first.trials:
                        continue
                    place = both.first.trials.index(trial)
                    time = 1e3 * both.first.times(place)
                    if number == 0:
                        axis.plot(time, both.second.values[place][:, 0], color=INK, lw=1.0, label="EMG")
                    axis.plot(time, both.first.values[place][:, 0], color=CYCLE[number % len(CYCLE)], lw=1.0,
                              label=label(f"{condition}, {signal}"))  # fmt: skip
                axis.set_title(trial_label(trial) if row is axes[0] else "")
                if axis is not row[0]:
                    axis.set_yticklabels([])
            top = max(axis.get_ylim()[1] for axis in row)
            for axis in row:
                axis.set_ylim(0, top)
            row[0].set_ylabel(muscle)
        axes[-1][0].set_xlabel("time (ms)")
        handles, names = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=len(names))
        return figure
