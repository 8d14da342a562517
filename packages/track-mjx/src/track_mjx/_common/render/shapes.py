"""The shape of a body: points around its geoms, and their outlines in a plane as polygons.

A geom is replaced by its extreme points in a fixed set of directions, so that outlines of all geoms in all poses take a
few array products. Outlines are convex, which suits boxes, capsules and decimated meshes of bones.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float, Int

from ..rotations import quat_to_mat

N_DIRECTIONS = 162
N_CORNERS = 40
MOST_VERTICES = 3000
_GROUND = (int(mujoco.mjtGeom.mjGEOM_PLANE), int(mujoco.mjtGeom.mjGEOM_HFIELD))
_HIDDEN_GROUP = 3
"""MuJoCo shows groups 0 to 2 and hides higher ones, which are mostly collision shapes."""


@dataclass(frozen=True)
class Shapes:
    """Extreme points of all geoms that make up a body."""

    points: Float[np.ndarray, "geom point 3"]
    """In the frame of the geom's body."""
    body: Int[np.ndarray, " geom"]
    """MuJoCo id of that body."""
    links: Int[np.ndarray, "link 2"]
    """(child, parent) bodies, for lines where a model shows few shapes or none."""


def body_shapes(model: mujoco.MjModel, length_unit_m: float) -> Shapes:
    """Return the shapes of a model, in metres; without geoms of the world, planes, height fields and hidden groups."""
    shown = shown_geoms(model)
    points = np.empty((len(shown), N_DIRECTIONS, 3))
    directions = _directions(N_DIRECTIONS)
    for row, g in enumerate(shown):
        rotation = np.empty(9)
        mujoco.mju_quat2Mat(rotation, model.geom_quat[g])
        points[row] = _support(model, g, directions) @ rotation.reshape(3, 3).T + model.geom_pos[g]
    links = [(b, model.body_parentid[b]) for b in range(1, model.nbody) if model.body_parentid[b] != 0]
    body = np.array([model.geom_bodyid[g] for g in shown], np.int64)
    return Shapes(points * length_unit_m, body, np.array(links, np.int64).reshape(-1, 2))


def outlines(
    shapes: Shapes,
    xpos: Float[np.ndarray, "body 3"],
    xquat: Float[np.ndarray, "body 4"],
    view: Float[np.ndarray, "2 3"],
) -> Float[np.ndarray, "geom corner 2"]:
    """Return the outline of each geom of a posed body, from far to near.

    The rows of `view` are the directions that point right and up in the plane.
    """
    rotation = quat_to_mat(xquat)[shapes.body]
    world = np.einsum("gij,gpj->gpi", rotation, shapes.points) + xpos[shapes.body][:, None]
    plane = world @ view.T
    angle = np.linspace(0, 2 * np.pi, N_CORNERS, endpoint=False)
    extreme = (plane @ np.stack([np.cos(angle), np.sin(angle)])).argmax(axis=1)
    corners = np.take_along_axis(plane, extreme[..., None], axis=1)
    toward_viewer = np.cross(view[0], view[1])
    return corners[np.argsort((world @ toward_viewer).mean(axis=1), kind="stable")]


def shown_geoms(model: mujoco.MjModel) -> list[int]:
    """Return the geoms that make up a body; those of hidden groups only where there are no others."""
    solid = [g for g in range(model.ngeom) if model.geom_bodyid[g] != 0 and model.geom_type[g] not in _GROUND]
    return [g for g in solid if model.geom_group[g] < _HIDDEN_GROUP and model.geom_rgba[g, 3] > 0] or solid


def bare_limbs(model: mujoco.MjModel) -> list[tuple[int, int]]:
    """Return the (parent, child) bodies to join by a bone, in a model most of whose moving bodies have no shape."""
    shown = (model.geom_group < _HIDDEN_GROUP) & (model.geom_rgba[:, 3] > 0)
    shaped = set(model.geom_bodyid[shown].tolist())
    moving = np.flatnonzero(model.body_weldid != 0).tolist() or list(range(1, model.nbody))
    if 2 * sum(body in shaped for body in moving) > len(moving):
        return []
    pairs = [(int(model.body_parentid[body]), body) for body in range(1, model.nbody)]
    return [(parent, child) for parent, child in pairs if parent != 0 and parent not in shaped]


def _directions(count: int) -> np.ndarray:
    """Return unit vectors spread over the sphere (Fibonacci lattice), (count, 3)."""
    k = np.arange(count) + 0.5
    z, turn = 1 - 2 * k / count, np.pi * (1 + 5**0.5) * k
    flat = np.sqrt(1 - z**2)
    return np.stack([flat * np.cos(turn), flat * np.sin(turn), z], axis=1)


def _support(model: mujoco.MjModel, geom: int, directions: np.ndarray) -> np.ndarray:
    """Return the extreme points of a geom in its own frame, (direction, 3), in the model's unit."""
    kind, size = mujoco.mjtGeom(model.geom_type[geom]), model.geom_size[geom]
    if kind == mujoco.mjtGeom.mjGEOM_SPHERE:
        return directions * size[0]
    if kind == mujoco.mjtGeom.mjGEOM_CAPSULE:
        return directions * size[0] + np.sign(directions) * (0, 0, size[1])
    if kind == mujoco.mjtGeom.mjGEOM_CYLINDER:
        flat = directions[:, :2] / np.maximum(np.linalg.norm(directions[:, :2], axis=1, keepdims=True), 1e-12)
        return np.column_stack([flat * size[0], np.sign(directions[:, 2]) * size[1]])
    if kind == mujoco.mjtGeom.mjGEOM_ELLIPSOID:
        scaled = directions * size
        return scaled * size / np.linalg.norm(scaled, axis=1, keepdims=True).clip(min=1e-12)
    if kind == mujoco.mjtGeom.mjGEOM_MESH:
        mesh = model.geom_dataid[geom]
        first, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
        vertices = model.mesh_vert[first : first + count : max(1, count // MOST_VERTICES)]
        return vertices[(vertices @ directions.T).argmax(axis=0)].astype(np.float64)
    # a box; any other type by the box around it
    centre, half = model.geom_aabb[geom, :3], model.geom_aabb[geom, 3:]
    return centre + np.sign(directions) * half
