"""From the settings to one recording: find the files, read each, settle names, gaps, unit and rate, join them."""

from __future__ import annotations

import copy
import hashlib
import importlib
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from stac_mjx._common.errors import ConfigError, InputError, raise_all, shorten, unknown
from stac_mjx._common.hdf5.info import Source
from stac_mjx._common.units import METRES_PER_UNIT
from stac_mjx.config import KeypointsConfig
from stac_mjx.keypoints.cleaning import clean
from stac_mjx.keypoints.formats.detect import FORMATS, detect
from stac_mjx.keypoints.formats.keypoints_reading import Reading
from stac_mjx.keypoints.joining import join
from stac_mjx.keypoints.keypoints import Keypoints
from stac_mjx.keypoints.naming import settle_names
from stac_mjx.keypoints.paths import find_files, unique_stems

AXES = ("x", "y", "z")
_MODULES = {"stac": "stac_output", "clips": "stac"}
"""Modules that are not called like their format."""


def load_keypoints(config: KeypointsConfig, order: Sequence[str] = ()) -> Keypoints:
    """Read the recording that `config` describes: every file a clip, or the clips it marks itself.

    Args:
        config: where the recording lies and what overrides the files.
        order: keypoint names assumed, in file order, for files that hold none (from the body preset).

    Returns:
        The recording, in metres where somebody said the unit, else in the file's numbers with unit None.

    Raises:
        ConfigError: when a setting is impossible.
        InputError: when a file cannot be read, or the files do not belong together.
    """
    raise_all(ConfigError, "settings of the recording", settings_faults(config))
    paths, path_notes = find_files(config.path)
    names = unique_stems(paths)
    joined = join([_load_file(path, name, config, order) for path, name in zip(paths, names, strict=True)])
    return replace(_finished(joined, path_notes), config=copy.deepcopy(config))


def read_file(path: Path, format: str = "auto", track: int | None = None) -> Reading:
    """Read one file as it stands, its format told by its content unless given.

    Raises:
        InputError: when it cannot be read.
    """
    kind = detect(path) if format == "auto" else format
    # Readers bring h5py and scipy; they are imported only when a file of theirs is met.
    module = importlib.import_module(f"stac_mjx.keypoints.formats.{_MODULES.get(kind, kind)}")
    try:
        reading: Reading = module.read(path, track)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    n_frames, n_keypoints = reading.positions.shape[:2]
    if n_frames == 0 or n_keypoints == 0:
        raise InputError(f"{path}: holds {n_frames} frames of {n_keypoints} keypoints, nothing to register")
    return replace(reading, notes=(f"read as {kind} ({FORMATS[kind]})", *reading.notes))


def _load_file(path: Path, name: str, config: KeypointsConfig, order: Sequence[str]) -> Keypoints:
    """Read one file and settle everything the settings say about it."""
    reading = read_file(path, config.format, config.track)
    names, name_notes = settle_names(path, reading, config, order)
    rate_hz, rate_note = _settle_rate(path, reading, config)
    unit, unit_notes = _settle_unit(reading, config)
    kept, lengths = _kept_frames(path, reading, config)
    # The readers' arrays may be transposed views; one copy in our order is what everything after works on.
    positions = np.array(reading.positions[kept], order="C")
    scores = None if reading.confidence is None else reading.confidence[kept]
    cleaned = clean(positions, scores, reading.zeros_are_missing, config.min_confidence)
    if unit is not None:
        positions *= METRES_PER_UNIT[unit]
    flip_note = ()
    if config.flip is not None:
        positions[..., AXES.index(config.flip)] *= -1
        flip_note = (f"sign of {config.flip} turned round, as keypoints.flip says",)
    return Keypoints(
        positions=positions,
        confidence=cleaned.confidence,
        names=names,
        rate_hz=rate_hz,
        unit=None if unit is None else "m",
        clip_names=_clip_names(name, reading, len(lengths)),
        clip_lengths=np.asarray(lengths, dtype=np.int64),
        sources=(Source(path, _sha256(path)),),
        notes=(*reading.notes, *unit_notes, *flip_note, rate_note, *name_notes, *cleaned.notes),
    )


def settings_faults(config: KeypointsConfig) -> list[str]:
    """Return every fault of the settings that can be told without reading a file, one sentence each."""
    faults: list[str] = []
    if config.format != "auto" and config.format not in FORMATS:
        faults.append(f"keypoints.format: {unknown('format', config.format, ['auto', *FORMATS])}")
    if config.unit is not None and config.unit not in METRES_PER_UNIT:
        faults.append(f"keypoints.unit: {unknown('length unit', config.unit, list(METRES_PER_UNIT))}")
    if config.rate_hz is not None and not (math.isfinite(config.rate_hz) and config.rate_hz > 0):
        faults.append(f"keypoints.rate_hz: must be above 0, got {config.rate_hz:g}")
    if not 0 <= config.min_confidence <= 1:
        faults.append(f"keypoints.min_confidence: must lie in 0..1, got {config.min_confidence:g}")
    if config.start < 0 or (config.stop is not None and config.stop <= config.start):
        faults.append(f"keypoints.start, stop: must hold 0 <= start < stop, got {config.start} and {config.stop}")
    if config.flip is not None and config.flip not in AXES:
        faults.append(f"keypoints.flip: {unknown('axis', config.flip, AXES)}")
    if config.track is not None and config.track < 0:
        faults.append(f"keypoints.track: must be 0 or more, got {config.track}")
    return faults


def _settle_rate(path: Path, reading: Reading, config: KeypointsConfig) -> tuple[float | None, str]:
    """Return the frame rate and a note on who said it."""
    own = reading.rate_hz
    if config.rate_hz is not None:
        instead = f", in place of the file's {own:g} Hz" if own not in (None, config.rate_hz) else ""
        return float(config.rate_hz), f"frame rate {config.rate_hz:g} Hz, as keypoints.rate_hz says{instead}"
    if own is None:
        return None, "the file holds no frame rate"
    if not (math.isfinite(own) and own > 0):
        raise InputError(f"{path}: says a frame rate of {own:g}; set keypoints.rate_hz")
    return own, f"frame rate {own:g} Hz, as the file says"


def _settle_unit(reading: Reading, config: KeypointsConfig) -> tuple[str | None, tuple[str, ...]]:
    """Return the unit and a note where the settings override it; the reader has noted what the file says."""
    if config.unit is None:
        return reading.unit, ()
    return config.unit, (f"length unit {config.unit}, as keypoints.unit says",)


def _kept_frames(path: Path, reading: Reading, config: KeypointsConfig) -> tuple[slice | np.ndarray, list[int]]:
    """Return the frames between start and stop of each clip, and how many each clip keeps.

    Raises:
        InputError: when a clip has no frame left.
    """
    n_frames = len(reading.positions)
    lengths = reading.clip_lengths or (n_frames,)
    stops = [length if config.stop is None else min(config.stop, length) for length in lengths]
    short = [f"{index} ({n} frames)" for index, n in enumerate(lengths) if n <= config.start]
    if short:
        raise InputError(f"{path}: keypoints.start={config.start} leaves no frame of clip {shorten(short)}")
    kept = [stop - config.start for stop in stops]
    if len(lengths) == 1:
        return slice(config.start, stops[0]), kept
    firsts = np.cumsum(lengths) - lengths
    ranges = [np.arange(first + config.start, first + stop) for first, stop in zip(firsts, stops, strict=True)]
    return np.concatenate(ranges), kept


def _clip_names(name: str, reading: Reading, n_clips: int) -> tuple[str, ...]:
    if reading.clip_names is not None:
        return reading.clip_names
    if n_clips == 1:
        return (name,)
    width = len(str(n_clips - 1))
    return tuple(f"{name}_{index:0{width}d}" for index in range(n_clips))


def _finished(joined: Keypoints, path_notes: tuple[str, ...]) -> Keypoints:
    """Note keypoints that are never seen.

    Raises:
        InputError: when no keypoint is ever seen.
    """
    seen = joined.observed.any(axis=0)
    if not seen.any():
        raise InputError(f"{joined.sources[0].path}: no keypoint was observed in any frame; {'; '.join(joined.notes)}")
    never = [name for name, once in zip(joined.names, np.ravel(seen), strict=True) if not once]
    notes = (f"never observed: {shorten(never)}",) if never else ()
    return replace(joined, notes=(*path_notes, *joined.notes, *notes))


def _sha256(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
