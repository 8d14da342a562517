"""How the report shows a study: facts it may quote, tables, sentences, and numbers as text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ABSENT = "–"
CONDITIONS = ("condition", "first", "second")
"""Entries of rows that name conditions, which read better as words."""


@dataclass(frozen=True)
class Fact:
    """One number that the report may quote."""

    value: float
    low: float = math.nan
    """Lower end of its interval; NaN where it has none."""
    high: float = math.nan
    n: int = 0
    """Number of units behind it."""
    of: str = "trials"
    """The unit: trials, episodes or runs."""
    at_end: bool = False
    """Whether it is the best of a sweep and is at an end of it."""

    @property
    def has_interval(self) -> bool:
        """Whether it has an interval."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def numbers(self) -> tuple[float, ...]:
        """The value, and its interval where it has one."""
        return (self.value, self.low, self.high) if self.has_interval else (self.value,)

    def text(self, scale: float = 1.0) -> str:
        """The value times `scale`, with its interval."""
        return interval(self.value * scale, self.low * scale, self.high * scale)


def fact(row: Mapping[str, Any], key: str, stem: str | None = None, of: str = "trials") -> Fact:
    """A number of a row; its interval is in the entries ``STEM_low`` and ``STEM_high``."""
    stem = key if stem is None else stem
    ends = (f"{stem}_low", f"{stem}_high") if stem else ("low", "high")
    value, low, high = (math.nan if row.get(name) is None else float(row[name]) for name in (key, *ends))
    return Fact(value, low, high, int(row.get(of) or row.get("trials") or 0), of)


@dataclass(frozen=True)
class Cell:
    """One cell of a table: the text, and the numbers behind it in full."""

    text: str
    values: tuple[float, ...] = ()

    @property
    def data(self) -> str:
        """The numbers behind the text, as an attribute of the cell."""
        return " ".join(repr(value) for value in self.values)


@dataclass(frozen=True)
class Column:
    """How one column of a table is filled from rows."""

    heading: str
    key: str
    low: str = ""
    """Entry with the lower end of the interval; empty: none."""
    high: str = ""
    scale: float = 1.0
    """Factor of the numbers; 100 for percentages."""
    p: bool = False
    """Whether the column holds p-values."""


def interval_column(heading: str, key: str, stem: str | None = None, scale: float = 1.0) -> Column:
    """A column with an interval in the entries ``STEM_low`` and ``STEM_high``."""
    stem = key if stem is None else stem
    joint = f"{stem}_" if stem else ""
    return Column(heading, key, f"{joint}low", f"{joint}high", scale)


@dataclass(frozen=True)
class Table:
    """A table of the page."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def words(self) -> tuple[bool, ...]:
        """Which columns hold words rather than numbers."""
        return tuple(not any(row[i].values for row in self.rows) for i in range(len(self.headings)))


@dataclass(frozen=True)
class Section:
    """How the report shows one study."""

    tables: tuple[Table, ...] = ()
    findings: tuple[str, ...] = ()
    """Sentences with the main results."""
    opening: bool = False
    """Whether the sentences belong to the first paragraph of the page."""


def table(title: str, columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> Table:
    """Fill a table; columns without a value in any row are left out."""
    there = [column for column in columns if any(known(row.get(column.key)) for row in rows)]
    cells = tuple(tuple(cell(row, column) for column in there) for row in rows)
    return Table(title, tuple(column.heading for column in there), cells)


def cell(row: Mapping[str, Any], column: Column) -> Cell:
    """One cell: text as it is, numbers with their interval, missing values as a dash."""
    value = row.get(column.key)
    if value is None or not known(value):
        return Cell(ABSENT)
    if isinstance(value, str):
        return Cell(plain(value) if column.key in CONDITIONS else value)
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
    """Whether a value can be shown."""
    return value is not None and value != "" and not (isinstance(value, float) and not math.isfinite(value))


def plain(condition: str) -> str:
    """The name of a condition as words."""
    return condition.replace("_", " ")


def number(value: float, digits: int = 3) -> str:
    """A number with `digits` significant digits, without exponent where that is readable."""
    if not math.isfinite(value):
        return ABSENT
    return _fixed(value, _places(value, digits))


def exact(value: float) -> str:
    """A number from a file, with the digits it has there."""
    return f"{value:,.6g}".replace("-", "−")


def interval(value: float, low: float, high: float) -> str:
    """A value and its interval with the same number of decimals: ``0.71 [0.68, 0.75]``."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return number(value)
    largest = max(abs(value), abs(low), abs(high))
    places = _places(largest, 3)
    if places is not None and 0 < high - low < 2 * 10.0**-places:  # a narrow interval needs one more decimal
        places = min(places + 1, 6)
    return f"{_fixed(value, places)} [{_fixed(low, places)}, {_fixed(high, places)}]"


def p_text(p: float) -> str:
    """A p-value with three decimals, never 0."""
    return "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0") if p < 1 else "1"


def _places(value: float, digits: int) -> int | None:
    """Decimals for so many digits; None where only an exponent is readable."""
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
