"""Recordings of acquisition systems, Intan and Open Ephys, opened through neo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reach_analysis._common.errors import InputError
from reach_analysis.data.formats.analog import Analog, numbered

READERS = {
    ".rhd": ("IntanRawIO", "filename"), ".rhs": ("IntanRawIO", "filename"),
    ".oebin": ("OpenEphysBinaryRawIO", "dirname"), ".openephys": ("OpenEphysRawIO", "dirname"),
}  # fmt: skip
"""Ending -> reader of neo, and whether it takes the file or its folder."""


def read_acquisition(path: Path) -> Analog:
    """Every channel of a recording: Intan (.rhd, .rhs), or what the index of Open Ephys (.oebin, .openephys) names.

    Raises:
        InputError: without neo, or when the file is damaged or holds several recordings.
    """
    try:
        from neo import rawio
    except ImportError:
        raise InputError(f"{path}: {path.suffix} needs neo; pip install 'reach-analysis[neo]'") from None
    name, takes = READERS[path.suffix.lower()]
    if not path.is_file():
        raise InputError(f"{path}: cannot be read: there is no such file")
    try:
        reader = getattr(rawio, name)(**{takes: str(path if takes == "filename" else path.parent)})
        reader.parse_header()
        parts = [reader.segment_count(block) for block in range(reader.block_count())]
        channels = _channels(reader) if parts == [1] else []
    except Exception as error:  # neo raises many types on damaged files
        raise InputError(f"{path}: not a complete recording ({' '.join(str(error).split())})") from error
    if not channels:
        held = f"{sum(parts)} recordings; give them one by one" if parts != [1] else "no channel of numbers"
        raise InputError(f"{path}: holds {held}")
    names, units, rates, values = zip(*channels, strict=True)
    return Analog(path, numbered(names), units, rates, values)


def _channels(reader: Any) -> list[tuple[str, str, float, Any]]:
    """Name, unit, rate and values of each channel of all streams."""
    header, out = reader.header, []
    for stream, identity in enumerate(header["signal_streams"]["id"]):
        described = header["signal_channels"][header["signal_channels"]["stream_id"] == identity]
        raw = reader.get_analogsignal_chunk(stream_index=stream)
        values = reader.rescale_signal_raw_to_float(raw, dtype="float64", stream_index=stream)
        out += [(str(one["name"]), str(one["units"]), float(one["sampling_rate"]), column)
                for one, column in zip(described, values.T, strict=True)]  # fmt: skip
    return out
