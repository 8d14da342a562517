"""Reading an MJCF file into a spec and writing it back so that it compiles anywhere, to the last digit.

Rules for files that come from strangers: includes and assets may lie in the folder of the MJCF, below it, or in a
sibling folder of it (``../meshes``). Absolute paths, resource prefixes and anything further away are refused, because
whatever is read here ends up inside the files we write.
"""

from __future__ import annotations

import ctypes
import importlib.util
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import mujoco

from stac_mjx._common.errors import BodyError, raise_all

_EXACT_DIGITS = 17
_precision_lock = threading.Lock()


def locate(mjcf: str | None, default_mjcf: str, name: str) -> Path:
    """Find the MJCF file of a body: the path given, else its default source.

    Args:
        mjcf: path of a file, or None or empty for the default.
        default_mjcf: ``embedded:FILE``, ``dm_control:PATH`` or empty.
        name: name of the body, for messages.

    Raises:
        BodyError: when there is no such file, or no default.
    """
    if mjcf:
        path = Path(mjcf).expanduser()
        if not path.is_file():
            raise BodyError(f"body.mjcf: no file {str(path)!r}; give the path of an MJCF file")
        return path
    source, _, inner = default_mjcf.partition(":")
    if source == "embedded":
        path = Path(str(resources.files("stac_mjx") / "bodies" / inner))
        hint = "give body.mjcf=PATH"
    elif source == "dm_control":
        found = importlib.util.find_spec("dm_control")
        folders = list(found.submodule_search_locations or ()) if found else []
        if not folders:
            raise BodyError(
                f"body {name!r}: its default model comes with dm_control, which is not installed; "
                "run `pip install stac-mjx[bodies]` or give body.mjcf=PATH"
            )
        path = Path(folders[0]) / inner
        hint = "update dm_control or give body.mjcf=PATH"
    elif not default_mjcf:
        raise BodyError(f"body {name!r} has no model of its own: give body.mjcf=PATH")
    else:
        raise BodyError(f"body.default_mjcf: expected embedded:FILE or dm_control:PATH, got {default_mjcf!r}")
    if not path.is_file():
        raise BodyError(f"body.default_mjcf: {default_mjcf!r} names no file ({path}); {hint}")
    return path


def read_spec(path: Path) -> tuple[mujoco.MjSpec, dict[str, bytes]]:
    """Read an MJCF file with its includes, and the assets it needs.

    Meshes that nothing uses are dropped. The spec's asset paths become bare unique names, the keys of the second value.

    Raises:
        BodyError: when the file is no MJCF, or names files that are missing or out of bounds.
    """
    faults = _include_faults(path, path.resolve().parent.parent, set())
    raise_all(BodyError, str(path), faults)
    try:
        spec = mujoco.MjSpec.from_file(str(path))
    except ValueError as error:
        raise BodyError(f"{path}: MuJoCo cannot read this as MJCF: {_one_line(error)}") from error
    _drop_unused_meshes(spec)
    return spec, _collect_assets(spec, path)


def compile_spec(spec: mujoco.MjSpec, assets: dict[str, bytes], where: str) -> tuple[str, mujoco.MjModel]:
    """Write a spec as XML and compile that XML; the model is exactly what a reader of the XML will get.

    Raises:
        BodyError: when MuJoCo refuses the model.
    """
    try:
        spec.assets = assets
        reference = _quick_compile(spec)
        with _exact_numbers():
            xml = spec.to_xml()
        model = mujoco.MjModel.from_xml_string(xml, assets)
    except ValueError as error:
        raise BodyError(f"{where}: MuJoCo does not compile this model: {_one_line(error)}") from error
    same = all(
        getattr(model, size) == getattr(reference, size)
        for size in ("nq", "nv", "nu", "nbody", "ngeom", "nsite", "nmesh")
    )
    if not same:
        raise BodyError(f"{where}: MuJoCo {mujoco.__version__} lost elements of this model on writing it as XML")
    return xml, model


def _quick_compile(spec: mujoco.MjSpec) -> mujoco.MjModel:
    """Compile without actuator length ranges, found by simulation: most of a muscle model's compile time."""
    mode = spec.compiler.LRopt.mode
    spec.compiler.LRopt.mode = int(mujoco.mjtLRMode.mjLRMODE_NONE)
    try:
        return spec.compile()
    finally:
        spec.compiler.LRopt.mode = mode


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _include_faults(path: Path, root: Path, seen: set[Path]) -> list[str]:
    """Name the includes and sub-models, at any depth, that are missing or lie outside `root`."""
    resolved = path.resolve()
    if resolved in seen:
        return []
    seen.add(resolved)
    try:
        tree = ElementTree.parse(resolved)
    except ElementTree.ParseError as error:
        return [f"{path.name} is not valid XML: {error}"]
    faults: list[str] = []
    for element in tree.iter():
        file = element.get("file")
        if file is None or element.tag not in ("include", "model"):
            continue
        fault, inner = _resolve(file, [path.parent], root)
        faults += [f"<{element.tag} file={file!r}>: {fault}"] if inner is None else _include_faults(inner, root, seen)
    return faults


def _resolve(file: str, folders: list[Path], root: Path) -> tuple[str, Path | None]:
    """Find `file` in one of `folders`; return why not and None when it is missing or lies outside `root`."""
    if ":" in file or Path(file).is_absolute():
        return "expected a path relative to the MJCF, got an absolute one; put the file beside the model", None
    for folder in folders:
        candidate = (folder / file).resolve()
        if not candidate.is_relative_to(root):
            return "leads out of the model's own folders; put the file beside the model", None
        if candidate.is_file():
            return "", candidate
    return f"no such file in {folders[0]}", None


def _drop_unused_meshes(spec: mujoco.MjSpec) -> None:
    """Delete meshes that no geom and no site shows, so that they are not carried along."""
    used = {geom.meshname for geom in spec.geoms} | {site.meshname for site in spec.sites}
    for mesh in list(spec.meshes):
        if mesh.file and (mesh.name or Path(mesh.file).stem) not in used:
            spec.delete(mesh)


def _collect_assets(spec: mujoco.MjSpec, path: Path) -> dict[str, bytes]:
    """Read every file the spec refers to and point the spec at bare names; see :func:`read_spec`."""
    root = path.resolve().parent.parent
    assets: dict[str, bytes] = {}
    names: dict[Path, str] = {}
    faults: list[str] = []

    def take(kind: str, file: str, folder: str) -> str:
        bare = Path(file).name if spec.strippath else file
        if Path(folder).is_absolute():
            faults.append(f"{kind} folder {folder!r} is absolute; make meshdir, texturedir or assetdir relative")
            return file
        fault, found = _resolve(bare, [path.parent / folder], root)
        if found is None:
            faults.append(f"{kind} file {file!r}: {fault}")
            return file
        if found not in names:
            names[found] = _free_name(found.name, assets)
            assets[names[found]] = found.read_bytes()
        return names[found]

    for kind, elements in (("mesh", spec.meshes), ("hfield", spec.hfields), ("skin", spec.skins)):
        for element in elements:
            _take_file(element, kind, spec.meshdir, take)
    for texture in spec.textures:
        _take_file(texture, "texture", spec.texturedir, take)
        texture.cubefiles = [take("texture", file, spec.texturedir) if file else "" for file in texture.cubefiles]
    raise_all(BodyError, str(path), faults)
    spec.meshdir = ""
    spec.texturedir = ""
    return assets


def _take_file(element: Any, kind: str, folder: str, take: Any) -> None:
    """Replace one element's file by its bare name; the name it derives from the file is made explicit first."""
    if element.file:
        if not element.name and kind != "skin":
            element.name = Path(element.file).stem
        element.file = take(kind, element.file, folder)


def _free_name(name: str, taken: dict[str, bytes]) -> str:
    """Return `name`, or ``stem_2.suffix`` and so on where two files of one name meet."""
    stem, suffix = Path(name).stem, Path(name).suffix
    candidate, count = name, 1
    while candidate in taken:
        count += 1
        candidate = f"{stem}_{count}{suffix}"
    return candidate


@contextmanager
def _exact_numbers() -> Iterator[None]:
    """Let MuJoCo write all digits of a number.

    By default it writes six, which moves joints by 1e-6 of the body and makes some valid inertias invalid. The switch
    is exported by MuJoCo's library but not bound in Python.
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
            yield
        finally:
            library._mjPRIVATE__set_xml_precision(digits)
