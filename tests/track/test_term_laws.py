"""Laws that hold for every registered term, whatever it computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from track.small_setups import ARM_TASK, arm, walker
from track_mjx._common.errors import ConfigError
from track_mjx.config import TerrainConfig
from track_mjx.learning.setup import Setup
from track_mjx.physics.fields import zero_physics
from track_mjx.task.registry import KINDS, resolve, reward, terms_of
from track_mjx.task.step import EpisodeState, History, Step

N = 5
SHARED = {"sigma": 0.3, "limit_m": 0.05, "limit_rad": 0.3, "low_m": 0.01, "scale_m": 0.1, "target_m_s": 0.5}
OWN: dict[str, dict[str, Any]] = {"emg": {"target": {"flexor": [0.0, 1.0, 0.5]}, "rate_hz": 10.0}}
ONLY_ARM, ONLY_WALKER, ON_TERRAIN = ("emg",), ("velocity_exp", "speed_linear"), ("escape_linear",)
COMMANDS = ("command_b", "velocity_exp", "heading_cos")
"""Terms whose goal has four numbers; other goals have three."""
TERMS = [(kind, name) for kind in KINDS for name in terms_of(kind)]


def parameters(kind: str, name: str) -> dict[str, Any]:
    import inspect

    known = inspect.signature(terms_of(kind)[name]).parameters
    given = {key: value for key, value in SHARED.items() if key in known} | OWN.get(name, {})
    return given | ({"weight": 1.0} if kind in ("reward", "cost") else {})


def random_state(setup: Setup, goal_size: int = 3) -> tuple[Any, EpisodeState, np.ndarray]:
    """Physics, episodes and actions that have nothing to do with each other."""
    rng, model, task = np.random.default_rng(4), setup.task.body.model, setup.task
    physics = zero_physics(model, N)
    physics = physics._replace(
        **{name: rng.normal(size=np.shape(value)).astype(np.float32) for name, value in physics._asdict().items()}
    )
    qpos, xquat = np.array(physics.qpos), np.array(physics.xquat)
    for q, _ in task.body.quaternions:
        qpos[:, q : q + 4] /= np.linalg.norm(qpos[:, q : q + 4], axis=-1, keepdims=True)
    xquat /= np.linalg.norm(xquat, axis=-1, keepdims=True)
    steps = 50
    history = History(
        action=rng.uniform(-1, 1, (N, steps, model.nu)).astype(np.float32),
        qvel=rng.normal(size=(N, steps, model.nv)).astype(np.float32),
        age=np.array([1, 2, 3, 10, 60], np.int32),
    )
    action = rng.uniform(-1, 1, (N, model.nu)).astype(np.float32)
    goal = rng.normal(size=(N, goal_size)).astype(np.float32)
    goal[:, -2:] /= np.linalg.norm(goal[:, -2:], axis=1, keepdims=True)
    episode = EpisodeState(
        np.array([0, 1, 2, 3, 0], np.int32),
        np.array([1, 5, 9, 2, 30], np.int32),
        -action,
        history,
        goal,
    )
    return physics._replace(qpos=qpos, xquat=xquat), episode, action


def rows(tree: Any, chosen: Any) -> Any:
    return jax.tree.map(lambda x: x[chosen], tree)


def value(setup: Setup, term: Any, physics: Any, episode: EpisodeState, action: Any) -> np.ndarray:
    step: Step = setup.task.context(setup.reference, physics, episode, action)
    with jax.numpy_dtype_promotion("strict"):
        return np.asarray(term(step))


@pytest.mark.parametrize(("kind", "name"), TERMS)
def test_simulations_do_not_depend_on_each_other(
    kind: str, name: str, arm_setup: Setup, walker_setup: Setup, tmp_path: Path
) -> None:
    (term,) = resolve(kind, {name: parameters(kind, name)}, kind)
    setups = [] if name in ONLY_WALKER else [arm_setup]
    setups += [] if name in ONLY_ARM else [walker_setup]
    if name in ON_TERRAIN:
        setups = [walker(tmp_path, arena={"terrain": TerrainConfig(kind="bowl", cells=20), "floor": "on"})]
    for setup in setups:
        state = random_state(setup, 4 if name in COMMANDS else 3)
        whole = value(setup, term, *state)
        assert whole.shape[0] == N
        assert np.isfinite(whole).all(), "finite on any finite state"
        alone = np.concatenate([value(setup, term, *rows(state, slice(i, i + 1))) for i in range(N)])
        assert alone == pytest.approx(whole, rel=1e-4, abs=1e-5), "the batch is a loop"
        order = np.array([3, 0, 4, 1, 2])
        assert value(setup, term, *rows(state, order)) == pytest.approx(whole[order], rel=1e-4, abs=1e-5)
        if kind == "observation":
            continue
        assert whole.shape == (N,)
        assert whole.dtype == (bool if kind == "termination" else np.float32)
        assert (whole >= 0).all()
        assert kind != "reward" or (whole <= 1).all()


@pytest.mark.parametrize("window", [1, 2, 3, 7])
def test_jerk_is_the_third_difference_of_the_angle_and_needs_three_steps(arm_setup: Setup, window: int) -> None:
    (term,) = resolve("cost", {"jerk": {"weight": 1.0, "window": window}}, "task.costs")
    physics, episode, action = random_state(arm_setup)
    if window < 3:
        with pytest.raises(ConfigError, match=r"task\.costs\.jerk: window"):
            value(arm_setup, term, physics, episode, action)
        return
    dt = arm_setup.task.body.ctrl_dt
    third = np.diff(np.asarray(episode.history.qvel)[:, -3:], n=2, axis=1)[:, 0] / dt**2
    expected = np.where(np.asarray(episode.history.age) >= 3, (third**2).mean(-1), 0.0)
    assert value(arm_setup, term, physics, episode, action) == pytest.approx(expected, rel=1e-4)


@pytest.mark.usefixtures("clean_registry")
def test_a_reward_gets_the_history_of_its_window(tmp_path: Path) -> None:
    @reward
    def steady_exp(step: Step, *, window: int) -> jax.Array:
        """Actions of the last steps are alike."""
        assert step.history.action.shape[1] >= window
        return jnp.exp(-step.history.action[:, -window:].var(1).sum(-1))

    setup = arm(tmp_path, {"rewards": {**ARM_TASK["rewards"], "steady_exp": {"weight": 1.0, "window": 5}}})
    assert setup.task.history_steps == 5
