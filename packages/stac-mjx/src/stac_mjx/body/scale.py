"""Exact similarity scaling of a body: every length of a MuJoCo spec times one factor.

Scaled: positions of bodies, inertial frames, joint anchors, geoms, sites, cameras, lights and frames; sizes of geoms,
sites, meshes, height fields and skins; ranges, references and springs of slide joints; lengths, ranges, springs and
widths of tendons that have a length; lengths in equality constraints, keyframes, contact margins and actuator length
ranges; the statistics used by renderers. Angles, orientations, gains, stiffness, damping, friction and gravity do not
change.

Without `scale_inertia`, masses do not change and inertias scale with the second power. With it, mass scales with the
third power and inertia with the fifth, as in a body of the same density.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np

from stac_mjx._common.errors import BodyError

_SKIN_BONE = struct.Struct("<40s3f4fi")


def scale_spec(
    spec: mujoco.MjSpec, assets: dict[str, bytes], factor: float, *, scale_inertia: bool = False
) -> dict[str, bytes]:
    """Scale a body in place, so that its kinematics are `factor` times those of the original.

    Translations in qpos (free joints, slides) are lengths. If they are scaled too, forward kinematics of the scaled
    body gives `factor` times the positions of the original.

    Returns:
        The assets of the scaled spec: skin files are rewritten, the spec scales all others.

    Raises:
        BodyError: if the model has flexes, or a fixed tendon that mixes angles and lengths.
    """
    if spec.flexes:
        raise BodyError("body.scale: a model with flexes cannot be scaled; set body.scale=1 and scale the file itself")
    with_length = [tendon for tendon in spec.tendons if _tendon_has_length(tendon)]
    lengths = (
        {joint.name for joint in spec.joints if joint.type == mujoco.mjtJoint.mjJNT_SLIDE},
        {tendon.name for tendon in with_length},
    )
    _scale_keys(spec, factor)
    for elements, fields in _LENGTHS.items():
        for element in getattr(spec, elements):
            _multiply(element, fields, factor)
    _scale_mass(spec, factor, scale_inertia)
    for joint in spec.joints:
        if joint.type == mujoco.mjtJoint.mjJNT_SLIDE:
            _multiply(joint, ("range", "ref", "springref", "margin"), factor)
    for tendon in with_length:
        _multiply(tendon, ("range", "margin"), factor)
        rest = np.asarray(tendon.springlength)
        # -1 means "the length in the spring pose"
        tendon.springlength = np.where(rest >= 0, rest * factor, rest)
    _scale_actuators(spec, *lengths, factor)
    _scale_equalities(spec, *lengths, factor)
    _multiply(spec.stat, ("meansize", "extent", "center"), factor)
    return _scale_skins(spec, assets, factor)


def _multiply(element: Any, fields: tuple[str, ...], factor: float) -> None:
    """Multiply numeric fields of a spec element; unset ones are NaN and remain NaN."""
    for name in fields:
        value = getattr(element, name)
        setattr(element, name, value * factor if isinstance(value, float) else np.asarray(value) * factor)


_LENGTHS = {
    "bodies": ("pos", "ipos"),
    "frames": ("pos",),
    "geoms": ("pos", "size", "fromto", "margin", "gap"),
    "sites": ("pos", "size", "fromto"),
    "cameras": ("pos", "ipd"),
    "lights": ("pos", "bulbradius", "range"),
    "pairs": ("margin", "gap"),
    "joints": ("pos",),
    "tendons": ("width",),
    "actuators": ("cranklength",),
    "meshes": ("scale",),
    "hfields": ("size",),
    "skins": ("inflate",),
}
"""Elements of a spec, and their fields that are lengths whatever the kind of the element."""


def _scale_mass(spec: mujoco.MjSpec, factor: float, scale_inertia: bool) -> None:
    """Scale masses and inertias, explicit or derived from geoms; the module docstring states the rule."""
    mass = factor**3 if scale_inertia else 1.0
    for body in spec.bodies:
        _scale_mass_of(spec, body, factor, mass)
    _multiply(spec.compiler, ("boundmass",), mass)
    _multiply(spec.compiler, ("boundinertia",), mass * factor**2)
    if spec.compiler.settotalmass > 0:
        _multiply(spec.compiler, ("settotalmass",), mass)


def _scale_mass_of(spec: mujoco.MjSpec, body: Any, factor: float, mass: float) -> None:
    """Scale one body of lengths times `factor`: mass by `mass`, inertia with the second power of lengths too."""
    _multiply(body, ("mass",), mass)
    _multiply(body, ("inertia", "fullinertia"), mass * factor**2)
    for geom in body.geoms:
        mesh = spec.mesh(geom.meshname) if geom.meshname else None
        shell = geom.typeinertia == mujoco.mjtGeomInertia.mjINERTIA_SHELL
        shell |= mesh is not None and mesh.inertia == mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL
        _multiply(geom, ("mass",), mass)
        _multiply(geom, ("density",), mass / factor ** (2 if shell else 3))


def scale_segments(spec: mujoco.MjSpec, factors: Mapping[str, float], *, scale_inertia: bool = False) -> None:
    """Scale segments in place: every length in the frame of a body times its own factor; bodies not named keep theirs.

    Scaled: what is on the body (joint anchors, geoms, meshes, sites, cameras, lights, anchors of connect) and where its
    child bodies are. Masses as in `scale_spec`, body by body. Tendons follow their sites; their explicit rest lengths
    and ranges, and the length ranges of their actuators, scale with the length of the tendon in the reference pose.

    Raises:
        BodyError: if the model has flexes or skins.
    """
    if spec.flexes or spec.skins:
        raise BodyError("calibration.segments: a model with flexes or skins cannot be scaled segment by segment")
    before = spec.compile().tendon_length0.copy()
    for body in spec.bodies:
        factor = float(factors.get(body.name, 1.0))
        if factor == 1.0:
            continue
        _scale_mass_of(spec, body, factor, factor**3 if scale_inertia else 1.0)
        _multiply(body, ("ipos",), factor)
        for elements in ("frames", "geoms", "sites", "cameras", "lights", "joints"):
            fields = [name for name in _LENGTHS[elements] if name not in ("margin", "gap")]
            for element in getattr(body, elements):
                _multiply(element, tuple(fields), factor)
        for child in body.bodies:
            _multiply(child, ("pos",), factor)
        for geom in body.geoms:
            if geom.meshname:
                geom.meshname = _scaled_mesh(spec, geom.meshname, factor)
    for equality in spec.equalities:
        if equality.type == mujoco.mjtEq.mjEQ_CONNECT and equality.name1 in factors:
            data = np.array(equality.data)
            data[:3] *= factors[equality.name1]
            equality.data = data
    _scale_tendons(spec, before)


def _scaled_mesh(spec: mujoco.MjSpec, name: str, factor: float) -> str:
    """Return the name of a copy of a mesh, times `factor`; bodies of other factors may share the original."""
    scaled, mesh = f"{name}_{factor:.6g}", spec.mesh(name)
    if spec.mesh(scaled) is None:
        same = (
            "file",
            "content_type",
            "refpos",
            "refquat",
            "inertia",
            "uservert",
            "userface",
            "usernormal",
            "maxhullvert",
        )
        values = {field: getattr(mesh, field) for field in same}
        spec.add_mesh(name=scaled, scale=np.asarray(mesh.scale) * factor, **values)
    return scaled


def _scale_tendons(spec: mujoco.MjSpec, before: np.ndarray) -> None:
    """Scale what is given in lengths of spatial tendons by their length in the reference pose over that `before`."""
    after = spec.compile().tendon_length0
    ratios = {}
    for tendon, old, new in zip(spec.tendons, before, after, strict=True):
        if any(wrap.type == mujoco.mjtWrap.mjWRAP_JOINT for wrap in tendon.path) or old <= 0:
            continue
        ratios[tendon.name] = ratio = float(new / old)
        _multiply(tendon, ("range",), ratio)
        rest = np.asarray(tendon.springlength)
        tendon.springlength = np.where(rest >= 0, rest * ratio, rest)
    for actuator in spec.actuators:
        if actuator.trntype == mujoco.mjtTrn.mjTRN_TENDON:
            _multiply(actuator, ("lengthrange",), ratios.get(actuator.target, 1.0))


def _tendon_has_length(tendon: Any) -> bool:
    """Return whether a tendon's coordinate is a length: a spatial tendon, or a fixed one of slide joints only."""
    joints = [wrap.target for wrap in tendon.path if wrap.type == mujoco.mjtWrap.mjWRAP_JOINT]
    slides = [joint.type == mujoco.mjtJoint.mjJNT_SLIDE for joint in joints]
    if any(slides) and not all(slides):
        raise BodyError(f"body.scale: tendon {tendon.name!r} adds angles to lengths, so it cannot be scaled")
    return not joints or all(slides)


def _scale_actuators(spec: mujoco.MjSpec, slides: set[str], tendons: set[str], factor: float) -> None:
    """Scale length ranges, but not gains, biases and control ranges."""
    by_kind = {
        mujoco.mjtTrn.mjTRN_JOINT: slides,
        mujoco.mjtTrn.mjTRN_JOINTINPARENT: slides,
        mujoco.mjtTrn.mjTRN_TENDON: tendons,
    }
    for actuator in spec.actuators:
        kind = actuator.trntype
        if actuator.target in by_kind.get(kind, ()) or kind == mujoco.mjtTrn.mjTRN_SLIDERCRANK:
            _multiply(actuator, ("lengthrange",), factor)


def _scale_equalities(spec: mujoco.MjSpec, slides: set[str], tendons: set[str], factor: float) -> None:
    """Scale anchors of connect and weld, and polynomial coefficients that couple joints or tendons."""
    for equality in spec.equalities:
        data = np.array(equality.data)
        if equality.type == mujoco.mjtEq.mjEQ_CONNECT:
            data[:3] *= factor
        elif equality.type == mujoco.mjtEq.mjEQ_WELD:
            data[:6] *= factor
        elif equality.type in (mujoco.mjtEq.mjEQ_JOINT, mujoco.mjtEq.mjEQ_TENDON):
            lengths = slides if equality.type == mujoco.mjtEq.mjEQ_JOINT else tendons
            first, second = (factor if name in lengths else 1.0 for name in (equality.name1, equality.name2))
            # q1 = sum_k data[k] q2^k
            data[:5] *= first / second ** np.arange(5)
        equality.data = data


def _scale_keys(spec: mujoco.MjSpec, factor: float) -> None:
    """Scale translations in keyframes (free joints, slides, mocap bodies); columns are those of the unscaled model."""
    if not spec.keys:
        return
    model = spec.compile()
    qpos, qvel = np.ones(model.nq), np.ones(model.nv)
    for kind, q, v in zip(model.jnt_type, model.jnt_qposadr, model.jnt_dofadr, strict=True):
        width = {mujoco.mjtJoint.mjJNT_FREE: 3, mujoco.mjtJoint.mjJNT_SLIDE: 1}.get(mujoco.mjtJoint(int(kind)), 0)
        qpos[q : q + width] = factor
        qvel[v : v + width] = factor
    for key in spec.keys:
        key.qpos = np.asarray(key.qpos) * qpos if len(key.qpos) else key.qpos
        key.qvel = np.asarray(key.qvel) * qvel if len(key.qvel) else key.qvel
        key.mpos = np.asarray(key.mpos) * factor


def _scale_skins(spec: mujoco.MjSpec, assets: dict[str, bytes], factor: float) -> dict[str, bytes]:
    """Scale the points of skins; return the assets with rewritten skin files."""
    scaled = dict(assets)
    for skin in spec.skins:
        if skin.file:
            scaled[skin.file] = _scale_skin_file(assets[skin.file], factor)
        else:
            _multiply(skin, ("vert", "bindpos"), factor)
    return scaled


def _scale_skin_file(content: bytes, factor: float) -> bytes:
    """Scale a ``.skn`` file: vertices and bind positions (MuJoCo's XML reference, element skin, attribute file)."""
    n_vertices, n_texcoords, n_faces, n_bones = struct.unpack_from("<4i", content)
    scaled = bytearray(content)
    vertices = np.frombuffer(content, "<f4", 3 * n_vertices, 16) * np.float32(factor)
    scaled[16 : 16 + vertices.nbytes] = vertices.astype("<f4").tobytes()
    at = 16 + 4 * (3 * n_vertices + 2 * n_texcoords + 3 * n_faces)
    for _ in range(n_bones):
        name, x, y, z, *quat, n_weights = _SKIN_BONE.unpack_from(content, at)
        _SKIN_BONE.pack_into(scaled, at, name, x * factor, y * factor, z * factor, *quat, n_weights)
        at += _SKIN_BONE.size + 8 * n_weights
    return bytes(scaled)
