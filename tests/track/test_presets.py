"""Presets and settings: every one composes, builds, and says what is wrong in one message."""

from __future__ import annotations

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from track_mjx._common.cli import preset_names
from track_mjx.body.arena import substeps
from track_mjx.body.parts import matching
from track_mjx.cli import APP
from track_mjx.config import TrainConfig
from track_mjx.task.registry import resolve

PAPER_B = """
                       rat                 fly       worm          mouse_arm_physics_aware stick
num_envs               4096                4096      4096          4096          4096
batch_size             1024                1024      1024          1024          1024
num_minibatches        16                  16        16            8             16
learning_rate          .0001               .0001     .0001         .0001         .0001
clipping_epsilon       .2                  .2        .2            .2            .2
discounting            .95                 .95       .95           .95           .97
entropy_cost           .01                 .01       .002          .001          .0001
unroll_length          20                  20        20            20            20
kl_weight              .1                  .1        .0001         .00001        .1
encoder                512,256,256         256,256   512,512,512   512,512,512   512,512,512
decoder                512,512,256,256     256,256   512,512,512   512,512,512   512,512,512,256
critic                 512,512,256,256     256,256   512,512,512   512,512,512   512,512,256
intention              60                  60        8             4             60
sim_dt                 .002                .0002     .005          .00125        .002
ctrl_dt                .01                 .002      .1            .0025         .01
solver                 cg                  cg        newton        cg            cg
iterations             5                   4         4             6             6
ls_iterations          5                   4         4             6             6
pos_exp_scale          400                 400       .1            0             40000
quat_exp_scale         4                   4         30            0             4
joint_exp_scale        .25                 .25       1             .2            .25
end_eff_exp_scale      500                 100       .3            0             50000
body_pos_exp_scale     0                   8         .5            0             8
joint_vel_exp_scale    0                   .5        1             0             .5
pos_weight             1                   1         1             0             1
quat_weight            1                   1         1             0             1
joint_weight           1                   1         2             5             1
end_eff_weight         1                   1         1             0             1
body_pos_weight        0                   0         1             0             0
joint_vel_weight       0                   0         3             0             0
control_cost           .02                 .02       0             .15           .02
control_difference     .02                 .1        0             0             .02
energy_cost            .01                 .001      0             .01           .001
variance_cost          .01                 0         0             0             0
variance_window        50                  0         0             0             0
"""
"""Paper B, table 1, row by row; the names of its rows are shortened. Its mouse arm is paper A's physics-aware one."""
JOINT_ONLY = {"control_cost": "0", "energy_cost": "0"}
"""Paper A, table 2: where its left column differs from the right one, which equals the mouse arm above."""

TERMS = {
    "pos": "root_position_exp", "quat": "root_orientation_exp", "joint": "joint_position_exp",
    "end_eff": "end_effector_position_exp", "body_pos": "body_position_exp", "joint_vel": "joint_velocity_exp",
}  # fmt: skip
COSTS = {
    "control_cost": "control", "control_difference": "control_difference", "energy_cost": "energy",
    "variance_cost": "variance",
}  # fmt: skip


def table() -> dict[str, dict[str, str]]:
    """Row -> value, by preset."""
    names, *rows = [line.split() for line in PAPER_B.strip().splitlines()]
    columns = {name: {row[0]: row[i + 1] for row in rows} for i, name in enumerate(names)}
    return columns | {"mouse_arm": columns["mouse_arm_physics_aware"] | JOINT_ONLY}


def rows_of(found: TrainConfig) -> dict[str, object]:
    """The same rows, of a preset."""
    ppo, network, physics, task = found.ppo, found.network, found.physics, found.task
    rewards = {name: task.rewards.get(term) or {} for name, term in TERMS.items()}
    costs = {row: task.costs.get(term) or {} for row, term in COSTS.items()}
    return {
        "num_envs": ppo.n_envs, "batch_size": ppo.batch_size, "num_minibatches": ppo.minibatches,
        "learning_rate": ppo.learning_rate, "clipping_epsilon": ppo.clip, "discounting": ppo.discount,
        "entropy_cost": ppo.entropy_weight, "unroll_length": ppo.unroll, "kl_weight": ppo.kl_weight,
        "encoder": network.encoder, "decoder": network.decoder, "critic": network.critic, "intention": network.latent,
        "sim_dt": physics.sim_dt_s, "ctrl_dt": physics.ctrl_dt_s, "solver": physics.solver,
        "iterations": physics.iterations, "ls_iterations": physics.ls_iterations,
        **{f"{name}_exp_scale": term.get("exp_scale", 0) for name, term in rewards.items()},
        **{f"{name}_weight": term.get("weight", 0) for name, term in rewards.items()},
        **{row: term.get("weight", 0) for row, term in costs.items()},
        "variance_window": costs["variance_cost"].get("window", 0),
    }  # fmt: skip


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
        wanted = [name for name, term in terms.items() if term is not None and term.get("weight", 1) != 0]
        assert [term.name for term in resolve(kind, terms, kind)] == wanted


@pytest.mark.parametrize("preset", list(table()))
def test_presets_hold_every_row_of_the_papers_tables(preset: str) -> None:
    expected, found = table()[preset], rows_of(settings(preset))
    assert len(expected) == 35
    assert set(found) == set(expected)
    for row, value in expected.items():
        got = found[row] if isinstance(found[row], list) else [found[row]]
        assert got == [part if row == "solver" else float(part) for part in value.split(",")], row


@pytest.mark.parametrize("preset", list(table()))
def test_presets_do_as_the_text_of_the_papers_says(preset: str) -> None:
    """Paper B, 4.1, 4.4.2, 4.4.3, and paper A, 2.6: what the tables do not say."""
    found = settings(preset)
    task, ppo = found.task, found.ppo
    assert len(task.window) == 5, "look-ahead of five steps"
    assert (task.costs.get("control") or {"of": "action"})["of"] == "action", "cost of the action"
    assert (task.pose_noise, task.velocity_noise) > (0, 0), "noise on the first frame"
    assert ppo.kl_ramp_steps > 0, "linear ramp of the prior's weight"
    assert None not in (task.start_frames, task.episode_s), "first frames, and length of episodes"
    assert ppo.shuffle == "unrolls", "minibatches of whole trajectories"
    ends = {"pose_error"} if preset.startswith("mouse") else {"pose_error", "too_far", "too_rotated"}
    ends |= {"fall"} if preset in ("rat", "fly", "stick") else set()  # neither the worm nor the arm can fall
    assert set(task.terminations) == ends
    assert found.arena.actuators == ("torque" if preset in ("rat", "fly") else "keep")


def test_the_fly_keeps_61_actuators() -> None:
    """Paper B, 4.1: of 78, those of wings, proboscis and antennae are left out; adhesion stays."""
    sides = [f"{part}_{side}" for part in ("labrum", "antenna", "antenna_twist", "antenna_abduct", "wing_yaw",
             "wing_roll", "wing_pitch") for side in ("left", "right")]  # fmt: skip
    left_out = ["rostrum", "haustellum", "haustellum_abduct", *sides]
    others = ["adhere_labrum_left", "adhere_claw_T1_left", "head", "tibia_T1_left"]
    patterns = settings("fly").arena.drop_actuators
    assert matching("arena.drop_actuators", "actuator", patterns, [*left_out, *others]) == left_out
    assert len(left_out) == 78 - 61
