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
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from stac_mjx.kinematics.tree import Tree

Vec = tuple[Array, ...]


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


def multiply_quats(a: Vec, b: Vec) -> Vec:
    """Return the Hamilton product of two quaternions, wxyz."""
    return (
        a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3],
        a[0] * b[1] + a[1] * b[0] + a[2] * b[3] - a[3] * b[2],
        a[0] * b[2] - a[1] * b[3] + a[2] * b[0] + a[3] * b[1],
        a[0] * b[3] + a[1] * b[2] - a[2] * b[1] + a[3] * b[0],
    )


def normalize_quat(quat: Vec) -> Vec:
    """Return the unit quaternion; the identity where all components are zero, as MuJoCo does."""
    norm = jnp.sqrt(dot(quat, quat))
    safe = jnp.where(norm > 0, norm, 1.0)
    return (jnp.where(norm > 0, quat[0] / safe, 1.0), *(c / safe for c in quat[1:]))


def mat_from_quat(quat: Vec) -> Vec:
    """Return the rotation (9-tuple) of a unit quaternion."""
    w, x, y, z = quat
    return (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y))  # fmt: skip


def quat_from_rotvec(v: Vec) -> Vec:
    """Apply the exponential map: rotation vector (rad) to quaternion, smooth at zero."""
    angle_sq = dot(v, v)
    small = angle_sq < 1e-8
    angle = jnp.sqrt(jnp.where(small, 1.0, angle_sq))
    scale = jnp.where(small, 0.5 - angle_sq / 48, jnp.sin(0.5 * angle) / angle)
    return (jnp.where(small, 1 - angle_sq / 8, jnp.cos(0.5 * angle)), *(c * scale for c in v))


def rotvec_from_quat(quat: Vec) -> Vec:
    """Apply the logarithm: unit quaternion to the shortest rotation vector (rad)."""
    sign = jnp.where(quat[0] < 0, -1.0, 1.0)
    w, v = quat[0] * sign, tuple(c * sign for c in quat[1:])
    sine_sq = dot(v, v)
    small = sine_sq < 1e-10
    sine = jnp.sqrt(jnp.where(small, 1.0, sine_sq))
    scale = jnp.where(small, 2.0 + sine_sq / 3, 2 * jnp.arctan2(sine, w) / sine)
    return tuple(c * scale for c in v)


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
        ball = normalize_quat(tuple(qpos[tree.ball_qadr + k] for k in range(4)))
        quat = tuple(c.at[tree.ball_dof].set(b) for c, b in zip(quat, ball, strict=True))
    return quat


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


def marker_locals(tree: Tree, marker_body: np.ndarray | Array, offsets: Float[Array, "keypoint 3"]) -> Vec:
    """Convert `offsets` in the frames of bodies to marker positions in the frames of nodes, 3 arrays (keypoint, 1)."""
    mat, pos = (columns(jnp.asarray(a)[marker_body], offsets.dtype) for a in (tree.body_mat, tree.body_pos))
    turned = rotate(mat, tuple(offsets[:, k, None] for k in range(3)))
    return tuple(t + p for t, p in zip(turned, pos, strict=True))


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


def retract(tree: Tree, qpos: Float[Array, "nq batch"], step: Float[Array, "dof batch"]) -> Float[Array, "nq batch"]:
    """Move `qpos` by a tangent `step` (MuJoCo's qvel order), then put it back within all joint limits."""
    dtype = qpos.dtype
    dof = tree.scalar_dof
    moved = qpos[tree.scalar_qadr] + step[dof]
    low, high = (bound[dof, None].astype(dtype) for bound in (tree.lower, tree.upper))
    qpos = qpos.at[tree.scalar_qadr].set(jnp.clip(moved, low, high))
    if len(tree.ball_dof):
        old = normalize_quat(tuple(qpos[tree.ball_qadr + k] for k in range(4)))
        turn = quat_from_rotvec(tuple(step[tree.ball_dof + k] for k in range(3)))
        new = _limit_angle(normalize_quat(multiply_quats(old, turn)), tree.ball_limit[:, None].astype(dtype))
        for k in range(4):
            qpos = qpos.at[tree.ball_qadr + k].set(new[k])
    return qpos


def _limit_angle(quat: Vec, limit: np.ndarray) -> Vec:
    """Shorten the rotation to at most `limit` (rad), about the same axis."""
    if np.isinf(limit).all():
        return quat
    vector = rotvec_from_quat(quat)
    angle = jnp.sqrt(jnp.maximum(dot(vector, vector), 1e-20))
    short = quat_from_rotvec(tuple(v * jnp.minimum(1.0, limit / angle) for v in vector))
    return tuple(jnp.where(angle > limit, s, q) for s, q in zip(short, quat, strict=True))


def difference(tree: Tree, start: Float[Array, "nq batch"], end: Float[Array, "nq batch"]) -> Float[Array, "dof batch"]:
    """Return the tangent step from `start` to `end`, inverse of `retract` (MuJoCo: mj_differentiatePos, dt = 1)."""
    out = jnp.zeros((tree.n_dof, *start.shape[1:]), start.dtype)
    out = out.at[tree.scalar_dof].set(end[tree.scalar_qadr] - start[tree.scalar_qadr])
    if len(tree.ball_dof):
        a, b = (normalize_quat(tuple(q[tree.ball_qadr + k] for k in range(4))) for q in (start, end))
        turn = rotvec_from_quat(multiply_quats((a[0], -a[1], -a[2], -a[3]), b))
        for k in range(3):
            out = out.at[tree.ball_dof + k].set(turn[k])
    return out


class BodyPoses(NamedTuple):
    """World positions (frame, body, xyz) and orientations (frame, body, wxyz) of all bodies, `world` first."""

    xpos: Float[Array, "frame body 3"]
    xquat: Float[Array, "frame body 4"]


@partial(jax.jit, static_argnames="tree")
def body_poses(tree: Tree, qpos: Float[Array, "frame nq"]) -> BodyPoses:
    """Return the poses of all bodies; equal to MuJoCo's ``xpos`` and (up to its sign) ``xquat``."""
    pose = node_poses(tree, qpos.T)
    pos = points_on_nodes(pose, tree.body_node, columns(tree.body_pos, qpos.dtype))
    turned = multiply_mats(tuple(m[tree.body_node] for m in pose.mat), columns(tree.body_mat, qpos.dtype))
    quat = quat_from_mat(turned)
    return BodyPoses(*(jnp.stack(parts, axis=-1).transpose(1, 0, 2) for parts in (pos, quat)))


def quat_from_mat(mat: Vec) -> Vec:
    """Return the unit quaternion of a rotation (9-tuple), w >= 0; stable, because the largest component is the base."""
    xx, xy, xz, yx, yy, yz, zx, zy, zz = mat
    rows = jnp.stack([
        jnp.stack([1 + xx + yy + zz, zy - yz, xz - zx, yx - xy]),
        jnp.stack([zy - yz, 1 + xx - yy - zz, xy + yx, xz + zx]),
        jnp.stack([xz - zx, xy + yx, 1 - xx + yy - zz, yz + zy]),
        jnp.stack([yx - xy, xz + zx, yz + zy, 1 - xx - yy + zz]),
    ])  # fmt: skip
    largest = jnp.argmax(jnp.stack([rows[k, k] for k in range(4)]), axis=0)
    picked = jnp.take_along_axis(rows, largest[None, None], axis=0)[0]
    quat = normalize_quat(tuple(picked[k] for k in range(4)))
    sign = jnp.where(quat[0] < 0, -1.0, 1.0)
    return tuple(c * sign for c in quat)


@partial(jax.jit, static_argnames="tree")
def marker_positions(
    tree: Tree, marker_body: np.ndarray | Array, qpos: Float[Array, "frame nq"], offsets: Float[Array, "keypoint 3"]
) -> Float[Array, "frame keypoint 3"]:
    """Return the world positions of markers at `offsets` in the frames of their bodies."""
    pose = node_poses(tree, qpos.T)
    node = jnp.asarray(tree.body_node)[marker_body]
    mat = jnp.asarray(tree.body_mat, qpos.dtype)[marker_body]
    local = jnp.einsum("kij,kj->ki", mat, offsets) + jnp.asarray(tree.body_pos, qpos.dtype)[marker_body]
    points = points_on_nodes(pose, node, tuple(local[:, k, None] for k in range(3)))
    return jnp.stack(points, axis=-1).transpose(1, 0, 2)


@partial(jax.jit, static_argnames="tree")
def marker_jacobian(
    tree: Tree, marker_body: np.ndarray | Array, qpos: Float[Array, "frame nq"], offsets: Float[Array, "keypoint 3"]
) -> Float[Array, "frame keypoint 3 dof"]:
    """Return the derivative of marker positions with respect to a tangent step: MuJoCo's ``mj_jac`` at each marker."""
    pose = node_poses(tree, qpos.T)
    points = jnp.moveaxis(marker_positions(tree, marker_body, qpos, offsets), 0, -1)
    axes = screws(tree, pose, tuple(jnp.zeros_like(pose.pos[0][0]) for _ in range(3)))
    moves = jnp.asarray(tree.ancestors)[jnp.asarray(tree.body_node)[marker_body]]
    point = tuple(points[:, k][:, None] for k in range(3))
    velocity = cross(tuple(a[None] for a in axes.angular), point)
    columns = [jnp.where(moves[..., None], v + li[None], 0.0) for v, li in zip(velocity, axes.linear, strict=True)]
    return jnp.stack(columns, axis=1).transpose(3, 0, 1, 2)
