"""Inverse kinematics of stac-mjx and of mink on one recording, body, set of offsets and error.

    uv run --with mink --with daqp python benchmarks/stac/peers.py OUT --data FOLDER [--body rat] [--frames 1000]

mink solves a quadratic programme per iteration, within the joint limits, for one frame after the other, each from the
pose before; it starts in our pose of the first frame. Offsets are ours, calibrated on the recording. Joint angles of
both are evaluated by the same code. Writes ``peers.json`` and ``peers.md``.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import mink  # pyright: ignore[reportMissingImports]
import numpy as np
from stac_mjx._common.files import markdown_table, write_json, write_text
from stac_mjx._common.mjcf import enclosed_spec
from stac_mjx._common.system import n_cores, processor
from stac_mjx.bench import Case, find_case, played
from stac_mjx.calibration.calibrate import calibrate
from stac_mjx.config import CalibrationConfig, SolverConfig
from stac_mjx.inverse_kinematics.pose_solver import Observation, distances_mm, pose_solver
from stac_mjx.inverse_kinematics.solve import solve

PER_M = 100.0
"""Weight of an error of 1 m in mink's costs."""


@dataclass(frozen=True)
class Result:
    """One way to solve the recording."""

    solver: str
    frames_per_s: float
    rmse_mm: float
    median_mm: float


class Peer:
    """mink on a body with a site at every marker."""

    def __init__(self, case: Case, offsets: np.ndarray, damping: float) -> None:
        body = case.body
        spec = enclosed_spec(body.mjcf_xml, body.assets)
        for name, carrier, offset in zip(body.marker_names, body.marker_body_names, offsets, strict=True):
            spec.body(carrier).add_site(name=f"marker_{name}", pos=offset / body.length_unit_m)
        self.model, self._unit, self._damping = spec.compile(), body.length_unit_m, damping
        cost = PER_M * self._unit
        self._tasks = [mink.FrameTask(f"marker_{name}", "site", cost, 0.0) for name in body.marker_names]
        self._limits = [mink.ConfigurationLimit(self.model)]

    def solve(self, observation: Observation, start: np.ndarray, iterations: int) -> np.ndarray:
        """Return the pose of every frame, (frame, qpos)."""
        configuration, poses = mink.Configuration(self.model, start), []
        for targets, present in zip(observation.target / self._unit, observation.present, strict=True):
            tasks = [task for task, seen in zip(self._tasks, present, strict=True) if seen]
            for task, target in zip(tasks, targets[present], strict=True):
                task.set_target(mink.SE3.from_translation(target))
            for _ in range(iterations):
                velocity = mink.solve_ik(configuration, tasks, 1.0, "daqp", self._damping, limits=self._limits)
                configuration.integrate_inplace(velocity, 1.0)
            poses.append(configuration.q.copy())
        return np.array(poses)


def compared(case: Case, n_frames: int, repeats: int, iterations: list[int], damping: float) -> list[Result]:
    """Solve with both; speeds are medians of runs in alternation, after one run that compiles."""
    solver = pose_solver(case.body, SolverConfig())
    calibration = calibrate(solver, played(case, case.keypoints.n_frames), CalibrationConfig())
    offsets, observation = calibration.offsets, played(case, n_frames)
    peer = Peer(case, offsets, damping)

    def ours() -> np.ndarray:
        return np.asarray(solve(solver, observation, offsets, robust_mm=calibration.robust_mm).qpos)

    start = ours()[0]
    ways = {"stac-mjx": ours} | {
        f"mink, {n} iterations a frame": lambda n=n: peer.solve(observation, start, n) for n in iterations
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    poses: dict[str, np.ndarray] = {}
    for _ in range(repeats):
        for name, way in ways.items():
            begin = time.perf_counter()
            poses[name] = way()
            seconds[name].append(time.perf_counter() - begin)
    rows = []
    for name in ways:
        distance = distances_mm(solver, offsets, observation, poses[name])[observation.present]
        rows.append(
            Result(
                name,
                n_frames / float(np.median(seconds[name])),
                float(np.sqrt((distance**2).mean())),
                float(np.median(distance)),
            )
        )
    return rows


def main() -> None:
    """Measure and write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--body", default="rat")
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--iterations", type=int, nargs="+", default=[1, 3, 10])
    parser.add_argument("--damping", type=float, default=0.1, help="Levenberg-Marquardt damping of mink")
    options = parser.parse_args()
    case = find_case(options.body, options.data)
    rows = compared(case, options.frames, options.repeats, options.iterations, options.damping)
    columns = [
        ("solver", "solver", "{}"), ("frames_per_s", "frames/s", "{:,.4g}"), ("rmse_mm", "rmse mm", "{:.4f}"),
        ("median_mm", "median mm", "{:.4f}"),
    ]  # fmt: skip
    head = f"{case.name}, {options.frames} frames; {processor()}, {n_cores()} cores; damping {options.damping:g}\n\n"
    options.out.mkdir(parents=True, exist_ok=True)
    write_json(options.out / "peers.json", {"about": head.strip(), "rows": [asdict(row) for row in rows]})
    write_text(options.out / "peers.md", head + markdown_table([asdict(row) for row in rows], columns))
    print(head + markdown_table([asdict(row) for row in rows], columns))


if __name__ == "__main__":
    main()
