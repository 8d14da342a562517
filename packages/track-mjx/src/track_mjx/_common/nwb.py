"""Movement as an NWB file: keypoints as ndx-pose, coordinates as time series with units, the body's MJCF attached.

Clips are stored end to end on one clock; with several, or with labels, the table of trials holds their borders, labels
and events.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from .errors import ConfigError
from .files import replace_file
from .motion_files import Columns, Movement
from .nwb_session import NwbSession

_MEANING = {
    "coordinates": "generalised coordinates",
    "velocities": "generalised velocities",
    "standard_errors": "standard errors of coordinates",
    "resolutions": "part of coordinates that keypoints determine",
}


def require_nwb(session: NwbSession) -> tuple[Any, Any]:
    """Import ndx_pose and pynwb; a ConfigError without them, or where the session's start has no time zone."""
    _start(session.start)
    try:
        return import_module("ndx_pose"), import_module("pynwb")
    except ImportError as error:
        raise ConfigError(f"formats=[nwb] needs {error.name}; install the extra nwb of this package") from None


def write_nwb(
    path: Path, movements: Sequence[Movement], session: NwbSession, mjcf_xml: str, skeleton: Sequence[tuple[str, str]]
) -> None:
    """Write all clips, with the same columns and markers, as one NWB file; `skeleton` joins pairs of markers."""
    ndx_pose, pynwb = require_nwb(session)
    file = pynwb.NWBFile(
        session_description=session.description, identifier=str(uuid4()), session_start_time=_start(session.start),
        experiment_description=session.experiment, experimenter=session.experimenter or None,
        institution=session.institution, keywords=["motion capture", "kinematics"],
    )  # fmt: skip
    file.subject = pynwb.file.Subject(
        subject_id=session.subject_id or "unknown", species=session.species, sex=session.sex, age=session.age,
        description=session.subject,
    )  # fmt: skip
    behavior = file.create_processing_module("behavior", "registered movement")
    quantities = [{"coordinates": m.coordinates, "velocities": m.velocities, **m.further} for m in movements]
    for kind in quantities[0]:
        for series in _series(pynwb, kind, [parts[kind] for parts in quantities], movements[0].rate_hz):
            behavior.add(series)
    if movements[0].marker_names:
        for container in _pose(ndx_pose, movements, skeleton, file.subject):
            behavior.add(container)
    if len(movements) > 1 or movements[0].labels:
        _add_trials(file, movements)
    file.add_scratch(mjcf_xml, name="body_mjcf", description="the body as MJCF, a model of MuJoCo")
    with replace_file(path) as temporary, pynwb.NWBHDF5IO(str(temporary), "w") as io:
        io.write(file)


def _add_trials(file: Any, movements: Sequence[Movement]) -> None:
    file.add_trial_column("clip", "name of the clip")
    for name, value in movements[0].labels.items():
        file.add_trial_column(name, "label of the clip" if isinstance(value, str) else "time of the event, seconds")
    start = 0.0
    for move in movements:
        stop = start + len(move.time) / move.rate_hz
        of_clip = {name: value if isinstance(value, str) else start + value for name, value in move.labels.items()}
        file.add_trial(start_time=start, stop_time=stop, clip=move.name, **of_clip)
        start = stop


def _start(text: str | None) -> datetime:
    try:
        start = datetime.fromisoformat(text or "")
    except ValueError:
        start = datetime.min
    if start.tzinfo is None:
        raise ConfigError(f"nwb.start={text or ''}: expected a time with its zone, such as 2026-11-30T14:05:00+01:00")
    return start


def _series(pynwb: Any, kind: str, parts: Sequence[Columns], rate_hz: float) -> list[Any]:
    """Return one time series for each unit; its comments name the columns."""
    values, units = np.concatenate([part.values for part in parts]), np.array(parts[0].units)
    names = np.array(parts[0].names)
    return [
        pynwb.TimeSeries(
            name=kind if kind == "resolutions" else f"{kind}_{_word(unit)}",
            description=f"{_MEANING[kind]} in {unit}",
            data=values[:, units == unit], unit=unit, rate=rate_hz, starting_time=0.0,
            comments=json.dumps(names[units == unit].tolist()),
        )
        for unit in dict.fromkeys(parts[0].units)
    ]  # fmt: skip


def _word(unit: str) -> str:
    """Return a unit as part of a name: ``rad s-1`` is ``rad_per_s``."""
    return "quaternion" if unit == "1" else re.sub(r"(\w+)-1", r"per_\1", unit).replace(" ", "_")


def _pose(
    ndx_pose: Any, movements: Sequence[Movement], skeleton: Sequence[tuple[str, str]], subject: Any
) -> tuple[Any, Any]:
    names = list(movements[0].marker_names)
    markers = np.concatenate([move.markers for move in movements])
    edges = [[names.index(end) for end in pair] for pair in skeleton if set(pair) <= set(names)]
    shape = ndx_pose.Skeleton(
        name="skeleton", nodes=names, edges=np.array(edges, np.uint8).reshape(-1, 2), subject=subject
    )
    series = [
        ndx_pose.PoseEstimationSeries(
            name=name, description=f"position of {name}", data=markers[:, i], unit="meters",
            reference_frame="the world of the body, z up", rate=movements[0].rate_hz, starting_time=0.0,
            confidence=np.isfinite(markers[:, i]).all(1).astype(np.float32),
            confidence_definition="1 where the keypoint was recorded, else 0",
        )
        for i, name in enumerate(names)
    ]  # fmt: skip
    pose = ndx_pose.PoseEstimation(
        name="PoseEstimation", pose_estimation_series=series, description="recorded keypoints", skeleton=shape
    )
    return ndx_pose.Skeletons(skeletons=[shape]), pose
