"""What the policy computed, as variables of a rollouts file: latents and hidden activations."""

from __future__ import annotations

import numpy as np

from track_mjx._common.hdf5.contract_writing import Variable
from track_mjx.learning.setup import Setup
from track_mjx.policy.play import Recording
from track_mjx.rollouts.variables import blanked


def network_values(
    setup: Setup, recorded: Recording, valid: np.ndarray, *, deterministic: bool, activations: bool
) -> dict[str, Variable]:
    """Intentions (mean, log variance, sample) and, where asked for, every hidden layer; NaN where not valid."""
    axes, found = ("clip", "step_time"), {}
    intention = recorded.output.intention
    if setup.config.network.latent:
        whole = (*axes, "latent_unit")
        kind = {"deterministic": int(deterministic)}
        found["latent_mean"] = Variable(whole, blanked(intention.mean, valid), "mean of the intention", "1")
        found["latent_logvar"] = Variable(whole, blanked(intention.logvar, valid), "log variance of the intention", "1")
        found["latent"] = Variable(whole, blanked(intention.latent, valid), "the intention used", "1", kind)
    if not activations:
        return found
    for name, values in recorded.output.activations.items():
        part, layer = name.split("/")
        scale = f"activations/{part}/{layer.replace('layer', 'unit')}"
        width = values.shape[-1]
        found[scale] = Variable((scale,), np.arange(width), "units of one layer", "1")
        attributes = {"stage": setup.networks.layer_stage, "width": width}
        values = blanked(values, valid)
        found[f"activations/{name}"] = Variable((*axes, scale), values, "hidden activations", "1", attributes)
    return found
