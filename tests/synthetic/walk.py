"""Walks of the synthetic walker with a known cycle: period, duty factor and phase lag of every foot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synthetic.bodies import HIPS, walker
from synthetic.writing import Content, Draws, write_content

LAGS = {"fore_left": 0.0, "fore_right": 0.5, "hind_left": 0.75, "hind_right": 0.25}
"""Leg -> phase at which its stance begins, as a fraction of the cycle of the left forefoot (a lateral walk)."""


@dataclass(frozen=True)
class WalkSettings(Draws):
    """What is drawn."""

    n_clips: int = 8
    duration_s: float = 4.0
    rate_hz: float = 100.0
    period_s: float = 0.4
    """Length of a cycle, s."""
    duty: float = 0.6
    """Fraction of the cycle a foot is in stance."""
    flicker: float = 0.0
    """Probability with which a single step reports the wrong contact, as bouncing feet do."""


def make_walks(settings: WalkSettings) -> Content:
    """Draw walks; feet swing as a sine that is forward at touch-down, the trunk advances 10 cm a cycle."""
    rng = np.random.default_rng(settings.seed)
    body = walker()
    time = settings.time
    begin = rng.uniform(0, 1, settings.n_clips)
    cycle = begin[:, None] + time[None, :] / settings.period_s
    lag = np.array([LAGS[leg] for leg in HIPS])
    phase = (cycle[:, :, None] - lag) % 1.0
    reference = np.concatenate([0.1 * (cycle - begin[:, None])[..., None], 0.4 * np.cos(2 * np.pi * phase)], axis=-1)
    qpos = reference + 0.02 * rng.normal(size=(settings.n_clips, 1, len(body.joints)))
    stance = phase[:, :-1] < settings.duty
    wrong = rng.uniform(size=stance.shape) < settings.flicker
    taken, terminated = settings.ends(settings.n_clips, rng)
    ctrl = np.diff(qpos[..., 1:], axis=1) * settings.rate_hz / 50
    reward = np.exp(-5.0 * ((qpos - reference)[:, 1:] ** 2).sum(axis=-1))
    return Content(
        body=body,
        rate_hz=settings.rate_hz,
        clip_names=tuple(f"walk_{number:02d}" for number in range(settings.n_clips)),
        arrays={
            "qpos": qpos,
            "qvel": np.gradient(qpos, 1 / settings.rate_hz, axis=1),
            "qpos_ref": reference,
            "ctrl": ctrl,
            "action": ctrl,
            "reward": reward,
            "metrics": reward[..., None],
            **{f"contact/foot_{leg}": (stance ^ wrong)[..., number] for number, leg in enumerate(HIPS)},
        },
        n_steps=taken,
        terminated=terminated,
        metrics=("joint_reward",),
        seed=settings.seed,
    )


def write_walks(path: Path, settings: WalkSettings) -> Content:
    """Draw walks and write them as a rollouts file."""
    content = make_walks(settings)
    write_content(path, content)
    return content
