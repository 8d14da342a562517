"""Bounded Levenberg-Marquardt on the joint manifold, for many frames at once (pure JAX).

Each frame minimises, over poses q within the joint limits,

    sum_k w_k rho(|y_k - p_k(q)|^2)  +  sum_i c_i |q_i - m_i|^2        [mm^2]

with y_k the observed keypoints, p_k the markers, w_k confidences (0 = missing), rho an optional robust loss, and a
quadratic pull toward a reference pose m (pose prior, or the neighbours in time). Steps live in the tangent space, so
free and ball joints turn by proper SO(3) increments. Bounds are exact: a joint that sits on its limit and is pushed
outward is locked (projected Newton, Bertsekas 1982); the rest of the step is clipped at the limits.

An iteration costs one forward pass and one linear-time solve (`articulated`). A step that does not lower the cost is
shortened, and the damping grows. The result of a frame is a value (`Status`), never an exception.
"""

from __future__ import annotations

import enum
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from stac_mjx._common.rotations import namespace
from stac_mjx.body.body import Body
from stac_mjx.body.poses import marker_jacobian
from stac_mjx.kinematics.articulated import JointTerms, PointMasses, damped_step, joint_forces
from stac_mjx.kinematics.forward import Vec, difference, node_poses, points_on_nodes, retract, screws
from stac_mjx.kinematics.tree import Tree

MM = 1000.0
"""Costs are in mm^2, as tolerances are in mm; poses and positions are in metres."""
LARGEST_TURN = 1.0
"""Largest rotation of one joint in one iteration, rad; longer steps are shortened as a whole."""
DAMPING_FIRST, DAMPING_LEAST, DAMPING_MOST = 1e-2, 1e-5, 1e4
DAMPING_DOWN, DAMPING_UP, SHORTEN = 0.25, 6.0, 0.3


class Status(enum.IntEnum):
    """Result of a frame."""

    CONVERGED = 0
    MAX_ITERATIONS = 1
    NO_MARKERS = 2
    NON_FINITE = 3


class Robust(enum.StrEnum):
    """Loss on the distance r of a marker, with scale c: r^2; Huber's; Cauchy's c^2 log(1 + r^2 / c^2)."""

    NONE = "none"
    HUBER = "huber"
    CAUCHY = "cauchy"


class Problem(NamedTuple):
    """What a batch of frames is fitted to; lengths in metres, batch last."""

    target: Vec
    """Keypoints, 3 arrays (keypoint, batch); any finite number where the weight is 0."""
    weight: Array
    """(keypoint, batch)."""
    local: Vec
    """Marker positions in the frames of their nodes, 3 arrays (keypoint, 1)."""
    node: Array
    """Node of each marker, (keypoint,) int."""
    prior: Array
    """Reference pose m, (nq, batch)."""
    prior_weight: Array
    """(dof, batch) or (dof, 1), mm^2 per squared rad (slides: metre)."""
    movable: Array
    """1 where a degree of freedom is fitted, (dof, 1)."""
    damping: Array
    """Scale of the damping (`damping_scale`), (dof, 1), mm^2 per squared rad (slides: metre)."""
    robust_mm: Array
    """Scale of the robust loss, (keypoint, 1)."""


class State(NamedTuple):
    """Progress of a batch; batch last."""

    qpos: Array
    """Best pose so far."""
    trial: Array
    """Pose to evaluate next: `length` times `step` away from `qpos`."""
    step: Array
    cost: Array
    """Cost of `qpos`, mm^2."""
    damping: Array
    """Levenberg-Marquardt damping, in units of `Problem.damping`."""
    length: Array
    markers: Vec
    """Marker positions at `qpos`."""
    gain_mm: Array
    """What the last iteration gained in root mean square error; for a step that failed, a bound on what is left to gain
    (a tenth of the distance the markers would have moved)."""


def damping_scale(body: Body, offsets: Float[np.ndarray, "keypoint 3"]) -> Float[np.ndarray, "dof 1"]:
    """Return the diagonal of J'J at the reference pose: squared mm that markers move per squared rad (slides: metre).

    A floor keeps degrees of freedom that move no marker well conditioned. It counts slides in the model's own unit.
    """
    jacobian, unit = marker_jacobian(body, body.tree.qpos0[None], offsets)[0], body.tree.dof_unit
    diagonal = (jacobian**2).sum(axis=(0, 1)) * (MM * unit) ** 2
    floored = np.maximum(diagonal, 1e-4 * diagonal.max(initial=1e-6))
    return (floored / unit**2)[:, None].astype(np.float32)


def loss(squared: Any, scale: Any, robust: Robust) -> tuple[Any, Any]:
    """Return the robust loss of a squared distance, and its derivative (the weight of reweighted least squares).

    In JAX or NumPy; `scale` is broadcast.
    """
    xp = namespace(squared, scale)
    if robust is Robust.HUBER:
        distance = xp.sqrt(xp.maximum(squared, 1e-12))
        inside = distance <= scale
        return xp.where(inside, squared, 2 * scale * distance - scale**2), xp.where(inside, 1.0, scale / distance)
    if robust is Robust.CAUCHY:
        ratio = squared / scale**2
        return scale**2 * xp.log1p(ratio), 1 / (1 + ratio)
    return squared, xp.ones_like(squared)


def start(qpos: Float[np.ndarray, "nq batch"], n_dof: int, n_keypoints: int) -> State:
    """Return a state that evaluates `qpos` first."""
    batch, dtype = qpos.shape[1], qpos.dtype
    infinite, ones = np.full(batch, np.inf, dtype), np.ones(batch, dtype)
    nowhere = (np.full((n_keypoints, batch), np.inf, dtype),) * 3
    fields: list[Any] = [
        qpos,
        qpos,
        np.zeros((n_dof, batch), dtype),
        infinite,
        DAMPING_FIRST * ones,
        ones,
        nowhere,
        infinite,
    ]
    return jax.device_put(State(*fields))


def _iterate(tree: Tree, problem: Problem, robust: Robust, state: State) -> State:
    """Evaluate the trial pose, keep the better one, and propose the next."""
    pose = node_poses(tree, state.trial)
    markers = points_on_nodes(pose, problem.node, problem.local)
    residual = tuple((y - p) * MM for y, p in zip(problem.target, markers, strict=True))
    rho, reweight = loss(sum(r * r for r in residual), problem.robust_mm, robust)
    away = difference(tree, state.trial, problem.prior)
    cost = (problem.weight * rho).sum(0) + (problem.prior_weight * away**2).sum(0)
    better = cost < state.cost
    moved = sum(((p - q) * MM) ** 2 for p, q in zip(markers, state.markers, strict=True))
    total = jnp.maximum(problem.weight.sum(0), 1e-12)
    moved_mm = jnp.sqrt((problem.weight * moved).sum(0) / total)
    gained_mm = jnp.sqrt(state.cost / total) - jnp.sqrt(cost / total)

    qpos = jnp.where(better, state.trial, state.qpos)
    factor = jnp.where(better, DAMPING_DOWN, DAMPING_UP)
    damping = jnp.clip(state.damping * factor, DAMPING_LEAST, DAMPING_MOST)
    length = jnp.where(better, 1.0, state.length * SHORTEN)

    origin = tuple(m.mean(0) for m in markers)
    axes = screws(tree, pose, origin)
    axes = axes._replace(linear=tuple(MM * a for a in axes.linear))
    weight = problem.weight * reweight
    masses = PointMasses(
        tuple((p - o) * MM for p, o in zip(markers, origin, strict=True)),
        weight,
        tuple(weight * r for r in residual),
    )
    tau = problem.prior_weight * away
    downhill = joint_forces(tree, problem.node, axes, masses) + tau
    free = problem.movable * _inside(tree, state.trial, downhill)
    diagonal = damping * problem.damping + problem.prior_weight
    step = damped_step(tree, problem.node, axes, masses, JointTerms(diagonal, free, jnp.broadcast_to(tau, free.shape)))
    turn = jnp.max(jnp.abs(jnp.where(tree.is_slide[:, None], 0.0, step)), axis=0, initial=0.0)
    step = jnp.where(better, step * jnp.minimum(1.0, LARGEST_TURN / jnp.maximum(turn, 1e-12)), state.step)
    return State(
        qpos=qpos,
        trial=retract(tree, qpos, length * step),
        step=step,
        cost=jnp.where(better, cost, state.cost),
        damping=damping,
        length=length,
        markers=tuple(jnp.where(better, p, q) for p, q in zip(markers, state.markers, strict=True)),
        gain_mm=jnp.where(better, gained_mm, 0.1 * moved_mm),
    )


def _inside(tree: Tree, qpos: Array, downhill: Array) -> Array:
    """Return 1 where a joint may move: not on its limit, or pulled inward."""
    value = jnp.zeros_like(downhill).at[tree.scalar_dof].set(qpos[tree.scalar_qadr])
    low, high = (bound[:, None].astype(qpos.dtype) for bound in (tree.lower, tree.upper))
    stuck = ((value <= low) & (downhill < 0)) | ((value >= high) & (downhill > 0))
    return jnp.where(stuck, 0.0, 1.0).astype(qpos.dtype)


@partial(jax.jit, static_argnames=("tree", "robust"))
def iterate(tree: Tree, problem: Problem, state: State, robust: Robust, n_iterations: Array) -> State:
    """Run `n_iterations` on every frame of the batch."""
    return lax.fori_loop(0, n_iterations, lambda _, s: _iterate(tree, problem, robust, s), state)
