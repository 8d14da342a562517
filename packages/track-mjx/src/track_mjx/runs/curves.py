"""Learning curves of a run: reward, outcomes, every term and what the learner did, against control steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from track_mjx.runs.run_folder import IMITATION_OUTCOMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes


PANELS = (
    ("reward a step", ("reward", "eval/train/reward", "eval/test/reward")),
    ("terms", "terms/"),
    ("ended by, episodes", "ended/"),
    ("KL of the intention", ("learning/kl_prior",)),
    ("standard deviation of actions", ("learning/action_std",)),
    ("control steps/s", ("control_steps_per_s",)),
)
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")


def title_of(outcome: str) -> str:
    """Name of an outcome for people: ``mean_body_error_mm`` is "body error, mm"."""
    if outcome == "unterminated_fraction":
        return "followed to the end"
    words = outcome.removeprefix("mean_").split("_")
    unit = f", {words.pop()}" if words[-1] in ("mm", "deg", "s") else ""
    return f"{' '.join(words)}{unit}"


def draw_curves(lines: Sequence[Mapping[str, Any]], path: Path, outcomes: Sequence[str] = IMITATION_OUTCOMES) -> None:
    """Draw all panels that the metrics have numbers for into a PNG, among them those of the outcomes of the task."""
    from track_mjx._common.figures import drawing, panels, save

    evaluated = [(title_of(name), (f"eval/train/{name}", f"eval/test/{name}")) for name in outcomes]
    names = list(dict.fromkeys(name for line in lines for name, value in line.items() if value is not None))
    curves = [
        (title, [n for n in names if _belongs(n, which)]) for title, which in (*PANELS[:1], *evaluated, *PANELS[1:])
    ]
    curves = [(title, chosen) for title, chosen in curves if chosen]
    if not curves:
        return
    n_rows = -(-len(curves) // 3)
    with drawing():
        figure, grid = panels(11, 2.7 * n_rows, rows=n_rows, columns=3)
        axes = [ax for row in grid for ax in row]
        for ax, (title, chosen) in zip(axes, curves, strict=False):
            _draw(ax, title, chosen, lines)
        for ax in axes[len(curves) :]:
            ax.remove()
    save(figure, path.parent, path.stem, ("png",))


def _draw(ax: Axes, title: str, chosen: Sequence[str], lines: Sequence[Mapping[str, Any]]) -> None:
    for colour, name in zip(COLOURS * (1 + len(chosen) // len(COLOURS)), chosen, strict=False):
        points = [(line["steps"] / 1e6, line[name]) for line in lines if line.get(name) is not None]
        ax.plot(*zip(*points, strict=True), color=colour, lw=1.2, marker="." if len(points) < 20 else "", label=name)
    ax.set(title=title, xlabel="control steps, millions")
    if len(chosen) > 1:
        ax.legend(fontsize=6)


def _belongs(name: str, which: str | tuple[str, ...]) -> bool:
    return name.startswith(which) if isinstance(which, str) else name in which
