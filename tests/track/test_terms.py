"""Terms: kernels in physical units, costs by definition, and one function plus one line of config for a new one."""

from __future__ import annotations

import csv
from pathlib import Path

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from track.small_setups import ARM_TASK, arm, step_at, trained
from track_mjx._common.errors import ConfigError
from track_mjx.config import EvaluateConfig, RolloutConfig
from track_mjx.evaluation.assess import assess
from track_mjx.evaluation.tables import summary_text
from track_mjx.learning.setup import Setup
from track_mjx.physics.fields import zero_physics
from track_mjx.renamed import TERMS, with_present_names
from track_mjx.rollouts.writing import roll_out
from track_mjx.task.registry import _terms, resolve, reward, terms_of
from track_mjx.task.step import Step
from track_mjx.task.terms import costs, rewards, terminations
from track_mjx.task.terms.rewards import gaussian


def test_a_gaussian_of_sigma_is_the_papers_exp_scale() -> None:
    squared = jnp.array([0.0, 1e-6, 4e-6])
    sigma = 0.0015
    assert np.asarray(gaussian(squared, sigma, None)) == pytest.approx(np.exp(-squared / (2 * sigma**2)))
    scale = 1 / (2 * sigma**2)
    assert np.asarray(gaussian(squared, None, scale)) == pytest.approx(np.asarray(gaussian(squared, sigma, None)))
    in_mm = gaussian(squared * 1e6, sigma, None, unit=1e3)
    assert np.asarray(in_mm) == pytest.approx(np.asarray(gaussian(squared, sigma, None)), rel=1e-5)
    for wrong in ((None, None), (1.0, 1.0), (0.0, None), (None, -1.0)):
        with pytest.raises(ConfigError):
            gaussian(squared, *wrong)


def test_rewards_are_one_on_the_reference_and_fall_with_the_distance(walker_setup: Setup) -> None:
    exact, sigma = step_at(walker_setup), 0.05
    root = walker_setup.task.body.root
    for name, term in terms_of("reward").items():
        if term.__module__ != rewards.__name__ or not name.endswith("_exp"):  # tests of pages register their own
            continue
        assert np.asarray(term(exact, sigma=sigma)) == pytest.approx([1.0, 1.0], abs=1e-4), term.__name__
    moved = np.array(exact.now.xpos)
    moved[:, root] += [0.03, 0.0, 0.04]
    off = step_at(walker_setup, xpos=moved)
    assert np.asarray(rewards.root_position_exp(off, sigma=sigma))[0] == pytest.approx(np.exp(-0.5), rel=1e-3)
    turned = exact.now.xquat.copy()
    turned[:, root] = [np.cos(0.2), np.sin(0.2), 0, 0]
    cosine = min(1.0, abs(float((np.asarray(exact.target.xquat)[0, root] * turned[0, root]).sum())))
    found = np.asarray(rewards.root_orientation_exp(step_at(walker_setup, xquat=turned), sigma=0.3))
    assert found[0] == pytest.approx(np.exp(-(np.arccos(cosine) ** 2) / (2 * 0.3**2)), rel=1e-3)
    joints = exact.now.qpos.copy()
    joints[:, walker_setup.task.body.joint_columns(["hip_R"])[0][0]] += 0.1
    bent = step_at(walker_setup, qpos=joints)
    assert np.asarray(rewards.joint_position_exp(bent, sigma=0.1))[0] == pytest.approx(np.exp(-0.5), rel=1e-3)
    assert np.asarray(rewards.joint_position_exp(bent, sigma=0.1, joints=["hip_L"]))[0] == pytest.approx(1.0)


def test_costs_follow_their_definitions(arm_setup: Setup) -> None:
    rng = np.random.default_rng(0)
    ctrl, qvel, force = rng.random((2, 3)), rng.normal(size=(2, 2)), rng.normal(size=(2, 2))
    here = step_at(arm_setup, ctrl=ctrl, qvel=qvel, qfrc_actuator=force)
    assert np.asarray(costs.control(here)) == pytest.approx((ctrl**2).sum(1), rel=1e-5)
    assert np.asarray(costs.control(here, of="action")) == pytest.approx([0.0, 0.0])
    power = (np.abs(qvel) * np.abs(force)).sum(1)
    assert np.asarray(costs.energy(here)) == pytest.approx(power, rel=1e-5)
    assert np.asarray(costs.energy(here, limit=1e-3)) == pytest.approx([1e-3, 1e-3])
    with pytest.raises(ConfigError, match="ctrl or action"):
        costs.control(here, of="force")


def test_variance_and_jerk_look_back_to_the_reset_and_no_further(tmp_path: Path) -> None:
    setup = arm(tmp_path, {"costs": {"variance": {"weight": 1.0, "window": 4}, "jerk": {"weight": 1.0}}})
    task, reference = setup.task, setup.reference
    assert task.history_steps == 4
    clock = task.start_at(reference, np.zeros(1, int), np.zeros(1, int))[0]
    rng = np.random.default_rng(1)
    actions, speeds = rng.normal(size=(7, 1, 3)).astype(np.float32), rng.normal(size=(7, 1, 2)).astype(np.float32)
    for k in range(7):
        fields = zero_physics(task.body.model, 1)._replace(qvel=speeds[k], xquat=reference.xquat[:1])
        clock, terms, _ = task.evaluate_terms(reference, fields, clock, actions[k])
        seen = actions[max(0, k - 3) : k + 1, 0]
        assert float(terms["variance"][0]) == pytest.approx(seen.var(0).mean(), rel=1e-4, abs=1e-6)
        jerk = 0.0 if k < 2 else (((speeds[k] - 2 * speeds[k - 1] + speeds[k - 2]) / 0.005**2) ** 2).mean()
        assert float(terms["jerk"][0]) == pytest.approx(jerk, rel=1e-3)


def test_emg_compares_with_the_envelope_at_the_same_time(arm_setup: Setup) -> None:
    act = np.full((2, 3), 0.25, np.float32)
    here = step_at(arm_setup, row=20, act=act)  # 0.1 s into the clip
    target = {"flexor": [0.0, 1.0, 0.5], "lifter": [0.25, 0.25]}
    found = np.asarray(costs.emg(here, target=target, rate_hz=10.0))
    assert found[0] == pytest.approx(((0.25 - 1.0) ** 2 + 0.0) / 2, rel=1e-5)
    with pytest.raises(ConfigError, match="flexor"):
        costs.emg(here, target={"flexr": [0.0]}, rate_hz=10.0)


def test_terminations_have_limits_in_metres_and_radians(walker_setup: Setup) -> None:
    exact = step_at(walker_setup)
    for stop in (
        terminations.fall(exact, low_m=-1.0), terminations.too_far(exact, limit_m=0.01),
        terminations.too_rotated(exact, limit_rad=0.1), terminations.pose_error(exact, limit_rad=0.1),
    ):  # fmt: skip
        assert not np.asarray(stop).any()
    moved = exact.now.xpos.copy()
    moved[1, walker_setup.task.body.root, 0] += 0.02
    assert np.asarray(terminations.too_far(step_at(walker_setup, xpos=moved), limit_m=0.01)).tolist() == [False, True]
    assert np.asarray(terminations.fall(exact, low_m=10.0)).all()


@pytest.mark.usefixtures("clean_registry")
def test_a_new_term_is_one_function_and_one_line_of_config(tmp_path: Path) -> None:
    @reward
    def calm(step: Step, *, scale: float) -> jax.Array:
        """Slow joints are rewarded."""
        return jnp.exp(-scale * (step.now.qvel**2).sum(-1))

    setup = arm(
        tmp_path,
        {"rewards": {"joint_position_exp": {"weight": 1.0, "sigma": 0.3}, "calm": {"weight": 0.5, "scale": 0.01}}},
    )
    folder = trained(setup, steps=80)
    line = folder.metrics()[-1]
    assert 0 < line["terms/calm"] <= 1
    assert 0 < line["eval/test/terms/calm"] <= 1
    assert "terms/calm" in (folder.path / "metrics.csv").read_text().splitlines()[0]
    found = assess(folder, EvaluateConfig(run=str(folder.path)), tmp_path / "evaluation")
    assert found["weights"]["calm"] == 0.5
    assert 0 < found["terms/calm"] == found["sets"]["test"]["terms/calm"] <= 1
    assert "calm" in summary_text(found)
    with (tmp_path / "evaluation" / "clips.csv").open(encoding="utf-8") as table:
        per_clip = {row["clip"]: float(row["terms/calm"]) for row in csv.DictReader(table)}
    assert "calm (0.5)" in (tmp_path / "evaluation" / "reward_terms.svg").read_text(), "the figure names it"
    roll_out(folder, RolloutConfig(run=str(folder.path)), tmp_path / "rollouts.h5")
    with h5py.File(tmp_path / "rollouts.h5") as file:
        names = ("metric", "metric_weight", "metrics", "valid", "reward", "qvel", "clip_name")
        stored = {name: np.asarray(file[name]) for name in names}
    assert [name.decode() for name in stored["metric"]] == ["joint_position_exp", "calm", "control_difference"]
    assert stored["metric_weight"].tolist() == pytest.approx([1.0, 0.5, -0.1])
    total, valid = (stored["metrics"] * stored["metric_weight"]).sum(-1), stored["valid"] != 0
    assert stored["reward"][valid] == pytest.approx(total[valid], rel=1e-4)
    by_hand = np.exp(-0.01 * (stored["qvel"][:, 1:] ** 2).sum(-1))
    assert stored["metrics"][..., 1][valid] == pytest.approx(by_hand[valid], rel=1e-4), "of the state after the step"
    for clip, name in enumerate(stored["clip_name"]):
        assert per_clip[name.decode()] == pytest.approx(by_hand[clip][valid[clip]].mean(), rel=1e-4)


OWN = {
    "reward": {
        "a column": (lambda step: step.now.qpos[:, :1], r"expected an array of shape \(env,\) for env=2, got \(2, 1\)"),
        "a number": (lambda step: 1.0, r"got \(\)"),
        "a sum over all": (lambda step: step.now.qpos.sum(), r"got \(\)"),
        "a name that is wrong": (lambda step: step.now.qposs, r"test_terms\.py, line \d+: AttributeError: .*qposs"),
        "numpy": (lambda step: np.zeros(5)[step.history.age], r"line \d+: TracerArrayConversionError"),
    },
    "termination": {
        "numbers": (lambda step: step.now.qpos[:, 0], "expected truth values, got float32"),
        "if": (lambda step: step.now.qpos[0, 0] > 0 or None, r"line \d+: TracerBoolConversionError"),
    },
    "observation": {"nothing": (lambda step: None, r"expected an array of shape \(env, \.\.\.\)")},
}
"""What users' terms return that terms may not, and the message."""


@pytest.mark.usefixtures("clean_registry")
@pytest.mark.parametrize(("kind", "what"), [(kind, what) for kind, cases in OWN.items() for what in cases])
def test_own_terms_that_are_wrong_are_named_with_their_line(tmp_path: Path, kind: str, what: str) -> None:
    function, words = OWN[kind][what]
    _terms[kind]["mine"] = function
    section = {"reward": "rewards", "termination": "terminations", "observation": "proprioception"}[kind]
    earlier = ARM_TASK.get(section, {})
    with pytest.raises(ConfigError, match=rf"task\.{section}\.mine: .*{words}"):
        arm(tmp_path, {section: {**earlier, "mine": {"weight": 1.0} if kind == "reward" else {}}})


@pytest.mark.parametrize(("kind", "old", "new"), [(k, old, new) for k, t in TERMS.items() for old, new in t.items()])
def test_earlier_names_are_refused_with_the_new_one(kind: str, old: str, new: str) -> None:
    weight = {"weight": 1, "sigma": 0.1} if kind == "reward" else {}
    for config in ({old: weight}, {"own": {"term": old, **weight}}):
        with pytest.raises(ConfigError, match=f"'{old}' is now '{new}'"):
            resolve(kind, config, "r")
    section = "rewards" if kind == "reward" else "reference"
    saved = with_present_names({"task": {section: {old: weight}}})
    (term,) = resolve(kind, saved["task"][section], "r")
    assert (term.name, term.function.__name__) == (old, new), "a run folder keeps the name in its logs and files"
