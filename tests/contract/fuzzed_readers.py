"""Every reader of files, as the fuzzer needs it: how a sound file is made, how it is read, what its errors are.

A `read` returns when the reader accepted the file and its content is what the reader promises; an AssertionError says
that it is not. Everything is imported late, so that a worker loads one package only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Reader:
    """One reader.

    Attributes:
        package: whose reader it is.
        way: how its files are mutated: a key of `fuzzing.WAYS`.
        sound: writes sound files into a folder.
        read: reads one; raises what the reader raises.
    """

    package: str
    way: str
    sound: Callable[[Path], list[Path]]
    read: Callable[[Path], object]

    @property
    def error(self) -> type[Exception]:
        """Base class of the package's own errors."""
        from importlib import import_module

        return import_module(f"{self.package}._common.errors").UserError


def finite_positive(*values: float) -> bool:
    return all(np.isfinite(value) and value > 0 for value in values)


# sound files


def _contract_clips(folder: Path) -> list[Path]:
    from contract.examples import clips
    from stac_mjx.records import write_clips
    from track.clip_files import write_clips as plain

    write_clips(folder / "clips.h5", clips())
    plain(folder / "plain.h5", lengths=(8, 5))
    return [folder / "clips.h5", folder / "plain.h5"]


def _own_clips(folder: Path) -> list[Path]:
    return _contract_clips(folder)[:1]


def _offsets(folder: Path) -> list[Path]:
    from contract.examples import offsets
    from stac_mjx.records import write_offsets

    write_offsets(folder / "offsets.h5", offsets())
    return [folder / "offsets.h5"]


def _rollouts(folder: Path) -> list[Path]:
    from contract.examples import write_rollouts

    write_rollouts(folder / "rollouts.h5")
    write_rollouts(folder / "seeds.h5", seeds=(4, 9))
    return [folder / "rollouts.h5", folder / "seeds.h5"]


def _every_kind(folder: Path) -> list[Path]:
    return [*_own_clips(folder), *_offsets(folder), *_rollouts(folder)]


def _mat5(folder: Path) -> list[Path]:
    import scipy.io
    from stac import keypoint_files as files

    moved = files.movement().transpose(0, 2, 1)
    content = {"pred": moved, "p_max": files.scores(), "names": files.cell(files.NAMES), "fps": 50.0}
    scipy.io.savemat(folder / "plain.mat", content)
    scipy.io.savemat(folder / "packed.mat", content, do_compression=True)
    return [folder / "plain.mat", folder / "packed.mat"]


def _mat73(folder: Path) -> list[Path]:
    from stac import keypoint_files as files

    moved = files.movement().transpose(0, 2, 1)
    return [files.write_mat_v73(folder / "v73.mat", files.NAMES, pred=moved, p_max=files.scores())]


def _sleap(folder: Path) -> list[Path]:
    from stac import keypoint_files as files

    tracks = files.movement()[:, None]
    return [files.write_sleap(folder / "t.h5", tracks, point_scores=files.scores()[:, None], fps=50.0, units="mm")]


def _pose_nwb(folder: Path) -> list[Path]:
    from stac import keypoint_files as files

    times = np.arange(6) / 50.0
    moved, scores = files.movement(), files.scores()
    return [
        files.write_nwb(folder / "times.nwb", moved, confidence=scores, times=times, nodes_in_skeleton=True),
        files.write_nwb(folder / "rate.nwb", moved, rate_hz=50.0),
    ]


def _anipose(folder: Path) -> list[Path]:
    from stac import keypoint_files as files

    return [files.write_csv(folder / "a.csv", files.movement(), confidence=files.scores())]


def _public(folder: Path) -> list[Path]:
    import h5py
    from stac import keypoint_files as files

    path = files.write_stac(folder / "public.h5", files.movement())
    with h5py.File(path, "r+") as file:
        file["offsets"] = np.zeros((len(files.NAMES), 3))
        file["names_qpos"] = np.array(["root"] * 4, "S")
        file["xpos"], file["names_xpos"] = np.zeros((6, 2, 3)), np.array(["world", "trunk"], "S")
        file["marker_sites"] = files.movement()
        file["config"] = "model:\n  SCALE_FACTOR: 0.9\n  KEYPOINT_MODEL_PAIRS: {Snout: trunk}\n"
    return [path]


def _clips_as_keypoints(folder: Path) -> list[Path]:
    from stac import keypoint_files as files

    return [files.write_clips(folder / "k.h5", files.movement(), (4, 2)), *_own_clips(folder)]


def _run(folder: Path) -> list[Path]:
    from track.clip_files import write_clips
    from track.small_setups import ARM_TASK, config
    from track_mjx.clips import read_clips
    from track_mjx.runs.run_folder import RunFolder

    path = write_clips(folder / "clips.h5", lengths=(8, 5))
    settings = config(path, ARM_TASK)
    run = RunFolder.create(settings, read_clips(path), [0], [1])
    for iteration in range(1, 4):
        run.add_metrics({"iteration": iteration, "steps": 80 * iteration, "reward": 0.5})
    run.checkpoints.save(80, {"a": np.arange(6.0).reshape(2, 3), "b": {"c": np.zeros(2, "i4")}}, score=0.5)
    return [run.path]


def _emg_nwb(folder: Path) -> list[Path]:
    from reach.test_emg import nwb_file

    nwb_file(folder / "session.nwb", rate_hz=200.0)
    return [folder / "session.nwb"]


def _emg_csv(folder: Path) -> list[Path]:
    from reach_analysis.synthetic.emg import EmgSettings
    from synthetic.emg import write_emg
    from synthetic.reach import ReachSettings, make_reaches

    out = folder / "emg"
    out.mkdir()
    truth = make_reaches(ReachSettings(n_trials=2, duration_s=0.1)).activation
    muscles = {"biceps": truth.channels[0], "triceps": truth.channels[1]}
    write_emg(out, truth, muscles, EmgSettings(rate_hz=2500.0))
    return [out]


# readers


def _read_clips(path: Path) -> None:
    from stac_mjx.records import read_clips

    found = read_clips(path)
    assert found.clip_length.sum() == found.n_frames == len(found.time) == len(found.frame_clip)
    assert finite_positive(found.info.rate_hz or 0.0, found.info.length_unit_m)
    assert len(found.residual) == found.n_frames
    part = read_clips(path, [found.clip_name[-1], 0])
    assert part.n_frames == found.clip_length[[-1, 0]].sum()


def _read_offsets(path: Path) -> None:
    from stac_mjx.records import read_offsets

    found = read_offsets(path)
    assert found.offsets.shape == (len(found.kp_names), 3) == found.offset_initial.shape


def _check(path: Path) -> None:
    from stac_mjx._common.errors import ContractError
    from stac_mjx.check import check_file, errors_in, format_violations

    violations = check_file(path)
    if errors_in(violations):
        raise ContractError(format_violations(path, violations))


def _read_keypoints(path: Path) -> None:
    from stac_mjx.config import KeypointsConfig
    from stac_mjx.keypoints import load_keypoints

    found = load_keypoints(KeypointsConfig(path=str(path)), ["Snout", "TailBase", "HandL", "HandR"])
    assert found.rate_hz is None or finite_positive(found.rate_hz)
    assert found.clip_lengths.sum() == len(found.positions)
    assert (found.clip_lengths > 0).all()
    assert len(set(found.names)) == len(found.names) == found.positions.shape[1]
    assert not np.isinf(found.positions).any()
    assert np.isfinite(found.confidence).all()
    assert found.positions.shape[:2] == found.confidence.shape


def _read_public(path: Path) -> None:
    from stac_mjx.convert.public_files import read_public_output

    found = read_public_output(path)
    assert found.qpos.ndim == found.offsets.ndim == 2
    assert isinstance(dict(found.model_settings), dict)


def _read_track_clips(path: Path) -> None:
    from track_mjx.clips import cut, read_clips

    found = read_clips(path)
    assert np.isfinite(found.qpos).all()
    assert np.isfinite(found.qvel).all()
    assert finite_positive(found.rate_hz, found.length_unit_m)
    assert (found.clip_length > 0).all()
    assert found.clip_length.sum() == len(found.qpos)
    assert len(set(found.clip_name)) == len(found.clip_name) == len(found.clip_length)
    assert found.trial_id is None or len(found.trial_id) == len(found.clip_name)
    assert found.model().nq == found.qpos.shape[1]
    cut(found, 4 / found.rate_hz)


def _read_footage(path: Path) -> None:
    from track_mjx.render.footage import read_footage

    _, films = read_footage(path, [], None)
    for film in films:
        assert len(film.time) == len(film.qpos) == len(film.qpos_ref) == len(film.activation)


def _read_run(folder: Path) -> None:
    from track_mjx.runs.run_folder import RunFolder

    run = RunFolder.open(folder)
    run.record()
    run.metrics()
    run.forget_after(2)
    run.write_table()
    run.checkpoints.best()
    step, leaves = run.checkpoints.load("best")
    assert step >= 0
    assert all(isinstance(leaf, np.ndarray) for leaf in leaves.values())


def _read_rollouts(path: Path) -> None:
    from reach_analysis.data.rollouts import listed_in, read_rollouts

    found = read_rollouts(path)
    assert finite_positive(found.rate_hz, found.reference_rate_hz)
    for name in ("qpos", "qvel", "ctrl", "act", "xpos", "metrics", "latent_mean"):
        if found.has(name):
            found.series(name)
    for name in found.layers:
        found.layer(name)
    for name in found.contacts:
        found.contact(name)
    found.column_units("qpos")
    found.text("provenance/config_yaml")
    listed_in(found, "source_files")
    found.renamed(r"(\d+)")


def _check_rollouts(path: Path) -> None:
    from reach_analysis._common.errors import ContractError
    from reach_analysis._common.hdf5.check import check_file, errors_in, format_violations

    violations = check_file(path)
    if errors_in(violations):
        raise ContractError(format_violations(path, violations))


def _read_reach_clips(path: Path) -> None:
    from reach_analysis.data.clips import read_clips

    found = read_clips(path)
    for name in found.names:
        found.read("kp_data", name)
        found.read("xpos", name)


def _read_emg_nwb(path: Path) -> None:
    from reach_analysis.data.nwb import NwbLayout, read_nwb

    raw, table = read_nwb(path, NwbLayout("acquisition/EMG", {"biceps": 2, "triceps": 0}))
    assert raw.trials == table.trials
    assert np.isfinite(table.start_s).all()


def _read_emg_csv(folder: Path) -> None:
    from reach_analysis.data.recordings import read_emg_csv, read_trials

    table = read_trials(folder / "trials.csv")
    assert np.isfinite(table.start_s).all()
    assert (table.end_s > table.start_s).all()
    raw = read_emg_csv({m: folder / f"emg_{m}.csv" for m in ("biceps", "triceps")}, table, 2500.0)
    assert raw.trials == table.trials


def _read_reach_run(folder: Path) -> None:
    from reach_analysis.behaviour.run_sweeps import differing, read_run

    run = read_run(folder)
    differing([run, run])
    assert all(values.ndim == 1 for values in run.progress.values())


READERS: dict[str, Reader] = {
    "stac clips": Reader("stac_mjx", "hdf5", _own_clips, _read_clips),
    "stac offsets": Reader("stac_mjx", "hdf5", _offsets, _read_offsets),
    "stac check": Reader("stac_mjx", "hdf5", _every_kind, _check),
    "stac keypoints, MATLAB 5": Reader("stac_mjx", "mat5", _mat5, _read_keypoints),
    "stac keypoints, MATLAB 7.3": Reader("stac_mjx", "hdf5", _mat73, _read_keypoints),
    "stac keypoints, SLEAP": Reader("stac_mjx", "hdf5", _sleap, _read_keypoints),
    "stac keypoints, NWB": Reader("stac_mjx", "hdf5", _pose_nwb, _read_keypoints),
    "stac keypoints, Anipose": Reader("stac_mjx", "text", _anipose, _read_keypoints),
    "stac keypoints, clips": Reader("stac_mjx", "hdf5", _clips_as_keypoints, _read_keypoints),
    "stac keypoints, public output": Reader("stac_mjx", "hdf5", _public, _read_keypoints),
    "stac public output": Reader("stac_mjx", "hdf5", _public, _read_public),
    "track clips": Reader("track_mjx", "hdf5", _contract_clips, _read_track_clips),
    "track rollouts": Reader("track_mjx", "hdf5", _rollouts, _read_footage),
    "track run folder": Reader("track_mjx", "folder", _run, _read_run),
    "reach rollouts": Reader("reach_analysis", "hdf5", _rollouts, _read_rollouts),
    "reach check": Reader("reach_analysis", "hdf5", _rollouts, _check_rollouts),
    "reach clips": Reader("reach_analysis", "hdf5", _own_clips, _read_reach_clips),
    "reach EMG, NWB": Reader("reach_analysis", "hdf5", _emg_nwb, _read_emg_nwb),
    "reach EMG, CSV": Reader("reach_analysis", "folder", _emg_csv, _read_emg_csv),
    "reach run folder": Reader("reach_analysis", "folder", _run, _read_reach_run),
}
"""All readers by a name for people."""


def readers_of(package: str) -> dict[str, Reader]:
    return {name: reader for name, reader in READERS.items() if reader.package == package}


def warm_up(name: str, folder: Path) -> Any:
    """Read sound files once, so that everything is imported and every thread started."""
    for path in READERS[name].sound(folder):
        READERS[name].read(path)
