"""Checkpoints: a tree of arrays in a folder, written by Orbax, whole or not at all.

Leaves are stored flat, by the path of their place in the tree, so that a checkpoint can be read without the classes
that made it, and a change of shape or name is noticed. Arrays without elements are left out and recreated.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import math
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from track_mjx._common.errors import OutputError, RunError, output_error, shorten
from track_mjx._common.files import write_text

_BEST = "best.json"
_DIGITS = 15
RENAMED_LEAVES = {"episode/clock/": "carry/episode/", "episode/": "carry/"}
"""Beginnings of the names of leaves in checkpoints of earlier versions, and those of today."""
_MARGIN_BYTES = 1 << 20
"""Free space required in addition to the arrays."""


def flatten(tree: Any) -> dict[str, np.ndarray]:
    """Leaves of a tree by path, as NumPy arrays; random keys as their data."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="/"): _plain(leaf) for path, leaf in leaves}


def policy_sha256(leaves: Mapping[str, np.ndarray]) -> str:
    """Hash of a checkpoint: names and bytes of its leaves, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(leaves):
        digest.update(name.encode() + b"\0" + np.ascontiguousarray(leaves[name]).tobytes())
    return digest.hexdigest()


def _plain(leaf: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def unflatten(flat: dict[str, np.ndarray], like: Any, where: str) -> Any:
    """Put leaves into a tree of the structure of `like`."""
    leaves, structure = jax.tree.flatten(like)
    wanted = flatten(like)
    faults = [name for name, leaf in wanted.items() if leaf.size and name not in flat]
    faults += [name for name in flat if name not in wanted]
    faults += [
        f"{name}: {flat[name].shape}, not {leaf.shape}"
        for name, leaf in wanted.items()
        if name in flat and flat[name].shape != leaf.shape
    ]
    if faults:
        raise RunError(f"{where}: the checkpoint belongs to another body, network or task: {shorten(faults, 4)}")
    values = [np.asarray(flat.get(name, leaf)).astype(leaf.dtype) for name, leaf in wanted.items()]
    pairs = zip(values, leaves, strict=True)
    return structure.unflatten(
        [jax.random.wrap_key_data(jax.numpy.asarray(v)) if _is_key(leaf) else v for v, leaf in pairs]
    )


def _checkpointer() -> Any:
    """Orbax for this process alone: of several, one writes, and each reads for itself; it would wait for the others."""
    import orbax.checkpoint as ocp

    me = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(me, {me} if jax.process_count() > 1 else None, f"process_{me}")
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=alone)
    return ocp.Checkpointer(handler, multiprocessing_options=alone)


class Checkpoints:
    """The checkpoints of a run, by environment step.

    The latest `keep` are kept, in addition to the best.
    """

    def __init__(self, folder: Path, keep: int = 3) -> None:
        self._folder = folder.absolute()
        self._keep = max(1, keep)
        # Orbax logs every array it writes, and errors that it also raises
        logging.getLogger("absl").setLevel(logging.CRITICAL)

    def steps(self) -> list[int]:
        """Environment steps of the complete checkpoints, ascending."""
        if not self._folder.is_dir():
            return []
        names = [path.name for path in self._folder.iterdir() if re.fullmatch(rf"\d{{{_DIGITS}}}", path.name)]
        return sorted(int(name) for name in names if (self._folder / name / "_METADATA").is_file())

    def path(self, step: int) -> Path:
        """Folder of a checkpoint."""
        return self._folder / f"{step:0{_DIGITS}d}"

    def best(self) -> tuple[int, float] | None:
        """Step and score of the best checkpoint; None where none was judged."""
        try:
            values = json.loads((self._folder / _BEST).read_text(encoding="utf-8"))
            step, score = int(values["step"]), float(values["score"])
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return None
        return (step, score) if step in self.steps() and math.isfinite(score) else None

    def save(self, step: int, tree: Any) -> None:
        """Write a checkpoint, and remove those no longer kept."""
        flat = {name: leaf for name, leaf in flatten(tree).items() if leaf.size}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            # on a disk that fills up, threads of Orbax print tracebacks past every handler
            if shutil.disk_usage(self._folder).free < _MARGIN_BYTES + sum(leaf.nbytes for leaf in flat.values()):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            _checkpointer().save(self.path(step), flat, force=True)
        except (OSError, ValueError) as error:
            # Orbax leaves the folder it was writing, and names a full disk in words of its own
            for unfinished in self._folder.glob(f"{self.path(step).name}.*"):
                shutil.rmtree(unfinished, ignore_errors=True)
            if isinstance(error, OSError):
                raise output_error(self.path(step), error) from error
            why = "the disk is full" if "RESOURCE_EXHAUSTED" in str(error) else " ".join(str(error).split())[:200]
            raise OutputError(f"{self.path(step)}: cannot be written: {why}") from error
        self._remove_old()

    def judge(self, step: int, score: float) -> None:
        """Note the score of a checkpoint where it is finite and the best so far."""
        best = self.best()
        if math.isfinite(score) and (best is None or score > best[1]):
            write_text(self._folder / _BEST, json.dumps({"step": step, "score": score}))
            self._remove_old()

    def _remove_old(self) -> None:
        best = self.best()
        for old in self.steps()[: -self._keep]:
            if best is None or old != best[0]:
                shutil.rmtree(self.path(old), ignore_errors=True)

    def load(self, which: str | int) -> tuple[int, dict[str, np.ndarray]]:
        """Read a checkpoint: ``best`` (else the last), ``last``, or its step.

        Returns:
            Its step, and its leaves by path.
        """
        steps = self.steps()
        if not steps:
            raise RunError(f"{self._folder}: no complete checkpoint; the run has not saved one yet")
        best = self.best()
        if which == "last" or (which == "best" and best is None):
            step = steps[-1]
        elif which == "best" and best is not None:
            step = best[0]
        elif str(which).isdigit() and int(which) in steps:
            step = int(which)
        else:
            there = ", ".join(map(str, steps))
            raise RunError(f"{self._folder}: checkpoint: expected best, last or one of {there}; got {which!r}")
        try:
            flat = _checkpointer().restore(self.path(step))
        except (ValueError, OSError, KeyError) as error:
            text = " ".join(str(error).split())[:300]
            raise RunError(f"{self.path(step)}: the checkpoint is damaged: {text}") from error
        return step, {_present_name(name): np.asarray(leaf) for name, leaf in flat.items()}


def _present_name(name: str) -> str:
    """Name of a leaf today, for one that an earlier version wrote."""
    for old, new in RENAMED_LEAVES.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name
