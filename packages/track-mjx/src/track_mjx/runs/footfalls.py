"""When feet touch the ground in an episode, above the reward of each step (paper B, Fig. 5c)."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAME = "footfalls_{}"
"""Of table and figure, by set of clips."""


def read_footfalls(path: Path) -> dict[str, Float[np.ndarray, " step"]] | None:
    """Read the columns of a table: ``time_s``, feet (1: on the ground), ``reward``; None where there is no file."""
    if not path.is_file():
        return None
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0]}


def draw_footfalls(
    ax: Axes, columns: dict[str, Float[np.ndarray, " step"]], title: str, scale: tuple[float, float] | None = None
) -> None:
    """Draw a row for each foot, black while it touches, and one for the reward, with its scale."""
    from matplotlib.cm import ScalarMappable

    reward = ScalarMappable(cmap="viridis")
    reward.set_clim(scale or (columns["reward"].min(), columns["reward"].max()))
    feet = [name for name in columns if name not in ("time_s", "reward")]
    down = np.repeat(1.0 - np.stack([columns[name] for name in feet])[..., None], 4, -1)
    down[..., 3] = 1.0
    picture = np.concatenate([down, reward.to_rgba(columns["reward"][None])])
    ax.imshow(picture, aspect="auto", interpolation="nearest", extent=(0, columns["time_s"][-1], len(feet) + 1, 0))
    ax.hlines(np.arange(1, len(feet) + 1), 0, columns["time_s"][-1], color="white", lw=1.5)
    ax.set_yticks(np.arange(len(feet) + 1) + 0.5, [*feet, "reward"], fontsize=6)
    ax.set(xlabel="time in the episode, s", title=title)
    ax.figure.colorbar(reward, ax=ax, label="reward")
