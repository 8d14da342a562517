"""Output of the public stac-mjx: ``kp_data`` (frame, 3 * keypoint) with ``kp_names``."""

from __future__ import annotations

from pathlib import Path

import h5py

from stac_mjx._common.errors import InputError
from stac_mjx.keypoints.formats import reading as hdf5
from stac_mjx.keypoints.formats.reading import Reading, refuse_track


def read(path: Path, track: int | None = None) -> Reading:
    """Read the keypoints a public stac-mjx run was given; its poses are left alone.

    Raises:
        InputError: when ``kp_data`` is absent or its axes do not fit.
    """
    refuse_track(path, track, "a STAC output")
    with hdf5.opened(path) as file:
        dataset = hdf5.member(file, "kp_data")
        if not isinstance(dataset, h5py.Dataset):
            raise InputError(f"{path}: expected the dataset 'kp_data', found {hdf5.contents(file)}")
        values = hdf5.numbers(dataset)
        found = hdf5.first_member(file, ("kp_names",))
        names = None if found is None else hdf5.strings(found[1])
    flat = values.ndim == 2 and values.shape[1] and values.shape[1] % 3 == 0
    if not flat and not (values.ndim == 3 and values.shape[2] == 3):
        raise InputError(
            f"{path}: kp_data: wrong axes {values.shape}; expected (frame, 3 * keypoint) or (frame, keypoint, 3)"
        )
    n_keypoints = values.shape[1] // 3 if flat else values.shape[1]
    return Reading(
        positions=values.reshape(len(values), n_keypoints, 3),
        names=names,
        unit="m",
        notes=("length unit m, the convention of STAC output (its keypoints are scaled to the model)",),
    )
