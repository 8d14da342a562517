"""How fast registration is on this machine: frames per second for each body, and how time grows.

Offsets are calibrated first, and only inverse kinematics is timed, once compiled. Every figure is the median of several
runs and stands beside the error that was reached and the error of a run to full convergence, because speed can be had
for nothing if errors do not matter. A real recording, where there is one, is played forth and back to the length asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from stac_mjx._common.errors import BodyError, InputError
from stac_mjx._common.system import peak_rss_mb
from stac_mjx.body.body import Body, load_body
from stac_mjx.body.presets import body_preset
from stac_mjx.calibration.calibrate import calibrate
from stac_mjx.config import BenchConfig, BodyConfig, CalibrationConfig, FitConfig, KeypointsConfig, MarkerConfig
from stac_mjx.inputs import confidence_weights, match
from stac_mjx.inverse_kinematics.batches import Fit, Observation
from stac_mjx.inverse_kinematics.tracker import Tracker
from stac_mjx.keypoints import Keypoints, load_keypoints
from stac_mjx.kinematics.tree import build_tree
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
CHAIN_LENGTHS = (8, 16, 32, 64, 128)
Note = Callable[[str], None]


@dataclass(frozen=True)
class Case:
    """A body with a recording.

    Attributes:
        name: name in the table.
        body, keypoints: what is registered.
        real: whether the recording is of an animal.
    """

    name: str
    body: Body
    keypoints: Keypoints
    real: bool


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        case: what was measured.
        real: whether on a real recording.
        dof, keypoints, frames: sizes.
        compile_s: time of the first run beyond that of the others, s.
        seconds: median time of a run, s.
        fastest_s, slowest_s: the others.
        frames_per_s: frames over the median time.
        rmse_mm: error reached.
        converged_rmse_mm: error of a run to full convergence on the same frames; None where not measured.
        peak_rss_mb: largest memory of the process so far, MB.
    """

    case: str
    real: bool
    dof: int
    keypoints: int
    frames: int
    compile_s: float
    seconds: float
    fastest_s: float
    slowest_s: float
    frames_per_s: float
    rmse_mm: float
    converged_rmse_mm: float | None
    peak_rss_mb: float


def find_case(name: str, data: Path | None) -> Case:
    """A real recording of a body if the data folder has one, else a synthetic one of its default model.

    Raises:
        BodyError: when no model of the body is at hand.
    """
    model, recording = RECORDINGS.get(name, ("", ""))
    if data is not None and model and (data / model).exists():
        body = load_body(body_preset(name, mjcf=str(data / model)))
        config = FitConfig(keypoints=KeypointsConfig(path=str(data / recording)))
        keypoints = load_keypoints(config.keypoints, body.keypoint_order)
        return Case(name, body, match(body, keypoints, config).keypoints, True)
    body = load_body(body_preset(name))
    truth = make_truth(body, Motion(n_frames=1000, amplitude=0.5), Flaws(noise_m=0.002 * body.size_m), seed=0)
    return Case(name, body, truth.keypoints, False)


def chain_case(n_links: int) -> Case:
    """A floating chain of `n_links` hinges with one keypoint every second link, so that size alone changes."""
    inner = ""
    for i in reversed(range(n_links)):
        axis = ("0 1 0", "0 0 1")[i % 2]
        joint = f'<joint name="j{i}" axis="{axis}" range="-60 60" limited="true"/>'
        inner = f'<body name="b{i}" pos="0.02 0 0">{joint}<geom size="0.01"/>{inner}</body>'
    xml = f'<mujoco><worldbody><body name="root"><freejoint/><geom size="0.01"/>{inner}</body></worldbody></mujoco>'
    carriers = ["root", "root", "root", *(f"b{i}" for i in range(0, n_links, 2))]
    places = [[0.0, 0.02, 0.0], [-0.02, -0.02, 0.0], [0.0, 0.0, 0.02], *([[0.01, 0.01, 0.0]] * (len(carriers) - 3))]
    markers = {f"k{i}": MarkerConfig(body=b, offset=p) for i, (b, p) in enumerate(zip(carriers, places, strict=True))}
    body = _inline_body(
        xml, BodyConfig(name=f"chain of {n_links}", markers=markers, trunk_keypoints=["k0", "k1", "k2"])
    )
    truth = make_truth(body, Motion(n_frames=1000, amplitude=0.3), Flaws(noise_m=1e-3), seed=0)
    return Case(body.name, body, truth.keypoints, False)


def _inline_body(xml: str, config: BodyConfig) -> Body:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.xml"
        path.write_text(xml, encoding="utf-8")
        return load_body(replace(config, mjcf=str(path)))


def observation(case: Case, n_frames: int) -> Observation:
    """The recording played forth and back until it has `n_frames` frames, as one clip, in model units."""
    forth = np.arange(case.keypoints.n_frames)
    index = np.resize(np.concatenate([forth, forth[::-1]]), n_frames)
    weight = confidence_weights(case.keypoints)
    target = case.keypoints.positions / case.body.length_unit_m
    return Observation(target[index], weight[index], np.array([n_frames]))


def measure(case: Case, config: BenchConfig, n_frames: int, *, converge: bool) -> Row:
    """Calibrate, then time the registration of `n_frames` frames."""
    tracker = Tracker(build_tree(case.body.model), case.body, config.solver)
    sample = observation(case, case.keypoints.n_frames)
    offsets = calibrate(tracker, sample, CalibrationConfig()).offsets / case.body.length_unit_m
    seen = observation(case, n_frames)
    times, fit = [], None
    for _ in range(config.repeats + 1):
        begin = time.perf_counter()
        fit = tracker.solve(offsets, seen)
        times.append(time.perf_counter() - begin)
    assert fit is not None
    first, runs = times[0], np.array(times[1:] or times)
    return Row(
        case=case.name,
        real=case.real,
        dof=tracker.tree.n_dof,
        keypoints=len(case.body.marker_names),
        frames=n_frames,
        compile_s=max(0.0, first - float(np.median(runs))),
        seconds=float(np.median(runs)),
        fastest_s=float(runs.min()),
        slowest_s=float(runs.max()),
        frames_per_s=n_frames / float(np.median(runs)),
        rmse_mm=rmse_mm(tracker, offsets, seen, fit),
        converged_rmse_mm=_converged(case, config, offsets, seen) if converge else None,
        peak_rss_mb=peak_rss_mb(),
    )


def _converged(case: Case, config: BenchConfig, offsets: np.ndarray, seen: Observation) -> float:
    settings = replace(config.solver, **CONVERGED)
    tracker = Tracker(build_tree(case.body.model), case.body, settings)
    tracker.pilot(offsets, seen)
    return rmse_mm(tracker, offsets, seen, tracker.solve(offsets, seen))


def rmse_mm(tracker: Tracker, offsets: np.ndarray, seen: Observation, fit: Fit) -> float:
    """Root mean square distance of all observed keypoints from their markers, mm."""
    distance = tracker.distances_mm(offsets, seen, fit.qpos)[seen.weight > 0]
    return float(np.sqrt((distance**2).mean()))


def run_bodies(config: BenchConfig, data: Path | None, note: Note) -> Iterator[Row]:
    """One row a body; a body whose model is not at hand is announced and left out."""
    for name in config.bodies:
        try:
            case = find_case(name, data)
        except (BodyError, InputError) as error:
            note(f"{name}: left out: {error}")
            continue
        note(f"{name}: measuring on a {'real' if case.real else 'synthetic'} recording")
        yield measure(case, config, config.frames, converge=True)


def run_scaling(config: BenchConfig, data: Path | None, note: Note) -> dict[str, list[Row]]:
    """How time grows with frames and keypoints (first body of the list) and with degrees of freedom (chains)."""
    case = find_case(config.bodies[0], data)
    note("scaling with frames")
    counts = [n for n in (512, 2048, 8192, 32768) if n <= 4 * config.frames]
    frames = [measure(case, config, n, converge=False) for n in counts]
    note("scaling with keypoints")
    total = len(case.body.marker_names)
    fewer = [_with_keypoints(case, n) for n in sorted({max(3, total // 4), max(3, total // 2), total})]
    keypoints = [measure(part, config, config.frames, converge=False) for part in fewer]
    note("scaling with degrees of freedom")
    dof = [measure(chain_case(n), config, config.frames, converge=False) for n in CHAIN_LENGTHS]
    return {"frames": frames, "keypoints": keypoints, "dof": dof}


def _with_keypoints(case: Case, count: int) -> Case:
    """The same with `count` of the keypoints, evenly picked."""
    total = len(case.body.marker_names)
    keep = np.unique(np.linspace(0, total - 1, count).astype(int))
    names = tuple(case.body.marker_names[k] for k in keep)
    body = replace(
        case.body,
        marker_names=names,
        marker_body=case.body.marker_body[keep],
        marker_offset=case.body.marker_offset[keep],
        regularize=case.body.regularize[keep],
        trunk_keypoints=tuple(name for name in case.body.trunk_keypoints if name in names),
    )
    kept = replace(
        case.keypoints,
        names=names,
        positions=case.keypoints.positions[:, keep],
        confidence=case.keypoints.confidence[:, keep],
    )
    return Case(f"{case.name}, {len(keep)} keypoints", body, kept, case.real)
