"""Selection of clips by patterns of their names and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from .errors import ConfigError, unknown

Labels = Mapping[str, Sequence[str]]
"""Label -> its value in each clip."""


def select_clips(select: Any, names: Sequence[str], labels: Labels, setting: str = "select") -> list[int]:
    """Return the numbers of the clips that patterns select, in the order of the clips.

    A pattern is compared with the names of the clips (``reach*``) or, as ``LABEL:PATTERN``, with the values of a label
    (``condition:f*``). ``*``, ``?`` and ``[...]`` are those of file names; a name is also matched as it is. Patterns of
    one label, or of the names, are alternatives; where several labels are given, a clip fits all of them. No pattern
    selects all clips; a pattern that fits none is a ConfigError of `setting`.
    """
    patterns = [str(one) for one in ([select] if isinstance(select, str) else select or []) if one]
    fitting: dict[str, set[int]] = {}
    for pattern in patterns:
        label, _, wanted = pattern.partition(":")
        label, wanted = (label, wanted) if label in labels else ("", pattern)
        values = labels[label] if label else names
        rows = {row for row, value in enumerate(values) if value == wanted or fnmatchcase(value, wanted)}
        if not rows:
            known = list(dict.fromkeys(value for value in values if value))
            known += [] if label else [f"{name}:*" for name in labels]
            raise ConfigError(f"{setting}: {unknown(label or 'clip', wanted, known)}")
        fitting[label] = fitting.get(label, set()) | rows
    chosen = set(range(len(names))).intersection(*fitting.values())
    if not chosen:
        raise ConfigError(f"{setting}: no clip fits all of {', '.join(patterns)}")
    return sorted(chosen)
