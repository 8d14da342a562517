"""Plots next to a rollout (rewards, terms, actions, activations, latents), and the learning curves of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Float

from track_mjx._common.hdf5 import reading
from track_mjx.render.footage import KIND, Footage, file_of, repeat_of, rows_of
from track_mjx.runs.curves import PANELS

MOST_LATENTS = 8


@dataclass(frozen=True)
class Curves:
    """Curves over a common axis."""

    title: str
    axis: str
    """What `x` is."""
    x: Float[np.ndarray, " point"]
    values: Mapping[str, Float[np.ndarray, " point"]]
    """By name."""


def of_rollout(path: str | Path, take: Footage, seed: int | None) -> list[Curves]:
    """Read the curves of a rollout, over control steps."""
    path = file_of(path)
    with reading.open_contract(path, KIND) as file:
        names = reading.read_strings(reading.require(file, "clip_name"))
        (row,), repeat = rows_of(path, names, [take.clip]), repeat_of(file, seed)
        n_steps = max(len(take.time) - 1, 1)

        def values(name: str) -> np.ndarray | None:
            node = reading.find(file, name)
            if not isinstance(node, h5py.Dataset):
                return None
            return np.asarray(node[row] if repeat is None else node[repeat, row], np.float64)[:n_steps]

        actuators = reading.read_strings(reading.require(file, "actuator"))
        metrics = reading.read_strings(reading.require(file, "metric"))
        columns: dict[str, tuple[str, Sequence[str]]] = {
            "reward": ("reward", ("reward",)),
            "terms": ("metrics", metrics),
            "actions": ("action", actuators),
            "activation": ("act", actuators),
            "latent": ("latent", [f"latent {k}" for k in range(MOST_LATENTS)]),
        }
        read = {title: (values(name), labels) for title, (name, labels) in columns.items()}
    out = []
    for title, (table, labels) in read.items():
        if table is not None and np.isfinite(table).any():
            table = table.reshape(len(table), -1)
            named = {label: table[:, k] for k, label in enumerate(labels[: table.shape[1]])}
            out.append(Curves(title, "step", np.arange(len(table), dtype=float), named))
    return out


def of_run(lines: Sequence[Mapping[str, Any]]) -> list[Curves]:
    """Return the learning curves of a run, over control steps in millions; `lines` are those of its metrics."""
    names = list(dict.fromkeys(name for line in lines for name in line))
    panels = {title: [n for n in names if (n.startswith(w) if isinstance(w, str) else n in w)] for title, w in PANELS}
    panels["errors"] = [name for name in names if name.startswith("eval/") and name.endswith(("_mm", "_deg"))]
    x = np.array([float(line["steps"]) / 1e6 for line in lines])
    out = []
    for title, chosen in panels.items():
        table = {name: np.array([line.get(name, np.nan) for line in lines], float) for name in chosen}
        if table and len(x) > 1:
            out.append(Curves(title, "million steps", x, table))
    return out
