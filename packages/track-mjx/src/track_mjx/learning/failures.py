"""The state before a control step that was not finite: kept from training, and played again by `track-mjx replay`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from track_mjx._common.errors import InputError
from track_mjx._common.files import write_text
from track_mjx.physics.fields import AnyArray

FAILURE = "non_finite_state.json"
"""File of a run folder."""


class Failure(NamedTuple):
    """The first simulation of a step that was not finite, before that step; zeros where there was none."""

    happened: AnyArray
    clip: AnyArray
    """Number among the clips of the training."""
    frame: AnyArray
    action: AnyArray
    qpos: AnyArray
    qvel: AnyArray
    act: AnyArray
    goal: AnyArray


def failure_in(
    failed: Bool[AnyArray, " env"], clip: AnyArray, frame: AnyArray, action: AnyArray, state: tuple[AnyArray, ...]
) -> Failure:
    """Return the first simulation that failed, before its step; all arrays are (env, ...)."""
    first = jnp.argmax(failed)
    happened = jnp.asarray(failed).any()
    kept = [jnp.where(happened, x[first], jnp.zeros_like(x[first])) for x in (clip, frame, action, *state)]
    return Failure(happened, *kept)


def first_of(failures: Failure) -> Failure:
    """Return the first of several steps, (step, ...), in which a simulation failed."""
    first = jnp.argmax(failures.happened)
    return jax.tree.map(lambda x: x[first], failures)


def save_failure(path: Path, failure: Failure, clip_name: str, step: int) -> None:
    """Write a failure of a training to a file."""
    values = {name: np.asarray(value).tolist() for name, value in failure._asdict().items()}
    write_text(path, json.dumps({"clip_name": clip_name, "steps": step, **values}) + "\n")


def read_failure(path: Path) -> tuple[Failure, dict[str, Any]]:
    """Read what `save_failure` wrote: the state, and name of the clip and step of the training."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        about = {"clip_name": str(values["clip_name"]), "steps": int(values["steps"])}
        values.setdefault("goal", [])  # files of earlier versions
        return Failure(*(np.asarray(values[name], np.float32) for name in Failure._fields)), about
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: not a file of a step that was not finite ({FAILURE} of a run folder)") from error
