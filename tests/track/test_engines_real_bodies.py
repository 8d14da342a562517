"""Engines agree on the bodies they are made for: the mouse arm with its muscles, the rat on the floor."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import mujoco
import numpy as np
import pytest
from track.clip_files import write_clips
from track_mjx.body.arena import Arena, build_arena
from track_mjx.clips import read_clips
from track_mjx.config import ArenaConfig, PhysicsConfig
from track_mjx.physics.engine import make_engine
from track_mjx.physics.fields import PhysicsState

WARP = pytest.param(
    "warp", marks=pytest.mark.skipif(not importlib.util.find_spec("warp"), reason="pip install 'track-mjx[warp]'")
)
ARM = PhysicsConfig(sim_dt_s=0.00125, ctrl_dt_s=0.0025, threads=2)
RAT = PhysicsConfig(sim_dt_s=0.002, ctrl_dt_s=0.01, iterations=20, ls_iterations=20, threads=2)
FEET = ("foot_L", "foot_R", "hand_L", "hand_R")


def play(kind: str, arena: Arena, physics: PhysicsConfig, start: tuple[Any, Any], n_steps: int) -> list[PhysicsState]:
    """Two simulations from one start under different random controls; the fields after each control step."""
    engine = make_engine(replace(physics, engine=kind), arena.model, arena.n_substeps)
    step = jax.jit(engine.step) if engine.traceable else engine.step
    reset = jax.jit(engine.reset) if engine.traceable else engine.reset
    qpos, qvel = (np.repeat(part[None], 2, 0).astype(np.float32) for part in start)
    state = reset(engine.init(2), np.ones(2, bool), qpos, qvel)
    rng, model, out = np.random.default_rng(1), arena.model, []
    low, high = model.actuator_ctrlrange.T
    for _ in range(n_steps):
        control = low + (high - low) * rng.random((2, model.nu))
        state = step(state, control.astype(np.float32))
        out.append(PhysicsState(*(np.array(values) for values in engine.read(state))))
    return out


def largest(ours: list[PhysicsState], theirs: list[PhysicsState], name: str) -> float:
    pairs = zip(ours, theirs, strict=True)
    return max(float(np.abs(getattr(a, name) - getattr(b, name)).max()) for a, b in pairs)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mjx", WARP])
def test_arm_over_50_control_steps(kind: str, tmp_path: Path, data_dir: Path) -> None:
    """50 control steps (100 physics steps, 0.125 s) with all muscles under random controls, no contact.

    MJX and Warp compute in single precision, MuJoCo in double. Rounding is 1e-7 of angles of about 1 rad, and the arm
    is damped: measured are 5e-7 rad, 1e-5 rad/s and, at 1 cm of arm, 4e-9 m. The allowance is twenty to a hundred times
    that, because joint limits are met at other moments on other processors.
    """
    xml = (data_dir / "mouse_arm/arm_muscle_nomesh.xml").read_text(encoding="utf-8")
    path = write_clips(tmp_path / "clips.h5", xml, end_effectors=("wrist_body",), root="humerus")
    arena = build_arena(read_clips(path), ArenaConfig(), ARM)
    start = (arena.model.qpos0, np.zeros(arena.model.nv))
    ours, theirs = (play(one, arena, ARM, start, 50) for one in (kind, "native"))
    moved = np.abs(theirs[-1].qpos - arena.model.qpos0).max()
    assert moved > 0.1, "the arm moves"
    limits = {"qpos": 1e-5, "qvel": 1e-3, "act": 1e-6, "xpos": 1e-7, "actuator_length": 1e-7}
    for name, limit in limits.items():
        assert largest(ours, theirs, name) < limit, name


def rat_xml(path: Path) -> str:
    """The rat without tail, neck and head, which would only cost minutes of compilation: 28 bodies of 66."""
    spec = mujoco.MjSpec.from_string(path.read_text(encoding="utf-8"))
    for name in ("vertebra_C1", "vertebra_cervical_5"):
        spec.delete(spec.body(name))
    spec.compile()
    return re.sub(r'meshdir="[^"]*"', "", spec.to_xml())


@pytest.mark.slow
def test_rat_on_the_floor(tmp_path: Path, data_dir: Path) -> None:
    """5 control steps (25 physics steps, 50 ms) of a rat whose feet strike the floor, native against MJX.

    Random controls turn joints by up to 1 rad in this time, and feet leave the floor and land again. A contact differs
    by rounding alone until one begins a physics step earlier or later in one engine; stiff contacts then turn that into
    a difference in velocity. Measured: 6e-6 m and 3e-4 rad before, 8e-4 m and 7e-3 rad after. Allowed: 3e-3 m (a
    hundredth of the animal) and 3e-2 rad at the end, 1e-4 m and 1e-3 rad in the first two control steps, and the same
    contacts there.
    """
    xml = rat_xml(data_dir / "rat/rodent.xml")
    settings = {"end_effectors": FEET, "root": "walker", "attributes": {"model_name": "rat"}}
    arena = build_arena(read_clips(write_clips(tmp_path / "clips.h5", xml, **settings)), ArenaConfig(), RAT)
    start = standing(arena)
    ours, theirs = (play(kind, arena, RAT, start, 5) for kind in ("mjx", "native"))
    touching = [int((fields.sensordata > 0).sum()) for fields in theirs]
    assert min(touching) > 0, "feet touch the floor"
    assert len(set(touching)) > 1, "contacts come and go"
    assert np.abs(theirs[-1].qpos - start[0]).max() > 0.3, "the rat moves"
    for steps, metres, radians in ((2, 1e-4, 1e-3), (5, 3e-3, 3e-2)):
        assert largest(ours[:steps], theirs[:steps], "xpos") < metres
        assert largest(ours[:steps], theirs[:steps], "qpos") < radians
    assert largest(ours[:2], theirs[:2], "sensordata") == 0


def standing(arena: Arena) -> tuple[np.ndarray, np.ndarray]:
    """The reference pose, lowered until its lowest foot touches the floor."""
    model, data = arena.model, mujoco.MjData(arena.model)
    data.qpos[:] = model.qpos0
    data.qpos[2] += 0.5
    mujoco.mj_forward(model, data)
    floor = model.geom(arena.floor).id
    feet = [model.geom(name).id for group in arena.contact_geoms.values() for name in group]
    gap = min(mujoco.mj_geomDistance(model, data, foot, floor, 10.0, None) for foot in feet)
    qpos = data.qpos.copy()
    qpos[2] -= gap + 5e-4
    return qpos, np.zeros(model.nv)
