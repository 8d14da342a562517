"""Read an MJCF file into a spec, change how its root moves, and write it as one XML that compiles anywhere alike.

Includes and assets must be in the folder of the MJCF, below it, or in a sibling folder (``../meshes``). Absolute paths,
resource prefixes and other folders are rejected, because everything read here is copied into the output files.
"""

from __future__ import annotations

import importlib.util
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from stac_mjx._common.errors import BodyError, raise_all
from stac_mjx._common.mjcf import exact_xml, one_line, quick_compile


def locate(mjcf: str | None, default_mjcf: str, name: str) -> Path:
    """Find the MJCF file of body `name`: the given path, else ``embedded:FILE`` or ``dm_control:PATH``."""
    if mjcf:
        path = Path(mjcf).expanduser()
        if not path.is_file():
            raise BodyError(f"body.mjcf: no file {str(path)!r}; set the path of an MJCF file")
        return path
    source, _, inner = default_mjcf.partition(":")
    if source == "embedded":
        path = Path(str(resources.files("stac_mjx") / "bodies" / inner))
        hint = "set body.mjcf=PATH"
    elif source == "dm_control":
        package = importlib.util.find_spec("dm_control")
        folders = list(package.submodule_search_locations or ()) if package else []
        if not folders:
            raise BodyError(
                f"body {name!r}: its default model comes with dm_control, which is not installed; "
                "run `pip install stac-mjx[bodies]` or set body.mjcf=PATH"
            )
        path = Path(folders[0]) / inner
        hint = "update dm_control or set body.mjcf=PATH"
    elif not default_mjcf:
        raise BodyError(f"body {name!r} has no default model: set body.mjcf=PATH")
    else:
        raise BodyError(f"body.default_mjcf: expected embedded:FILE or dm_control:PATH, got {default_mjcf!r}")
    if not path.is_file():
        raise BodyError(f"body.default_mjcf: {default_mjcf!r} names no file ({path}); {hint}")
    return path


def read_spec(path: Path) -> tuple[mujoco.MjSpec, dict[str, bytes]]:
    """Read an MJCF file with its includes, and the assets it needs.

    Unused meshes are dropped. The spec's asset paths become bare unique names, the keys of the second value.
    """
    raise_all(BodyError, str(path), _include_problems(path, path.resolve().parent, set()))
    try:
        spec = mujoco.MjSpec.from_file(str(path))
    except ValueError as error:
        raise BodyError(f"{path}: MuJoCo cannot read this as MJCF: {one_line(error)}") from error
    _drop_unused_meshes(spec)
    return spec, _collect_assets(spec, path)


def compile_spec(spec: mujoco.MjSpec, assets: dict[str, bytes], where: str) -> tuple[str, mujoco.MjModel]:
    """Write a spec as XML and compile that XML, so that every reader of the XML gets the same model."""
    try:
        spec.assets = assets
        reference = quick_compile(spec)
        xml = exact_xml(spec)
        model = mujoco.MjModel.from_xml_string(xml, assets)
    except ValueError as error:
        raise BodyError(f"{where}: MuJoCo does not compile this model: {one_line(error)}") from error
    same = all(
        getattr(model, size) == getattr(reference, size)
        for size in ("nq", "nv", "nu", "nbody", "ngeom", "nsite", "nmesh")
    )
    if not same:
        raise BodyError(f"{where}: MuJoCo {mujoco.__version__} lost elements of this model while writing it as XML")
    return xml, model


def _include_problems(path: Path, folder: Path, visited: set[Path]) -> list[str]:
    """List the includes and sub-models, at any depth, that are missing or outside the folders of the main model.

    MuJoCo looks for them in the `folder` of the main model, then next to the file that names them.
    """
    resolved = path.resolve()
    if resolved in visited:
        return []
    visited.add(resolved)
    try:
        tree = ElementTree.parse(resolved)
    except ElementTree.ParseError as error:
        return [f"{path.name}: invalid XML: {error}"]
    problems: list[str] = []
    for element in tree.iter():
        file = element.get("file")
        if file is None or element.tag not in ("include", "model"):
            continue
        found = [_resolve(file, place, folder.parent) for place in dict.fromkeys((folder, resolved.parent))]
        inner = next((target for _, target in found if target is not None), None)
        if inner is None:
            problems.append(f"{path.name}: <{element.tag} file={file!r}>: {found[0][0]}")
        else:
            problems += _include_problems(inner, folder, visited)
    return problems


def _resolve(file: str, folder: Path, root: Path) -> tuple[str, Path | None]:
    """Find `file` in `folder`; return the problem and None if it is missing or outside `root`."""
    if ":" in file or Path(file).is_absolute():
        return "expected a path relative to the MJCF, got an absolute one. Move the file next to the model.", None
    path = (folder / file).resolve()
    if not path.is_relative_to(root):
        return "path is outside the model folder. Move the file next to the model.", None
    return ("", path) if path.is_file() else (f"no such file in {folder}", None)


def _drop_unused_meshes(spec: mujoco.MjSpec) -> None:
    """Delete meshes that no geom and no site uses."""
    used = {geom.meshname for geom in spec.geoms} | {site.meshname for site in spec.sites}
    for mesh in list(spec.meshes):
        if mesh.file and (mesh.name or Path(mesh.file).stem) not in used:
            spec.delete(mesh)


def _collect_assets(spec: mujoco.MjSpec, path: Path) -> dict[str, bytes]:
    """Read all files that the spec names, and change the spec to bare names; see :func:`read_spec`."""
    root = path.resolve().parent.parent
    assets: dict[str, bytes] = {}
    names: dict[Path, str] = {}
    problems: list[str] = []

    def take(kind: str, file: str, folder: str) -> str:
        bare = Path(file).name if spec.strippath else file
        if Path(folder).is_absolute():
            problems.append(f"{kind} folder {folder!r} is absolute; make meshdir, texturedir or assetdir relative")
            return file
        problem, source = _resolve(bare, path.parent / folder, root)
        if source is None:
            problems.append(f"{kind} file {file!r}: {problem}")
            return file
        if source not in names:
            names[source] = _free_name(source.name, assets)
            assets[names[source]] = source.read_bytes()
        return names[source]

    for kind, elements in (("mesh", spec.meshes), ("hfield", spec.hfields), ("skin", spec.skins)):
        for element in elements:
            _take_file(element, kind, spec.meshdir, take)
    for texture in spec.textures:
        _take_file(texture, "texture", spec.texturedir, take)
        texture.cubefiles = [take("texture", file, spec.texturedir) if file else "" for file in texture.cubefiles]
    raise_all(BodyError, str(path), problems)
    spec.meshdir = ""
    spec.texturedir = ""
    return assets


def _take_file(element: Any, kind: str, folder: str, take: Any) -> None:
    """Replace one element's file by its bare name, after making the name derived from the file explicit."""
    if element.file:
        if not element.name and kind != "skin":
            element.name = Path(element.file).stem
        element.file = take(kind, element.file, folder)


def _free_name(name: str, taken: dict[str, bytes]) -> str:
    """Return `name`, or ``stem_2.suffix`` and so on if two files have the same name."""
    stem, suffix = Path(name).stem, Path(name).suffix
    candidate, count = name, 1
    while candidate in taken:
        count += 1
        candidate = f"{stem}_{count}{suffix}"
    return candidate


def set_root(spec: mujoco.MjSpec, assets: dict[str, bytes], root: str, where: str, carriers: Sequence[str]) -> None:
    """Change how the animal moves against the world according to ``body.root``; `body_problems` reports invalid values.

    The animal is the body of the world that carries most of the bodies `carriers`, which keypoints are tied to: a ball
    or a wheel of the scene is left as it is.
    """
    if root == "keep":
        return
    animal = _animal(spec, carriers, root, where)
    kinds = {joint.type: joint.name for joint in animal.joints}
    free = mujoco.mjtJoint.mjJNT_FREE
    if root == "free" and free in kinds:
        return
    if set(kinds) - {free}:
        has = ", ".join(repr(name) for kind, name in kinds.items() if kind != free)
        raise BodyError(f"{where}: body.root={root}: body {animal.name!r} already has joint {has}; use body.root=keep")
    if root == "free":
        _drop_keys(spec)
        animal.add_freejoint(name="root" if "root" not in {joint.name for joint in spec.joints} else "free_root")
    elif root in ("upright", "planar"):
        _upright_root(spec, assets, where, animal, "xyz" if root == "upright" else "xy")


def _animal(spec: mujoco.MjSpec, carriers: Sequence[str], root: str, where: str) -> mujoco.MjsBody:
    """Return the body of the world that carries most keypoints; of equals, the first that has joints on or below it."""
    bodies = list(spec.worldbody.bodies)
    moving = [bool(body.find_all("joint")) for body in bodies]
    if not any(moving):
        raise BodyError(f"{where}: body.root={root} needs a model with joints; this one has none")
    inside = [{body.name, *(child.name for child in body.find_all("body"))} for body in bodies]
    count = [sum(name in names for name in carriers) for names in inside]
    return bodies[max(range(len(bodies)), key=lambda k: (count[k], moving[k]))]


def _upright_root(
    spec: mujoco.MjSpec, assets: dict[str, bytes], where: str, animal: mujoco.MjsBody, along: str
) -> None:
    """Let the root slide along some axes of the world (``root_x`` and so on) and turn about z (``root_turn``) only."""
    _, model = compile_spec(spec.copy(), assets, where)
    R_body_world = np.zeros(9)
    mujoco.mju_quat2Mat(R_body_world, model.body_quat[_number(spec, animal)])
    axes = R_body_world.reshape(3, 3)  # rows: axes of the world in the frame of the body, as MuJoCo expects them
    _drop_keys(spec)
    for joint in list(animal.joints):
        spec.delete(joint)
    slide, hinge = mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE
    for suffix, kind, axis in (*((one, slide, "xyz".index(one)) for one in along), ("turn", hinge, 2)):
        # set all values that a default of the model could change: a free joint has none of them either
        animal.add_joint(
            name=f"root_{suffix}", type=kind, axis=axes[axis].tolist(), pos=[0, 0, 0], limited=False, armature=0,
            frictionloss=0, damping=[0] * 3, stiffness=[0] * 3,
        )  # fmt: skip


def _number(spec: mujoco.MjSpec, body: mujoco.MjsBody) -> int:
    """Return the id that a body of the world has in the compiled model: bodies are numbered depth first."""
    number = 1
    for other in spec.worldbody.bodies:
        if other == body:
            break
        number += 1 + len(other.find_all("body"))
    return number


def _drop_keys(spec: mujoco.MjSpec) -> None:
    """Delete keyframes, whose qpos does not fit once joints have changed."""
    for key in list(spec.keys):
        spec.delete(key)
