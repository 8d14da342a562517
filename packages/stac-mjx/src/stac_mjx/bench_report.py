"""The figures of `bench` as a table, a plot and JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from stac_mjx._common.files import replace_file, write_text
from stac_mjx._common.hdf5.info import environment_json
from stac_mjx._common.system import n_cores, processor
from stac_mjx.bench import Row

COLUMNS = (
    ("case", "body", "{}"),
    ("real", "recording", "{}"),
    ("dof", "DoF", "{}"),
    ("keypoints", "keypoints", "{}"),
    ("frames", "frames", "{}"),
    ("frames_per_s", "frames/s", "{:,.0f}"),
    ("seconds", "median s", "{:.3f}"),
    ("fastest_s", "min s", "{:.3f}"),
    ("slowest_s", "max s", "{:.3f}"),
    ("compile_s", "first run, extra s", "{:.1f}"),
    ("rmse_mm", "rmse mm", "{:.4f}"),
    ("converged_rmse_mm", "rmse converged mm", "{:.4f}"),
)


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    import jax

    devices = [f"{device.platform} {device.device_kind}" for device in jax.devices()]
    return {
        "processor": processor(),
        "cores": n_cores(),
        "devices": devices,
        "versions": json.loads(environment_json()),
    }


def markdown(title: str, rows: Sequence[Row]) -> str:
    """A table of measurements."""
    head = " | ".join(name for _, name, _ in COLUMNS)
    lines = [f"### {title}", "", f"| {head} |", "|" + " --- |" * len(COLUMNS)]
    for row in rows:
        cells = [_cell(getattr(row, key), form) for key, _, form in COLUMNS]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(value: object, form: str) -> str:
    if isinstance(value, bool):
        return "real" if value else "synthetic"
    return "" if value is None else form.format(value)


def write_bench(bodies: Sequence[Row], scaling: dict[str, list[Row]], out: Path) -> str:
    """Write ``bench.json``, ``bench.md`` and ``bench.png`` to folder `out`; return the Markdown.

    Raises:
        OutputError: when a file cannot be written.
    """
    about = machine()
    record = {
        "machine": about,
        "bodies": [dataclasses.asdict(row) for row in bodies],
        "scaling": {kind: [dataclasses.asdict(row) for row in rows] for kind, rows in scaling.items()},
    }
    write_text(out / "bench.json", json.dumps(record, indent=2) + "\n")
    text = f"## Registration with known offsets\n\n{about['processor']}, {about['cores']} cores, {about['devices']}\n\n"
    text += markdown("Bodies", bodies)
    for kind, rows in scaling.items():
        text += "\n" + markdown(f"Growth with {kind}", rows)
    write_text(out / "bench.md", text)
    if scaling:
        _plot(scaling, out / "bench.png")
    return text


def _plot(scaling: dict[str, list[Row]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.2), layout="constrained")
    for axes, (kind, rows) in zip(figure.subplots(1, len(scaling), squeeze=False)[0], scaling.items(), strict=True):
        axes.loglog([getattr(row, kind) for row in rows], [row.seconds for row in rows], "o-", color="#0072B2")
        axes.set(xlabel=kind, ylabel="time, s (median)", title=f"growth with {kind}")
        axes.grid(visible=True, which="both", alpha=0.2)
    with replace_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130)
