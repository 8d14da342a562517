"""Measurements as a table (Markdown), a plot and JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from track_mjx._common.files import replace_file, write_text
from track_mjx._common.system import environment, n_cores, now, processor
from track_mjx.bench.measure import Report, Row
from track_mjx.bench.parts import PARTS
from track_mjx.learning.setup import Setup

_COLUMNS = (
    ("engine", "engine", "{}"),
    ("part", "part", "{}"),
    ("n_envs", "environments", "{:,}"),
    ("control_steps_per_s", "control steps/s", "{:,.0f}"),
    ("physics_steps_per_s", "physics steps/s", "{:,.0f}"),
    ("slowest", "slowest block", "{:,.0f}"),
    ("fastest", "fastest block", "{:,.0f}"),
    ("blocks", "blocks", "{}"),
    ("first_s", "first block, extra s", "{:.1f}"),
    ("memory_mb", "memory MB", "{:,.0f}"),
    ("added_mb", "grown by MB", "{:,.0f}"),
    ("device_mb", "device peak MB", "{:,.0f}"),
)
# Okabe and Ito, "Color universal design", 2008
_COLOURS = {"physics": "#0072B2", "task": "#009E73", "policy": "#E69F00", "learning": "#D55E00"}
_LINES = {"native": ("-", "o"), "mjx": ("--", "s"), "warp": (":", "^")}


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    import jax

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    devices = [f"{device.platform} {device.device_kind}" for device in jax.devices()]
    found = {"processor": processor(), "cores": n_cores(), "load_average_1min": load, "devices": devices}
    return {**found, "versions": environment(), "measured_utc": now()}


def steps_text(setup: Setup) -> str:
    """What a step is, for this body and these settings."""
    physics, arena = setup.config.physics, setup.task.body.arena
    return (
        f"A physics step advances one simulation by {1000 * physics.sim_dt_s:g} ms ({physics.integrator}, "
        f"{physics.solver} with {physics.iterations} iterations). A control step is one action of one simulation: "
        f"{arena.n_substeps} physics steps, {1000 * physics.ctrl_dt_s:g} ms. Figures count the steps of all "
        "environments together, over wall time, compilation aside; nothing else is left out of the time."
    )


def shares(rows: list[Row]) -> list[dict[str, Any]]:
    """Where the time of a training iteration goes, by differences between parts; per cent, one entry an n_envs."""
    found = []
    for engine, n_envs in dict.fromkeys((row.engine, row.n_envs) for row in rows):
        per_step = {
            row.part: 1 / row.control_steps_per_s for row in rows if (row.engine, row.n_envs) == (engine, n_envs)
        }
        if set(per_step) != set(PARTS):
            continue
        whole, before, entry = per_step["learning"], 0.0, {"engine": engine, "n_envs": n_envs}
        for part in PARTS:
            entry[part] = 100 * (per_step[part] - before) / whole
            before = per_step[part]
        found.append(entry)
    return found


def markdown(setup: Setup, report: Report, about: Mapping[str, Any]) -> str:
    """The report as a text with tables."""
    model, config = setup.task.body.model, setup.config
    threads = config.physics.threads or about["cores"]
    load = "" if about["load_average_1min"] is None else f", load average {about['load_average_1min']:.1f}"
    lines = [
        f"## Throughput of {setup.clips.model_name}",
        "",
        f"{about['processor']}, {about['cores']} cores ({threads} threads of native physics){load}, "
        f"{', '.join(about['devices'])}.",
        f"{model.nv} degrees of freedom, {model.nu} actuators; encoder {config.network.encoder}, decoder "
        f"{config.network.decoder}, critic {config.network.critic}; learning: unroll {config.ppo.unroll}, rounds "
        f"{config.ppo.rounds}, epochs {config.ppo.epochs}, minibatches {config.ppo.minibatches}.",
        "",
        steps_text(setup),
        "",
        *(f"- {part}: {meaning}" for part, meaning in PARTS.items()),
        "",
        "Each figure is the median block.",
        "",
        _table([name for _, name, _ in _COLUMNS], [_cells(row) for row in report.rows]),
    ]
    parts = shares(report.rows)
    if parts:
        cells = [[e["engine"], f"{e['n_envs']:,}", *(f"{e[part]:.0f}" for part in PARTS)] for e in parts]
        title = "Where the time of a training iteration goes, per cent, by differences between parts"
        lines += ["", f"{title} (what is below 0 tells how unsteady the machine was):", ""]
        lines.append(_table(["engine", "environments", *PARTS], cells))
    lines += ["", *(f"Left out: {text}." for text in report.left_out)]
    return "\n".join(lines).rstrip() + "\n"


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])


def _cells(row: Row) -> list[str]:
    values = [(getattr(row, key), form) for key, _, form in _COLUMNS]
    return ["" if value is None else form.format(value) for value, form in values]


def write_bench(setup: Setup, report: Report, out: Path) -> str:
    """Write ``bench.json``, ``bench.md`` and ``bench.png`` to folder `out`; return the Markdown.

    Raises:
        OutputError: when a file cannot be written.
    """
    about = machine()
    record = {
        "machine": about,
        "model_name": setup.clips.model_name,
        "model_sha256": setup.clips.model_sha256,
        "physics": asdict(setup.config.physics) | {"engine": None, "n_substeps": setup.task.body.arena.n_substeps},
        "network": asdict(setup.config.network),
        "ppo": asdict(setup.config.ppo),
        "step": steps_text(setup),
        "parts": PARTS,
        "rows": [asdict(row) for row in report.rows],
        "time_shares_percent": shares(report.rows),
        "left_out": report.left_out,
    }
    write_text(out / "bench.json", json.dumps(record, indent=1) + "\n")
    text = markdown(setup, report, about)
    write_text(out / "bench.md", text)
    if report.rows:
        _plot(setup, report.rows, out / "bench.png")
    return text


def _plot(setup: Setup, rows: list[Row], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for engine, part in dict.fromkeys((row.engine, row.part) for row in rows):
        line, marker = _LINES.get(engine, ("-.", "d"))
        some = sorted((r for r in rows if (r.engine, r.part) == (engine, part)), key=lambda r: r.n_envs)
        look: dict[str, Any] = {"color": _COLOURS[part], "linestyle": line, "marker": marker, "markersize": 4}
        counts = [r.n_envs for r in some]
        if part == "physics":
            left.plot(counts, [r.physics_steps_per_s for r in some], label=engine, **look)
        right.plot(counts, [r.control_steps_per_s for r in some], label=f"{engine}, {part}", **look)
    left.set(title="physics alone", ylabel="physics steps/s")
    right.set(title=f"a control step is {setup.task.body.arena.n_substeps} physics steps", ylabel="control steps/s")
    for axes in (left, right):
        axes.set(xscale="log", yscale="log", xlabel="environments")
        axes.set_xticks(sorted({row.n_envs for row in rows}), labels=[f"{n}" for n in sorted({r.n_envs for r in rows})])
        axes.minorticks_off()
        axes.grid(visible=True, alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=8)
    with replace_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130)
