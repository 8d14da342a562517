"""Draw the throughput that `track-mjx bench` measured, and the share of each part in a training iteration.

track-mjx bench preset=rat clips=rat/clips.h5 out=bench
python benchmarks/track/throughput.py bench/bench.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

# Okabe and Ito, "Color universal design", 2008
COLOURS = {"physics": "#0072B2", "task": "#009E73", "policy": "#E69F00", "learning": "#D55E00"}
LINES = {"native": ("-", "o"), "mjx": ("--", "s"), "warp": (":", "^")}


def shares(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the time of each part of an iteration, by differences between parts; per cent, one entry per n_envs."""
    out = []
    for engine, n_envs in dict.fromkeys((row["engine"], row["n_envs"]) for row in rows):
        chosen = [row for row in rows if (row["engine"], row["n_envs"]) == (engine, n_envs)]
        per_step = {row["part"]: 1 / row["control_steps_per_s"] for row in chosen}
        if set(per_step) != set(COLOURS):
            continue
        before, entry = 0.0, {"engine": engine, "n_envs": n_envs}
        for part in COLOURS:
            entry[part] = round(100 * (per_step[part] - before) / per_step["learning"], 1)
            before = per_step[part]
        out.append(entry)
    return out


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw physics alone and all parts against the number of environments."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for engine, part in dict.fromkeys((row["engine"], row["part"]) for row in rows):
        line, marker = LINES.get(engine, ("-.", "d"))
        chosen = sorted((r for r in rows if (r["engine"], r["part"]) == (engine, part)), key=lambda r: r["n_envs"])
        look: dict[str, Any] = {"color": COLOURS[part], "linestyle": line, "marker": marker, "markersize": 4}
        counts = [row["n_envs"] for row in chosen]
        if part == "physics":
            left.plot(counts, [row["physics_steps_per_s"] for row in chosen], label=engine, **look)
        right.plot(counts, [row["control_steps_per_s"] for row in chosen], label=f"{engine}, {part}", **look)
    left.set(title="physics alone", ylabel="physics steps/s")
    right.set(title="parts of a training iteration", ylabel="control steps/s")
    for axes in (left, right):
        axes.set(xscale="log", yscale="log", xlabel="environments")
        axes.grid(visible=True, alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Read bench.json, draw bench.png next to it and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record", type=Path, help="bench.json")
    path = parser.parse_args().record
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    draw(rows, path.with_name("bench.png"))
    for entry in shares(rows):
        print(entry)


if __name__ == "__main__":
    main()
