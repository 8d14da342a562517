"""How the time of inverse kinematics grows with frames, keypoints and degrees of freedom.

    python benchmarks/stac/scaling.py OUT [--data FOLDER] [--frames 8192] [--repeats 5]

Writes ``scaling.json``, ``scaling.md`` and ``scaling.png``. Frames and keypoints are varied on the mouse arm or the
recording in FOLDER, degrees of freedom on floating chains.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from stac_mjx.bench import Case, Row, find_case, markdown, measure
from stac_mjx.body.body import load_body
from stac_mjx.config import BenchConfig, BodyConfig, MarkerConfig
from stac_mjx.synthetic.motion import Flaws, Motion, make_truth

CHAIN_LENGTHS = (8, 16, 32, 64, 128)


def chain_case(n_links: int) -> Case:
    """Return a floating chain of `n_links` hinges with one keypoint every second link, so that only its size varies."""
    inner = ""
    for i in reversed(range(n_links)):
        axis = ("0 1 0", "0 0 1")[i % 2]
        joint = f'<joint name="j{i}" axis="{axis}" range="-60 60" limited="true"/>'
        inner = f'<body name="b{i}" pos="0.02 0 0">{joint}<geom size="0.01"/>{inner}</body>'
    xml = f'<mujoco><worldbody><body name="root"><freejoint/><geom size="0.01"/>{inner}</body></worldbody></mujoco>'
    carriers = ["root", "root", "root", *(f"b{i}" for i in range(0, n_links, 2))]
    places = [[0.0, 0.02, 0.0], [-0.02, -0.02, 0.0], [0.0, 0.0, 0.02], *([[0.01, 0.01, 0.0]] * (len(carriers) - 3))]
    markers = {f"k{i}": MarkerConfig(body=b, offset=p) for i, (b, p) in enumerate(zip(carriers, places, strict=True))}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.xml"
        path.write_text(xml, encoding="utf-8")
        trunk = ["k0", "k1", "k2"]
        config = BodyConfig(name=f"chain of {n_links}", mjcf=str(path), markers=markers, trunk_keypoints=trunk)
        body = load_body(config)
    truth = make_truth(body, Motion(n_frames=1000, amplitude=0.3), Flaws(noise_m=1e-3), seed=0)
    return Case(body.name, body, truth.keypoints, False)


def with_keypoints(case: Case, count: int) -> Case:
    """Return the same case with `count` of the keypoints, evenly picked."""
    body, recorded = case.body, case.keypoints
    keep = np.unique(np.linspace(0, len(body.marker_names) - 1, count).astype(int))
    names = tuple(body.marker_names[k] for k in keep)
    fewer = replace(
        body,
        marker_names=names,
        marker_body=body.marker_body[keep],
        marker_offset=body.marker_offset[keep],
        regularize=body.regularize[keep],
        trunk_keypoints=tuple(name for name in body.trunk_keypoints if name in names),
    )
    positions, confidence = recorded.positions[:, keep], recorded.confidence[:, keep]
    keypoints = replace(recorded, names=names, positions=positions, confidence=confidence)
    return Case(f"{case.name}, {len(keep)} keypoints", fewer, keypoints, case.real)


def measured(case: Case, config: BenchConfig) -> dict[str, list[Row]]:
    """Return one list of measurements for each size that is varied."""
    total = len(case.body.marker_names)
    frames = [n for n in (512, 2048, 8192, 32768) if n <= 4 * config.frames]
    counts = sorted({max(3, total // 4), max(3, total // 2), total})
    fewer, chains = [with_keypoints(case, n) for n in counts], [chain_case(n) for n in CHAIN_LENGTHS]
    return {
        "frames": [measure(case, config, n, converge=False) for n in frames],
        "keypoints": [measure(one, config, config.frames, converge=False) for one in fewer],
        "dof": [measure(one, config, config.frames, converge=False) for one in chains],
    }


def plot(rows: dict[str, list[Row]], path: Path) -> None:
    """Draw time over size."""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    for axes, (kind, entries) in zip(figure.subplots(1, len(rows)), rows.items(), strict=True):
        axes.loglog([getattr(row, kind) for row in entries], [row.seconds for row in entries], "o-", color="#0072B2")
        axes.set(xlabel=kind, ylabel="time, s (median)", title=f"growth with {kind}")
        axes.grid(visible=True, which="both", alpha=0.2)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Measure and write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--body", default="mouse_arm")
    parser.add_argument("--frames", type=int, default=8192)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    config = BenchConfig(frames=options.frames, repeats=options.repeats)
    rows = measured(find_case(options.body, options.data), config)
    options.out.mkdir(parents=True, exist_ok=True)
    record = {kind: [dataclasses.asdict(row) for row in entries] for kind, entries in rows.items()}
    (options.out / "scaling.json").write_text(json.dumps(record, indent=2) + "\n")
    tables = [markdown(f"Growth with {kind}", entries) for kind, entries in rows.items()]
    (options.out / "scaling.md").write_text("\n".join(tables))
    plot(rows, options.out / "scaling.png")


if __name__ == "__main__":
    main()
