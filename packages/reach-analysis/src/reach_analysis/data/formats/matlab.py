"""MATLAB files with a table of channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.io import loadmat

from reach_analysis._common.errors import InputError, shorten
from reach_analysis.data.formats.analog import Analog, numbered

RATES = ("fs", "rate", "rate_hz", "samplerate", "samplingrate", "samplefrequency", "samplingfrequency", "sr", "freq")
"""Names of MATLAB variables that hold a rate, without case and underscores."""


def read_matlab(path: Path) -> Analog:
    """The largest table of numbers in a MATLAB file, its names and its rate, whatever they are called."""
    try:
        content = {name: value for name, value in loadmat(path, simplify_cells=True).items() if name[0] != "_"}
    except NotImplementedError:
        raise InputError(f"{path}: MATLAB file of version 7.3; save it with -v7") from None
    except Exception as error:  # scipy raises many types on damaged files
        raise InputError(f"{path}: not a readable MATLAB file ({error})") from error
    for name, value in list(content.items()):  # one level of structs, as of exported sessions
        content |= {f"{name}.{key}": entry for key, entry in value.items()} if isinstance(value, dict) else {}
    arrays = {name: np.atleast_2d(value) for name, value in content.items()
              if isinstance(value, np.ndarray) and value.dtype.kind in "iuf" and 1 <= value.ndim <= 2}  # fmt: skip
    if not arrays:
        raise InputError(f"{path}: has no table of numbers; its variables: {shorten(list(content))}")
    data = max(arrays.values(), key=lambda array: array.size).astype(float)
    data = data if len(data) < data.shape[1] else data.T  # fewer channels than samples
    spelt = {name.rsplit(".", 1)[-1].lower().replace("_", ""): value for name, value in content.items()}
    rates = [float(np.unique(spelt[name])[0]) for name in (rate.replace("_", "") for rate in RATES)
             if name in spelt and np.size(spelt[name]) and np.unique(spelt[name]).size == 1]  # fmt: skip
    labels = [[str(text).strip() for text in np.atleast_1d(value)] for value in content.values()
              if np.size(value) == len(data) and np.asarray(value).dtype.kind in "UO"]  # fmt: skip
    names = labels[0] if labels else [f"channel {number + 1}" for number in range(len(data))]
    rate = rates[0] if rates else np.nan
    return Analog(path, numbered(names), ("",) * len(data), (rate,) * len(data), tuple(data))
