"""Load a recording: find the files, read each, settle names, gaps, unit and rate, join them."""

from __future__ import annotations

import copy
import hashlib
import importlib
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from stac_mjx._common.errors import ConfigError, InputError, raise_all, shorten, unknown
from stac_mjx._common.files import make_unique
from stac_mjx._common.hdf5.info import Source
from stac_mjx._common.settings import limit_faults
from stac_mjx._common.units import METRES_PER_UNIT
from stac_mjx.config import KeypointsConfig
from stac_mjx.keypoints.cleaning import clean, placeholders
from stac_mjx.keypoints.formats.detect import FORMATS, detect
from stac_mjx.keypoints.formats.reading import Reading, Track
from stac_mjx.keypoints.keypoints import Keypoints
from stac_mjx.keypoints.paths import find_files, unique_stems
from stac_mjx.keypoints.travel import with_travel
from stac_mjx.keypoints.trials import cut

RATE_TOLERANCE = 1e-4
"""Frame rates that differ by less than this fraction are the same."""


def load_keypoints(config: KeypointsConfig, order: Sequence[str] = ()) -> Keypoints:
    """Read the recording that `config` describes; every file is a clip, or holds the clips it marks itself.

    Args:
        config: which files, and what overrides their content.
        order: keypoint names assumed, in file order, for files that hold none (from the body preset).

    Returns:
        The recording, in metres where the unit is known, else in the file's numbers with unit None.

    Raises:
        ConfigError: when a setting is impossible, or selects no clip.
        InputError: when a file cannot be read, or the files do not belong together.
    """
    problems = list(limit_faults(config, "keypoints."))
    if config.stop is not None and config.stop <= config.start:
        problems.append(f"keypoints.stop: expected more than keypoints.start ({config.start}), got {config.stop}")
    if config.clip_frames is not None and config.clip_starts:
        problems.append("keypoints.clip_frames and keypoints.clip_starts: expected one of them")
    if config.window_event and len(config.window_s) != 2:
        problems.append(f"keypoints.window_s: expected two times, got {list(config.window_s)}")
    raise_all(ConfigError, "settings", problems)
    paths, path_notes = find_files(config.path)
    names = unique_stems(paths)
    joined = join([_load_file(path, name, config, order) for path, name in zip(paths, names, strict=True)])
    if config.travel is not None:
        joined = with_travel(joined, config)
    if config.trials is not None:
        joined = cut(joined, config)
    joined = joined.selected(config.select)
    return replace(_finished(joined, path_notes), config=copy.deepcopy(config))


def read_file(path: Path, format: str = "auto", track: Track = None) -> Reading:
    """Read one file without cleaning; its format is detected from its content unless given.

    Raises:
        InputError: when it cannot be read.
    """
    kind = detect(path) if format == "auto" else format
    # readers import h5py and scipy, so only the one needed is imported
    module, function = FORMATS[kind].reader.split(".")
    read = getattr(importlib.import_module(f"stac_mjx.keypoints.formats.{module}"), function)
    try:
        reading: Reading = read(path, track)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    n_frames, n_keypoints = reading.positions.shape[:2]
    if n_frames == 0 or n_keypoints == 0:
        raise InputError(f"{path}: no data ({n_frames} frames of {n_keypoints} keypoints)")
    return replace(reading, notes=(f"read as {kind} ({FORMATS[kind].content})", *reading.notes))


def _load_file(path: Path, name: str, config: KeypointsConfig, order: Sequence[str]) -> Keypoints:
    """Read one file and settle everything the settings say about it."""
    reading = read_file(path, config.format, config.track)
    names, name_notes = settle_names(path, reading, config, order)
    rate_hz, rate_note = _settle_rate(path, reading, config)
    unit = config.unit or reading.unit
    unit_notes = (f"length unit {unit} (keypoints.unit)",) if config.unit else ()
    frames, lengths = _chosen_frames(path, reading, config)
    # readers return transposed views; this is the one copy
    positions = np.array(reading.positions[frames], order="C")
    scores = None if reading.confidence is None else reading.confidence[frames]
    warning = placeholders(positions, reading.zeros_are_missing)
    confidence, clean_notes = clean(positions, scores, reading.zeros_are_missing, config.min_confidence)
    if unit is not None:
        positions *= METRES_PER_UNIT[unit]
    with open(path, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    flip_note = ()
    if config.flip is not None:
        positions[..., "xyz".index(config.flip)] *= -1
        flip_note = (f"flipped the {config.flip} axis (keypoints.flip)",)
    # borders of the settings are not those of the file
    as_stored, late = config.clip_frames is None and not config.clip_starts, config.start / (rate_hz or np.nan)
    labels = dict(reading.labels) if as_stored else {}
    return Keypoints(
        positions=positions,
        confidence=confidence,
        names=names,
        rate_hz=rate_hz,
        unit=None if unit is None else "m",
        clip_names=_clip_names(name, reading, len(lengths)),
        clip_lengths=np.asarray(lengths, dtype=np.int64),
        sources=(Source(path, digest),),
        warnings=(f"{path.name}: {warning}",) if warning else (),
        events={name: times - late for name, times in reading.events.items()} if as_stored else {},
        labels=labels.pop("label", ()),
        trial_ids=labels.pop("trial_id", ()),
        more_labels=labels,
        synthetic=reading.synthetic,
        notes=(*reading.notes, *unit_notes, *flip_note, rate_note, *name_notes, *clean_notes),
    )


def settle_names(
    path: Path, reading: Reading, config: KeypointsConfig, order: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the keypoints of `reading`, renamed, and notes on the origin of the names.

    Names in the file take precedence. ``keypoints.names`` may replace them by other names, but not by the same names in
    another order, which would silently swap body parts. Files without names take ``keypoints.names``, else `order`.
    """
    names, note = _chosen(path, reading, list(config.names or ()), tuple(order))
    subject = {name.partition(":")[0] for name in names if ":" in name.strip(":")}
    if len(subject) == 1 and all(":" in name for name in names) and not set(config.rename) & set(names):
        # motion capture writes the subject before the names of its markers
        names, note = tuple(name.partition(":")[2] for name in names), f"{note}, without the subject {subject.pop()!r}"
    if len(names) != reading.n_keypoints:
        raise InputError(
            f"{path}: {reading.n_keypoints} keypoints, but {len(names)} names ({note}): {shorten(names)}. "
            "Set keypoints.names in file order"
        )
    problems = [f"keypoints.rename: {unknown('keypoint', old, names)}" for old in config.rename if old not in names]
    renamed = tuple(config.rename.get(name, name) for name in names)
    problems += [f"keypoint name {name!r} occurs {n} times" for name, n in Counter(renamed).items() if n > 1]
    problems += ["a keypoint name is empty"] if "" in renamed else []
    raise_all(InputError, str(path), problems)
    return renamed, (f"names of the {len(names)} keypoints: {note}",)


def _chosen(path: Path, reading: Reading, given: list[str], order: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """Return the names before renaming, and their origin."""
    stored = reading.names
    if stored is None and given:
        return tuple(given), "keypoints.names"
    if stored is None and order:
        return order, "body.keypoint_order, because the file has none"
    if stored is None:
        raise InputError(f"{path}: {reading.n_keypoints} keypoints without names. Set keypoints.names in file order")
    if given and tuple(given) != stored:
        if sorted(given) == sorted(stored):
            raise InputError(
                f"{path}: keypoints.names has the names of the file in another order (file: {shorten(stored)};"
                f" given: {shorten(given)}); leave keypoints.names empty: the order of the file is used"
            )
        return tuple(given), f"keypoints.names, instead of those in the file ({shorten(stored)})"
    return stored, "the file"


def _settle_rate(path: Path, reading: Reading, config: KeypointsConfig) -> tuple[float | None, str]:
    """Return the frame rate and a note on its origin."""
    stated = reading.rate_hz
    if config.rate_hz is not None:
        instead = f", instead of {stated:g} Hz in the file" if stated not in (None, config.rate_hz) else ""
        return float(config.rate_hz), f"frame rate {config.rate_hz:g} Hz (keypoints.rate_hz{instead})"
    if stated is None:
        return None, "the file holds no frame rate"
    if not (math.isfinite(stated) and stated > 0):
        raise InputError(f"{path}: invalid frame rate {stated:g} Hz in the file. Set keypoints.rate_hz")
    return stated, f"frame rate {stated:g} Hz (file)"


def _chosen_frames(path: Path, reading: Reading, config: KeypointsConfig) -> tuple[slice | np.ndarray, list[int]]:
    """Return the frames between start and stop of each clip, and how many each clip keeps."""
    lengths = _borders(path, reading, config)
    stops = [length if config.stop is None else min(config.stop, length) for length in lengths]
    short = [f"{index} ({n} frames)" for index, n in enumerate(lengths) if n <= config.start]
    if short:
        raise InputError(f"{path}: keypoints.start={config.start} leaves no frame of clip {shorten(short)}")
    counts = [stop - config.start for stop in stops]
    if len(lengths) == 1:
        return slice(config.start, stops[0]), counts
    firsts = np.cumsum(lengths) - lengths
    ranges = [np.arange(first + config.start, first + stop) for first, stop in zip(firsts, stops, strict=True)]
    return np.concatenate(ranges), counts


def _borders(path: Path, reading: Reading, config: KeypointsConfig) -> tuple[int, ...]:
    """Return the frames of each clip: as the settings say, else as the file marks them."""
    n_frames, starts = len(reading.positions), sorted({0, *config.clip_starts})
    if config.clip_frames is not None:
        starts = list(range(0, n_frames, config.clip_frames))
    elif not config.clip_starts:
        return reading.clip_lengths or (n_frames,)
    if starts[-1] >= n_frames:
        raise InputError(f"{path}: keypoints.clip_starts: expected frames below {n_frames}, got {starts[-1]}")
    return tuple(np.diff([*starts, n_frames]).tolist())


def _clip_names(name: str, reading: Reading, n_clips: int) -> tuple[str, ...]:
    if reading.clip_names is not None and len(reading.clip_names) == n_clips:
        return reading.clip_names
    if n_clips == 1:
        return (name,)
    width = len(str(n_clips - 1))
    return tuple(f"{name}_{index:0{width}d}" for index in range(n_clips))


def _finished(joined: Keypoints, path_notes: tuple[str, ...]) -> Keypoints:
    """Note keypoints that are never observed; refuse a recording without any."""
    observed = joined.observed.any(axis=0)
    if not observed.any():
        raise InputError(f"{joined.where}: no keypoint was observed in any frame; {'; '.join(joined.notes)}")
    never = [name for name, once in zip(joined.names, np.ravel(observed), strict=True) if not once]
    notes = (f"never observed: {shorten(never)}",) if never else ()
    return replace(joined, notes=(*path_notes, *joined.notes, *notes))


def join(pieces: Sequence[Keypoints]) -> Keypoints:
    """Put the clips of all `pieces`, one a file, end to end; match keypoints by name to the order of the first file."""
    first = pieces[0]
    if len(pieces) == 1:
        return replace(first, clip_names=tuple(make_unique(first.clip_names)))
    problems = [problem for piece in pieces[1:] for problem in _differences(first, piece)]
    raise_all(InputError, f"keypoints.path: the {len(pieces)} files do not belong together", problems)
    orders = [[piece.names.index(name) for name in first.names] for piece in pieces]
    return replace(
        first,
        positions=np.concatenate([_ordered(p.positions, order) for p, order in zip(pieces, orders, strict=True)]),
        confidence=np.concatenate([_ordered(p.confidence, order) for p, order in zip(pieces, orders, strict=True)]),
        clip_names=tuple(make_unique([name for piece in pieces for name in piece.clip_names])),
        clip_lengths=np.concatenate([piece.clip_lengths for piece in pieces]),
        sources=tuple(source for piece in pieces for source in piece.sources),
        warnings=tuple(warning for piece in pieces for warning in piece.warnings),
        notes=_merged_notes(pieces),
        events={name: np.concatenate([_event(p, name) for p in pieces]) for q in pieces for name in q.events},
        labels=_texts(pieces, lambda piece: piece.labels),
        trial_ids=_texts(pieces, lambda piece: piece.trial_ids),
        more_labels={n: _texts(pieces, lambda p, n=n: p.more_labels.get(n, ())) for q in pieces for n in q.more_labels},
        synthetic=any(piece.synthetic for piece in pieces),
    )


def _texts(pieces: Sequence[Keypoints], of: Callable[[Keypoints], tuple[str, ...]]) -> tuple[str, ...]:
    """Return a label of the clips of all files, empty for a file without it; none where no file has it."""
    texts = [text for piece in pieces for text in of(piece) or ("",) * len(piece.clip_lengths)]
    return tuple(texts) if any(map(of, pieces)) else ()


def _event(piece: Keypoints, name: str) -> np.ndarray:
    """Return the time of an event in each clip of a file; NaN where the file has none of that name."""
    return np.asarray(piece.events.get(name, np.full(len(piece.clip_lengths), np.nan)))


def _differences(first: Keypoints, piece: Keypoints) -> list[str]:
    """Return what of `piece` does not match the first file."""
    name, reference = piece.sources[0].path, first.sources[0].path.name
    problems: list[str] = []
    lacking = [keypoint for keypoint in first.names if keypoint not in piece.names]
    extra = [keypoint for keypoint in piece.names if keypoint not in first.names]
    if lacking or extra:
        words = [f"lacks {shorten(lacking)}"] * bool(lacking) + [f"also has {shorten(extra)}"] * bool(extra)
        problems.append(f"{name}: {' and '.join(words)} (compared with {reference})")
    if not math.isclose(first.rate_hz or 0.0, piece.rate_hz or 0.0, rel_tol=RATE_TOLERANCE):
        theirs, ours = ("unknown" if rate is None else f"{rate:g} Hz" for rate in (piece.rate_hz, first.rate_hz))
        same = "Set keypoints.rate_hz if they are the same"
        problems.append(f"{name}: frame rate {theirs}, {reference} has {ours}. {same}")
    if first.unit != piece.unit:
        other = f"the other: {reference}"
        problems.append(f"{name}: the length unit is known of one file only ({other}); set keypoints.unit")
    return problems


def _ordered(values: np.ndarray, order: list[int]) -> np.ndarray:
    """Reorder the keypoint axis, without a copy where nothing changes."""
    return values if order == list(range(len(order))) else values[:, order]


def _merged_notes(pieces: Sequence[Keypoints]) -> tuple[str, ...]:
    """Give notes that hold for all files once, and others with the names of the files."""
    files: dict[str, list[str]] = {}
    for piece in pieces:
        for note in piece.notes:
            files.setdefault(note, []).append(piece.sources[0].path.name)
    return tuple(
        f"all {len(pieces)} files: {note}" if len(names) == len(pieces) else f"{shorten(names, 3)}: {note}"
        for note, names in files.items()
    )
