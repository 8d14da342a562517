"""Programs are shared between objects of equal content, and by no others."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from track.small_setups import ARM_TASK, arm, trainer, untrained
from track_mjx.body.anatomy import Anatomy
from track_mjx.compiled import compiled
from track_mjx.learning.collect import Collector, LearningStep
from track_mjx.learning.setup import Setup
from track_mjx.policy.networks import Networks
from track_mjx.policy.perturbation import weakened
from track_mjx.policy.play import PlayedStep, Player
from track_mjx.task.registry import reward
from track_mjx.task.step import Step


def test_a_second_training_and_evaluation_compile_nothing(tmp_path: Path) -> None:
    """Another seed, built again from files, evaluated too."""
    grown = []
    for seed, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        setup = arm(tmp_path / name, {"rewards": {"joint_position_exp": {"weight": 1.0, "sigma": 0.34567}}})
        setup.config.seed = seed
        run = trainer(setup)
        steps = (run.collector.step, run.player._step)
        programs = [run._update, run.collector._observe, *(step._programs[i] for step in steps for i in (0, 2))]
        before = [program._cache_size() for program in programs]
        run.advance()
        run.evaluate()
        grown.append([program._cache_size() - size for program, size in zip(programs, before, strict=True)])
    assert sum(grown[0]) > 0
    assert sum(grown[1]) == 0


def changed_task(setup: Setup, **task: Any) -> Setup:
    return replace(setup, task=type(setup.task)(setup.task.body, replace(setup.config.task, **task)))


def other_body(setup: Setup) -> Setup:
    """Actuators of another strength, as of a perturbed rollout: the XML is the same."""
    body = setup.task.body
    arena = replace(body.arena, model=weakened(body, {"flexor": 0.5}))
    return replace(setup, task=replace(setup.task, body=replace(body, arena=arena)))


def other_step(setup: Setup) -> Setup:
    return replace(setup, task=replace(setup.task, body=Anatomy(setup.task.body.arena, 1.0, 0.01)))


def other_decoder(setup: Setup) -> Setup:
    networks = copy.copy(setup.networks)
    networks.given = {"kernel": np.ones(3)}
    return replace(setup, networks=networks)


DIFFERENT: dict[str, Callable[[Setup], Setup]] = {
    "parameter of a term": lambda s: changed_task(s, rewards={"joint_position_exp": {"weight": 1.0, "sigma": 0.2}}),
    "weight": lambda s: changed_task(s, rewards={"joint_position_exp": {"weight": 2.0, "sigma": 0.3}}),
    "setting of the task": lambda s: changed_task(s, pose_noise=0.1),
    "numbers of the model": other_body,
    "control step": other_step,
    "width": lambda s: replace(s, networks=Networks(replace(s.config.network, encoder=[17]), 3)),
    "number of the network": lambda s: replace(s, networks=Networks(replace(s.config.network, initial_std=0.1), 3)),
    "decoder": other_decoder,
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_another_task_body_or_network_has_a_program_of_its_own(arm_setup: Setup, what: str) -> None:
    other = DIFFERENT[what](arm_setup)
    for kind in (LearningStep, PlayedStep):
        ours, again, theirs = (kind(s.task, s.networks, s.engine()) for s in (arm_setup, arm_setup, other))
        assert ours == again != theirs
        assert ours._programs[0] is again._programs[0] is not theirs._programs[0]


def test_what_the_caller_adds_counts_too(arm_setup: Setup) -> None:
    of = (arm_setup.task, arm_setup.networks, arm_setup.engine())
    assert PlayedStep(*of, 0.5) != PlayedStep(*of)
    assert LearningStep(*of, lead=2) != LearningStep(*of)
    assert Collector(LearningStep(*of), 5) == Collector(LearningStep(*of), 5) != Collector(LearningStep(*of), 4)


@pytest.mark.usefixtures("clean_registry")
def test_functions_of_the_users_own_are_compiled_for_every_task(tmp_path: Path) -> None:
    """They may read what changes, as a variable of a notebook."""
    level = [1.0]

    @reward
    def level_exp(step: Step) -> jax.Array:
        """A value from outside."""
        return jnp.full(step.now.qpos.shape[0], level[0])

    found = []
    for level[0] in (0.25, 0.75):
        setup = arm(tmp_path, {"rewards": {**ARM_TASK["rewards"], "level_exp": {"weight": 1.0}}})
        player = Player(setup.task, setup.networks, setup.engine())
        played = player.play(untrained(setup), setup.on_device(setup.followed), np.array([1]))
        found.append(float(played.metrics["level_exp"][0, 0]))
    assert found == [0.25, 0.75]


def test_a_function_is_compiled_once_for_equal_arguments() -> None:
    def scaled(factor: float, x: Any) -> Any:
        return factor * x

    assert compiled(scaled, 2.0) is compiled(scaled, 2.0) is not compiled(scaled, 3.0)
    assert float(compiled(scaled, 3.0)(2.0)) == 6.0
