"""Compiled functions, shared by all objects of the same content, so that a process compiles each once.

A `jax.jit` that an object makes for itself is compiled again for the next object: for the evaluation after a training,
or for the next seed of a sweep.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from functools import lru_cache, partial
from typing import Any

import jax
import mujoco
import numpy as np

_KEPT = 256
"""Compiled functions kept, the latest used; a training has about 15."""


class ByContent(ABC):
    """An object that equals another one of its class with the same `content`."""

    @property
    @abstractmethod
    def content(self) -> Hashable:
        """All that a function of this object depends on when it is compiled."""

    def __eq__(self, other: object) -> bool:
        """Whether compiled functions may be shared."""
        return self is other or (type(other) is type(self) and other.content == self.content)

    def __hash__(self) -> int:
        """Hash of the content."""
        return hash((type(self), self.content))


@lru_cache(maxsize=_KEPT)
def compiled(function: Callable[..., Any], *of: Hashable, **options: Any) -> Any:
    """Return `jax.jit` of ``function(*of, ...)``, the same for equal `of`; `options` are those of `jax.jit`."""
    return jax.jit(partial(function, *of), **options)


def digest_of(model: mujoco.MjModel) -> bytes:
    """Hash of all numbers and names of a model."""
    buffer = np.zeros(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, buffer)
    return hashlib.sha256(buffer.tobytes()).digest()
