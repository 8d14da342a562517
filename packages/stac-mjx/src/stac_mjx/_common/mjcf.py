"""MJCF models: compile one that came inside a data file, write a spec exactly, and name its coordinates.

A data file must carry its model whole. MuJoCo opens whatever an MJCF names (files, resource providers, plugins), so the
XML is checked first and refused if it refers to anything outside the data file.
"""

from __future__ import annotations

import ctypes
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import mujoco

from .errors import BodyError, raise_all, shorten
from .units import METRES_PER_UNIT

_MEMORY_BYTES = 1 << 26
_WHOLE_FILES = ("include", "model", "attach")
_PLUGINS = ("plugin", "extension")
_EXACT_DIGITS = 17
_precision_lock = threading.Lock()

_POSITION = ("x", "y", "z")
_QUATERNION = ("qw", "qx", "qy", "qz")
_LINEAR = ("vx", "vy", "vz")
_ANGULAR = ("wx", "wy", "wz")
# indexed by MuJoCo's joint type: free, ball, slide, hinge
_QPOS_SUFFIXES = (_POSITION + _QUATERNION, _QUATERNION, ("",), ("",))
_QVEL_SUFFIXES = (_LINEAR + _ANGULAR, _ANGULAR, ("",), ("",))


def enclosed_spec(mjcf_xml: str, assets: Mapping[str, bytes]) -> mujoco.MjSpec:
    """Parse an MJCF that must be complete with `assets`: a BodyError names what leads elsewhere."""
    raise_all(BodyError, "the enclosed MJCF", reference_problems(mjcf_xml, assets))
    with body_errors():
        spec = mujoco.MjSpec.from_string(mjcf_xml, assets=dict(assets))
        # Kinematics needs no arena memory; cap it so that an MJCF from elsewhere cannot exhaust RAM.
        spec.memory = min(spec.memory, _MEMORY_BYTES) if spec.memory > 0 else _MEMORY_BYTES
        return spec


def compile_enclosed(mjcf_xml: str, assets: Mapping[str, bytes]) -> mujoco.MjModel:
    """Compile an MJCF that must be complete with `assets`, or raise a BodyError; no other file is opened."""
    spec = enclosed_spec(mjcf_xml, assets)
    with body_errors():
        return spec.compile()


@contextmanager
def body_errors() -> Iterator[None]:
    """Turn the errors of MuJoCo's compiler into a BodyError."""
    try:
        yield
    # MuJoCo passes on exceptions it did not expect as RuntimeError
    except (ValueError, TypeError, MemoryError, RuntimeError, mujoco.FatalError) as error:
        raise BodyError(f"the enclosed MJCF does not compile: {one_line(error)}") from error


def one_line(error: BaseException) -> str:
    """Return the message of an error without line breaks."""
    return " ".join(str(error).split())


def reference_problems(mjcf_xml: str, assets: Mapping[str, bytes]) -> list[str]:
    """List everything in an MJCF that leads out of the data file that contains it."""
    # MuJoCo's parser skips document types and ElementTree expands them: the two would read different models
    if "<!DOCTYPE" in mjcf_xml or "<!ENTITY" in mjcf_xml:
        return ["declares a document type or entities, which MJCF does not use"]
    try:
        root = ElementTree.fromstring(mjcf_xml)
    except ElementTree.ParseError as error:
        return [f"invalid XML: {error}"]
    if root.tag != "mujoco":
        return [f"expected the root element <mujoco>, got <{root.tag}>"]
    return [problem for element in root.iter() for problem in _element_problems(element, assets)]


def _element_problems(element: ElementTree.Element, assets: Mapping[str, bytes]) -> list[str]:
    problems = []
    tag = element.tag
    if tag in _PLUGINS:
        problems.append(f"uses <{tag}>; plugins are never loaded from a data file")
    if "{" in tag or any("{" in name for name in element.attrib):
        problems.append(f"uses an XML namespace in <{tag}>, which MJCF does not use")
    for name, value in element.attrib.items():
        if "file" in name and tag in _WHOLE_FILES:
            problems.append(f"<{tag} {name}={value!r}> brings in another file; the MJCF must be complete in itself")
        elif "file" in name and value not in assets:
            available = shorten(sorted(assets)) or "none"
            problems.append(f"<{tag} {name}={value!r}> names no file under provenance/assets; there are: {available}")
        elif name.endswith("dir") and tag == "compiler" and value:
            problems.append(f"<compiler {name}={value!r}> names a folder; assets are looked up by their bare names")
    return problems


def exact_xml(spec: mujoco.MjSpec) -> str:
    """Write a compiled spec as XML with all digits, so that the XML compiles to the same model.

    The default of six digits moves joints by 1e-6 of the body and makes some valid inertias invalid. MuJoCo's library
    exports a switch, but Python does not bind it.
    """
    folder = Path(mujoco.__file__).parent
    libraries = [file for file in folder.iterdir() if file.name.startswith("libmujoco") or file.name == "mujoco.dll"]
    library = ctypes.CDLL(str(libraries[0])) if libraries else None
    if library is None or not hasattr(library, "_mjPRIVATE__set_xml_precision"):
        raise BodyError(f"MuJoCo {mujoco.__version__} cannot write exact XML; install a version this package supports")
    with _precision_lock:
        digits = library._mjPRIVATE__get_xml_precision()
        library._mjPRIVATE__set_xml_precision(_EXACT_DIGITS)
        try:
            return spec.to_xml()
        finally:
            library._mjPRIVATE__set_xml_precision(digits)


def quick_compile(spec: mujoco.MjSpec) -> mujoco.MjModel:
    """Compile without simulating actuator length ranges, which takes most of a muscle model's compile time."""
    mode = spec.compiler.LRopt.mode
    spec.compiler.LRopt.mode = int(mujoco.mjtLRMode.mjLRMODE_NONE)
    try:
        return spec.compile()
    finally:
        spec.compiler.LRopt.mode = mode


def travels(model: mujoco.MjModel) -> bool:
    """Return whether the body travels: a free joint, or sliding joints on a body of the first level."""
    kinds = (int(mujoco.mjtJoint.mjJNT_FREE), int(mujoco.mjtJoint.mjJNT_SLIDE))
    joints = zip(model.jnt_type.tolist(), model.jnt_bodyid.tolist(), strict=True)
    return any(kind in kinds and model.body_parentid[body] == 0 for kind, body in joints)


def unit_name(length_unit_m: float) -> str:
    """Return the name of a length unit given in metres; a unit without a name is a multiple of the metre."""
    for name, metres in METRES_PER_UNIT.items():
        if abs(length_unit_m / metres - 1) < 1e-9:
            return name
    return f"{length_unit_m:.9g} m"


def body_labels(model: mujoco.MjModel) -> tuple[str, ...]:
    """Name of each body, ``world`` first; unnamed ones are called ``body_<id>``."""
    return tuple(model.body(i).name or f"body_{i}" for i in range(model.nbody))


def joint_labels(model: mujoco.MjModel) -> tuple[str, ...]:
    """Name of each joint; unnamed ones are called ``joint_<id>``."""
    return tuple(model.joint(i).name or f"joint_{i}" for i in range(model.njnt))


def actuator_labels(model: mujoco.MjModel) -> tuple[str, ...]:
    """Name of each actuator; unnamed ones are called ``actuator_<id>``."""
    return tuple(model.actuator(i).name or f"actuator_{i}" for i in range(model.nu))


def qpos_labels(model: mujoco.MjModel) -> tuple[str, ...]:
    """Name of each element of qpos: the joint's, or ``<joint>_x .. _z, _qw .. _qz`` (free), ``_qw .. _qz`` (ball)."""
    return _labels(model, _QPOS_SUFFIXES)


def qvel_labels(model: mujoco.MjModel) -> tuple[str, ...]:
    """Name of each element of qvel: the joint's, or ``<joint>_vx .. _vz, _wx .. _wz`` (free), ``_wx ..`` (ball)."""
    return _labels(model, _QVEL_SUFFIXES)


def _labels(model: mujoco.MjModel, suffixes: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    labels: list[str] = []
    for name, kind in zip(joint_labels(model), model.jnt_type.tolist(), strict=True):
        labels += [f"{name}_{suffix}" if suffix else name for suffix in suffixes[kind]]
    return tuple(labels)


def qpos_units(model: mujoco.MjModel, length_unit_m: float) -> tuple[str, ...]:
    """Unit of each element of qpos: the MJCF's length unit, ``rad``, or ``1`` for quaternions."""
    length = unit_name(length_unit_m)
    per_type = ((length,) * 3 + ("1",) * 4, ("1",) * 4, (length,), ("rad",))
    return tuple(unit for kind in model.jnt_type.tolist() for unit in per_type[kind])


def qvel_units(model: mujoco.MjModel, length_unit_m: float) -> tuple[str, ...]:
    """Unit of each element of qvel: the MJCF's length unit per second, or ``rad s-1``."""
    linear, angular = f"{unit_name(length_unit_m)} s-1", "rad s-1"
    per_type = ((linear,) * 3 + (angular,) * 3, (angular,) * 3, (linear,), (angular,))
    return tuple(unit for kind in model.jnt_type.tolist() for unit in per_type[kind])


def actuator_path_units(model: mujoco.MjModel, length_unit_m: float) -> tuple[str, ...]:
    """Unit of each actuator's length: an angle where it acts on a rotating joint, else the MJCF's length unit."""
    joint = (int(mujoco.mjtTrn.mjTRN_JOINT), int(mujoco.mjtTrn.mjTRN_JOINTINPARENT))
    rotating = (int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_BALL))
    length, units = unit_name(length_unit_m), []
    for kind, target in zip(model.actuator_trntype.tolist(), model.actuator_trnid[:, 0].tolist(), strict=True):
        units.append("rad" if kind in joint and int(model.jnt_type[target]) in rotating else length)
    return tuple(units)


def actuator_force_units(model: mujoco.MjModel, length_unit_m: float, mass: str = "kg") -> tuple[str, ...]:
    """Unit of each actuator's force, for an MJCF in seconds and this unit of mass."""
    unit = unit_name(length_unit_m)
    force, torque = f"{mass} {unit} s-2", f"{mass} {unit}2 s-2"
    if (mass, unit) == ("kg", "m"):
        force, torque = "N", "N m"
    return tuple(torque if path == "rad" else force for path in actuator_path_units(model, length_unit_m))
