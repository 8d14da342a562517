"""Movement in files of other programs: tables (CSV), motion files of OpenSim (.mot, .sto), and markers (.trc)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float

from .files import file_names, write_table, write_text


@dataclass(frozen=True, eq=False)
class Columns:
    """Named quantities over time."""

    names: tuple[str, ...]
    units: tuple[str, ...]
    """Unit of each column."""
    values: Float[np.ndarray, "frame column"]


@dataclass(frozen=True, eq=False)
class Movement:
    """One clip."""

    name: str
    rate_hz: float
    coordinates: Columns
    """Generalised coordinates."""
    velocities: Columns
    """Generalised velocities."""
    marker_names: tuple[str, ...] = ()
    markers: Float[np.ndarray, "frame marker 3"] = field(default_factory=lambda: np.zeros((0, 0, 3)))
    """Recorded keypoints, metres; NaN where missing."""
    further: Mapping[str, Columns] = field(default_factory=dict)
    """Other quantities, for tables and NWB: name -> columns."""
    labels: Mapping[str, str | float] = field(default_factory=dict)
    """What is known of the clip, for NWB: name -> text, or time of an event from its start, seconds."""

    @property
    def time(self) -> Float[np.ndarray, " frame"]:
        """Seconds from the start of the clip."""
        return np.arange(len(self.coordinates.values)) / self.rate_hz


def write_files(folder: Path, movements: Sequence[Movement], formats: Sequence[str]) -> list[Path]:
    """Write tables (``csv``) of all movements, and one file of each other format (mot, sto, trc) a movement."""
    written = write_tables(folder, movements) if "csv" in formats else []
    writers = {"mot": write_motion, "sto": write_states, "trc": write_trc}
    for kind in (kind for kind in writers if kind in formats):
        for move, name in zip(movements, file_names([move.name for move in movements]), strict=True):
            written.append(folder / f"{name}.{kind}")
            writers[kind](written[-1], move)
    return written


def write_tables(folder: Path, movements: Sequence[Movement]) -> list[Path]:
    """Write coordinates, velocities, markers and what else there is as tables of one row a frame, and their units.

    Columns are ``clip`` and ``time_s``, then the quantities by name; ``NAME_x``, ``_y``, ``_z`` of a marker.
    """
    axes = [f"{name}_{axis}" for name in movements[0].marker_names for axis in "xyz"]
    tables = {
        "coordinates": [move.coordinates for move in movements],
        "velocities": [move.velocities for move in movements],
        "markers": [Columns(tuple(axes), ("m",) * len(axes), _flat(move)) for move in movements],
    }
    tables |= {name: [move.further[name] for move in movements] for name in movements[0].further}
    tables = {name: parts for name, parts in tables.items() if parts[0].names}
    units = [
        {"table": name, "column": column, "unit": unit}
        for name, parts in tables.items()
        for column, unit in zip(parts[0].names, parts[0].units, strict=True)
    ]
    write_table(folder / "columns.csv", units)
    for name, parts in tables.items():
        rows = [
            {"clip": move.name, "time_s": time, **dict(zip(part.names, row, strict=True))}
            for move, part in zip(movements, parts, strict=True)
            for time, row in zip(move.time.tolist(), part.values.tolist(), strict=True)
        ]
        write_table(folder / f"{name}.csv", rows)
    return [folder / f"{name}.csv" for name in ("columns", *tables)]


def write_motion(path: Path, movement: Movement) -> None:
    """Write coordinates as a motion file of OpenSim, in radians and the body's length unit (``inDegrees=no``)."""
    _write_storage(path, movement, [movement.coordinates], ("",))


def write_states(path: Path, movement: Movement) -> None:
    """Write coordinates and velocities as a storage file of OpenSim; a velocity is called ``COLUMN/speed``."""
    _write_storage(path, movement, [movement.coordinates, movement.velocities], ("", "/speed"))


def _write_storage(path: Path, movement: Movement, parts: Sequence[Columns], suffixes: Sequence[str]) -> None:
    names = [name + suffix for part, suffix in zip(parts, suffixes, strict=True) for name in part.names]
    table = np.concatenate([part.values for part in parts], axis=1)
    sizes = (f"nRows={len(table)}", f"nColumns={1 + len(names)}")
    header = [movement.name, "version=1", *sizes, "inDegrees=no", "endheader"]
    rows = ("\t".join(map(_number, (t, *row))) for t, row in zip(movement.time, table, strict=True))
    write_text(path, "\n".join([*header, "\t".join(["time", *names]), *rows]) + "\n")


def write_trc(path: Path, movement: Movement) -> None:
    """Write the markers as a TRC file, in metres; a missing one has empty cells."""
    n_frames, n_markers = movement.markers.shape[:2]
    rate = _number(movement.rate_hz)
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\t{path.name}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"{rate}\t{rate}\t{n_frames}\t{n_markers}\tm\t{rate}\t1\t{n_frames}",
        "\t".join(["Frame#", "Time", *(cell for name in movement.marker_names for cell in (name, "", ""))]),
        "\t".join(["", "", *(f"{axis}{i + 1}" for i in range(n_markers) for axis in "XYZ")]),
        "",
    ]
    for frame, (time, row) in enumerate(zip(movement.time, _flat(movement), strict=True), 1):
        lines.append("\t".join([str(frame), *map(_number, (time, *row))]))
    write_text(path, "\n".join(lines) + "\n")


def _flat(movement: Movement) -> Float[np.ndarray, "frame column"]:
    return movement.markers.reshape(len(movement.markers), 3 * len(movement.marker_names))


def _number(value: float) -> str:
    """Write a number so that reading it gives the same one; NaN is empty."""
    return "" if np.isnan(value) else repr(value.item() if isinstance(value, np.generic) else value)
