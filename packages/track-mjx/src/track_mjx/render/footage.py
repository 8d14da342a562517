"""Rollouts of a mimic.rollouts file to be filmed, with the body they were simulated with."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import mujoco
import numpy as np
from jaxtyping import Float

from track_mjx._common.errors import ConfigError, ContractError, InputError, raise_all, shorten, unknown
from track_mjx._common.hdf5 import reading
from track_mjx._common.mjcf import actuator_labels, compile_enclosed, qpos_labels
from track_mjx.clips import label_problems

KIND = "mimic.rollouts"
_PIECE = re.compile(r"(.*)\[(\d+):\d+\]")
"""Name of a piece of a clip, as trainings cut them."""


@dataclass(frozen=True, eq=False)
class Body:
    """The body of a rollouts file, in its arena."""

    mjcf_xml: str
    assets: Mapping[str, bytes]
    length_unit_m: float
    """Metres per length unit of the MJCF."""
    name: str


@dataclass(frozen=True, eq=False)
class Footage:
    """One rollout, from its first state to the last one reached. Lengths are in the MJCF's unit."""

    clip: str
    time: Float[np.ndarray, " state"]
    """Time since the start of the rollout, s."""
    qpos: Float[np.ndarray, "state qpos"]
    qpos_ref: Float[np.ndarray, "state qpos"]
    """Reference poses; elements missing in the reference are the simulated ones."""
    activation: Float[np.ndarray, "state actuator"]
    """Activation of each actuator, 0 to 1; NaN for actuators without one."""
    ending: str
    """Reason of an early end; empty if the clip was followed to its end."""
    qvel: Float[np.ndarray, "state dof"]
    goal: Float[np.ndarray, " 3"] | None = None
    """Where a body was to go, in the world; None where nothing is stored."""
    followed: bool = True
    """Whether there is a reference."""
    start_s: float = 0.0
    """Time of the first state in the clip."""
    keypoints: Float[np.ndarray, "state keypoint 3"] | None = None
    """The animal's keypoints at the states, where they were asked for (`with_keypoints`); NaN where missing."""


def read_footage(path: str | Path, clips: Sequence[int | str], seed: int | None) -> tuple[Body, list[Footage]]:
    """Read rollouts of some clips.

    Args:
        path: a rollouts file, or a folder with a rollouts.h5.
        clips: names or numbers of clips; empty: all.
        seed: the repeat, in a file with several; None: the first.

    Raises:
        InputError: if the file cannot be opened.
        ContractError: if it has another kind or version, or departs from the schema.
        ConfigError: if it has no such clip or seed.
        BodyError: if its body does not compile.
    """
    path = file_of(path)
    with reading.open_contract(path, KIND) as file:
        body = _read_body(file)
        _verify_labels(file, compile_enclosed(body.mjcf_xml, body.assets))
        names = reading.read_strings(reading.require(file, "clip_name"))
        if not names:
            raise InputError(f"{path}: contains no rollouts")
        rows = rows_of(path, names, clips)
        arrays = _read_arrays(file, repeat_of(file, seed))
        ending = reading.attribute(reading.require(file, "termination_reason"), "flag_meanings")
    reasons = ending.split() if isinstance(ending, str) else []
    return body, [_footage(arrays, reasons, names[row], row, body.length_unit_m) for row in rows]


def file_of(path: str | Path) -> Path:
    """Return the rollouts file of a path, which may be the folder it is in."""
    path = Path(path).expanduser()
    return path / "rollouts.h5" if path.is_dir() and (path / "rollouts.h5").is_file() else path


def _read_body(file: h5py.File) -> Body:
    unit = reading.attribute(file, "length_unit_m")
    if not isinstance(unit, int | float) or not 0 < unit < np.inf:
        raise ContractError(f"{file.filename}: attribute length_unit_m: expected a positive number, got {unit!r}")
    xml = reading.read_strings(reading.require(file, "provenance/mjcf_xml"))[0]
    name = reading.attribute(file, "model_name")
    return Body(xml, reading.read_assets(file), float(unit), name if isinstance(name, str) else "")


def _verify_labels(file: h5py.File, model: mujoco.MjModel) -> None:
    expected = {"names_qpos": qpos_labels(model), "actuator": actuator_labels(model)}
    stored = {name: reading.read_strings(reading.require(file, name)) for name in expected}
    raise_all(ContractError, str(file.filename), label_problems(stored, expected))


def rows_of(path: Path, names: tuple[str, ...], clips: Sequence[int | str]) -> list[int]:
    """Return the rows of clips given by name or number; of all if there are none."""
    rows, problems = [], []
    for clip in clips:
        if isinstance(clip, int) and 0 <= clip < len(names):
            rows.append(clip)
        elif isinstance(clip, int):
            problems.append(f"clip={clip}: expected 0 to {len(names) - 1}; there are {len(names)} clips")
        elif clip in names:
            rows.append(names.index(clip))
        else:
            problems.append(f"clip: {unknown('clip', clip, names)}")
    raise_all(ConfigError, str(path), problems)
    return rows or list(range(len(names)))


def repeat_of(file: h5py.File, seed: int | None) -> int | None:
    """Return the number of the repeat; None for a file without repeats."""
    scale = reading.find(file, "seed")
    if not isinstance(scale, h5py.Dataset):
        if seed is not None:
            raise ConfigError(f"{file.filename}: seed={seed}: the file has no repeats; leave seed out")
        return None
    seeds = reading.read_numbers(scale, (None,)).tolist()
    if seed is not None and seed not in seeds:
        raise ConfigError(f"{file.filename}: seed={seed}: the file has seeds {shorten([str(s) for s in seeds])}")
    return 0 if seed is None else seeds.index(seed)


def _read_arrays(file: h5py.File, repeat: int | None) -> dict[str, np.ndarray]:
    """Return the arrays (clip, ...) of one repeat, and the times of the states."""
    n_qpos, n_act = reading.require(file, "names_qpos").size, reading.require(file, "actuator").size
    n_states, n_clips = reading.require(file, "state_time").size or 0, reading.require(file, "clip_name").size
    shapes = {
        "qpos": (n_clips, n_states, n_qpos),
        "qpos_ref": (n_clips, n_states, n_qpos),
        "qvel": (n_clips, n_states, reading.require(file, "names_qvel").size),
        "act": (n_clips, n_states, n_act),
        "valid": (n_clips, n_states - 1),
        "termination_reason": (n_clips,),
        "clip_start_time": (n_clips,),
    }
    arrays = {"time": reading.read_numbers(reading.require(file, "state_time"), (None,)).astype(np.float64)}
    for name, shape in shapes.items():
        if name == "act" and reading.find(file, name) is None:
            arrays[name] = np.full(shape, np.nan)
            continue
        values = reading.read_numbers(reading.require(file, name), shape if repeat is None else (None, *shape))
        arrays[name] = values if repeat is None else values[repeat]
    goal = reading.find(file, "goal/position")
    if isinstance(goal, h5py.Dataset):
        arrays["goal"] = reading.read_numbers(goal, (n_clips, 3))
    return arrays


def _footage(arrays: Mapping[str, np.ndarray], reasons: Sequence[str], clip: str, row: int, unit_m: float) -> Footage:
    n_states = 1 + int((arrays["valid"][row] != 0).sum())
    qpos = arrays["qpos"][row, :n_states].astype(np.float64)
    target = arrays["qpos_ref"][row, :n_states].astype(np.float64)
    reason = int(arrays["termination_reason"][row])
    ending = "" if reason == 0 else (reasons[reason] if reason < len(reasons) else f"reason {reason}")
    return Footage(
        clip=clip,
        time=arrays["time"][:n_states],
        qpos=qpos,
        qvel=arrays["qvel"][row, :n_states].astype(np.float64),
        qpos_ref=np.where(np.isfinite(target), target, qpos),
        activation=arrays["act"][row, :n_states].astype(np.float64),
        ending=ending.replace("_", " "),
        goal=arrays["goal"][row] / unit_m if "goal" in arrays else None,
        followed=bool(np.isfinite(target).any()),
        start_s=float(arrays["clip_start_time"][row]),
    )


def with_keypoints(take: Footage, path: Path, unit_m: float) -> Footage:
    """Return a rollout with the animal's keypoints of a clips file; as it is where the file lacks these or its clip."""
    piece = _PIECE.fullmatch(take.clip)
    name, before = (piece[1], int(piece[2])) if piece else (take.clip, 0)
    with reading.open_contract(path, "mimic.reference_clips") as file:
        names, data = reading.read_strings(reading.require(file, "clip_name")), reading.find(file, "kp_data")
        if name not in names or not isinstance(data, h5py.Dataset):
            return take
        row, rate_hz = names.index(name), reading.attribute(file, "rate_hz")
        first, length = (int(reading.require(file, key)[row]) for key in ("clip_start", "clip_length"))
        points = np.asarray(data[first : first + length], np.float64) / unit_m
    frames = before + np.round((take.start_s + take.time) * rate_hz).astype(int)
    shown = np.where((frames < length)[:, None, None], points[np.minimum(frames, length - 1)], np.nan)
    return replace(take, keypoints=shown)
