"""Analog channels of C3D files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from reach_analysis._common.c3d import open_c3d, texts, values
from reach_analysis._common.errors import InputError
from reach_analysis.data.formats.analog import Analog, numbered


def read_c3d(path: Path) -> Analog:
    """Analog channels; named by ANALOG:LABELS, or by ANALOG:DESCRIPTIONS where these repeat."""
    file = open_c3d(path)
    group = file["parameters"]["ANALOG"]
    data = np.asarray(file["data"]["analogs"], float)[0]
    labels, said = texts(group, "LABELS")[: len(data)], texts(group, "DESCRIPTIONS")[: len(data)]
    names = said if len(set(labels)) < len(data) and len(set(said)) == len(data) else labels
    rate = values(group, "RATE")
    if not len(data) or len(names) != len(data) or not len(rate):
        raise InputError(f"{path}: has no analog channels with names and a rate")
    units = (*texts(group, "UNITS"), *[""] * len(data))[: len(data)]
    return Analog(path, numbered(names), units, (float(rate[0]),) * len(data), tuple(data))
