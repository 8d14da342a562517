"""How far a tethered animal walked over a belt or a ball: its path, integrated from a table (CSV).

Columns: ``time_s``, seconds from the first frame of the file; ``clip``, the name of the file's clip, where there are
several; and the movement of the animal over the surface, with the unit in the name of the column:

- ``belt_UNIT``: distance that the belt has run backwards under the animal (m, dm, cm, mm or um);
- ``forward_UNIT_s``, ``sideways_UNIT_s`` (to its left) and ``turn_rad_s`` or ``turn_deg_s`` (to its left): velocity of
  the animal. The surface of a ball moves and turns the other way round.

Between two samples velocities are the mean of both, in the frame of the animal, so that the path is an arc:

    p1 = p0 + R(a0) [[s, -c], [c, s]] v dt,    s = sin(w dt) / (w dt),    c = (1 - cos(w dt)) / (w dt)
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from stac_mjx._common.errors import InputError, raise_all, unknown
from stac_mjx._common.units import METRES_PER_UNIT
from stac_mjx.config import KeypointsConfig
from stac_mjx.keypoints.keypoints import Keypoints
from stac_mjx.keypoints.trials import number, read_rows

ANGLES = {"rad": 1.0, "deg": np.pi / 180}
COLUMNS = ("time_s", "clip", "belt_mm", "forward_mm_s", "sideways_mm_s", "turn_rad_s", "turn_deg_s")
"""Columns as they are suggested where one is unknown; lengths may have other units."""
ENDS = 1.5
"""Frames that a recording may begin before the table, and end after it; its ends are used there."""


def with_travel(keypoints: Keypoints, config: KeypointsConfig) -> Keypoints:
    """Return a recording with the `travel` of each frame, from the table `config.travel`.

    Raises:
        InputError: when the table cannot be read, or does not cover the recording; all problems at once.
    """
    path, rate = Path(config.travel or "").expanduser(), keypoints.rate_hz
    if rate is None:
        raise InputError(f"{path}: times in seconds need the frame rate of the recording. Set keypoints.rate_hz")
    clips, table = _read(path)
    names = keypoints.clip_names
    if not clips and len(names) > 1:
        raise InputError(f"{path}: the recording has {len(names)} clips; expected a column 'clip' with their names")
    problems, travel = [], np.zeros((keypoints.n_frames, 3))
    c, s = np.cos(np.radians(config.heading_deg)), np.sin(np.radians(config.heading_deg))
    rotation = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])  # of rows
    for name, start, length in zip(names, keypoints.clip_starts, keypoints.clip_lengths, strict=True):
        rows = np.flatnonzero([clip == name for clip in clips]) if clips else np.arange(len(table["time_s"]))
        time = (config.start + np.arange(length)) / rate
        signal = {column: values[rows] for column, values in table.items()}
        problem = _covers(signal["time_s"], time, ENDS / rate)
        if problem:
            problems.append(f"clip {name!r}: {problem}" if clips else problem)
            continue
        pose = integrated(signal) @ rotation
        travel[start : start + length] = np.stack([np.interp(time, signal["time_s"], p) for p in pose.T], axis=1)
    raise_all(InputError, str(path), problems)
    return replace(keypoints, travel=travel, notes=(*keypoints.notes, f"moved along the path of {path.name}"))


def integrated(signal: dict[str, np.ndarray]) -> Float[np.ndarray, "sample 3"]:
    """Return the place (forward, left of the start, metres) and the turn (rad, to the left) at the times of a table.

    Args:
        signal: ``time_s``, and any of ``belt`` (m), ``forward``, ``sideways`` (m/s) and ``turn`` (rad/s).
    """
    zero = np.zeros(len(signal["time_s"]) - 1)
    step = {
        name: 0.5 * (signal[name][1:] + signal[name][:-1]) * np.diff(signal["time_s"]) if name in signal else zero
        for name in ("forward", "sideways", "turn")
    }
    moved = (step["forward"] + (np.diff(signal["belt"]) if "belt" in signal else zero)) + 1j * step["sideways"]
    turn = step["turn"]
    still = np.abs(turn) < 1e-12
    arc = np.where(still, 1.0, np.expm1(1j * turn) / np.where(still, 1.0, 1j * turn))  # s + i c
    heading = np.concatenate([[0.0], np.cumsum(turn)])
    place = np.concatenate([[0.0], np.cumsum(np.exp(1j * heading[:-1]) * arc * moved)])
    return np.stack([np.real(place), np.imag(place), heading], axis=1)


def walked(keypoints: Keypoints) -> Keypoints:
    """Move a recording in metres, z up, along its `travel`; it turns about the vertical through its median keypoint."""
    if keypoints.travel is None:
        return keypoints
    x, y, turn = keypoints.travel.T
    across = keypoints.positions[..., 0] + 1j * keypoints.positions[..., 1]
    pivot = np.median(keypoints.positions[keypoints.observed][:, :2], axis=0) @ [1, 1j]
    moved = pivot + (x + 1j * y)[:, None] + np.exp(1j * turn)[:, None] * (across - pivot)
    positions = np.stack([np.real(moved), np.imag(moved), keypoints.positions[..., 2]], axis=-1)
    return replace(keypoints, positions=positions, travel=None)


def _read(path: Path) -> tuple[list[str], dict[str, np.ndarray]]:
    """Return the clip of each row (none: there is no such column), and the signals, in metres, rad and seconds."""
    rows = read_rows(path, "time_s")
    table, problems = {}, []
    for column in rows[0]:
        name, factor = _meaning(column)
        if not name:
            problems.append(unknown("column", column, COLUMNS))
        elif name != "clip":
            table[name] = factor * np.array([number(row[column]) for row in rows])
            wrong = np.flatnonzero(~np.isfinite(table[name]))
            problems += [f"row {i + 2}: {column}: expected a number, got {rows[i][column]!r}" for i in wrong[:1]]
    if len(table) < 2 and not problems:
        problems = ["expected a column of movement, such as belt_mm or forward_mm_s"]
    raise_all(InputError, str(path), problems)
    return [row["clip"] for row in rows] if "clip" in rows[0] else [], table


def _meaning(column: str) -> tuple[str, float]:
    """Return the signal of a column, empty where there is none, and its unit in metres, rad and seconds."""
    if column in ("time_s", "clip"):
        return column, 1.0
    found = re.fullmatch(r"(belt)_(\w+)|(forward|sideways|turn)_(\w+)_s", column)
    name, unit = (found[1] or found[3], found[2] or found[4]) if found else ("", "")
    factor = (ANGLES if name == "turn" else METRES_PER_UNIT).get(unit)
    return (name, factor) if factor else ("", 1.0)


def _covers(signal: np.ndarray, time: np.ndarray, margin: float) -> str:
    """Return why the times of a table are not those of a recording; empty: they are."""
    if len(signal) < 2:
        return f"expected at least two rows, got {len(signal)}"
    if (np.diff(signal) <= 0).any():
        return "time_s does not increase"
    if time[0] < signal[0] - margin or time[-1] > signal[-1] + margin:
        return f"{signal[0]:g} to {signal[-1]:g} s do not cover the recording, {time[0]:g} to {time[-1]:g} s"
    return ""
