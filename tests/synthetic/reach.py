"""Reaches of the synthetic arm whose drives, synergies, layers and ends are known.

Each muscle's activation is a non-negative mixture of a few bursts (synergies). Joints follow a damped spring driven by
the muscles. The intention holds the bursts' time courses mixed linearly, hidden layers are linear mixtures of known
rank plus noise, control is the activation undone by its first-order lag plus optional chatter.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from reach_analysis.data.series import TrialSeries

from synthetic.bodies import arm
from synthetic.writing import Content, Draws, write_content

N_SOURCES = 3
"""Bursts that drive the nine muscles: the number of synergies, and the rank of the intention."""

SYNERGIES = np.array(
    [
        # triceps long, lateral, biceps, brachialis, pectoralis, latissimus, deltoid posterior, anterior, medial
        [0.00, 0.05, 0.90, 0.70, 0.10, 0.00, 0.00, 0.30, 0.10],
        [0.60, 0.85, 0.00, 0.05, 0.00, 0.40, 0.50, 0.00, 0.05],
        [0.10, 0.00, 0.10, 0.00, 0.60, 0.05, 0.00, 0.70, 0.80],
    ]
)
"""How strongly each burst drives each muscle."""

LAYERS = {"encoder/layer_0": 3, "encoder/layer_1": 3, "decoder/layer_0": 3, "decoder/layer_1": 3, "decoder/layer_2": 2}
"""Hidden layers and the rank of each."""


@dataclass(frozen=True)
class ReachSettings(Draws):
    """What is drawn."""

    n_trials: int = 46
    duration_s: float = 0.3
    rate_hz: float = 400.0
    chatter: float = 0.0
    """Standard deviation of white noise on the control, as of a policy without control cost."""
    layer_noise: float = 0.01
    """Standard deviation of white noise on the hidden layers."""
    n_units: int = 24
    """Units of each hidden layer."""
    trial_spread: float = 1.0
    """How much bursts differ from trial to trial, in time (fraction of 30 ms) and height."""


@dataclass(frozen=True)
class Reaches:
    """A synthetic set of reaches and its truth."""

    content: Content
    activation: TrialSeries
    """True muscle activation during each step."""
    sources: TrialSeries
    """True time course of each burst during each step."""
    mixing: dict[str, np.ndarray]
    """Layer -> (source, unit) matrix it was made with."""


def make_reaches(settings: ReachSettings) -> Reaches:
    """Draw reaches."""
    rng = np.random.default_rng(settings.seed)
    time = settings.time
    n_steps = len(time) - 1
    bursts = _bursts(time, settings, rng)
    act = bursts @ SYNERGIES
    chatter = settings.chatter * rng.normal(size=(settings.n_trials, n_steps, act.shape[-1]))
    ctrl = _undo_lag(act, settings.rate_hz) + chatter
    reference = _joints(act, settings.rate_hz)
    qpos = reference + 0.01 * _smooth_noise(time, (settings.n_trials, 2), rng)
    steps = (bursts[:, :-1] + bursts[:, 1:]) / 2
    layers, mixing = _layers(steps, settings, rng)
    latent = steps @ rng.normal(size=(N_SOURCES, 4))
    joint_reward = np.exp(-5.0 * ((qpos - reference)[:, 1:] ** 2).sum(axis=-1))
    ctrl_cost = (np.clip(ctrl, 0, 1) ** 2).sum(axis=-1)
    taken, terminated = settings.ends(settings.n_trials, rng)
    body = arm()
    content = Content(
        body=body,
        rate_hz=settings.rate_hz,
        clip_names=tuple(f"synthetic_trial{number + 1:02d}" for number in range(settings.n_trials)),
        trial_ids=tuple(f"{number + 1}" for number in range(settings.n_trials)),
        arrays={
            "qpos": qpos,
            "qvel": np.gradient(qpos, 1 / settings.rate_hz, axis=1),
            "qpos_ref": reference,
            "act": act,
            "ctrl": np.clip(ctrl, 0, 1),
            "action": 2 * ctrl - 1,
            "reward": joint_reward - 0.01 * ctrl_cost,
            "metrics": np.stack([joint_reward, ctrl_cost], axis=-1),
            "metric_weight": np.array([1.0, -0.01]),
            "latent_mean": latent,
            "latent_logvar": np.full_like(latent, -4.0),
            "latent": latent,
            **{f"activations/{name}": values for name, values in layers.items()},
        },
        n_steps=taken,
        terminated=terminated,
        metrics=("joint_reward", "ctrl_cost"),
        seed=settings.seed,
    )
    trials = content.trial_ids
    start = np.zeros(settings.n_trials)
    halves = (act[:, :-1] + act[:, 1:]) / 2
    return Reaches(
        content,
        TrialSeries("true activation", "1", settings.rate_hz, trials, body.actuators, tuple(halves), start),
        TrialSeries("true bursts", "1", settings.rate_hz, trials, ("flex", "extend", "lift"), tuple(steps), start),
        mixing,
    )


def write_reaches(path: Path, settings: ReachSettings) -> Reaches:
    """Draw reaches and write them as a rollouts file."""
    reaches = make_reaches(settings)
    write_content(path, reaches.content)
    return reaches


def _bursts(time: np.ndarray, settings: ReachSettings, rng: np.random.Generator) -> np.ndarray:
    """Gaussian bursts (trial, time, source) whose time and height vary from trial to trial."""
    centres = settings.duration_s * np.array([0.2, 0.5, 0.8])
    widths = settings.duration_s * np.array([0.09, 0.12, 0.15])
    shift = 0.03 * settings.trial_spread * rng.normal(size=(settings.n_trials, 1, N_SOURCES))
    height = np.clip(0.7 * (1 + 0.2 * settings.trial_spread * rng.normal(size=shift.shape)), 0.1, 1.0)
    return 0.02 + height * np.exp(-(((time[None, :, None] - centres - shift) / widths) ** 2) / 2)


def _undo_lag(act: np.ndarray, rate_hz: float, time_constant_s: float = 0.01) -> np.ndarray:
    """The control that a first-order lag of 10 ms turns into `act`."""
    return (act[:, :-1] + act[:, 1:]) / 2 + time_constant_s * rate_hz * np.diff(act, axis=1)


def _joints(act: np.ndarray, rate_hz: float) -> np.ndarray:
    """Joint angles (trial, time, 2) of damped springs driven by the muscles; positive biceps flexes the elbow."""
    torque = np.stack([act[..., 4] + act[..., 7] - act[..., 5] - act[..., 6], act[..., 2] - act[..., 1]], axis=-1)
    angle, speed = np.zeros((len(act), 2)), np.zeros((len(act), 2))
    out = np.empty((*act.shape[:2], 2))
    for k in range(act.shape[1]):
        out[:, k] = angle
        speed = speed + (600.0 * torque[:, k] - 30.0 * speed - 400.0 * angle) / rate_hz
        angle = angle + speed / rate_hz
    return out


def _smooth_noise(time: np.ndarray, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Slow random deviations (trial, time, joint): two sines of random phase."""
    phase = rng.uniform(0, 2 * np.pi, (2, shape[0], 1, shape[1]))
    angle = 2 * np.pi * time[None, :, None] / time[-1]
    return (np.sin(angle + phase[0]) + np.sin(2 * angle + phase[1])) / 2


def _layers(
    sources: np.ndarray, settings: ReachSettings, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Hidden layers as linear mixtures of the first `rank` sources, and the matrices."""
    layers, mixing = {}, {}
    for name, rank in LAYERS.items():
        mixing[name] = rng.normal(size=(rank, settings.n_units))
        noise = settings.layer_noise * rng.normal(size=(*sources.shape[:2], settings.n_units))
        layers[name] = sources[..., :rank] @ mixing[name] + noise
    return layers, mixing
