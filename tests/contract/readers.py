"""Every reader of files: how valid files are made, how they are read, and what must hold of what was read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import h5py
import numpy as np
import scipy.io
from contract import examples
from contract.mutations import Rng, mutate_bytes, mutate_folder, mutate_hdf5, mutate_text
from reach.test_emg import nwb_file
from reach_analysis.behaviour.run_sweeps import read_run
from reach_analysis.config import RecordingConfig
from reach_analysis.data import clips as reach_clips
from reach_analysis.data.nwb import read_nwb
from reach_analysis.data.recordings import read_emg_csv, read_trials
from reach_analysis.data.rollouts import read_rollouts
from stac import keypoint_files as files
from stac_mjx import records
from stac_mjx.check import check_file
from stac_mjx.config import KeypointsConfig
from stac_mjx.convert.public_files import read_public_output
from stac_mjx.keypoints import load_keypoints
from track.clip_files import write_clips
from track.small_setups import ARM_TASK, config
from track_mjx import clips as track_clips
from track_mjx.render.footage import read_footage
from track_mjx.runs.run_folder import RunFolder


@dataclass(frozen=True)
class Reader:
    """One reader: its package, how its files are mutated, valid files in a folder, and the reading of one."""

    package: str
    mutate: Callable[[Rng, Path], None]
    write: Callable[[Path], list[Path]]
    read: Callable[[Path], object]

    @property
    def error(self) -> type[Exception]:
        """Base class of the errors of the package."""
        return import_module(f"{self.package}._common.errors").UserError


# valid files


def _clips(folder: Path) -> list[Path]:
    records.write_clips(folder / "clips.h5", examples.clips())
    return [folder / "clips.h5"]


def _all_clips(folder: Path) -> list[Path]:
    return [*_clips(folder), write_clips(folder / "plain.h5", lengths=(8, 5))]


def _offsets(folder: Path) -> list[Path]:
    records.write_offsets(folder / "offsets.h5", examples.offsets())
    return [folder / "offsets.h5"]


def _rollouts(folder: Path) -> list[Path]:
    examples.write_rollouts(folder / "rollouts.h5")
    examples.write_rollouts(folder / "seeds.h5", seeds=(4, 9))
    return [folder / "rollouts.h5", folder / "seeds.h5"]


POSITIONS, SCORES = files.movement(), files.scores()


def _mat(folder: Path) -> list[Path]:
    moved, paths = POSITIONS.transpose(0, 2, 1), [folder / "plain.mat", folder / "packed.mat"]
    for path in paths:
        content = {"pred": moved, "p_max": SCORES, "names": files.cell(files.NAMES), "fps": 50.0}
        scipy.io.savemat(path, content, do_compression=path.stem == "packed")
    return paths


def _mat_v73(folder: Path) -> list[Path]:
    moved = POSITIONS.transpose(0, 2, 1)
    return [files.write_mat_v73(folder / "v73.mat", files.NAMES, pred=moved, p_max=SCORES)]


def _sleap(folder: Path) -> list[Path]:
    return [files.write_sleap(folder / "t.h5", POSITIONS[:, None], point_scores=SCORES[:, None], fps=50.0)]


def _nwb(folder: Path) -> list[Path]:
    return [files.write_nwb(folder / "p.nwb", POSITIONS, confidence=SCORES, times=np.arange(6) / 50.0)]


def _public(folder: Path) -> list[Path]:
    path = files.write_stac(folder / "public.h5", POSITIONS)
    with h5py.File(path, "r+") as file:
        file["offsets"] = np.zeros((len(files.NAMES), 3))
        file["names_qpos"] = np.array(["root"] * 4, "S")
        file["xpos"], file["names_xpos"] = np.zeros((6, 2, 3)), np.array(["world", "trunk"], "S")
        file["marker_sites"] = POSITIONS
        file["config"] = "model:\n  SCALE_FACTOR: 0.9\n  KEYPOINT_MODEL_PAIRS: {Snout: trunk}\n"
    return [path]


def _run(folder: Path) -> list[Path]:
    path = write_clips(folder / "clips.h5", lengths=(8, 5))
    run = RunFolder.create(config(path, ARM_TASK), track_clips.read_clips(path), [0], [1])
    for iteration in range(1, 4):
        run.add_metrics({"iteration": iteration, "steps": 80 * iteration, "reward": 0.5})
    run.checkpoints.save(80, {"a": np.arange(6.0).reshape(2, 3), "b": {"c": np.zeros(2, "i4")}})
    run.checkpoints.judge(80, 0.5)
    return [run.path]


def _emg_nwb(folder: Path) -> list[Path]:
    nwb_file(folder / "session.nwb", rate_hz=200.0)
    return [folder / "session.nwb"]


def _emg_csv(folder: Path) -> list[Path]:
    (folder / "emg").mkdir()
    (folder / "emg" / "trials.csv").write_text("trial,start,reach_start,end\n0,2,4,20\n1,2,6,20\n")
    for seed, muscle in enumerate(("biceps", "triceps")):
        samples = np.random.default_rng(seed).normal(size=(2, 250))
        np.savetxt(folder / "emg" / f"emg_{muscle}.csv", samples, fmt="%.3f", delimiter=",")
    return [folder / "emg"]


# readers


def _read_clips(path: Path) -> None:
    clips = records.read_clips(path)
    assert clips.clip_length.sum() == clips.n_frames == len(clips.frame_clip) == len(clips.residual)
    assert records.read_clips(path, [clips.clip_name[-1], 0]).n_frames == clips.clip_length[[-1, 0]].sum()


def _read_offsets(path: Path) -> None:
    offsets = records.read_offsets(path)
    assert offsets.offsets.shape == (len(offsets.kp_names), 3) == offsets.offset_initial.shape


def _read_keypoints(path: Path) -> None:
    keypoints = load_keypoints(KeypointsConfig(path=str(path)), ["Snout", "TailBase", "HandL", "HandR"])
    assert keypoints.clip_lengths.sum() == len(keypoints.positions)
    assert len(set(keypoints.names)) == len(keypoints.names) == keypoints.positions.shape[1]
    assert not np.isinf(keypoints.positions).any()
    assert np.isfinite(keypoints.confidence).all()


def _read_public(path: Path) -> None:
    assert read_public_output(path).qpos.ndim == 2


def _read_track_clips(path: Path) -> None:
    clips = track_clips.read_clips(path)
    assert np.isfinite(clips.qpos).all()
    assert (clips.clip_length > 0).all()
    assert clips.clip_length.sum() == len(clips.qpos)
    assert clips.model().nq == clips.qpos.shape[1]
    track_clips.cut(clips, 4 / clips.rate_hz)


def _read_footage(path: Path) -> None:
    for film in read_footage(path, [], None)[1]:
        assert len(film.time) == len(film.qpos) == len(film.qpos_ref)


def _read_run(folder: Path) -> None:
    run = RunFolder.open(folder)
    run.record()
    run.metrics()
    run.checkpoints.best()
    _, leaves = run.checkpoints.load("best")
    assert all(isinstance(leaf, np.ndarray) for leaf in leaves.values())


def _read_rollouts(path: Path) -> None:
    rollouts = read_rollouts(path)
    for name in ("qpos", "ctrl", "act", "xpos", "metrics", "latent_mean"):
        if rollouts.has(name):
            rollouts.series(name)
    for name in rollouts.layers:
        rollouts.layer(name)
    for name in rollouts.contacts:
        rollouts.contact(name)


def _read_reach_clips(path: Path) -> None:
    clips = reach_clips.read_clips(path)
    for name in clips.names:
        clips.read("kp_data", name)


def _read_emg_nwb(path: Path) -> None:
    raw, table = read_nwb(path, RecordingConfig(nwb_channels={"biceps": 2, "triceps": 0}))
    assert raw.trials == table.trials


def _read_emg_csv(folder: Path) -> None:
    table = read_trials(folder / "trials.csv")
    assert (table.end_s > table.start_s).all()
    raw = read_emg_csv({m: folder / f"emg_{m}.csv" for m in ("biceps", "triceps")}, table, 2500.0)
    assert raw.trials == table.trials


def _read_reach_run(folder: Path) -> None:
    assert all(values.ndim == 1 for values in read_run(folder).progress.values())


KEYPOINTS: dict[str, tuple[Callable[[Rng, Path], None], Callable[[Path], list[Path]]]] = {
    "MATLAB 5": (mutate_bytes, _mat),
    "MATLAB 7.3": (mutate_hdf5, _mat_v73),
    "SLEAP": (mutate_hdf5, _sleap),
    "NWB": (mutate_hdf5, _nwb),
    "CSV": (mutate_text, lambda folder: [files.write_csv(folder / "a.csv", POSITIONS, confidence=SCORES)]),
    "clips": (mutate_hdf5, lambda folder: [files.write_clips(folder / "k.h5", POSITIONS, (4, 2))]),
    "public output": (mutate_hdf5, lambda folder: [files.write_stac(folder / "public.h5", POSITIONS)]),
}
READERS = {
    "stac clips": Reader("stac_mjx", mutate_hdf5, _clips, _read_clips),
    "stac offsets": Reader("stac_mjx", mutate_hdf5, _offsets, _read_offsets),
    "stac check": Reader("stac_mjx", mutate_hdf5, lambda f: [*_clips(f), *_offsets(f), *_rollouts(f)], check_file),
    **{f"keypoints, {kind}": Reader("stac_mjx", *how, _read_keypoints) for kind, how in KEYPOINTS.items()},
    "public output": Reader("stac_mjx", mutate_hdf5, _public, _read_public),
    "track clips": Reader("track_mjx", mutate_hdf5, _all_clips, _read_track_clips),
    "track rollouts": Reader("track_mjx", mutate_hdf5, _rollouts, _read_footage),
    "track run folder": Reader("track_mjx", mutate_folder, _run, _read_run),
    "reach rollouts": Reader("reach_analysis", mutate_hdf5, _rollouts, _read_rollouts),
    "reach clips": Reader("reach_analysis", mutate_hdf5, _clips, _read_reach_clips),
    "reach EMG, NWB": Reader("reach_analysis", mutate_hdf5, _emg_nwb, _read_emg_nwb),
    "reach EMG, CSV": Reader("reach_analysis", mutate_folder, _emg_csv, _read_emg_csv),
    "reach run folder": Reader("reach_analysis", mutate_folder, _run, _read_reach_run),
}
"""All readers by name."""
