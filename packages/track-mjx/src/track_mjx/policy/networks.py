"""The intention network (paper B, section 4.4.3; paper A, section 2.6) and the critic, in Flax.

    reference -> encoder -> diagonal Gaussian over latents (the intention)
    latent, proprioception -> decoder -> normal distribution, squashed by tanh -> action

Hidden layers: Dense, SiLU, LayerNorm (where `layer_norm` is set); weights LeCun-uniform. The critic: Dense, ReLU, on
the whole observation. A decoder may end in a gated recurrent unit (Cho et al. 2014), whose hidden state is carried from
step to step. All functions take normalised observations of any leading axes.
"""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from track_mjx.compiled import ByContent
from track_mjx.config import DecoderConfig, NetworkConfig
from track_mjx.physics.fields import AnyArray
from track_mjx.runs.checkpoints import flatten, policy_sha256
from track_mjx.task.step import Observation

with warnings.catch_warnings():
    # distrax loads TensorFlow Probability, which uses names that JAX has deprecated
    warnings.simplefilter("ignore", DeprecationWarning)
    import distrax

_INIT = nn.initializers.lecun_uniform()

LAYER_STAGE = "after Dense, SiLU and LayerNorm"
LAYER_STAGE_PLAIN = "after Dense and SiLU"
CELL_STAGE = "hidden state of a gated recurrent unit"


class Mlp(nn.Module):
    """Hidden layers; returns the activation of each."""

    widths: Sequence[int]
    layer_norm: bool
    activation: Any = nn.silu

    @nn.compact
    def __call__(self, x: Float[AnyArray, "*batch n"]) -> list[Array]:
        """Activations of all hidden layers, first to last."""
        layers = []
        for i, width in enumerate(self.widths):
            x = self.activation(nn.Dense(width, kernel_init=_INIT, name=f"dense_{i}")(x))
            x = nn.LayerNorm(name=f"norm_{i}")(x) if self.layer_norm else x
            layers.append(x)
        return layers


class Encoder(nn.Module):
    """From the reference to the distribution of the intention."""

    widths: Sequence[int]
    latent: int
    layer_norm: bool

    @nn.compact
    def __call__(self, reference: Float[AnyArray, "*batch n"]) -> tuple[AnyArray, Array, list[Array]]:
        """Mean and log variance of the latent, and all hidden activations."""
        layers = Mlp(self.widths, self.layer_norm, name="hidden")(reference)
        out = nn.Dense(2 * self.latent, kernel_init=_INIT, name="latent")(layers[-1] if layers else reference)
        return out[..., : self.latent], out[..., self.latent :], layers


class Decoder(nn.Module):
    """From intention and proprioception to the parameters of the action's distribution."""

    widths: Sequence[int]
    n_actions: int
    layer_norm: bool
    last_factor: float
    cell: str = "none"

    @property
    def memory(self) -> int:
        """Size of the hidden state; 0 without a recurrent cell."""
        return self.widths[-1] if self.cell == "gru" else 0

    @nn.compact
    def __call__(
        self, x: Float[AnyArray, "*batch n"], hidden: Float[AnyArray, "*batch memory"] | None = None
    ) -> tuple[AnyArray, list[Array], AnyArray | None]:
        """Location and unconstrained scale, all hidden activations, and the hidden state after this step.

        Without `hidden` it is the first step of an episode.
        """
        layers = Mlp(self.widths, self.layer_norm, name="hidden")(x)
        if self.memory:
            hidden = jnp.zeros_like(layers[-1]) if hidden is None else hidden
            hidden, last = nn.GRUCell(self.memory, name="cell")(hidden, layers[-1])
            layers.append(last)
        init = nn.initializers.variance_scaling(self.last_factor**2, "fan_in", "uniform")
        out = nn.Dense(2 * self.n_actions, kernel_init=init, name="action")(layers[-1] if layers else x)
        return out, layers, hidden


class Critic(nn.Module):
    """From the whole observation to its value."""

    widths: Sequence[int]

    @nn.compact
    def __call__(self, x: Float[AnyArray, "*batch n"]) -> Float[AnyArray, "*batch"]:
        """Value of each state."""
        layers = Mlp(self.widths, False, nn.relu, name="hidden")(x)
        return nn.Dense(1, kernel_init=_INIT, name="value")(layers[-1] if layers else x)[..., 0]


class Intention(NamedTuple):
    """The encoder's output and the latent that was used; last axis of length 0 where there is no bottleneck."""

    mean: AnyArray
    logvar: AnyArray
    latent: AnyArray


class PolicyOutput(NamedTuple):
    """What the policy computes for an observation."""

    intention: Intention
    """Distribution and latent."""
    location: AnyArray
    """Of the action before tanh."""
    scale: AnyArray
    activations: dict[str, AnyArray]
    """Hidden activations, ``encoder/layer_0`` and so on."""
    decision: AnyArray
    """What was decided, in [-1, 1]: the action, or the latent of a decoder that belongs to the environment."""
    decoder: dict[str, AnyArray]
    """Hidden activations of that decoder."""
    hidden: AnyArray | None
    """State of a recurrent decoder after this step."""


class Networks(ByContent):
    """Policy and critic as pure functions of parameters; see the module's text.

    Args:
        config: widths, and dimensions of the intention.
        n_actions: of the body.
        given: parameters of the decoder of another run.
        use: how that is used. Where it is of no run or policy=latent, the task's policy is a network of
            ``config.encoder`` without a bottleneck.
    """

    def __init__(
        self, config: NetworkConfig, n_actions: int, given: Any = None, use: DecoderConfig | None = None
    ) -> None:
        self.given, self.use = given, use or DecoderConfig()
        self.body_decoder = Decoder(tuple(config.decoder), n_actions, config.layer_norm, 1.0, config.decoder_cell)
        if self.use.run and self.use.acts != "action":
            n_actions = config.latent if self.use.acts == "latent" else n_actions
            config = replace(config, latent=0, decoder=config.encoder, decoder_cell="none")
        self.config = config
        self.n_actions = n_actions
        self.encoder = Encoder(tuple(config.encoder), config.latent, config.layer_norm)
        self.decoder = Decoder(
            tuple(config.decoder), n_actions, config.layer_norm, config.action_factor, config.decoder_cell
        )
        self.critic = Critic(tuple(config.critic))

    @property
    def content(self) -> Hashable:
        """Layers, and the numbers of a decoder that belongs to the environment."""
        return self.body_decoder, self.n_actions, repr(self.config), repr(self.use), policy_sha256(flatten(self.given))

    def stage(self, layer: str) -> str:
        """After what the activations of a hidden layer are taken, by its name in `described`."""
        if self._carrier.memory and layer == f"decoder/layer_{len(self._carrier.widths)}":
            return CELL_STAGE
        return LAYER_STAGE if self.config.layer_norm else LAYER_STAGE_PLAIN

    @property
    def _carrier(self) -> Decoder:
        """The decoder whose hidden state is carried from step to step."""
        return self.body_decoder if self.use.acts == "latent" else self.decoder

    @property
    def recurrent(self) -> bool:
        """Whether the policy that learns has a hidden state, and not only a decoder that belongs to the environment."""
        return self.decoder.memory > 0

    def memory(self, *batch: int) -> Float[Array, "*batch memory"]:
        """Hidden states at the start of episodes: zeros, none of them without a recurrent decoder."""
        return jnp.zeros((*batch, self._carrier.memory))

    def init(self, key: Array, observation: Observation) -> dict[str, Any]:
        """Fresh parameters for observations of this shape."""
        keys = jax.random.split(key, 3)
        n = self.config.latent
        first = jnp.zeros((*observation.proprioception.shape[:-1], n)) if n else observation.reference
        parameters = {
            "decoder": self.decoder.init(keys[1], jnp.concatenate([first, observation.proprioception], -1)),
            "critic": self.critic.init(keys[2], jnp.concatenate(list(observation), -1)),
        }
        if n:
            parameters["encoder"] = self.encoder.init(keys[0], observation.reference)
        return parameters if self.given is None or self.use.acts == "latent" else parameters | {"decoder": self.given}

    @property
    def fixed(self) -> tuple[str, ...]:
        """Parts of the parameters that learning leaves as they are."""
        return ("decoder",) if self.use.acts == "action" and self.use.mode == "frozen" else ()

    def decoded(
        self, decision: Float[AnyArray, "*batch n"], observation: Observation, hidden: AnyArray | None
    ) -> tuple[AnyArray, dict[str, AnyArray], AnyArray | None]:
        """Action of the body for a decision, by the mean of a decoder that belongs to the environment, if there is one.

        Returns:
            The action, the hidden activations of that decoder, and its state after this step.
        """
        if self.use.acts != "latent":
            return decision, {}, hidden
        latent = self.use.latent_span * decision
        seen = jnp.concatenate([latent, observation.proprioception], -1)
        decoded: Any = self.body_decoder.apply(self.given, seen, hidden)
        out, layers, hidden = decoded
        action = jnp.tanh(out[..., : self.body_decoder.n_actions])
        return action, {f"decoder/layer_{i}": layer for i, layer in enumerate(layers)}, hidden

    def described(self, output: PolicyOutput) -> tuple[Intention, dict[str, AnyArray]]:
        """Intentions and activations of the whole controller, from an output that was played.

        A policy that puts out latents has no variance of them in closed form: its hidden layers are ``policy/layer_0``
        and so on, those of the decoder ``decoder/layer_0``.
        """
        if self.use.acts != "latent":
            return output.intention, output.activations
        span = self.use.latent_span
        intention = Intention(span * jnp.tanh(output.location), output.intention.logvar, span * output.decision)
        own = {name.replace("decoder/", "policy/"): layer for name, layer in output.activations.items()}
        return intention, own | output.decoder

    def policy(
        self, parameters: Any, observation: Observation, noise: AnyArray | None, hidden: AnyArray | None = None
    ) -> PolicyOutput:
        """Run encoder and decoder.

        Args:
            parameters: of `init`.
            observation: normalised.
            noise: (*batch, latent) standard normal numbers that make the latent a sample; None: the mean.
            hidden: state of a recurrent decoder before this step; None: the episode starts.
        """
        encoder_layers: list[Array] = []
        if self.config.latent:
            encoded: Any = self.encoder.apply(parameters["encoder"], observation.reference)
            mean, logvar, encoder_layers = encoded
            logvar = logvar + 2 * jnp.log(self.config.initial_latent_std)
            first = latent = mean if noise is None else mean + jnp.exp(0.5 * logvar) * noise
        else:
            mean = logvar = latent = jnp.zeros((*observation.reference.shape[:-1], 0))
            first = observation.reference
        decoded: Any = self.decoder.apply(
            parameters["decoder"], jnp.concatenate([first, observation.proprioception], -1), hidden
        )
        out, decoder_layers, hidden = decoded
        parts = {"encoder": encoder_layers, "decoder": decoder_layers}
        activations = {f"{part}/layer_{i}": layer for part, layers in parts.items() for i, layer in enumerate(layers)}
        # softplus(shift) is the standard deviation of an output of zero
        shift = jnp.log(jnp.expm1(self.config.initial_std))
        scale = jax.nn.softplus(out[..., self.n_actions :] + shift) + self.config.min_std
        location = out[..., : self.n_actions]
        intention = Intention(mean, logvar, latent)
        return PolicyOutput(intention, location, scale, activations, jnp.tanh(location), {}, hidden)

    def replayed(
        self, parameters: Any, observation: Observation, noise: AnyArray, hidden: AnyArray, first: AnyArray
    ) -> PolicyOutput:
        """Run `policy` over unrolls, (step, env, ...), each from its hidden state, which is 0 again where `first`."""

        def step(hidden: Any, now: tuple[Observation, AnyArray, AnyArray]) -> tuple[Any, PolicyOutput]:
            out = self.policy(parameters, now[0], now[1], jnp.where(now[2][:, None], 0.0, hidden))
            return out.hidden, out

        return jax.lax.scan(step, hidden, (observation, noise, first))[1]

    def value(self, parameters: Any, observation: Observation) -> Float[AnyArray, "*batch"]:
        """Value of each state."""
        value: Any = self.critic.apply(parameters["critic"], jnp.concatenate(list(observation), -1))
        return value


def action_distribution(location: AnyArray, scale: AnyArray) -> distrax.Distribution:
    """The action before tanh."""
    return distrax.Independent(distrax.Normal(location, scale), 1)


def log_probability(location: AnyArray, scale: AnyArray, raw: AnyArray) -> Array:
    """Log density of the action tanh(`raw`); kept before tanh, because its inverse is not stable near 1."""
    return jnp.asarray(action_distribution(location, scale).log_prob(raw)) - _squash(raw)


def action_entropy(location: AnyArray, scale: AnyArray, draw: AnyArray) -> Array:
    """Entropy of the action tanh(`location` + `scale` x), without bias where x = `draw` is standard normal.

    It has no closed form: that of the normal, plus the part of the hyperbolic tangent at one draw.
    """
    return jnp.asarray(action_distribution(location, scale).entropy()) + _squash(location + scale * draw)


def _squash(raw: AnyArray) -> Array:
    """Log derivative of the hyperbolic tangent, summed over actions."""
    return jnp.asarray(distrax.Tanh().forward_log_det_jacobian(raw)).sum(-1)
