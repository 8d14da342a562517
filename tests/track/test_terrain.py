"""Ground that is not level: its formula against MuJoCo's rays, a flat field against the plane, what engines refuse."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest
from track import small_setups
from track.clip_files import WALKER, write_clips, write_walker_clips
from track.small_setups import WALKER_TASK, config, physics_at
from track_mjx._common.errors import ConfigError
from track_mjx.body.arena import Arena, build_arena
from track_mjx.body.terrain import bowl, perlin, surface_of
from track_mjx.clips import read_clips
from track_mjx.config import ArenaConfig, PhysicsConfig, TerrainConfig
from track_mjx.learning.setup import build
from track_mjx.physics.mjx import MjxEngine
from track_mjx.task.terms import observations, terminations

BOWL = {"kind": "bowl", "half_width_m": 0.5, "height_m": 0.1, "cells": 40, "noise": 1.0}


def arena(path: Path, **terrain: object) -> Arena:
    settings = ArenaConfig(terrain=TerrainConfig(**{**BOWL, **terrain}), floor="on", floor_height_m=0.02)
    return build_arena(read_clips(path), settings, PhysicsConfig())


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_walker_clips(tmp_path_factory.mktemp("walker") / "clips.h5")


def test_height_and_normal_are_those_that_rays_of_mujoco_hit(clips: Path) -> None:
    ground = arena(clips)
    data = mujoco.MjData(ground.model)
    mujoco.mj_kinematics(ground.model, data)
    surface = surface_of(ground.model, ground.floor)
    assert surface is not None
    places = np.random.default_rng(0).uniform(-0.49, 0.49, (300, 2)).astype(np.float32)
    group, hit = np.array([1, 0, 0, 0, 0, 0], np.uint8), np.zeros(1, np.int32)
    bodies = ground.model.geom_bodyid != 0
    ground.model.geom_group[bodies] = 5
    above = np.column_stack([places, np.ones(300)]).astype(np.float64)
    rays = [mujoco.mj_ray(ground.model, data, p, [0, 0, -1.0], group, 1, -1, hit) for p in above]
    height = np.asarray(surface.height(places))
    np.testing.assert_allclose(height, 1 - np.array(rays), atol=1e-5)
    assert np.ptp(height) > 0.05
    assert np.isclose(float(surface.height(np.zeros(2))), 0.02, atol=1e-3), "the middle is at the height of the floor"
    normal = np.asarray(surface.normal(places))
    up = np.array([0.0, 1e-3])
    slope = [(surface.height(places + d) - surface.height(places - d)) / 2e-3 for d in (up[::-1], up)]
    expected = np.column_stack([-np.asarray(slope[0]), -np.asarray(slope[1]), np.ones(300)])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.median(np.degrees(np.arccos(np.clip((normal * expected).sum(1), -1, 1)))) < 3


def test_a_floor_in_a_body_of_its_own_is_replaced_too(tmp_path: Path) -> None:
    plane = '<body name="slab" pos="1 2 .3" euler="0 0 30"><geom name="ground" type="plane" size="1 1 1"/></body>'
    xml = WALKER.replace("<worldbody>", f"<worldbody>{plane}")
    ground = arena(write_clips(tmp_path / "clips.h5", xml, end_effectors=("foot_L",), root="trunk"))
    surface = surface_of(ground.model, ground.floor)
    assert ground.floor == "ground"
    assert surface is not None
    np.testing.assert_allclose(surface.origin, [0, 0, 0.02], atol=1e-6)


def test_the_bowl_is_the_formula_of_the_paper() -> None:
    terrain = TerrainConfig(kind="bowl", cells=40, noise=1.0, seed=3)
    noise = perlin(41, 8, 3)
    np.testing.assert_allclose(noise[0], noise[-1], atol=1e-12, err_msg="opposite edges are equal")
    assert np.abs(noise[::5, ::5]).max() < 1e-12, "the noise is 0 at the nodes of its lattice"
    unit, raw = (noise - noise.min()) / np.ptp(noise), np.empty((41, 41))
    for i in range(41):
        for j in range(41):
            xi, eta, r = j / 20 - 1, i / 20 - 1, np.hypot(i - 20, j - 20)
            s = np.clip((r - 0.05 * 41) / (0.2 * 41), 0, 1)
            raw[i, j] = -10 * np.exp(-(xi**2 + eta**2) / (2 * 1.25**2)) + (3 * s**2 - 2 * s**3) * unit[i, j]
    np.testing.assert_allclose(bowl(terrain), (raw - raw.min()) / np.ptp(raw), atol=1e-12)
    assert np.array_equal(bowl(TerrainConfig(cells=8)), bowl(TerrainConfig(cells=8, noise=0.0))), (
        "nodes of the noise only"
    )
    assert np.abs(bowl(terrain) - bowl(TerrainConfig(cells=40, noise=1.0, seed=4))).max() > 0.02


@pytest.mark.parametrize("foot", ["box", "sphere"])
def test_a_flat_field_bears_a_body_as_the_plane_does(tmp_path: Path, foot: str) -> None:
    size = '".01 .01 .002"' if foot == "box" else '".01"'
    feet = "".join(f'<geom type="{foot}" size={size} pos="{x} {y} 0"/>' for x in (-0.03, 0.03) for y in (-0.03, 0.03))
    body = (
        f'<mujoco><worldbody><body name="trunk" pos="0.05 0.03 .05"><freejoint/><geom size=".01" pos="0 0 .03"/>'
        f'<body name="foot"><joint name="j" axis="0 1 0" range="-1 1" stiffness="9" damping="1" armature=".01"/>{feet}'
        f'</body></body></worldbody><actuator><motor name="m" joint="j"/></actuator></mujoco>'
    )
    path = write_clips(tmp_path / "clips.h5", body, end_effectors=("foot",), root="trunk")
    heights = []
    for kind in ("bowl", "none"):
        model = arena(path, kind=kind, height_m=0.0, cells=50).model  # cells of 20 mm, feet of 20 mm
        data = mujoco.MjData(model)
        mujoco.mj_step(model, data, nstep=500)
        assert data.ncon >= 4
        heights.append(data.xpos[model.body("trunk").id, 2])
    assert abs(heights[0] - heights[1]) < 1e-4


def test_heights_of_the_root_are_above_the_ground_below(clips: Path) -> None:
    settings = config(clips, WALKER_TASK)
    settings.arena = ArenaConfig(terrain=TerrainConfig(**BOWL), floor="on", floor_height_m=0.0)
    setup = build(settings, read_clips(clips))
    physics = physics_at(setup, 7, 2)
    moved = np.array(physics.xpos)
    moved[1, :, 0] += 0.4
    surface = setup.task.body.surface
    assert surface is not None
    moved[1, :, 2] += float(surface.height(moved[1, 1, :2])) - float(surface.height(moved[0, 1, :2]))
    step = small_setups.step_at(setup, xpos=moved)
    height = np.asarray(observations.root_height(step), float)[:, 0].tolist()
    np.testing.assert_allclose(height[0], height[1], atol=1e-6)
    assert moved[1, 1, 2] - moved[0, 1, 2] > 0.02, "the second is higher up the bowl"
    assert not np.asarray(terminations.fall(step, low_m=height[0] - 0.01)).any()
    assert np.asarray(terminations.fall(step, low_m=height[0] + 0.01)).all()


def test_terrain_goes_with_the_body_into_rollouts(clips: Path, tmp_path: Path) -> None:
    import h5py

    settings = config(clips, WALKER_TASK)
    settings.arena = ArenaConfig(terrain=TerrainConfig(**BOWL), floor="on", floor_height_m=0.0)
    setup = build(settings, read_clips(clips))
    path = small_setups.write_rollouts(setup, tmp_path / "rollouts.h5")
    with h5py.File(path) as file:
        model = mujoco.MjModel.from_xml_string(file["provenance/mjcf_xml"].asstr()[()])  # type: ignore[union-attr]
    np.testing.assert_array_equal(model.hfield_data, setup.task.body.model.hfield_data)
    assert model.opt.disableflags & int(mujoco.mjtDisableBit.mjDSBL_NATIVECCD)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"floor": "off"}, ["arena.terrain", "arena.floor=on"]),
        ({"friction": [0.2, 2.0]}, ["arena.friction", "arena.terrain"]),
    ],
)
def test_terrain_that_does_not_fit_is_refused(clips: Path, settings: dict, words: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        build_arena(read_clips(clips), ArenaConfig(terrain=TerrainConfig(**BOWL), **settings), PhysicsConfig())
    assert all(word in str(error.value) for word in words)


SHAPES = {"sphere": "0.01", "capsule": "0.01 0.02", "box": "0.01 0.01 0.02"}
OTHERS = {"ellipsoid": "0.01 0.01 0.02", "cylinder": "0.01 0.02"}


@pytest.mark.parametrize("shape", [*SHAPES, "mesh", *OTHERS])
def test_mjx_takes_the_shapes_it_can_put_on_terrain_and_names_the_others(tmp_path: Path, shape: str) -> None:
    pad = '<asset><mesh name="pad" vertex="0 0 0 .02 0 0 0 .02 0 0 0 .02"/></asset>'
    new = 'type="mesh" mesh="pad"' if shape == "mesh" else f'type="{shape}" size="{(SHAPES | OTHERS)[shape]}"'
    xml = WALKER.replace("<worldbody>", f"{pad}<worldbody>").replace(
        'name="foot_L_geom" type="sphere" size="0.01"', f'name="foot_L_geom" {new}'
    )
    assert new in xml
    path = write_clips(tmp_path / "clips.h5", xml, end_effectors=("foot_L", "foot_R"), root="trunk")
    model = arena(path, cells=4).model
    if shape not in OTHERS:
        MjxEngine(model, 1)
        return
    with pytest.raises(ConfigError, match=rf"geom 'foot_L_geom' is of type {shape}; .*capsule.*engine=native"):
        MjxEngine(model, 1)
