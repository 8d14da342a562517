"""Presets and settings: every one composes, builds, and says what is wrong in one message."""

from __future__ import annotations

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from track_mjx._common.cli import preset_names
from track_mjx.body.arena import substeps
from track_mjx.cli import APP
from track_mjx.config import TrainConfig
from track_mjx.task.registry import resolve


def settings(preset: str, *overrides: str) -> TrainConfig:
    APP.register("train")
    with initialize_config_module("track_mjx.conf", version_base="1.3"):
        found = OmegaConf.to_object(compose("train", [f"preset={preset}", *overrides]))
    assert isinstance(found, TrainConfig)
    return found


@pytest.mark.parametrize("preset", preset_names("preset"))
def test_every_preset_composes_and_names_terms_that_exist(preset: str) -> None:
    found = settings(preset)
    assert substeps(found.physics) >= 1
    task = found.task
    for kind, terms in (
        ("observation", task.reference), ("observation", task.proprioception), ("reward", task.rewards),
        ("cost", task.costs), ("termination", task.terminations),
    ):  # fmt: skip
        assert len(resolve(kind, terms, kind)) == len(terms)


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("rat", (0.01, "cg", 5, 60, 16, 0.01, 0.1, 0.95)),
        ("fly", (0.002, "cg", 4, 60, 16, 0.01, 0.1, 0.95)),
        ("worm", (0.1, "newton", 4, 8, 16, 0.002, 0.0001, 0.95)),
        ("stick", (0.01, "cg", 6, 60, 16, 0.0001, 0.1, 0.97)),
        ("mouse_arm", (0.0025, "cg", 6, 4, 8, 0.001, 0.00001, 0.95)),
    ],
)
def test_presets_hold_the_numbers_of_paper_b_table_1(preset: str, expected: tuple) -> None:
    found = settings(preset)
    physics, ppo = found.physics, found.ppo
    assert expected == (
        physics.ctrl_dt_s, physics.solver, physics.iterations, found.network.latent, ppo.minibatches,
        ppo.entropy_weight, ppo.kl_weight, ppo.discount,
    )  # fmt: skip
    assert (ppo.n_envs, ppo.unroll, ppo.learning_rate, ppo.clip) == (4096, 20, 1e-4, 0.2)
    assert ppo.n_envs * ppo.rounds == 1024 * ppo.minibatches, "batch size 1024, in unrolls"


def test_physics_aware_adds_the_costs_of_paper_a_table_2() -> None:
    plain, aware = settings("mouse_arm"), settings("mouse_arm_physics_aware")
    assert plain.task.costs == {}
    assert {name: term["weight"] for name, term in aware.task.costs.items()} == {"control": 0.15, "energy": 0.01}
    assert aware.task.rewards == plain.task.rewards == {"joint_position_exp": {"weight": 5.0, "exp_scale": 0.2}}
    assert aware.ppo == plain.ppo
