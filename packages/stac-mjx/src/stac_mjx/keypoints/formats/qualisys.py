"""Read MATLAB exports of Qualisys Track Manager: one structure, called like the trial, with ``Trajectories.Labeled``.

``Data`` is (marker, 4, frame): x, y, z and residual, in millimetres. ``Type`` says of each point whether it is missing
(0), measured (1) or filled by the program (2 and above).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stac_mjx._common.errors import InputError
from stac_mjx.keypoints.formats import matlab
from stac_mjx.keypoints.formats.reading import ONE_ANIMAL, Reading, Track, choose_track

TRAJECTORIES = "Trajectories.Labeled.Data"
"""Field of the structure with the positions."""


def read(path: Path, track: Track = None) -> Reading:
    """Read the labelled trajectories of one file."""
    choose_track(path, track, ONE_ANIMAL)
    trials = matlab.structures_with(path, TRAJECTORIES)
    if len(trials) != 1:
        raise InputError(f"{path}: expected one Qualisys trial, got {len(trials)} ({', '.join(trials) or 'none'})")
    data, kinds, labels, rate = (
        f"{trials[0]}.{field}"
        for field in (TRAJECTORIES, "Trajectories.Labeled.Type", "Trajectories.Labeled.Labels", "FrameRate")
    )
    file = matlab.load(path, (data, kinds, rate), (labels,))
    values, names = file.arrays[data], file.texts.get(labels)
    if values.ndim != 3 or values.shape[1] < 3 or names is None or len(names) != len(values):
        raise InputError(f"{path}: {data} {values.shape}: expected (marker, 4, frame), and a label for each marker")
    positions = values[:, :3].transpose(2, 0, 1)
    return Reading(
        positions=positions,
        names=names,
        rate_hz=float(file.arrays[rate].ravel()[0]) if rate in file.arrays else None,
        unit="mm",
        notes=("length unit mm, the convention of Qualisys (the file has none)", *_filled(file.arrays.get(kinds))),
    )


def _filled(kinds: np.ndarray | None) -> tuple[str, ...]:
    """Note how many points the program filled."""
    filled = 0.0 if kinds is None or not kinds.size else float((kinds > 1).mean())
    return (f"{filled:.1%} of the points were filled by Qualisys, not measured",) if filled else ()
