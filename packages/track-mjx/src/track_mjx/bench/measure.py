"""Throughput against the number of environments (paper B, Fig. 4c), for every engine at hand.

Every figure is the median over blocks of control steps, after a first block that compiles. What does not fit into the
time allowed is left out, and said so.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import jax
import numpy as np
import psutil

from track_mjx._common.errors import ConfigError, raise_all, unknown
from track_mjx.bench.parts import PARTS, open_block
from track_mjx.clips import Clips
from track_mjx.config import BenchConfig, TrainConfig
from track_mjx.learning.setup import Setup, build
from track_mjx.physics.engine import ENGINES, engine_name, make_engine
from track_mjx.physics.fields import Engine


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        engine: native, mjx or warp.
        version: engine and version.
        part: what was timed; one of `PARTS`.
        n_envs: simulations side by side.
        control_steps_per_s: of all simulations together; the median block.
        physics_steps_per_s: the same times the physics steps of a control step.
        slowest, fastest: control steps per second of the slowest and fastest block.
        blocks: how many were timed.
        block_s: median time of a block, s.
        first_s: time of the first block beyond that, compilation mostly, s.
        memory_mb: memory of the process afterwards (resident set).
        added_mb: by how much this measurement made it grow.
        device_mb: most memory in use on the accelerator so far; None on a CPU.
    """

    engine: str
    version: str
    part: str
    n_envs: int
    control_steps_per_s: float
    physics_steps_per_s: float
    slowest: float
    fastest: float
    blocks: int
    block_s: float
    first_s: float
    memory_mb: float
    added_mb: float
    device_mb: float | None


@dataclass
class Report:
    """All measurements, and what was left out and why."""

    rows: list[Row]
    left_out: list[str]


def check(config: BenchConfig) -> None:
    """Refuse settings that make no sense.

    Raises:
        ConfigError: with all that is wrong.
    """
    faults = [f"engines: {unknown('engine', name, ENGINES)}" for name in config.engines if name not in ENGINES]
    for key in ("parts", "slow_parts"):
        faults += [f"{key}: {unknown('part', name, list(PARTS))}" for name in getattr(config, key) if name not in PARTS]
    for key in ("n_envs", "slow_n_envs"):
        if any(n < 1 for n in getattr(config, key)):
            faults.append(f"{key}: expected at least 1 each, got {list(getattr(config, key))}")
    if not config.parts or not config.n_envs:
        faults.append("parts and n_envs: at least one of each is needed")
    for key in ("steps", "slow_steps", "blocks"):
        if getattr(config, key) < 1:
            faults.append(f"{key}: expected at least 1, got {getattr(config, key)}")
    if not 0 <= config.seconds < np.inf or not config.max_minutes > 0:
        faults.append(
            f"seconds and max_minutes: expected 0 or more and above 0, got {config.seconds} and {config.max_minutes}"
        )
    raise_all(ConfigError, "settings", faults)


def engines_at_hand(config: BenchConfig) -> list[str]:
    """Engines asked for, else native, mjx, and warp where it is installed.

    Raises:
        ConfigError: when one asked for is not installed.
    """
    if config.engines:
        return [engine_name(name) for name in config.engines]
    return ["native", "mjx", *(["warp"] if find_spec("warp") else [])]


def train_config(config: BenchConfig, engine: str) -> TrainConfig:
    """The settings of a run on this engine."""
    shared = {name: getattr(config, name) for name in ("clips", "seed", "arena", "task", "network", "ppo", "run")}
    return TrainConfig(physics=replace(config.physics, engine=engine), **shared)


def run_bench(config: BenchConfig, clips: Clips, note: Callable[[str], None]) -> Report:
    """Measure all combinations, the quick ones first.

    Args:
        config: what to measure.
        clips: body and movements.
        note: told what is measured now, and what is left out.
    """
    report, until = Report([], []), time.monotonic() + 60 * config.max_minutes
    setups: dict[str, Setup] = {}
    for name in engines_at_hand(config):
        try:
            setups[name] = build(train_config(config, name), clips)
            engine_of(setups[name])
        except ConfigError as error:
            setups.pop(name, None)
            _leave_out(report, f"{name}: {error}", note)
    for part in PARTS:
        for name, setup in setups.items():
            slow = is_slow(engine_of(setup))
            parts, counts = (config.slow_parts, config.slow_n_envs) if slow else (config.parts, config.n_envs)
            previous: Row | None = None
            for n_envs in counts if part in parts else ():
                title = f"{name}, {part}, {n_envs} environments"
                if time.monotonic() + _expected_s(previous, n_envs, config.blocks) > until:
                    _leave_out(report, f"{title}: no time left (max_minutes={config.max_minutes:g})", note)
                    continue
                note(title)
                previous = measure(config, setup, part, n_envs)
                report.rows.append(previous)
    return report


def engine_of(setup: Setup) -> Engine:
    """The engine of a setup, computing as little as possible.

    Raises:
        ConfigError: when it cannot run the body.
    """
    arena = setup.task.body.arena
    return make_engine(setup.config.physics, arena.model, arena.n_substeps, ())


def is_slow(engine: Engine) -> bool:
    """Say whether an engine made for accelerators runs on a CPU."""
    return engine.traceable and jax.default_backend() == "cpu"


def _leave_out(report: Report, text: str, note: Callable[[str], None]) -> None:
    report.left_out.append(text)
    note(f"left out: {text}")


def _expected_s(previous: Row | None, n_envs: int, blocks: int) -> float:
    """Time a measurement will take, from the one before with fewer environments."""
    if previous is None:
        return 0.0
    return previous.first_s + (1 + blocks) * previous.block_s * n_envs / previous.n_envs


def measure(config: BenchConfig, setup: Setup, part: str, n_envs: int) -> Row:
    """Time one part with so many environments."""
    engine = engine_of(setup)
    before, begin = _memory_mb(), time.perf_counter()
    with open_block(part, setup, n_envs, config.slow_steps if is_slow(engine) else config.steps) as block:
        block.prepare()
        block.run()
        first = time.perf_counter() - begin
        times: list[float] = []
        while len(times) < config.blocks or sum(times) < config.seconds:
            block.prepare()
            start = time.perf_counter()
            block.run()
            times.append(time.perf_counter() - start)
        after = _memory_mb()
    median = float(np.median(times))
    rate = block.control_steps / median
    return Row(
        engine=setup.config.physics.engine,
        version=engine.name,
        part=part,
        n_envs=n_envs,
        control_steps_per_s=rate,
        physics_steps_per_s=rate * setup.task.body.arena.n_substeps,
        slowest=block.control_steps / max(times),
        fastest=block.control_steps / min(times),
        blocks=len(times),
        block_s=median,
        first_s=max(0.0, first - median),
        memory_mb=after,
        added_mb=after - before,
        device_mb=_device_mb(),
    )


def _memory_mb() -> float:
    return psutil.Process().memory_info().rss / 2**20


def _device_mb() -> float | None:
    """Most memory in use on the first accelerator since the process began."""
    found: Any = jax.devices()[0].memory_stats() if jax.default_backend() != "cpu" else None
    return found["peak_bytes_in_use"] / 2**20 if found and "peak_bytes_in_use" in found else None
