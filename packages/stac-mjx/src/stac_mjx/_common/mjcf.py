"""Compiling an MJCF that came inside a file from a stranger.

MuJoCo opens whatever an MJCF names: other files, resource providers, plugins. Here the XML is read first, and refused
unless everything it names lies beside it in the file; numbers that would ask for absurd amounts of memory are refused
too. MuJoCo itself is not a sandbox: a model made to crash it can still do so.
"""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping

import mujoco

from stac_mjx._common.errors import BodyError, raise_all, shorten

MAX_XML_BYTES = 1 << 26
"""Longest MJCF that is read."""

MAX_COPIES = 100_000
"""Most elements an MJCF may grow to through replicate and its like."""

MAX_CELLS = 1 << 26
"""Most pixels of a built-in texture or cells of a height field."""

MAX_SIZE = 1_000_000
"""Largest entry of the MJCF's size element, memory aside, and largest number of values of a sensor or an actuator."""

MAX_FINENESS = 1000
"""Largest parameter of a built-in mesh: some ask for the square of it in vertices."""

_MEMORY_BYTES = 1 << 26
_WHOLE_FILES = ("include", "model", "attach")
_VALUES = ("dim", "actdim", "nsample")
_PLUGINS = ("plugin", "extension")


def compile_enclosed(mjcf_xml: str, assets: Mapping[str, bytes]) -> mujoco.MjModel:
    """Compile an MJCF that must be complete with `assets`; nothing else is opened.

    Raises:
        BodyError: when it names anything outside `assets`, uses plugins, is no MJCF or does not compile.
    """
    raise_all(BodyError, "the enclosed MJCF", reference_faults(mjcf_xml, assets))
    try:
        spec = mujoco.MjSpec.from_string(mjcf_xml, assets=dict(assets))
        # the arena is for contacts and constraints; kinematics need none, and a stranger may ask for all there is
        spec.memory = min(spec.memory, _MEMORY_BYTES) if spec.memory > 0 else _MEMORY_BYTES
        return spec.compile()
    # MuJoCo hands on what it did not foresee as RuntimeError
    except (ValueError, TypeError, MemoryError, RuntimeError, mujoco.FatalError) as error:
        raise BodyError(f"the enclosed MJCF does not compile: {' '.join(str(error).split())}") from error


def reference_faults(mjcf_xml: str, assets: Mapping[str, bytes]) -> list[str]:
    """Name everything in an MJCF that leads out of the file that encloses it, or that asks for too much."""
    if len(mjcf_xml) > MAX_XML_BYTES:
        return [f"has {len(mjcf_xml)} characters; at most {MAX_XML_BYTES} are read"]
    # MuJoCo's parser skips document types and this one expands them: neither may see what the other does not
    if "<!DOCTYPE" in mjcf_xml or "<!ENTITY" in mjcf_xml:
        return ["declares a document type or entities, which MJCF has no use for"]
    try:
        root = ElementTree.fromstring(mjcf_xml)
    except ElementTree.ParseError as error:
        return [f"is not valid XML: {error}"]
    if root.tag != "mujoco":
        return [f"expected the root element <mujoco>, got <{root.tag}>"]
    faults = [fault for element in root.iter() for fault in _element_faults(element, assets)]
    faults += [fault for element in root.iter() for fault in _picture_faults(element, assets)]
    copies = _expanded_size(root)
    if copies > MAX_COPIES:
        faults.append(f"grows to {copies} elements; at most {MAX_COPIES} are allowed")
    return faults


def _element_faults(element: ElementTree.Element, assets: Mapping[str, bytes]) -> list[str]:
    faults = []
    tag = element.tag
    if tag in _PLUGINS:
        faults.append(f"uses <{tag}>; plugins are not part of a file and are never loaded")
    if "{" in tag or any("{" in name for name in element.attrib):
        faults.append(f"uses an XML namespace in <{tag}>, which MJCF has no use for")
    for name, value in element.attrib.items():
        if "file" in name and tag in _WHOLE_FILES:
            faults.append(f"<{tag} {name}={value!r}> brings in another file; the MJCF must be complete in itself")
        elif "file" in name and value not in assets:
            there = shorten(sorted(assets)) or "none"
            faults.append(f"<{tag} {name}={value!r}> names no file under provenance/assets; there are: {there}")
        elif name.endswith("dir") and tag == "compiler" and value:
            faults.append(f"<compiler {name}={value!r}> names a folder; assets are found by their bare names")
        elif ((tag == "size" and name != "memory") or name in _VALUES) and _whole_number(value) > MAX_SIZE:
            faults.append(f"<{tag} {name}={value!r}> asks for more than {MAX_SIZE}")
        elif tag == "mesh" and name == "params" and max(map(_whole_number, value.split()), default=0) > MAX_FINENESS:
            faults.append(f"<mesh params={value!r}> asks for more than {MAX_FINENESS}")
    cells = _whole_number(element.get("width")) * _whole_number(element.get("height"))
    cells = max(cells, _whole_number(element.get("nrow")) * _whole_number(element.get("ncol")))
    if cells > MAX_CELLS:
        faults.append(f"<{tag}> asks for {cells} cells; at most {MAX_CELLS} are allowed")
    return faults


def _picture_faults(element: ElementTree.Element, assets: Mapping[str, bytes]) -> list[str]:
    """Name pictures and height fields that unfold into too many cells, from the first bytes of their files."""
    faults = []
    for name, value in element.attrib.items():
        head = assets.get(value, b"")[:24] if "file" in name else b""
        cells = 0
        if head.startswith(b"\x89PNG") and len(head) == 24:
            width, height = struct.unpack_from(">II", head, 16)
            cells = width * height
        elif element.tag == "hfield" and len(head) >= 8:
            rows, columns = struct.unpack_from("<ii", head)
            cells = max(0, rows) * max(0, columns)
        if cells > MAX_CELLS:
            faults.append(f"<{element.tag} {name}={value!r}> holds {cells} cells; at most {MAX_CELLS} are allowed")
    return faults


def _whole_number(text: str | None) -> int:
    """Read a number as MuJoCo would, 0 where there is none; signs do not matter for a bound."""
    try:
        return abs(int(float(text or 0)))
    except (ValueError, OverflowError):
        return 0


def _expanded_size(root: ElementTree.Element) -> int:
    """Count the elements of an MJCF after replication."""
    total = 0
    waiting = [(root, 1)]
    while waiting and total <= MAX_COPIES:
        element, copies = waiting.pop()
        for word in (element.get("count") or "").split():
            copies *= max(1, _whole_number(word))
        total += copies
        waiting += [(child, copies) for child in element]
    return total
