"""Numbers as a reader wants them: as many digits as mean something, intervals in the digits of their value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ABSENT = "–"
CONDITIONS = ("condition", "first", "second")
"""Entries of rows that name conditions, which read better as words."""


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: what is shown.
        values: the numbers behind it, in full; every one of them stands in the JSON too.
    """

    text: str
    values: tuple[float, ...] = ()

    @property
    def data(self) -> str:
        """The numbers behind the text, as an attribute of the cell."""
        return " ".join(repr(value) for value in self.values)


@dataclass(frozen=True)
class Column:
    """How one column of a table is filled from rows.

    Attributes:
        heading: its heading.
        key: entry of the row.
        low, high: entries with its interval; empty: none.
        scale: what numbers are multiplied by to be shown; 100 for percentages.
        p: whether it holds p-values.
    """

    heading: str
    key: str
    low: str = ""
    high: str = ""
    scale: float = 1.0
    p: bool = False


@dataclass(frozen=True)
class Table:
    """A table as it is shown.

    Attributes:
        title: what it holds.
        headings: of the columns.
        rows: cells.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def words(self) -> tuple[bool, ...]:
        """Which columns hold words rather than numbers."""
        return tuple(not any(row[i].values for row in self.rows) for i in range(len(self.headings)))


def table(title: str, columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> Table:
    """Fill a table; columns that no row has are left out."""
    there = [column for column in columns if any(known(row.get(column.key)) for row in rows)]
    cells = tuple(tuple(cell(row, column) for column in there) for row in rows)
    return Table(title, tuple(column.heading for column in there), cells)


def cell(row: Mapping[str, Any], column: Column) -> Cell:
    """One cell: text as it is, numbers with their interval, what is not known as a dash."""
    value = row.get(column.key)
    if value is None or not known(value):
        return Cell(ABSENT)
    if isinstance(value, str):
        return Cell(value.replace("_", " ") if column.key in CONDITIONS else value)
    if isinstance(value, bool | int):
        return Cell(f"{value:,}", (float(value),))
    if column.p:
        return Cell(p_text(float(value)), (float(value),))
    ends = [row.get(key) for key in (column.low, column.high) if key]
    if len(ends) == 2 and all(known(end) for end in ends):
        values = (float(value), *(float(end) for end in ends if end is not None))
        return Cell(interval(*(column.scale * one for one in values)), values)
    return Cell(number(column.scale * float(value)), (float(value),))


def known(value: Any) -> bool:
    """Whether there is something to show."""
    return value is not None and value != "" and not (isinstance(value, float) and not math.isfinite(value))


def number(value: float, digits: int = 3) -> str:
    """A number with `digits` digits that mean something, without exponent where that is readable."""
    if not math.isfinite(value):
        return ABSENT
    return _fixed(value, _places(value, digits))


def exact(value: float) -> str:
    """A number that is given, in the digits it was given in."""
    return f"{value:,.6g}".replace("-", "−")


def interval(value: float, low: float, high: float) -> str:
    """A value and its interval in the same digits: ``0.71 [0.68, 0.75]``."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return number(value)
    largest = max(abs(value), abs(low), abs(high))
    places = _places(largest, 3)
    if places is not None and 0 < high - low < 2 * 10.0**-places:  # as many digits as the interval needs to be seen
        places = min(places + 1, 6)
    return f"{_fixed(value, places)} [{_fixed(low, places)}, {_fixed(high, places)}]"


def p_text(p: float) -> str:
    """A p-value: three places, never 0."""
    return "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0") if p < 1 else "1"


def _places(value: float, digits: int) -> int | None:
    """Decimal places for so many digits; None where only an exponent is readable."""
    size = abs(value)
    if size == 0:
        return 0
    power = math.floor(math.log10(size))
    if power < -4 or power > 6:
        return None
    return max(0, digits - 1 - power)


def _fixed(value: float, places: int | None) -> str:
    text = f"{value:.2e}" if places is None else f"{value:,.{places}f}"
    return text.replace("-", "−") if float(text.replace(",", "")) else text.lstrip("-")
