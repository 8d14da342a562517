"""Perturbations of a finished controller: each does what it says, is recorded, and wrong ones are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import jax
import mujoco
import numpy as np
import pytest
from track import small_setups
from track.clip_files import WALKER
from track.test_engines import PHYSICS, arena_of
from track_mjx._common.errors import ConfigError
from track_mjx._common.hdf5.check import check_file, errors_in
from track_mjx.body.anatomy import Anatomy
from track_mjx.config import PerturbConfig, RolloutConfig
from track_mjx.learning.setup import Setup
from track_mjx.physics.engine import make_engine
from track_mjx.policy.perturbation import perturbation, silenced, weakened
from track_mjx.rollouts.writing import roll_out
from track_mjx.runs.run_folder import RunFolder
from track_mjx.task.step import Observation


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return small_setups.trained(small_setups.arm(tmp_path_factory.mktemp("run")), 400)


def test_a_push_changes_the_momentum_by_force_times_time(tmp_path: Path) -> None:
    arena = arena_of(tmp_path, WALKER)
    body, n = Anatomy(arena, 1.0, PHYSICS.ctrl_dt_s), 2
    config = PerturbConfig(push=[0.3, -0.2, 0.1], push_body="leg_L", push_at_s=0.02, push_s=0.03)
    pushed = perturbation(body, config, 14)
    assert pushed is not None
    engine, momenta = make_engine(PHYSICS, arena.model, arena.n_substeps), []
    qpos = np.repeat(arena.model.qpos0[None], n, 0)
    qpos[:, 2] += 5.0
    for disturbed in (False, True):
        state = engine.reset(engine.init(n), np.ones(n, bool), qpos, np.zeros((n, arena.model.nv)))
        for step in range(14):
            state = engine.push(state, pushed.force_at(step, n)) if disturbed else state
            state = engine.step(state, np.zeros((n, arena.model.nu)))
        data = mujoco.MjData(arena.model)
        data.qpos[:], data.qvel[:] = engine.read(state).qpos[1], engine.read(state).qvel[1]
        mujoco.mj_forward(arena.model, data)
        mujoco.mj_subtreeVel(arena.model, data)
        momenta.append(data.subtree_linvel[1] * arena.model.body_subtreemass[1])
    np.testing.assert_allclose(momenta[1] - momenta[0], 0.03 * np.array(config.push), rtol=5e-3)


def test_weak_actuators_have_a_part_of_their_force(arm_setup: Setup, walker_setup: Setup) -> None:
    for setup in (arm_setup, walker_setup):
        body = setup.task.body
        first, forces = body.actuators[0], []
        for model in (body.model, weakened(body, {first: 0.25})):
            data = mujoco.MjData(model)
            data.qpos[:], data.ctrl[:] = setup.reference.qpos[5], 0.7
            data.act[:] = 0.6
            data.qvel[:] = np.random.default_rng(1).normal(size=model.nv)
            mujoco.mj_forward(model, data)
            forces.append(data.actuator_force.copy())
        assert np.abs(forces[0]).min() > 0
        np.testing.assert_allclose(forces[1][0], 0.25 * forces[0][0], rtol=1e-5)
        np.testing.assert_allclose(forces[1][1:], forces[0][1:], rtol=1e-6)


def test_silent_units_and_latents_have_no_effect(arm_setup: Setup) -> None:
    policy, networks = small_setups.untrained(arm_setup), arm_setup.networks
    observed = jax.random.normal(jax.random.key(3), (4, arm_setup.observation.reference.shape[-1]))
    senses = jax.random.normal(jax.random.key(4), (4, arm_setup.observation.proprioception.shape[-1]))

    def action(parameters: Any, noise: Any = None) -> np.ndarray:
        return np.asarray(networks.policy(parameters, Observation(observed, senses), noise).location)

    _, silent = silenced(networks, policy, [1], {"layer_0": [2, 5]})
    layers = policy.parameters["decoder"]["params"]
    kernel, reader = (np.array(layer["kernel"]) for layer in (layers["hidden"]["dense_0"], layers["action"]))
    out = networks.policy(policy.parameters, Observation(observed, senses), None)
    hidden = np.asarray(out.activations["decoder/layer_0"])
    _, units = silenced(networks, policy, [], {"layer_0": [2, 5]})
    hidden = np.where(np.isin(np.arange(hidden.shape[1]), [2, 5]), 0.0, hidden)
    expected = (hidden @ reader + np.asarray(layers["action"]["bias"]))[:, : networks.n_actions]
    np.testing.assert_allclose(action(units.parameters), expected, atol=1e-5)
    noise = np.zeros((4, 3), np.float32)
    changed = noise.copy()
    changed[:, 1] = 5.0
    assert np.abs(action(policy.parameters, noise) - action(policy.parameters, changed)).max() > 0.01
    np.testing.assert_array_equal(action(silent.parameters, noise), action(silent.parameters, changed))
    np.testing.assert_array_equal(layers["hidden"]["dense_0"]["kernel"], kernel, "the policy given is not changed")


def test_rollouts_record_what_was_done(run: RunFolder, tmp_path: Path) -> None:
    perturbed = {
        "none": PerturbConfig(),
        "weak": PerturbConfig(actuators={"*": 0.5}),
        "silent": PerturbConfig(units={"layer_0": list(range(16))}),
        "noisy": PerturbConfig(noise=1.0),
        "pushed": PerturbConfig(push=[0.0, 0.0, 0.01], push_body="hand", push_at_s=0.0),
    }
    qpos, recorded = {}, {}
    for name, config in perturbed.items():
        path = tmp_path / f"{name}.h5"
        roll_out(run, RolloutConfig(run=str(run.path), clip_set="test", perturb=config), path)
        assert not errors_in(check_file(path))
        with h5py.File(path) as file:
            qpos[name] = file["qpos"][:]  # type: ignore[index]
            recorded[name] = file.attrs.get("perturbation")
    assert recorded.pop("none") is None
    assert json.loads(recorded["weak"])["actuators"] == {"*": 0.5}
    assert json.loads(recorded["pushed"])["push"] == [0.0, 0.0, 0.01]
    for name in recorded:
        assert np.nanmax(np.abs(qpos[name] - qpos["none"])) > 1e-4, name


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (PerturbConfig(actuators={"flexr": 0.5}), "perturb.actuators"),
        (PerturbConfig(actuators={"flexor": -0.5}), "perturb.actuators: flexor: expected at least 0, got -0.5"),
        (PerturbConfig(actuators={"*": float("nan")}), "perturb.actuators: *: expected at least 0, got nan"),
        (PerturbConfig(push=[1.0, 0, 0], push_body="hand", push_at_s=99.0), "push_at_s: 99 s: the longest episode"),
        (PerturbConfig(units={"layer_9": [0]}), "perturb.units: unknown layer 'layer_9'"),
        (PerturbConfig(units={"layer_0": [16]}), "perturb.units.layer_0: 16; there are 16"),
        (PerturbConfig(latents=[3]), "perturb.latents: 3; there are 3"),
        (PerturbConfig(push=[1.0], push_body="hand"), "perturb.push: expected"),
        (PerturbConfig(push=[1.0, 0.0, 0.0], push_body="hnd"), "perturb.push_body: unknown body 'hnd'"),
    ],
)
def test_what_does_not_exist_is_named(run: RunFolder, tmp_path: Path, config: PerturbConfig, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        roll_out(run, RolloutConfig(run=str(run.path), perturb=config), tmp_path / "out.h5")
    assert words in str(error.value)
    assert not (tmp_path / "out.h5").exists()
