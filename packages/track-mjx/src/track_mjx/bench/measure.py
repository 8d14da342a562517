"""Throughput against the number of environments (paper B, Fig. 4c), for every installed engine.

Each figure is the median over blocks of control steps, after a first block that compiles.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from track_mjx._common.errors import ConfigError
from track_mjx._common.files import markdown_table, write_json
from track_mjx._common.system import environment, n_cores, processor
from track_mjx.bench.parts import PARTS, blocks
from track_mjx.clips import Clips
from track_mjx.config import BenchConfig
from track_mjx.learning.setup import Setup, build
from track_mjx.physics.engine import engine_name
from track_mjx.policy.pretrained import Pretrained

BLOCKS, SECONDS = 3, 0.5
"""Fewest blocks and shortest time behind a figure."""
SLOW_PARTS, SLOW_STEPS = ("physics",), 4
"""What is measured on a CPU of engines for accelerators that were not asked for, with the fewest environments."""


@dataclass(frozen=True)
class Row:
    """One measurement."""

    engine: str
    part: str
    n_envs: int
    control_steps_per_s: float
    """Of all simulations together; the median block."""
    physics_steps_per_s: float
    slowest: float
    """Control steps per second of the slowest block."""
    fastest: float
    blocks: int
    block_s: float
    """Median time of a block."""
    first_s: float
    """Time of the first block beyond that, mostly compilation."""


class Report(NamedTuple):
    """All measurements, and what was left out and why."""

    rows: list[Row]
    left_out: list[str]


def engines_of(config: BenchConfig) -> list[str]:
    """Return the engines of the config, else native, mjx, and warp if it is installed."""
    if config.engines:
        return [engine_name(name) for name in config.engines]
    return ["native", "mjx", *(["warp"] if find_spec("warp") else [])]


def run_bench(
    config: BenchConfig, clips: Clips, note: Callable[[str], None], pretrained: Pretrained | None = None
) -> Report:
    """Measure all combinations, the fast ones first; `note` receives one line for each.

    Raises:
        UserError: when settings and clips do not fit.
    """
    report, deadline = Report([], []), time.monotonic() + 60 * config.max_minutes
    setups: dict[str, Setup] = {}
    for name in engines_of(config):
        setup = build(replace(config, physics=replace(config.physics, engine=name)), clips, pretrained)
        try:
            setup.engine()
            setups[name] = setup
        except ConfigError as error:
            report.left_out.append(f"{name}: {error}")
    for part in PARTS:
        for name, setup in setups.items():
            slow = not config.engines and name != "native" and jax.default_backend() == "cpu"
            parts, counts = (SLOW_PARTS, [min(config.n_envs)]) if slow else (config.parts, config.n_envs)
            previous: Row | None = None
            for n_envs in counts if part in parts and part in config.parts else ():
                title = f"{name}, {part}, {n_envs} environments"
                if time.monotonic() + _expected_s(previous, n_envs) > deadline:
                    report.left_out.append(f"{title}: no time left (max_minutes={config.max_minutes:g})")
                    continue
                note(title)
                previous = measure(setup, part, n_envs, SLOW_STEPS if slow else config.steps)
                report.rows.append(previous)
    return report


def _expected_s(previous: Row | None, n_envs: int) -> float:
    """Estimate the time of a measurement from the one before, with fewer environments."""
    if previous is None:
        return 0.0
    return previous.first_s + (1 + BLOCKS) * previous.block_s * n_envs / previous.n_envs


def measure(setup: Setup, part: str, n_envs: int, n_steps: int) -> Row:
    """Time one part with this many environments."""
    begin = time.perf_counter()
    work = blocks(part, setup, n_envs, n_steps)
    control_steps = next(work)
    first, times = time.perf_counter() - begin, list[float]()
    while len(times) < BLOCKS or sum(times) < SECONDS:
        start = time.perf_counter()
        next(work)
        times.append(time.perf_counter() - start)
    median = float(np.median(times))
    rate = control_steps / median
    return Row(
        engine=setup.config.physics.engine,
        part=part,
        n_envs=n_envs,
        control_steps_per_s=rate,
        physics_steps_per_s=rate * setup.task.body.arena.n_substeps,
        slowest=control_steps / max(times),
        fastest=control_steps / min(times),
        blocks=len(times),
        block_s=median,
        first_s=max(0.0, first - median),
    )


def write_bench(config: BenchConfig, clips: Clips, report: Report, out: Path) -> str:
    """Write ``bench.json`` to folder `out`; return the measurements as a Markdown table."""
    devices = [f"{device.platform} {device.device_kind}" for device in jax.devices()]
    record = {
        "machine": {
            "processor": processor(), "cores": n_cores(), "devices": devices, "versions": dict(environment()),
        },
        "model_name": clips.model_name,
        "settings": {name: asdict(getattr(config, name)) for name in ("physics", "network", "ppo")},
        "parts": PARTS,
        "rows": [asdict(row) for row in report.rows],
        "peak_device_mb": peak_device_mb(),
        "left_out": report.left_out,
    }  # fmt: skip
    write_json(out / "bench.json", record)
    columns = [("engine", "engine", "{}"), ("part", "part", "{}"), ("n_envs", "environments", "{:,}")]
    columns += [(f"{name}_steps_per_s", f"{name} steps/s", "{:,.0f}") for name in ("control", "physics")]
    table = markdown_table([asdict(row) for row in report.rows], columns)
    return table + "".join(f"Left out: {text}.\n" for text in report.left_out)


def peak_device_mb() -> float | None:
    """Most memory of the first accelerator that this process has used, MB; None on a CPU."""
    return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0) / 1e6 or None
