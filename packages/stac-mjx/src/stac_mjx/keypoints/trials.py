"""Trials of a continuous recording, from a table (CSV): which frames each has, its labels and events.

One row a trial, with commas, semicolons or tabs between columns. Columns: ``trial_id``; ``start_s`` and ``stop_s``,
seconds from the first frame of the file (whatever `keypoints.start` leaves out), or without them a window
(`keypoints.window_s`) around the event ``event_NAME_s`` that `keypoints.window_event` names; ``clip``, the name of the
file's clip, where there are several; ``label``; times of events ``event_NAME_s``. All other columns are labels.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from stac_mjx._common.errors import InputError, raise_all, shorten, unknown
from stac_mjx.config import KeypointsConfig
from stac_mjx.keypoints.keypoints import Keypoints

OWN = ("trial_id", "start_s", "stop_s", "clip", "label")
"""Columns with a meaning of their own."""


def cut(keypoints: Keypoints, config: KeypointsConfig) -> Keypoints:
    """Return the trials of `config.trials` as the clips of a recording.

    Raises:
        InputError: when the table cannot be read, or a trial is not within the recording; all problems at once.
    """
    path = Path(config.trials or "").expanduser()
    rows, rate = read_rows(path, "trial_id"), keypoints.rate_hz
    if rate is None:
        raise InputError(f"{path}: times in seconds need the frame rate of the recording. Set keypoints.rate_hz")
    problems: list[str] = [] if all(row["trial_id"] for row in rows) else ["trial_id: empty in some row"]
    spans = [_span(row, keypoints, config, rate, problems) for row in rows]
    repeated = sorted({row["trial_id"] for row in rows if [r["trial_id"] for r in rows].count(row["trial_id"]) > 1})
    problems += [f"trial_id: {shorten(repeated)} repeated"] if repeated else []
    raise_all(InputError, str(path), problems)
    pieces, names = keypoints.pieces(spans), tuple(row["trial_id"] for row in rows)
    starts = np.array([config.start + first - keypoints.clip_starts[clip] for clip, first, _ in spans]) / rate
    events = [name for name in rows[0] if _is_event(name)]
    labels = [name for name in rows[0] if name not in OWN and not _is_event(name)]
    return replace(
        pieces,
        clip_names=names,
        trial_ids=names,
        labels=tuple(row["label"] for row in rows) if "label" in rows[0] else (),
        more_labels=dict(pieces.more_labels) | {name: tuple(row[name] for row in rows) for name in labels},
        events=dict(pieces.events) | {n[6:-2]: np.array([number(row[n]) for row in rows]) - starts for n in events},
        notes=(*keypoints.notes, f"{len(rows)} trials of {path.name}"),
    )


def read_rows(path: Path, needed: str) -> list[dict[str, str]]:
    """Return the rows of a table (CSV); InputError where it has none, or lacks the `needed` column."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    lines = [line for line in text.splitlines() if line.strip(",;\t ")]
    between = next((sign for sign in "\t;" if lines and sign in lines[0]), ",")
    table = csv.DictReader(lines, restkey="", restval="", delimiter=between)
    rows = [{str(k).strip(): str(v).strip() for k, v in row.items() if k} for row in table]
    if not rows:
        raise InputError(f"{path}: expected a header and at least one row")
    if needed not in rows[0]:
        raise InputError(f"{path}: {unknown('column', needed, list(rows[0]))}")
    return rows


def _is_event(column: str) -> bool:
    return column.startswith("event_") and column.endswith("_s") and len(column) > len("event__s")


def number(text: str) -> float:
    """Return the number in a cell; NaN where the cell is empty or no number."""
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return math.nan


def _span(
    row: dict[str, str], keypoints: Keypoints, config: KeypointsConfig, rate: float, problems: list[str]
) -> tuple[int, int, int]:
    """Return clip, first frame and the frame after the last one of a trial; append what is wrong to `problems`."""
    trial, names = row["trial_id"], keypoints.clip_names
    clip = row.get("clip") or (names[0] if len(names) == 1 else "")
    if clip not in names:
        problems.append(f"trial {trial!r}: {unknown('clip', clip, names)}")
        return 0, 0, 1
    index = names.index(clip)
    start, stop = _times(row, config)
    length = int(keypoints.clip_lengths[index])
    if not (math.isfinite(start) and math.isfinite(stop)):
        problems.append(f"trial {trial!r}: expected start_s and stop_s, or keypoints.window_event and its time")
        return index, 0, 1
    first, last = (round(time * rate) - config.start for time in (start, stop))
    if not 0 <= first < last <= length:
        whole = f"{config.start / rate:g} to {(config.start + length) / rate:g} s of {clip!r}"
        problems.append(f"trial {trial!r}: {start:g} to {stop:g} s is not within {whole}")
    base = int(keypoints.clip_starts[index])
    return index, base + first, base + last


def _times(row: dict[str, str], config: KeypointsConfig) -> Sequence[float]:
    if config.window_event:
        event = number(row.get(f"event_{config.window_event}_s", ""))
        return [event + edge for edge in config.window_s]
    return [number(row.get(name, "")) for name in ("start_s", "stop_s")]
