"""The damped normal equations of a marker-fitting problem, solved on the tree in linear time.

One Gauss-Newton step of inverse kinematics solves ``(J' W J + D) x = J' W r + t``, with J the Jacobian of the markers,
W their weights, D a diagonal (damping, pose prior) and t a generalised force (pull of the prior). ``J' W J`` is the
joint space inertia matrix of a body whose only mass is a point mass ``w_k`` at every marker, and D is what roboticists
call rotor inertia or armature. So x is the acceleration of that body under the forces ``w_k r_k`` at the markers, and
Featherstone's articulated-body algorithm (Rigid Body Dynamics Algorithms, 2008, chapter 7) yields it in O(n)
operations, without forming a matrix: for the rat (73 degrees of freedom, 23 keypoints) about a twentieth of the
arithmetic of a dense Cholesky factorisation. Everything is expressed in world axes about one origin per frame, so links
need no transforms.

A degree of freedom is locked (step 0) where `free` is 0.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from stac_mjx.kinematics.forward import Screw, Vec, cross, dot, in_own_buffers, row, set_row
from stac_mjx.kinematics.tree import Tree

_PAIRS = tuple((r, c) for r in range(6) for c in range(r, 6))
_PLACE = {pair: k for k, (r, c) in enumerate(_PAIRS) for pair in ((r, c), (c, r))}


class PointMasses(NamedTuple):
    """Weighted markers: `pos` (3 arrays, relative to the origin), `weight`, and `pull` = weight * residual (3 arrays).

    All arrays are (keypoint, batch).
    """

    pos: Vec
    weight: Array
    pull: Vec


class JointTerms(NamedTuple):
    """What joints add to the equations, (dof, batch) each."""

    diagonal: Array
    """Damping and prior, positive."""
    free: Array
    """1 where a degree of freedom may move, else 0."""
    tau: Array
    """Generalised force in addition to the pull of the markers."""


def _symmetric_product(matrix: Vec, vector: Vec) -> Vec:
    """Return the product of a symmetric 6 x 6 matrix (21 arrays, upper triangle by rows) with a vector of 6 arrays."""
    return tuple(dot(tuple(matrix[_PLACE[r, c]] for c in range(6)), vector) for r in range(6))


def _point_inertia(pos: Vec, weight: Array) -> Vec:
    """Return the spatial inertia of a point mass about the origin: 21 arrays; motion vectors are (angular, linear)."""
    x, y, z = pos
    zero = jnp.zeros_like(weight)
    wx, wy, wz = weight * x, weight * y, weight * z
    return (wy * y + wz * z, -wx * y, -wx * z, zero, -wz, wy,
            wx * x + wz * z, -wy * z, wz, zero, -wx,
            wx * x + wy * y, -wy, wx, zero,
            weight, zero, zero, weight, zero, weight)  # fmt: skip


def _load_nodes(tree: Tree, node: Array, masses: PointMasses) -> Vec:
    """Sum inertia (21) and force (6) of the markers of every node: 27 arrays (dof + 1, batch)."""
    shape, dtype = (tree.n_dof + 1, masses.weight.shape[1]), masses.weight.dtype

    def loaded(rows: Vec, pos: Vec, weight: Array, pull: Vec) -> Vec:
        added = (*_point_inertia(pos, weight), *cross(pos, pull), *pull)
        return tuple(r + a for r, a in zip(rows, added, strict=True))

    def step(loads: Vec, marker: tuple[Array, PointMasses]) -> tuple[Vec, None]:
        where, mass = marker
        rows = in_own_buffers(loaded, where >= 0, tuple(row(load, where) for load in loads), *mass)
        return tuple(set_row(load, r, where) for load, r in zip(loads, rows, strict=True)), None

    empty = tuple(jnp.zeros(shape, dtype) for _ in range(27))
    return lax.scan(step, empty, (node, masses))[0]


def joint_forces(tree: Tree, node: Array, axes: Screw, masses: PointMasses) -> Float[Array, "dof batch"]:
    """Return ``J' W r``: the force of all markers below a joint along its axis."""
    moves = jnp.asarray(tree.ancestors, masses.weight.dtype)[node]
    wrench = jnp.stack([*cross(masses.pos, masses.pull), *masses.pull], axis=1)
    below = jnp.einsum("ki,kcb->cib", moves, wrench)
    return dot((*axes.angular, *axes.linear), tuple(below[c] for c in range(6)))


def _eliminate(inertia: Vec, force: Vec, axis: Vec, terms: JointTerms) -> tuple[Vec, Vec, Array]:
    """Return column U of the joint, U / D and u / D (Featherstone 7.42 to 7.44); zero where the joint is locked."""
    column = _symmetric_product(inertia, axis)
    inverse = terms.free / (dot(axis, column) + terms.diagonal)
    return column, tuple(c * inverse for c in column), (dot(axis, force) + terms.tau) * inverse


def _pass_up(here: Vec, above: Vec, column: Vec, scaled: Vec, gain: Array) -> Vec:
    """Return what a node adds to its parent once its joint is eliminated: inertia minus U U'/D, force minus U u / D."""
    inertia = [i - scaled[r] * column[c] for i, (r, c) in zip(here[:21], _PAIRS, strict=True)]
    force = [f - c * gain for f, c in zip(here[21:], column, strict=True)]
    return tuple(a + x for a, x in zip(above, (*inertia, *force), strict=True))


def _backward(tree: Tree, loads: Vec, axes: Vec, joints: JointTerms) -> tuple[Vec, Array]:
    """Eliminate every joint, leaves to root; return U / D (6 arrays) and u / D, each (dof, batch)."""

    def step(loads: Vec, joint: tuple) -> tuple[Vec, tuple[Vec, Array]]:
        index, parent, axis, terms = joint
        always = index > 0
        here, above = (tuple(row(load, k) for load in loads) for k in (index, parent))
        column, scaled, gain = in_own_buffers(_eliminate, always, here[:21], here[21:], axis, terms)
        passed = in_own_buffers(_pass_up, always, here, above, column, scaled, gain)
        return tuple(set_row(load, p, parent) for load, p in zip(loads, passed, strict=True)), (scaled, gain)

    steps = (jnp.arange(1, tree.n_dof + 1), jnp.asarray(tree.parent), axes, joints)
    return lax.scan(step, loads, steps, reverse=True)[1]


def _forward(tree: Tree, axes: Vec, scaled: Vec, gain: Array) -> Array:
    """Return the step of every joint, root to leaves, given the motion of its parent."""

    def move(motion: Vec, axis: Vec, scaled: Vec, gain: Array) -> tuple[Vec, Array]:
        step = gain - dot(scaled, motion)
        return tuple(m + a * step for m, a in zip(motion, axis, strict=True)), step

    def step(motions: Vec, joint: tuple) -> tuple[Vec, Array]:
        index, parent, axis, scaled, gain = joint
        motion, out = in_own_buffers(move, index > 0, tuple(row(m, parent) for m in motions), axis, scaled, gain)
        return tuple(set_row(m, x, index) for m, x in zip(motions, motion, strict=True)), out

    rest = tuple(jnp.zeros((tree.n_dof + 1, gain.shape[1]), gain.dtype) for _ in range(6))
    steps = (jnp.arange(1, tree.n_dof + 1), jnp.asarray(tree.parent), axes, scaled, gain)
    return lax.scan(step, rest, steps)[1]


def damped_step(
    tree: Tree, node: Array, axes: Screw, masses: PointMasses, joints: JointTerms
) -> Float[Array, "dof batch"]:
    """Solve ``(J' W J + diag(diagonal)) x = J' W r + tau`` over the degrees of freedom where `free` is 1.

    Args:
        tree: the kinematic tree.
        node: (keypoint,) node every marker hangs on.
        axes: motion axes about the same origin as `masses.pos`.
        masses: weighted markers.
        joints: what is added joint by joint.
    """
    motion = (*axes.angular, *axes.linear)
    scaled, gain = _backward(tree, _load_nodes(tree, node, masses), motion, joints)
    return _forward(tree, motion, scaled, gain)


_CROSS = np.zeros((3, 3, 3))
_CROSS[[0, 1, 2], [1, 2, 0], [2, 0, 1]], _CROSS[[0, 1, 2], [2, 0, 1], [1, 2, 0]] = 1.0, -1.0
"""(a x b)_i = sum_jk _CROSS_ijk a_j b_k."""


def inverse_diagonal(
    tree: Tree, node: Array, axes: Screw, pos: Vec, weight: Float[Array, "keypoint batch"], diagonal: Array
) -> Float[Array, "dof batch"]:
    """Return the diagonal of ``(J' W J + diag(diagonal))^-1`` in linear time; arguments as in `damped_step`.

    These are the variances of steps with that matrix as information. Once the joints below it are eliminated, a step is
    ``x = e - (U / D)' m``, with m the motion of its parent and e independent, of variance 1 / D. So the covariance of
    motions is known from the root outward (the smoother of Rauch, Tung and Striebel, on a tree). Matrices are whole
    arrays here, (6, 6, batch), because compilation takes longer than the arithmetic.
    """
    motion, point = jnp.stack([*axes.angular, *axes.linear], axis=1), jnp.stack(pos, axis=1)
    turning = jnp.einsum("rcj,kjb->krcb", jnp.asarray(_CROSS, point.dtype), point)
    moving = jnp.broadcast_to(jnp.eye(3, dtype=point.dtype)[..., None], turning.shape)
    velocity = jnp.concatenate([turning, moving], axis=2)  # of a point, per motion of its node
    empty = jnp.zeros((tree.n_dof + 1, 6, 6, weight.shape[1]), point.dtype)
    loads = empty.at[node].add(jnp.einsum("kb,kirb,kicb->krcb", weight, velocity, velocity))

    def eliminate(inertia: Array, axis: Array, diagonal: Array) -> tuple[Array, Array, Array]:
        column = (inertia * axis).sum(axis=1)
        inverse = 1 / ((axis * column).sum(axis=0) + diagonal)
        scaled = column * inverse
        return inertia - scaled[:, None] * column, scaled, inverse

    def up(loads: Array, joint: tuple) -> tuple[Array, tuple[Array, Array]]:
        index, parent, axis, diagonal = joint
        rest, scaled, inverse = in_own_buffers(eliminate, index > 0, row(loads, index), axis, diagonal)
        above = in_own_buffers(jnp.add, index > 0, row(loads, parent), rest)
        return set_row(loads, above, parent), (scaled, inverse)

    def move(above: Array, axis: Array, scaled: Array, inverse: Array) -> tuple[Array, Array]:
        shared = (above * scaled).sum(axis=1)
        variance = inverse + (scaled * shared).sum(axis=0)
        both = axis[:, None] * shared
        return above + variance * axis[:, None] * axis - both - jnp.swapaxes(both, 0, 1), variance

    def down(covariances: Array, joint: tuple) -> tuple[Array, Array]:
        index, parent, *terms = joint
        here, variance = in_own_buffers(move, index > 0, row(covariances, parent), *terms)
        return set_row(covariances, here, index), variance

    joints = (jnp.arange(1, tree.n_dof + 1), jnp.asarray(tree.parent), motion)
    scaled, inverse = lax.scan(up, loads, (*joints, diagonal), reverse=True)[1]
    return lax.scan(down, empty, (*joints, scaled, inverse))[1]
