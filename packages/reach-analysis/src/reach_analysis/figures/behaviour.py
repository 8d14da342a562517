"""Figures of behaviour: spectra, survival, errors by region, gait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from reach_analysis._common.figures import BLUE, CYCLE, GREY, INK, LIGHT, ORANGE, SEQUENTIAL, drawing, label, panels
from reach_analysis._common.survival import Survival
from reach_analysis.figures import grid


def spectra(densities: Mapping[str, tuple[np.ndarray, np.ndarray]], band: tuple[float, float], unit: str) -> Figure:
    """Mean power spectral density of each condition, the band shaded."""
    with drawing():
        figure, axes = panels(5.4, 3.2)
        axis = axes[0][0]
        axis.axvspan(*band, color=LIGHT, alpha=0.5, lw=0)
        for number, (name, (frequency, density)) in enumerate(densities.items()):
            axis.semilogy(frequency[1:], density[1:], color=CYCLE[number % len(CYCLE)], label=label(name))
        axis.set_xlabel("frequency (Hz)")
        axis.yaxis.set_major_formatter("{x:.0e}")
        axis.set_ylabel(f"power spectral density ({unit + '²' if unit else '1'}/Hz)")
        axis.set_xlim(0, max(frequency[-1] for frequency, _ in densities.values()))
        axis.legend()
        return figure


def survival_curves(curves: Mapping[str, Survival]) -> Figure:
    """Fraction of episodes not yet ended against time, with pointwise intervals and censored episodes as ticks."""
    with drawing():
        figure, axes = panels(5.4, 3.2)
        axis = axes[0][0]
        longest = max(float(curve.time[-1]) for curve in curves.values())
        unit, scale = ("min", 60.0) if longest > 120 else ("s", 1.0)
        for number, (name, curve) in enumerate(curves.items()):
            colour = CYCLE[number % len(CYCLE)]
            time = curve.time / scale
            axis.step(time, 100 * curve.survival, where="post", color=colour, label=label(name))
            axis.fill_between(
                time, 100 * curve.low, 100 * curve.high, step="post", color=colour, alpha=0.2, linewidth=0
            )
            censored = curve.censored > 0
            axis.plot(time[censored], 100 * curve.survival[censored], "|", color=colour, markersize=8)
        axis.set_xlabel(f"time ({unit})")
        axis.set_ylabel("episodes not ended (%)")
        axis.set_ylim(0, 103)
        axis.set_xlim(left=0)
        axis.legend(loc="lower left")
        return figure


def angles_over_reference(
    time: Float[np.ndarray, " time"],
    reference: Float[np.ndarray, "time joint"],
    simulated: Float[np.ndarray, "time joint"],
    names: Sequence[str],
) -> Figure:
    """Joint angles of the reference and of the controller, degrees, the difference shaded."""
    with drawing():
        figure, axes = panels(5.4, 0.9 + 1.0 * len(names), rows=len(names))
        for number, name in enumerate(names):
            axis, pair = axes[number][0], (reference[:, number], simulated[:, number])
            axis.fill_between(time, *pair, color=LIGHT, linewidth=0, label="difference")
            for values, colour, text in zip(pair, (ORANGE, BLUE), ("reference", "controller"), strict=True):
                axis.plot(time, values, color=colour, label=text)
            axis.set_ylabel(f"{label(name, 16)}\n(°)", fontsize=8)
            axis.set_xlim(time[0], time[-1])
            axis.tick_params(labelbottom=number == len(names) - 1)
        axes[0][0].legend(ncols=3, loc="lower right", bbox_to_anchor=(1, 1))
        axes[-1][0].set_xlabel("time (s)")
        figure.align_ylabels()
        return figure


def errors_by_region(groups: Mapping[str, Mapping[str, np.ndarray]], unit: str, title: str) -> Figure:
    """Distribution of distances by region, one box a kind of error: median, quartiles, 5th and 95th percentile."""
    with drawing():
        regions = list(dict.fromkeys(region for by_region in groups.values() for region in by_region))
        figure, axes = panels(max(4.0, 1.0 + 1.0 * len(regions) * len(groups) ** 0.5), 3.2)
        axis = axes[0][0]
        width = 0.7 / len(groups)
        for number, (kind, by_region) in enumerate(groups.items()):
            colour = CYCLE[number % len(CYCLE)]
            place = [
                index + (number - (len(groups) - 1) / 2) * width for index, r in enumerate(regions) if r in by_region
            ]
            boxes = axis.boxplot(
                [by_region[region] for region in regions if region in by_region],
                positions=place,
                widths=0.85 * width,
                whis=(5, 95),
                showfliers=False,
                patch_artist=True,
                manage_ticks=False,
                medianprops={"color": INK},
            )
            for box in boxes["boxes"]:
                box.set(facecolor=colour, alpha=0.55, edgecolor=colour)
            axis.plot([], [], "s", color=colour, alpha=0.55, label=kind)
        axis.set_xticks(range(len(regions)), [label(region, 12) for region in regions])
        axis.set_ylabel(f"distance ({unit})")
        axis.set_ylim(bottom=0)
        axis.set_title(title)
        axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return figure


@dataclass(frozen=True)
class JointCycle:
    """One joint over the gait cycle."""

    joint: str
    unit: str
    simulated: Float[np.ndarray, "cycle point"]
    """Cycle x point; the reference may be NaN throughout."""
    reference: Float[np.ndarray, "cycle point"]


def gait_cycles(joints: Sequence[JointCycle], lines: tuple[str, str]) -> Figure:
    """Mean and standard deviation over cycles against phase, of the reference and simulated, which `lines` names."""
    with drawing():
        figure, axes = grid(len(joints), 4, (2.6, 2.3))
        phase = np.linspace(0, 100, joints[0].simulated.shape[1])
        for axis, joint in zip(axes, joints, strict=True):
            for values, colour, name in zip((joint.reference, joint.simulated), (ORANGE, BLUE), lines, strict=True):
                if not np.isfinite(values).any():
                    continue
                mean, spread = values.mean(axis=0), values.std(axis=0)
                axis.plot(phase, mean, color=colour, label=name)
                axis.fill_between(phase, mean - spread, mean + spread, color=colour, alpha=0.25, linewidth=0)
            axis.set_title(f"{label(joint.joint, 20)} ({joint.unit})")
            axis.set_xlim(0, 100)
        axes[-1].set_xlabel("gait cycle (%)")
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=2)
        return figure


def footfalls(
    rows: Sequence[tuple[str, Sequence[tuple[float, float]]]],
    duration_s: float,
    title: str,
    reward: Float[np.ndarray, " step"],
) -> Figure:
    """Raster of stances, a bar while a foot is in contact, and the reward as a strip below (paper B, Fig. 5c)."""
    with drawing():
        figure, axes = panels(6.4, 1.2 + 0.33 * len(rows))
        axis = axes[0][0]
        low, high = float(reward.min(initial=0.0)), float(reward.max(initial=1e-9))
        strip = (0, duration_s, len(rows) + 0.35, len(rows) - 0.35)
        drawn = axis.imshow(reward[None], aspect="auto", cmap=SEQUENTIAL, vmin=low, vmax=high, extent=strip)
        figure.colorbar(drawn, ax=axis, label="reward")
        for place, (_, stance) in enumerate(rows):
            axis.broken_barh([(begin, end - begin) for begin, end in stance], (place - 0.35, 0.7), color=INK)
        axis.set_yticks(range(len(rows) + 1), [*(label(foot, 16) for foot, _ in rows), "reward"])
        axis.set_ylim(len(rows) + 0.6, -0.6)
        axis.set_xlim(0, duration_s)
        axis.set_xlabel("time (s)")
        axis.set_title(title, color=GREY)
        return figure
