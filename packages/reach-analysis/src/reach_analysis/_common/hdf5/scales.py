"""Dimension scales of a file from anyone, read from the attributes that define them.

HDF5's own functions for scales trust the types of these attributes, and end the process where they are wrong. Source:
"HDF5 Dimension Scale Specification and Design Notes".
"""

from __future__ import annotations

import h5py
import numpy as np

UNREADABLE = "something that cannot be read"


def is_scale(dataset: h5py.Dataset) -> bool:
    """Whether a data set says that it is a dimension scale."""
    kind = _value(dataset, "CLASS", h5py.h5t.STRING)
    return kind in (b"DIMENSION_SCALE", "DIMENSION_SCALE")


def attached_scales(dataset: h5py.Dataset, axis: int) -> list[str]:
    """Paths of the scales attached to one axis; `UNREADABLE` among them for what is damaged."""
    if "DIMENSION_LIST" not in dataset.attrs:
        return []
    lists = _value(dataset, "DIMENSION_LIST", h5py.h5t.VLEN)
    if not isinstance(lists, np.ndarray) or lists.shape != (dataset.ndim,):
        return [UNREADABLE]
    return [_path(dataset, reference) for reference in np.ravel(lists[axis])]


def _value(dataset: h5py.Dataset, name: str, kind: int) -> object:
    """An attribute of one class of types; None where it is absent, of another class or unreadable."""
    try:
        if name not in dataset.attrs or dataset.attrs.get_id(name).get_type().get_class() != kind:
            return None
        return dataset.attrs[name]
    except (OSError, RuntimeError, TypeError, ValueError, KeyError):
        return None


def _path(dataset: h5py.Dataset, reference: object) -> str:
    try:
        item = dataset.file[reference] if isinstance(reference, h5py.Reference) else None
        return str(item.name).lstrip("/") if isinstance(item, h5py.Dataset) else UNREADABLE
    except (OSError, RuntimeError, TypeError, ValueError, KeyError):
        return UNREADABLE
