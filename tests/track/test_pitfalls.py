"""Mistakes that public code made and that no other file here guards against."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from track.small_setups import arm, step_at, trained, untrained
from track_mjx.learning.collect import Collector, LearningStep
from track_mjx.learning.setup import Setup, split
from track_mjx.runs.checkpoints import flatten
from track_mjx.task.terms import observations


def test_held_out_clips_are_never_trained_on(tmp_path: Path) -> None:
    """Runs on clips files that differ in their held-out clips alone learn the very same."""
    found = []
    for name, factor in (("a", 1.0), ("b", 3.0)):
        folder = tmp_path / name
        folder.mkdir()
        setup = arm(folder)
        _, test = split(4, setup.config.run.test_fraction, 0)
        for clip in test:
            start = int(setup.reference.start[clip])
            setup.reference.qpos[start : start + int(setup.reference.length[clip])] *= factor
        folder_of_run = trained(setup, steps=160)
        found.append(folder_of_run.checkpoints.load("last")[1])
        lines = folder_of_run.metrics()
        found[-1] = {key: leaf for key, leaf in found[-1].items() if key.startswith("learner/")}
        found[-1]["test"] = np.array(lines[-1]["eval/test/mean_joint_error_deg"])
    assert found[0].pop("test") != found[1].pop("test"), "the held-out clips do differ"
    assert found[0].keys() == found[1].keys() != set()
    for leaf in found[0]:
        assert np.array_equal(found[0][leaf], found[1][leaf]), leaf


def test_muscle_activation_length_and_velocity_are_seen(arm_setup: Setup) -> None:
    """What MuJoCo holds is what the decoder is given, muscle by muscle."""
    rng = np.random.default_rng(0)
    act, length, velocity = rng.random((3, 2, 3)).astype(np.float32)
    scene = step_at(arm_setup, act=act, actuator_length=length, actuator_velocity=velocity)
    for name, values in (("activation", act), ("length", length), ("velocity", velocity)):
        assert np.array_equal(getattr(observations, f"muscle_{name}")(scene), values), name


def test_the_reference_stays_an_argument_of_the_training_loop(arm_setup: Setup) -> None:
    """Another reference of the same shape changes what is collected, without another compilation."""
    collector = Collector(LearningStep(arm_setup.task, arm_setup.networks, arm_setup.engine()), 3)
    policy = untrained(arm_setup)
    here = arm_setup.on_device(arm_setup.followed)
    there = here._replace(qpos=here.qpos + jnp.float32(0.2))
    rewards, compiled = [], []
    for reference in (here, there):
        state, episode = collector.begin(here, jax.random.key(1), 8)
        _, _, (transition, _), _ = collector.collect(policy, reference, state, episode, jax.random.key(2))
        rewards.append(np.asarray(transition.reward))
        acting, _, evaluating = collector.step._programs
        compiled.append([program._cache_size() for program in (acting, evaluating)])
    assert not np.allclose(rewards[0], rewards[1])
    assert compiled[0] == compiled[1]


def test_no_accelerator_is_asked_for(tmp_path: Path) -> None:
    """With every GPU and TPU hidden the package imports, and picks the engine of the CPU."""
    script = (
        "import jax, json; from track_mjx.physics.engine import engine_name; "
        "print(json.dumps([engine_name('auto'), jax.devices()[0].platform]))"
    )
    hidden = {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "", "PATH": "/usr/bin:/bin"}
    environment = {**hidden, "PYTHONPATH": ":".join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120)
    assert json.loads(done.stdout) == ["native", "cpu"], done.stderr


def test_large_counts_of_steps_are_whole(tmp_path: Path) -> None:
    """Beyond 32 bits, and beyond what single precision can count."""
    folder = trained(arm(tmp_path), steps=80)
    step, flat = folder.checkpoints.load("last")
    assert flat["steps"].dtype == np.int64
    flat["steps"] = flat["steps"] + 2**40
    folder.checkpoints.save(step + 2**40, flat)
    found, again = folder.checkpoints.load("last")
    assert found == step + 2**40
    assert int(flatten(again)["steps"]) == step + 2**40
