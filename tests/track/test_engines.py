"""Physics: each engine against MuJoCo itself, and against each other."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

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


def play(engine: Any, arena: Arena, n_steps: int) -> list[PhysicsState]:
    """Reset three of four simulations, then step under random controls; the fields after each call."""
    step = jax.jit(engine.step) if engine.traceable else engine.step
    reset = jax.jit(engine.reset) if engine.traceable else engine.reset
    rng = np.random.default_rng(0)
    qpos = np.repeat(arena.model.qpos0[None], 4, 0).astype(np.float32)
    qvel = rng.normal(size=(4, arena.model.nv)).astype(np.float32) * 0.2
    state = reset(engine.init(4), np.array([True, True, True, False]), qpos, qvel)
    out = [jax.tree.map(np.array, engine.read(state))]
    for _ in range(n_steps):
        state = step(state, rng.random((4, arena.model.nu)).astype(np.float32))
        out.append(jax.tree.map(np.array, engine.read(state)))
    return out


def truth(arena: Arena, n_steps: int) -> list[PhysicsState]:
    """The same with MuJoCo, one simulation at a time."""
    rng = np.random.default_rng(0)
    qvel = rng.normal(size=(4, arena.model.nv)).astype(np.float32) * 0.2
    controls = [rng.random((4, arena.model.nu)).astype(np.float32) for _ in range(n_steps)]
    runs = []
    for i in range(4):
        data = mujoco.MjData(arena.model)
        if i < 3:
            data.qpos[:], data.qvel[:] = arena.model.qpos0.astype(np.float32), qvel[i]
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
    scale = max(1e-6, *(np.abs(getattr(f, name)).max(initial=0.0) for f in theirs))
    pairs = zip(ours, theirs, strict=True)
    return max(float(np.abs(getattr(a, name) - getattr(b, name)).max(initial=0.0)) for a, b in pairs) / scale


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


def test_warp_is_refused_on_several_devices() -> None:
    verify_division("warp", 1)
    verify_division("mjx", 4)
    with pytest.raises(ConfigError, match=r"divided among 4 devices; use physics\.engine=mjx"):
        verify_division("warp", 4)
