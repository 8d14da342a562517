"""The world around the body: floor, contacts, options, units."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
from track.clip_files import ARM, WALKER, write_clips, write_walker_clips
from track_mjx._common.errors import ConfigError
from track_mjx._common.mjcf import actuator_force_units
from track_mjx.body.anatomy import Anatomy
from track_mjx.body.arena import Arena, build_arena
from track_mjx.body.units import mass_unit, shape_density, unit_lines
from track_mjx.clips import read_clips
from track_mjx.config import ArenaConfig, PhysicsConfig


def world(folder: Path, physics: PhysicsConfig | None = None, **arena: Any) -> Arena:
    """The walker in its arena."""
    clips = read_clips(write_walker_clips(folder / "w.h5"))
    return build_arena(clips, ArenaConfig(**arena), physics or PhysicsConfig())


def touching(arena: Arena) -> set[frozenset[str]]:
    """Pairs of geoms MuJoCo finds in contact when the body is deep in the floor."""
    data = mujoco.MjData(arena.model)
    data.qpos[2] -= 0.2
    mujoco.mj_forward(arena.model, data)
    return {frozenset(arena.model.geom(g).name for g in contact.geom) for contact in data.contact}


def test_only_end_effectors_touch_the_floor(tmp_path: Path) -> None:
    arena = world(tmp_path)
    pairs = touching(arena)
    feet = {geom for group in arena.contact_geoms.values() for geom in group}
    assert len(pairs) == 3, "two feet and a toe"
    assert all(arena.floor in pair and pair - {arena.floor} <= feet for pair in pairs)
    everything = world(tmp_path, contacts="all")
    assert any("trunk_geom" in pair for pair in touching(everything))
    assert touching(world(tmp_path, contacts="none")) == set()


def test_a_fixed_root_gets_no_floor_and_a_moving_one_does(tmp_path: Path) -> None:
    arm = read_clips(write_clips(tmp_path / "a.h5", ARM))
    assert build_arena(arm, ArenaConfig(), PhysicsConfig()).floor == ""
    assert build_arena(arm, ArenaConfig(floor="on"), PhysicsConfig()).floor != ""
    assert world(tmp_path).floor != ""
    assert world(tmp_path, floor="off").floor == ""


def test_the_floor_is_at_the_height_of_the_feet(tmp_path: Path) -> None:
    arena = world(tmp_path)
    data = mujoco.MjData(arena.model)
    height = data.model.geom(arena.floor).pos[2]
    feet = [g for group in arena.contact_geoms.values() for g in group]
    lowest = []
    for pose in read_clips(tmp_path / "w.h5").qpos:
        data.qpos[:] = pose
        mujoco.mj_kinematics(arena.model, data)
        lowest.append(min(data.geom(g).xpos[2] - arena.model.geom(g).size[0] for g in feet))
    assert np.mean(np.array(lowest) < height) == pytest.approx(0.1, abs=0.02)
    fixed = world(tmp_path, floor_height_m=-0.3)
    assert fixed.model.geom(fixed.floor).pos[2] == pytest.approx(-0.3)


def test_the_xml_of_the_arena_compiles_to_the_same_model(tmp_path: Path) -> None:
    arena = world(tmp_path)
    again = mujoco.MjModel.from_xml_string(arena.mjcf_xml)
    assert np.array_equal(again.body_inertia, arena.model.body_inertia)
    assert np.array_equal(again.geom_pos, arena.model.geom_pos)


def test_options_come_from_the_config(tmp_path: Path) -> None:
    physics = PhysicsConfig(sim_dt_s=0.001, ctrl_dt_s=0.004, solver="newton", iterations=7, integrator="implicitfast")
    arena = world(tmp_path, physics)
    option = arena.model.opt
    assert (option.timestep, option.iterations, arena.n_substeps) == (0.001, 7, 4)
    assert option.solver == mujoco.mjtSolver.mjSOL_NEWTON
    assert option.integrator == mujoco.mjtIntegrator.mjINT_IMPLICITFAST


def test_torque_turns_position_servos_into_motors(tmp_path: Path) -> None:
    arena = world(tmp_path, actuators="torque")
    servo = arena.model.actuator("hip_R")
    assert servo.gainprm[0] == pytest.approx(0.2)
    assert servo.biasprm.tolist() == [0.0] * len(servo.biasprm)
    assert servo.ctrlrange.tolist() == [-1.0, 1.0]


def test_an_actuator_without_a_name_is_named_by_its_label(tmp_path: Path) -> None:
    xml = WALKER.replace('<position name="hip_R"', "<position").replace('forcerange="-0.2 0.2"', "")
    clips = read_clips(write_clips(tmp_path / "w.h5", xml, end_effectors=("foot_L",), root="trunk"))
    with pytest.raises(ConfigError, match="actuator 'actuator_1' has no force range"):
        build_arena(clips, ArenaConfig(actuators="torque"), PhysicsConfig())


def test_muscles_without_a_range_use_all_of_it(tmp_path: Path) -> None:
    clips = read_clips(write_clips(tmp_path / "a.h5", ARM))
    body = Anatomy(build_arena(clips, ArenaConfig(), PhysicsConfig()), 1.0, 0.01)
    low, high = body.ctrl_range
    assert low.tolist() == [0.0] * 3
    assert high.tolist() == [1.0] * 3


def test_inertia_from_shapes_is_that_of_the_compiler(tmp_path: Path) -> None:
    inertial = '<inertial pos="0 0 0.3" mass="9" diaginertia="2 2 2"/>'
    wrong = WALKER.replace('<geom name="leg_L_geom"', inertial + '<geom name="leg_L_geom"')
    clips = read_clips(write_clips(tmp_path / "w.h5", wrong, end_effectors=("foot_L", "foot_R"), root="trunk"))
    kept = build_arena(clips, ArenaConfig(floor="off"), PhysicsConfig()).model
    assert kept.body("leg_L").mass[0] == 9
    shapes = build_arena(clips, ArenaConfig(floor="off", inertia="shapes"), PhysicsConfig()).model
    water = build_arena(clips, ArenaConfig(floor="off", inertia="shapes", density=1000.0), PhysicsConfig()).model
    plain = WALKER.replace("<worldbody>", '<compiler inertiafromgeom="true"/><worldbody>')
    dense = re.sub(r' mass="[^"]*"', "", plain)  # MuJoCo's own density is that of water
    plain, dense = mujoco.MjModel.from_xml_string(plain), mujoco.MjModel.from_xml_string(dense)
    for found, expected in ((shapes, plain), (water, dense)):
        for field in ("body_mass", "body_inertia", "body_ipos", "body_iquat"):
            np.testing.assert_allclose(getattr(found, field), getattr(expected, field), rtol=1e-9, atol=1e-15)
    assert not np.allclose(plain.body_mass, dense.body_mass)


def test_armature_is_the_least_of_joints_that_actuators_move(tmp_path: Path) -> None:
    model = world(tmp_path, armature=0.002).model
    plain = mujoco.MjModel.from_xml_string(
        WALKER.replace('range="-1 1" limited="true" damping="0.01" armature="0.001"',
                       'range="-1 1" limited="true" damping="0.01" armature="0.002"')
    )  # fmt: skip
    np.testing.assert_array_equal(model.dof_armature, plain.dof_armature)
    less = world(tmp_path, armature=0.0002).model
    assert less.joint("hip_R").armature[0] == 0.001


def test_a_density_without_shapes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"arena.density=5 needs arena.inertia=shapes"):
        world(tmp_path, density=5.0)


SPHERE = """<mujoco><worldbody><body name="upper"><joint/><geom size="2" density="{}"/><body name="hand"/></body>
</worldbody></mujoco>"""


@pytest.mark.parametrize(
    ("unit_m", "water", "mass"),
    [(1.0, 1e3, "kg"), (1.0, 1e6, "g"), (0.01, 1.0, "g"), (1e-3, 1.0, "mg"), (1e-3, 1e3, "ug")],
)
def test_the_mass_unit_shows_in_the_density_of_shapes(tmp_path: Path, unit_m: float, water: float, mass: str) -> None:
    """1000 kg/m3 are 1 g/cm3, 1 mg/mm3 and 1000 ug/mm3; half of that and twice that are still an animal."""
    for density in (0.5 * water, 2 * water):
        path = write_clips(tmp_path / "a.h5", SPHERE.format(density), attributes={"length_unit_m": unit_m})
        found = shape_density(read_clips(path))
        assert found == pytest.approx(density)
        assert mass_unit(found, unit_m) == mass
    assert mass_unit(10 * water, unit_m) == ""


def test_gravity_is_that_of_the_earth_in_any_length_unit(tmp_path: Path) -> None:
    """A body falls g t2 / 2 = 4.9 mm in the first 31.6 ms; in millimetres, the MJCF's 9.81 is too little for that."""
    clips = read_clips(write_walker_clips(tmp_path / "w.h5", attributes={"length_unit_m": 1e-3}))
    assert [line for line in unit_lines(clips) if "gravity is 0.001 times" in line]
    for gravity, fall in ((None, 9.81e-3 / 2), (9.81, 9.81 / 2), (0.0, 0.0)):
        model = build_arena(clips, ArenaConfig(gravity=gravity, floor="off"), PhysicsConfig(sim_dt_s=0.0001)).model
        data = mujoco.MjData(model)
        mujoco.mj_step(model, data, round(1e-3**0.5 / 0.0001))
        assert float(data.qpos[2] - model.qpos0[2]) == pytest.approx(-fall, rel=0.01)


def test_forces_are_named_in_the_unit_of_mass() -> None:
    model = mujoco.MjModel.from_xml_string(ARM)
    assert set(actuator_force_units(model, 1.0)) == {"N"}
    assert set(actuator_force_units(model, 1e-3, "ug")) == {"ug mm s-2"}
