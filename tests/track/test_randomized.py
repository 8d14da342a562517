"""Domain randomisation: every simulation is MuJoCo with its own masses, strength and delay."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import jax
import mujoco
import numpy as np
import pytest
from track.clip_files import ARM, HINGE, WALKER
from track.test_engines import PHYSICS, arena_of
from track_mjx._common.errors import ConfigError
from track_mjx.body.arena import Arena
from track_mjx.config import RandomizeConfig
from track_mjx.physics.engine import make_engine
from track_mjx.physics.randomized import randomized

RANGES = RandomizeConfig(mass=[0.5, 2.0], friction=[0.5, 2.0], armature=[0.5, 2.0], strength=[0.5, 2.0], delay=[0, 3])


def engine_of(arena: Arena, kind: str, ranges: RandomizeConfig = RANGES) -> Any:
    settings = copy.copy(PHYSICS)
    settings.engine = kind
    return randomized(make_engine(settings, arena.model, arena.n_substeps), arena.model, ranges, seed=3)


def varied(model: mujoco.MjModel, mass: float, friction: float, armature: float, strength: float) -> mujoco.MjModel:
    """The model with its quantities multiplied, by hand."""
    model = copy.copy(model)
    model.body_mass *= mass
    model.body_inertia *= mass
    model.body_subtreemass *= mass
    model.geom_friction *= friction
    model.dof_armature *= armature
    muscle = model.actuator_gaintype == mujoco.mjtGain.mjGAIN_MUSCLE
    for values in (model.actuator_gainprm, model.actuator_biasprm):
        values[muscle, 2] = np.where(
            values[muscle, 2] < 0, values[muscle, 3] / model.actuator_acc0[muscle], values[muscle, 2]
        )
        values[muscle, 2] *= strength
        values[~muscle, :3] *= strength
    model.actuator_forcerange *= strength
    return model


@pytest.mark.parametrize(("xml", "kind"), [(ARM, "native"), (WALKER, "native"), (HINGE, "mjx")])
def test_each_simulation_is_mujoco_with_a_body_of_its_own(tmp_path: Path, xml: str, kind: str) -> None:
    arena = arena_of(tmp_path, xml)
    engine = engine_of(arena, kind)
    model, controls = arena.model, np.random.default_rng(1).random((12, 3, arena.model.nu)).astype(np.float32)
    qpos, qvel = np.repeat(model.qpos0[None], 3, 0).astype(np.float32), np.zeros((3, model.nv), np.float32)
    step, reset = (jax.jit(f) if engine.traceable else f for f in (engine.step, engine.reset))
    state = reset(engine.init(3), np.ones(3, bool), qpos, qvel)
    factors, delay = np.asarray(state[1].factors), np.asarray(state[1].delay)
    for control in controls:
        state = step(state, control)
    reached = np.asarray(engine.read(state).qpos)
    plain = []
    for i in range(3):
        body = varied(model, *factors[i].tolist())
        data = mujoco.MjData(body)
        mujoco.mj_forward(body, data)
        for k in range(12):
            data.ctrl[:] = controls[max(0, k - delay[i]), i]
            mujoco.mj_step(body, data, arena.n_substeps)
        np.testing.assert_allclose(reached[i], data.qpos, atol=2e-4 if kind == "mjx" else 1e-5)
        unchanged = mujoco.MjData(model)
        mujoco.mj_forward(model, unchanged)
        for k in range(12):
            unchanged.ctrl[:] = controls[k, i]
            mujoco.mj_step(model, unchanged, arena.n_substeps)
        plain.append(np.abs(unchanged.qpos - data.qpos).max())
    assert max(plain) > 1e-4, "the bodies differ visibly from the model's"
    assert len(set(delay.tolist())) > 1


def test_draws_are_within_ranges_at_restarts_only_and_resume_bit_for_bit(tmp_path: Path) -> None:
    arena = arena_of(tmp_path, ARM)
    engine, n = engine_of(arena, "native"), 200
    qpos, qvel = np.zeros((n, arena.model.nq), np.float32), np.zeros((n, arena.model.nv), np.float32)
    state = engine.reset(engine.init(n), np.ones(n, bool), qpos, qvel)
    first = state[1].factors.copy()
    assert first.min() >= 0.5
    assert first.max() <= 2.0
    np.testing.assert_allclose(first.mean(0), 1.25, atol=5 * 1.5 / np.sqrt(12 * n), err_msg="uniform")
    assert set(state[1].delay.tolist()) == {0, 1, 2, 3}
    half = np.arange(n) < n // 2
    state = engine.reset(engine.step(state, np.ones((n, arena.model.nu), np.float32)), half, qpos, qvel)
    assert ((state[1].factors != first).all(1) == half).all()
    saved = engine.save(state)
    runs = []
    for handle in (state, engine.load(engine.init(n), saved)):
        for _ in range(3):
            handle = engine.step(handle, np.full((n, arena.model.nu), 0.3, np.float32))
        handle = engine.reset(handle, ~half, qpos, qvel)
        runs.append(engine.save(handle))
    for name in runs[0]:
        np.testing.assert_array_equal(runs[0][name], runs[1][name])


def test_nothing_to_randomise_leaves_the_engine_as_it_is(tmp_path: Path) -> None:
    arena = arena_of(tmp_path, ARM)
    engine = make_engine(PHYSICS, arena.model, arena.n_substeps)
    assert randomized(engine, arena.model, RandomizeConfig(), 0) is engine
    with pytest.raises(ConfigError, match=r"randomize\.mass: expected \[lowest, highest\]"):
        engine_of(arena, "native", RandomizeConfig(mass=[2.0, 0.5]))
