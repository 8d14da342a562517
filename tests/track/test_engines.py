"""Physics: each engine against MuJoCo itself, and against each other, on small bodies and on real ones."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import mujoco
import numpy as np
import pytest
from mujoco.batch import Batch
from track.clip_files import ARM, WALKER, write_clips
from track_mjx._common.errors import ConfigError
from track_mjx.body.arena import Arena, build_arena
from track_mjx.clips import read_clips
from track_mjx.config import ArenaConfig, PhysicsConfig
from track_mjx.physics.engine import best_engine, make_engine, verify_division
from track_mjx.physics.fields import PhysicsState
from track_mjx.physics.native import NativeEngine

# solved to the end, because engines stop half-way at different places
PHYSICS = PhysicsConfig(sim_dt_s=0.0025, ctrl_dt_s=0.005, threads=2, solver="newton", iterations=50, ls_iterations=50)
WARP = pytest.param("warp", marks=pytest.mark.skipif(not importlib.util.find_spec("warp"), reason="Warp is absent"))


def arena_of(folder: Path, xml: str) -> Arena:
    walker = xml is WALKER
    path = write_clips(
        folder / "clips.h5", xml, end_effectors=("foot_L", "foot_R") if walker else ("hand",),
        root="trunk" if walker else "upper",
    )  # fmt: skip
    return build_arena(read_clips(path), ArenaConfig(floor_height_m=0.03 if walker else None), PHYSICS)


class Scenario(NamedTuple):
    """Some simulations restart from poses and velocities (env, .), then all step under controls (step, env, .)."""

    restarted: np.ndarray
    qpos: np.ndarray
    qvel: np.ndarray
    controls: np.ndarray

    def of(self, engine: Any) -> list[PhysicsState]:
        """The fields after each call of an engine."""
        step, reset = (jax.jit(call) if engine.traceable else call for call in (engine.step, engine.reset))
        states = [engine.init(len(self.restarted))]
        if self.restarted.any():
            states = [reset(states[0], self.restarted, self.qpos, self.qvel)]
        out = [jax.tree.map(np.array, engine.read(states[0]))]
        for control in self.controls:
            states = [step(states[0], control)]
            out.append(jax.tree.map(np.array, engine.read(states[0])))
        return out


def random(arena: Arena, n_steps: int) -> Scenario:
    """Three of four simulations restart at random speeds; random controls."""
    rng, model = np.random.default_rng(0), arena.model
    qpos = np.repeat(model.qpos0[None], 4, 0).astype(np.float32)
    qvel = rng.normal(size=(4, model.nv)).astype(np.float32) * 0.2
    controls = rng.random((n_steps, 4, model.nu)).astype(np.float32)
    return Scenario(np.array([True, True, True, False]), qpos, qvel, controls)


def play(engine: Any, arena: Arena, n_steps: int) -> list[PhysicsState]:
    return random(arena, n_steps).of(engine)


def truth(arena: Arena, n_steps: int) -> list[PhysicsState]:
    """The same with MuJoCo, one simulation at a time."""
    _, qpos, qvel, controls = random(arena, n_steps)
    runs = []
    for i in range(4):
        data = mujoco.MjData(arena.model)
        if i < 3:
            data.qpos[:], data.qvel[:] = qpos[i], qvel[i]
        mujoco.mj_forward(arena.model, data)
        run = [_snapshot(data, data)]
        for ctrl in controls:
            data.ctrl[:] = ctrl[i]
            for _ in range(arena.n_substeps):
                mujoco.mj_step(arena.model, data)
            now = mujoco.MjData(arena.model)
            now.qpos[:], now.qvel[:], now.act[:], now.ctrl[:] = data.qpos, data.qvel, data.act, data.ctrl
            mujoco.mj_forward(arena.model, now)
            run.append(_snapshot(now, data))
        runs.append(run)
    return [
        PhysicsState(*(np.stack(parts) for parts in zip(*states, strict=True))) for states in zip(*runs, strict=True)
    ]


def _snapshot(now: mujoco.MjData, last: mujoco.MjData) -> PhysicsState:
    """What belongs to the state reached, and the forces of the last physics step."""
    parts = {name: np.array(getattr(now, name), np.float32) for name in PhysicsState._fields}
    for name in ("actuator_force", "qfrc_actuator"):
        parts[name] = np.array(getattr(last, name), np.float32)
    return PhysicsState(**parts)


def largest_difference(ours: list[PhysicsState], theirs: list[PhysicsState], name: str) -> float:
    return largest(ours, theirs, name) / max(1e-6, *(np.abs(getattr(f, name)).max(initial=0.0) for f in theirs))


@pytest.mark.parametrize("xml", [ARM, WALKER], ids=["arm", "walker"])
def test_native_is_mujoco_to_single_precision(tmp_path: Path, xml: str) -> None:
    arena = arena_of(tmp_path, xml)
    ours, theirs = play(NativeEngine(arena.model, arena.n_substeps, 2), arena, 30), truth(arena, 30)
    for name in PhysicsState._fields:
        assert largest_difference(ours, theirs, name) < 1e-7, name


def test_native_does_not_depend_on_threads_or_on_the_fields_wanted(tmp_path: Path) -> None:
    arena = arena_of(tmp_path, WALKER)
    one, two, few = (
        play(NativeEngine(arena.model, arena.n_substeps, threads, wanted), arena, 20)
        for threads, wanted in ((1, None), (2, None), (2, {"xpos"}))
    )
    for name in PhysicsState._fields:
        assert largest_difference(two, one, name) == 0.0, name
    for name in ("qpos", "qvel", "xpos"):
        assert largest_difference(few, one, name) == 0.0, name


def test_simulations_share_buffers_where_memory_is_short_and_compute_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arena = arena_of(tmp_path, WALKER)
    engine = NativeEngine(arena.model, arena.n_substeps, 2)
    own, apart = play(engine, arena, 20), engine.init(4).batch.persistent

    def short_of_memory(*arguments: Any, persistent: bool = False) -> Batch:
        if persistent:
            raise ValueError("Could not allocate memory")
        return Batch(*arguments)

    monkeypatch.setattr("track_mjx.physics.native.Batch", short_of_memory)
    shared = play(engine, arena, 20)
    assert apart
    assert not engine.init(4).batch.persistent
    for name in PhysicsState._fields:
        assert largest_difference(shared, own, name) == 0.0, name


def test_native_goes_on_bit_for_bit_from_what_was_saved(tmp_path: Path) -> None:
    arena = arena_of(tmp_path, WALKER)
    engine = NativeEngine(arena.model, arena.n_substeps, 2)
    state = engine.init(4)
    ctrl = np.full((4, arena.model.nu), 0.3, np.float32)
    for _ in range(20):
        state = engine.step(state, ctrl)
    again = engine.load(engine.init(4), {name: array.copy() for name, array in engine.save(state).items()})
    for _ in range(20):
        state, again = engine.step(state, ctrl), engine.step(again, ctrl)
    assert np.array_equal(state.batch.state, again.batch.state)
    assert all(np.array_equal(state.current[name], again.current[name]) for name in state.current)


def test_a_simulation_that_blows_up_stays_so_and_harms_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arena = arena_of(tmp_path, WALKER)
    engine = NativeEngine(arena.model, arena.n_substeps, 2)
    qpos, qvel = np.repeat(arena.model.qpos0[None], 3, 0), np.zeros((3, arena.model.nv))
    qvel[1] = np.nan
    state = engine.reset(engine.init(3), np.ones(3, bool), qpos, qvel)
    state = engine.step(state, np.zeros((3, arena.model.nu), np.float32))
    fields = engine.read(state)
    assert not np.isfinite(fields.qpos[1]).any(), "MuJoCo does not put it back in silence"
    assert np.isfinite(fields.qpos[[0, 2]]).all()
    state = engine.reset(
        state, np.array([False, True, False]), arena.model.qpos0[None].repeat(3, 0), 0 * qvel[:1].repeat(3, 0)
    )
    assert np.isfinite(engine.read(state).qpos).all()
    assert sum(engine.warnings.values()) > 0, "counted, not written to a log file"
    assert not (tmp_path / "MUJOCO_LOG.TXT").exists()
    assert capfd.readouterr().err == ""


@pytest.mark.slow
@pytest.mark.parametrize("xml", [ARM, WALKER], ids=["arm", "walker"])
@pytest.mark.parametrize("kind", ["mjx", WARP])
def test_engines_agree(tmp_path: Path, xml: str, kind: str) -> None:
    """MJX computes in single precision, and its contacts differ in detail from MuJoCo's.

    Without contact the engines part by rounding alone, 1e-7 a step, which joint limits amplify: 1e-3 of the largest
    value over 50 control steps. With feet that strike the ground rounding decides when a contact begins: 5e-2 over 20.
    """
    arena = arena_of(tmp_path, xml)
    n_steps, tolerance = (20, 5e-2) if xml is WALKER else (50, 1e-3)
    engine = make_engine(PhysicsConfig(**{**vars(PHYSICS), "engine": kind}), arena.model, arena.n_substeps)
    ours = play(engine, arena, n_steps)
    theirs = play(NativeEngine(arena.model, arena.n_substeps, 2), arena, n_steps)
    for name in ("qpos", "qvel", "act", "xpos", "actuator_length", "actuator_force"):
        assert largest_difference(ours, theirs, name) < tolerance, name


@pytest.mark.parametrize(
    ("platform", "warp", "best"),
    [
        ("cpu", True, "native"),
        ("cuda", True, "warp"),
        ("cuda", False, "mjx"),
        ("rocm", True, "mjx"),
        ("tpu", True, "mjx"),
    ],
)
def test_the_engine_suits_the_machine(platform: str, warp: bool, best: str) -> None:
    assert best_engine(platform, warp=warp) == best


MOUSE = PhysicsConfig(sim_dt_s=0.00125, ctrl_dt_s=0.0025, threads=2)
RAT = PhysicsConfig(sim_dt_s=0.002, ctrl_dt_s=0.01, iterations=20, ls_iterations=20, threads=2)
FEET = ("foot_L", "foot_R", "hand_L", "hand_R")


def on(kind: str, arena: Arena, physics: PhysicsConfig, n_steps: int) -> list[PhysicsState]:
    """Two simulations from the reference pose under different random controls; the fields after each control step."""
    low, high = arena.model.actuator_ctrlrange.T
    controls = low + (high - low) * np.random.default_rng(1).random((n_steps, 2, arena.model.nu))
    both = Scenario(np.zeros(2, bool), np.empty(0), np.empty(0), controls.astype(np.float32))
    return both.of(make_engine(replace(physics, engine=kind), arena.model, arena.n_substeps))[1:]


def largest(ours: list[PhysicsState], theirs: list[PhysicsState], name: str) -> float:
    pairs = zip(ours, theirs, strict=True)
    return max(float(np.abs(getattr(a, name) - getattr(b, name)).max(initial=0.0)) for a, b in pairs)


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
    arena = build_arena(read_clips(path), ArenaConfig(), MOUSE)
    ours, theirs = (on(one, arena, MOUSE, 50) for one in (kind, "native"))
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

    def arena_of_rat(xml: str) -> Arena:
        clips = read_clips(write_clips(tmp_path / "clips.h5", xml, **settings))
        return build_arena(clips, ArenaConfig(floor_height_m=0.0), RAT)

    arena = arena_of_rat(raised(xml, "walker", standing(arena_of_rat(xml))[2]))
    start = arena.model.qpos0
    ours, theirs = (on(kind, arena, RAT, 5) for kind in ("mjx", "native"))
    touching = [int((fields.sensordata > 0).sum()) for fields in theirs]
    assert min(touching) > 0, "feet touch the floor"
    assert len(set(touching)) > 1, "contacts come and go"
    assert np.abs(theirs[-1].qpos - start).max() > 0.3, "the rat moves"
    for steps, metres, radians in ((2, 1e-4, 1e-3), (5, 3e-3, 3e-2)):
        assert largest(ours[:steps], theirs[:steps], "xpos") < metres
        assert largest(ours[:steps], theirs[:steps], "qpos") < radians
    assert largest(ours[:2], theirs[:2], "sensordata") == 0


def raised(xml: str, body: str, height: float) -> str:
    """The model with a free body at another height in its reference pose."""
    spec = mujoco.MjSpec.from_string(xml)
    spec.body(body).pos = [*spec.body(body).pos[:2], height]
    spec.compile()
    return spec.to_xml()


def standing(arena: Arena) -> np.ndarray:
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
    return qpos


def test_warp_is_refused_on_several_devices() -> None:
    verify_division("warp", 1)
    verify_division("mjx", 4)
    with pytest.raises(ConfigError, match=r"divided among 4 devices; use physics\.engine=mjx"):
        verify_division("warp", 4)
