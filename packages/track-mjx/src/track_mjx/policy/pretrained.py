"""A decoder of another run: its parameters with whitened latents, and the statistics of its proprioception."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from track_mjx._common.errors import RunError
from track_mjx.policy.policy import Statistics
from track_mjx.runs.checkpoints import flatten, policy_sha256


class Pretrained(NamedTuple):
    """A decoder as a task uses it."""

    parameters: Any
    """Of `track_mjx.policy.networks.Decoder`."""
    statistics: Statistics
    """Of proprioception, before normalisation."""

    @property
    def sha256(self) -> str:
        """Hash of names and bytes of all arrays."""
        return policy_sha256(flatten(self))

    def save(self, path: Path) -> None:
        """Write it to an .npz file."""
        with path.open("wb") as file:
            np.savez(file, **flatten(self))  # type: ignore[arg-type]


def read_pretrained(path: Path) -> Pretrained:
    """Read what `Pretrained.save` wrote."""
    try:
        with np.load(path, allow_pickle=False) as file:
            leaves = {name: jnp.asarray(file[name]) for name in file.files}
        statistics = Statistics(*(leaves.pop(f"statistics/{name}") for name in Statistics._fields))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(f"{path}: the copy of the decoder cannot be read: {error}") from error
    parameters: dict[str, Any] = {}
    for name, leaf in leaves.items():
        *groups, last = name.split("/")[1:]
        place = parameters
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = leaf
    return Pretrained(parameters, statistics)


def whitened(parameters: Any, mean: Float[np.ndarray, " latent"], deviation: Float[np.ndarray, " latent"]) -> Any:
    """Parameters of a decoder that receives latents of mean 0 and standard deviation 1.

    The change goes into the first layer: for latents z = mean + deviation * w, a kernel K and a bias b,
    z K + b = w (diag(deviation) K) + (b + mean K).
    """
    layers = parameters["params"]
    hidden = "dense_0" in layers.get("hidden", {})
    first = layers["hidden"]["dense_0"] if hidden else layers["action"]
    kernel, n = jnp.asarray(first["kernel"]), len(mean)
    changed = {
        "kernel": kernel.at[:n].multiply(jnp.asarray(deviation, kernel.dtype)[:, None]),
        "bias": first["bias"] + jnp.asarray(mean, kernel.dtype) @ kernel[:n],
    }
    inner = {**layers, "hidden": {**layers["hidden"], "dense_0": changed}} if hidden else {**layers, "action": changed}
    return {**parameters, "params": inner}
