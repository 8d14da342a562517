"""Length units: their sizes and their spellings in files."""

from __future__ import annotations

import re

METRES_PER_UNIT = {"m": 1.0, "dm": 0.1, "cm": 0.01, "mm": 0.001, "um": 1e-6}
"""Size in metres of the length units that a recording or a body may use."""

_SPELLINGS = {
    "m": ("m", "metre", "metres", "meter", "meters"),
    "dm": ("dm", "decimetre", "decimetres", "decimeter", "decimeters"),
    "cm": ("cm", "centimetre", "centimetres", "centimeter", "centimeters"),
    "mm": ("mm", "millimetre", "millimetres", "millimeter", "millimeters"),
    "um": ("um", "µm", "μm", "micron", "microns", "micrometre", "micrometres", "micrometer", "micrometers"),
}
_UNIT_OF = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings}


def parse_unit(text: str) -> str | None:
    """Return the length unit that `text` names, or None.

    The unit must be the first word, alone or followed by punctuation (``mm``, ``m (model frame)``), so that prose such
    as ``about 2.5 mm per unit`` and placeholders such as ``pixels`` or ``n/a`` do not count as a unit.
    """
    match = re.match(r"\s*([^\W\d_]+)\s*(?:$|[(,;:])", text)
    return _UNIT_OF.get(match.group(1).lower()) if match else None
