"""Several passes over the same clips, one a seed, as one set of variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from track_mjx._common.hdf5.contract_writing import Variable
from track_mjx.policy.play import Rollout


def stacked(name: str, parts: Sequence[Variable]) -> Variable:
    """One variable with a leading axis of seeds; scales, names and the reference are the same in all passes."""
    first = parts[0]
    if first.dims[:1] != ("clip",) or name in ("clip", "clip_name", "trial_id") or name.startswith("reference/"):
        return first
    values = np.stack([part.values for part in parts])
    return Variable(("seed", *first.dims), values, first.meaning, first.units, first.attributes)


def padded(played: Rollout, length: int) -> Rollout:
    """Lengthen a pass that ended early; what is added is not valid."""
    missing = length - played.valid.shape[1]
    if missing == 0:
        return played

    def pad(array: np.ndarray) -> np.ndarray:
        return np.pad(array, [(0, 0), (0, missing)] + [(0, 0)] * (array.ndim - 2), mode="edge")

    def pad_tree(tree: Any) -> Any:
        return jax.tree.map(pad, tree)

    flat = {
        name: pad_tree(value)
        for name, value in played._asdict().items()
        if name not in ("reason", "valid", "terminated")
    }
    off = {name: np.pad(getattr(played, name), [(0, 0), (0, missing)]) for name in ("valid", "terminated")}
    return played._replace(**flat, **off)
