"""Measure the speed of inverse kinematics on this machine: frames per second for each body.

Offsets are calibrated first; only inverse kinematics is timed, once compiled. Every figure is the median of several
runs, next to the error that was reached and the error of a run to full convergence: speed without errors says nothing.
A recording is played forward and backward up to the number of frames.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from stac_mjx._common.errors import BodyError, InputError
from stac_mjx._common.files import markdown_table, write_json, write_text
from stac_mjx._common.system import environment, n_cores, processor
from stac_mjx.body.body import Body, load_body
from stac_mjx.body.presets import body_preset
from stac_mjx.calibration.calibrate import calibrate
from stac_mjx.config import BenchConfig, CalibrationConfig, FitConfig, KeypointsConfig
from stac_mjx.inputs import confidence_weights, match
from stac_mjx.inverse_kinematics.pose_solver import Fit, Observation, PoseSolver, distances_mm, pose_solver
from stac_mjx.inverse_kinematics.solve import pilot, solve
from stac_mjx.keypoints import Keypoints, load_keypoints
from stac_mjx.synthetic.motion import Flaws, Motion, make_truth

RECORDINGS = {
    "mouse_arm": ("mouse_arm/arm_muscle_nomesh.xml", "mouse_arm/recordings/reach_trials/*.h5"),
    "rat": ("rat/rodent.xml", "rat/recordings/test_rodent_mocap_1000_frames.mat"),
    "fly": ("fly/fruitfly_force_free_nomesh.xml", "fly/recordings/fly_df3d_walk_1000_frames.h5"),
    "worm": ("worm/celegans_primitives.xml", "worm/recordings/worm_foraging_posture_4800_frames.h5"),
    "stick": ("stick/sungaya_inexpectata_box.xml", "stick/recordings/stick_walk_1500_frames.h5"),
    "mouse": ("mouse/mouse_nomesh.xml", "mouse/recordings/mouse_walk_3600_zup.h5"),
}
CONVERGED = {"tolerance_mm": 1e-6, "max_iterations": 300}


@dataclass(frozen=True)
class Case:
    """A body with a recording."""

    name: str
    body: Body
    keypoints: Keypoints
    real: bool
    """Whether the recording is of an animal."""


def _column(heading: str, written: str = "{}") -> Any:
    """Return a field of `Row`, with its heading and format in the table."""
    return field(metadata={"heading": heading, "written": written})


@dataclass(frozen=True)
class Row:
    """One measurement; times in seconds."""

    case: str = _column("body")
    real: bool = _column("real recording")
    dof: int = _column("DoF")
    keypoints: int = _column("keypoints")
    frames: int = _column("frames")
    frames_per_s: float = _column("frames/s", "{:,.4g}")
    seconds: float = _column("median s", "{:,.4g}")
    compile_s: float = _column("first run, extra s", "{:,.4g}")
    """Time of the first run beyond that of the others."""
    rmse_mm: float = _column("rmse mm", "{:,.4g}")
    converged_rmse_mm: float | None = _column("rmse converged mm", "{:,.4g}")
    """Error of a run to full convergence on the same frames."""


def find_case(name: str, data: Path | None) -> Case:
    """Return a real recording of a body if the data folder has one, else a synthetic one of its default model."""
    model, recording = RECORDINGS.get(name, ("", ""))
    if data is not None and model and (data / model).exists():
        body = load_body(body_preset(name, mjcf=str(data / model)))
        config = FitConfig(keypoints=KeypointsConfig(path=str(data / recording)))
        keypoints = load_keypoints(config.keypoints, body.keypoint_order)
        return Case(name, body, match(body, keypoints, config).keypoints, True)
    body = load_body(body_preset(name))
    truth = make_truth(body, Motion(n_frames=1000, amplitude=0.5), Flaws(noise_m=0.002 * body.size_m), seed=0)
    return Case(name, body, truth.keypoints, False)


def played(case: Case, n_frames: int) -> Observation:
    """Return the recording played forward and backward until it has `n_frames` frames, as one clip."""
    forward = np.arange(case.keypoints.n_frames)
    index = np.resize(np.concatenate([forward, forward[::-1]]), n_frames)
    weight = confidence_weights(case.keypoints)
    return Observation(case.keypoints.positions[index], weight[index], np.array([n_frames]))


def measure(case: Case, config: BenchConfig, n_frames: int, *, converge: bool = True) -> Row:
    """Calibrate, then time inverse kinematics of `n_frames` frames."""
    solver = pose_solver(case.body, config.solver)
    calibration = calibrate(solver, played(case, case.keypoints.n_frames), CalibrationConfig())
    offsets, observation = calibration.offsets, played(case, n_frames)

    def run() -> tuple[Fit, float]:
        begin = time.perf_counter()
        fit = solve(solver, observation, offsets, robust_mm=calibration.robust_mm)
        return fit, time.perf_counter() - begin

    fit, first = run()
    runs = np.array([run()[1] for _ in range(config.repeats)])
    median, converged_mm = float(np.median(runs)), None
    if converge:
        thorough = pose_solver(case.body, replace(config.solver, **CONVERGED))
        robust_mm = pilot(thorough, observation, offsets)
        best = solve(thorough, observation, offsets, robust_mm=robust_mm)
        converged_mm = _rmse_mm(thorough, offsets, observation, best)
    return Row(
        case=case.name,
        real=case.real,
        dof=solver.tree.n_dof,
        keypoints=len(case.body.marker_names),
        frames=n_frames,
        compile_s=max(0.0, first - median),
        seconds=median,
        frames_per_s=n_frames / median,
        rmse_mm=_rmse_mm(solver, offsets, observation, fit),
        converged_rmse_mm=converged_mm,
    )


def _rmse_mm(solver: PoseSolver, offsets: np.ndarray, observation: Observation, fit: Fit) -> float:
    distance = distances_mm(solver, offsets, observation, fit.qpos)[observation.present]
    return float(np.sqrt((distance**2).mean()))


def run_bodies(
    config: BenchConfig, data: Path | None, note: Callable[[str], None], tick: Callable[[int], None]
) -> list[Row]:
    """Measure each body whose model is available."""
    rows = []
    for name in config.bodies:
        try:
            case = find_case(name, data)
        except (BodyError, InputError) as error:
            note(f"{name}: skipped: {error}")
        else:
            note(f"{name}: measuring on a {'real' if case.real else 'synthetic'} recording")
            rows.append(measure(case, config, config.frames))
        tick(1)
    return rows


def markdown(title: str, rows: list[Row]) -> str:
    """Return a table of measurements."""
    columns = [(column.name, column.metadata["heading"], column.metadata["written"]) for column in fields(Row)]
    return f"### {title}\n\n" + markdown_table([asdict(row) for row in rows], columns)


def write_bench(rows: list[Row], out: Path) -> str:
    """Write ``bench.json`` and ``bench.md`` to folder `out` and return the Markdown."""
    import jax

    devices = [f"{device.platform} {device.device_kind}" for device in jax.devices()]
    machine = {"processor": processor(), "cores": n_cores(), "devices": devices, "versions": environment()}
    write_json(out / "bench.json", {"machine": machine, "bodies": [asdict(row) for row in rows]})
    text = f"{machine['processor']}, {machine['cores']} cores, {devices}\n\n" + markdown("Inverse kinematics", rows)
    write_text(out / "bench.md", text)
    return text
