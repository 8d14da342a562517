"""Batched forward kinematics and marker Jacobians of any MuJoCo tree (pure JAX).

Inside, the batch is the *last* axis and every component (x of a position, an entry of a rotation) is an array of its
own, ``(node, batch)``: that is the layout in which XLA vectorises best on a CPU, and the tree is walked by one
``lax.scan``, so that compile time does not grow with the body. The public functions at the end take ``(frame, ...)``
arrays.

Vectors are 3-tuples of arrays, rotations 9-tuples in row order, quaternions wxyz 4-tuples.
Source of the conventions: MuJoCo's ``mj_kinematics`` and ``mj_integratePos``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from stac_mjx._common import rotations
from stac_mjx.kinematics.tree import Tree

Vec = tuple[Array, ...]
Rows = TypeVar("Rows", jax.Array, np.ndarray)


def columns(array: np.ndarray | Array, dtype: Any) -> Vec:
    """Split the last axes of a constant (row, 3) or (row, 3, 3) into (row, 1) arrays, one an entry."""
    flat = array.reshape(len(array), -1)
    return tuple(jnp.asarray(flat[:, k, None], dtype) for k in range(flat.shape[1]))


def dot(a: Vec, b: Vec) -> Array:
    """Return the inner product of two vectors of components."""
    return sum((x * y for x, y in zip(a[1:], b[1:], strict=True)), a[0] * b[0])


def cross(a: Vec, b: Vec) -> Vec:
    """Return the cross product of two 3-vectors of components."""
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def rotate(mat: Vec, v: Vec) -> Vec:
    """Apply a rotation (9-tuple, row order) to a 3-vector."""
    return tuple(dot(mat[3 * r : 3 * r + 3], v) for r in range(3))


def multiply_mats(a: Vec, b: Vec) -> Vec:
    """Return the product of two rotations (9-tuples, row order)."""
    return tuple(dot(a[3 * r : 3 * r + 3], b[c::3]) for r in range(3) for c in range(3))


def mat_from_quat(quat: Vec) -> Vec:
    """Return the rotation (9-tuple) of a unit quaternion."""
    w, x, y, z = quat
    return (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y))  # fmt: skip


def in_own_buffers(function: Callable[..., Any], always: Array, *args: Any) -> Any:
    """Call `function` with operands and results stored in buffers of their own; `always` is True at run time.

    XLA's CPU compiler would otherwise fuse the read of one row of a loop-carried buffer into the write of another, and
    then has to copy the whole buffer in every step (measured: 5 times slower). The branch of a conditional is a border
    that fusion does not cross. Other devices have no such trouble and would pay for the conditional.
    """
    if jax.default_backend() != "cpu":
        return function(*args)
    shapes = jax.eval_shape(function, *args)
    return lax.cond(always, function, lambda *_: jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes), *args)


def row(buffer: Array, index: Array) -> Array:
    """Return row `index` of `buffer`."""
    return lax.dynamic_index_in_dim(buffer, index, 0, keepdims=False)


def set_row(buffer: Array, value: Array, index: Array) -> Array:
    """Return `buffer` with row `index` replaced."""
    return lax.dynamic_update_index_in_dim(buffer, value, index, 0)


class Pose(NamedTuple):
    """World pose of every node: `mat` 9 and `pos` 3 arrays of shape (dof + 1, batch)."""

    mat: Vec
    pos: Vec


def joint_quats(tree: Tree, qpos: Float[Array, "nq batch"]) -> Vec:
    """Return the rotation of every node about its joint, 4 arrays (dof, batch); the identity for slides."""
    batch = qpos.shape[1:]
    half = jnp.zeros((tree.n_dof, *batch), qpos.dtype)
    hinge = ~tree.is_slide[tree.scalar_dof]
    if hinge.any():
        angle = qpos[tree.scalar_qadr[hinge]] - tree.scalar_ref[hinge, None].astype(qpos.dtype)
        half = half.at[tree.scalar_dof[hinge]].set(0.5 * angle)
    sine, axis = jnp.sin(half), tree.axis.astype(qpos.dtype)
    quat = (jnp.cos(half), *(sine * axis[:, k, None] for k in range(3)))
    if len(tree.ball_dof):
        ball = rotations.normalize(_rows(qpos, tree.ball_qadr, 4))
        quat = tuple(c.at[tree.ball_dof].set(ball[..., k]) for k, c in enumerate(quat))
    return quat


def _rows(array: Any, first: np.ndarray, count: int) -> Any:
    """Return `count` rows from each of the `first` ones: (first, batch, count)."""
    return rotations.namespace(array).moveaxis(array[first[:, None] + np.arange(count)], 1, -1)


def _with_rows(array: Any, rows: np.ndarray, values: Any) -> Any:
    """Return the array (row, batch) with some rows replaced."""
    if isinstance(array, jax.Array):
        return array.at[rows].set(values)
    out = array.copy()
    out[rows] = values
    return out


def local_transforms(tree: Tree, qpos: Float[Array, "nq batch"]) -> Pose:
    """Return the transform of every node from its parent: constant part, then the joint."""
    turn = mat_from_quat(joint_quats(tree, qpos))
    dtype = qpos.dtype
    anchor = columns(tree.anchor, dtype)
    shift = tuple(a - t for a, t in zip(anchor, rotate(turn, anchor), strict=True))
    slide = tree.is_slide[tree.scalar_dof]
    if slide.any():
        dof = tree.scalar_dof[slide]
        value = qpos[tree.scalar_qadr[slide]] - tree.scalar_ref[slide, None].astype(dtype)
        shift = tuple(s.at[dof].add(value * tree.axis[dof, k, None].astype(dtype)) for k, s in enumerate(shift))
    const, base = columns(tree.const_mat, dtype), columns(tree.const_pos, dtype)
    pos = tuple(b + p for b, p in zip(base, rotate(const, shift), strict=True))
    return Pose(multiply_mats(const, turn), pos)


def _compose(parent: Vec, local: Vec) -> Vec:
    mat, pos = parent[:9], parent[9:]
    moved = rotate(mat, local[9:])
    return (*multiply_mats(mat, local[:9]), *(p + m for p, m in zip(pos, moved, strict=True)))


def node_poses(tree: Tree, qpos: Float[Array, "nq batch"]) -> Pose:
    """Return the world pose of every node (node 0 is the world) at configurations `qpos`."""
    n, batch, dtype = tree.n_dof, qpos.shape[1], qpos.dtype
    buffers = tuple(jnp.full((n + 1, batch), 1.0 if k in (0, 4, 8) else 0.0, dtype) for k in range(12))
    if n == 0:
        return Pose(buffers[:9], buffers[9:])
    local = local_transforms(tree, qpos)

    def step(poses: Vec, node: tuple[Array, Array, Vec]) -> tuple[Vec, None]:
        index, parent, here = node
        world = in_own_buffers(_compose, index > 0, tuple(row(p, parent) for p in poses), here)
        return tuple(set_row(p, w, index) for p, w in zip(poses, world, strict=True)), None

    steps = (jnp.arange(1, n + 1), jnp.asarray(tree.parent), (*local.mat, *local.pos))
    poses, _ = lax.scan(step, buffers, steps)
    return Pose(poses[:9], poses[9:])


def points_on_nodes(pose: Pose, node: np.ndarray | Array, local: Vec) -> Vec:
    """Return world positions of points fixed to nodes; `local` holds 3 arrays (point, batch or 1)."""
    moved = rotate(tuple(m[node] for m in pose.mat), local)
    return tuple(p[node] + m for p, m in zip(pose.pos, moved, strict=True))


def marker_locals(tree: Tree, marker_body: np.ndarray | Array, offsets: Float[Rows, "keypoint 3"]) -> tuple[Rows, ...]:
    """Convert `offsets` in the frames of bodies to marker positions in the frames of nodes, 3 arrays (keypoint, 1)."""
    xp = rotations.namespace(offsets)
    mat, pos = (xp.asarray(a, offsets.dtype)[marker_body] for a in (tree.body_mat, tree.body_pos))
    local = xp.einsum("kij,kj->ki", mat, offsets) + pos
    return tuple(local[:, k, None] for k in range(3))


class Screw(NamedTuple):
    """Motion of every degree of freedom about an origin: angular and linear part, 3 arrays (dof, batch) each."""

    angular: Vec
    linear: Vec


def screws(tree: Tree, pose: Pose, origin: Vec) -> Screw:
    """Return world motion axes of all degrees of freedom; `linear`: velocity of the point at `origin`, 3 (batch,)."""
    dtype = pose.pos[0].dtype
    mat = tuple(m[1:] for m in pose.mat)
    axis, anchor = rotate(mat, columns(tree.axis, dtype)), rotate(mat, columns(tree.anchor, dtype))
    arm = tuple(a + p[1:] - o for a, p, o in zip(anchor, pose.pos, origin, strict=True))
    turning = jnp.asarray(~tree.is_slide[:, None], dtype)
    linear = tuple(jnp.where(tree.is_slide[:, None], a, c) for a, c in zip(axis, cross(arm, axis), strict=True))
    return Screw(tuple(a * turning for a in axis), linear)


def retract(tree: Tree, qpos: Float[Rows, "nq batch"], step: Float[Rows, "dof batch"]) -> Float[Rows, "nq batch"]:
    """Move `qpos` by a tangent `step` (MuJoCo's qvel order), then put it back within all joint limits."""
    xp, dof = rotations.namespace(qpos, step), tree.scalar_dof
    low, high = (bound[dof, None].astype(qpos.dtype) for bound in (tree.lower, tree.upper))
    moved = _with_rows(qpos, tree.scalar_qadr, xp.clip(qpos[tree.scalar_qadr] + step[dof], low, high))
    if not len(tree.ball_dof):
        return moved
    turn = rotations.from_rotation_vector(_rows(step, tree.ball_dof, 3))
    new = rotations.normalize(rotations.multiply(rotations.normalize(_rows(qpos, tree.ball_qadr, 4)), turn))
    new = _limit_angle(new, tree.ball_limit[:, None, None].astype(qpos.dtype))
    return _with_rows(moved, tree.ball_qadr[:, None] + np.arange(4), xp.moveaxis(new, -1, 1))


def _limit_angle(quat: Any, limit: np.ndarray) -> Any:
    """Shorten rotations to at most `limit` (rad), about the same axis."""
    if np.isinf(limit).all():
        return quat
    xp, vector = rotations.namespace(quat), rotations.rotation_vector(quat)
    angle = xp.sqrt(xp.maximum((vector**2).sum(-1, keepdims=True), 1e-20))
    return xp.where(angle > limit, rotations.from_rotation_vector(vector * xp.minimum(1.0, limit / angle)), quat)


def difference(tree: Tree, start: Float[Rows, "nq batch"], end: Float[Rows, "nq batch"]) -> Float[Rows, "dof batch"]:
    """Return the tangent step from `start` to `end`, inverse of `retract` (MuJoCo: mj_differentiatePos, dt = 1)."""
    xp = rotations.namespace(start, end)
    out = xp.zeros((tree.n_dof, *start.shape[1:]), start.dtype)
    out = _with_rows(out, tree.scalar_dof, end[tree.scalar_qadr] - start[tree.scalar_qadr])
    if not len(tree.ball_dof):
        return out
    begin, stop = (rotations.normalize(_rows(q, tree.ball_qadr, 4)) for q in (start, end))
    turn = xp.moveaxis(rotations.difference(stop, begin), -1, 1)
    return _with_rows(out, tree.ball_dof[:, None] + np.arange(3), turn)


@partial(jax.jit, static_argnames="tree")
def marker_positions(
    tree: Tree, marker_body: np.ndarray | Array, qpos: Float[Array, "frame nq"], offsets: Float[Array, "keypoint 3"]
) -> Float[Array, "frame keypoint 3"]:
    """Return the world positions of markers at `offsets` in the frames of their bodies."""
    node = jnp.asarray(tree.body_node)[marker_body]
    points = points_on_nodes(node_poses(tree, qpos.T), node, marker_locals(tree, marker_body, offsets))
    return jnp.stack(points, axis=-1).transpose(1, 0, 2)
