"""Standard errors of solved poses, for every frame and degree of freedom, from the solver's own normal equations.

The pose of a frame is q = A^-1 (J' W y + C q0) to first order, with ``A = J' W J + C``, W the confidence of keypoints
times the weight of the robust loss, and C the pull toward a reference pose q0. So its covariance is

    A^-1 (J' W V W J  +  C S C) A^-1  +  K R cov(m) R' K',      K = A^-1 J' W

V is the noise of the keypoints, estimated from the residuals: each keypoint has its own, and residuals are smaller than
noise by what the fit takes up. S is how far a pose may be from q0: anywhere within the limits of the joint, or, where a
gap is bridged, as far as poses of this recording are from the middle of their neighbours at such a distance. Limits
hold a joint about as a prior of twice their own variance would, which is added to C. But the solver clips a joint that
noise drives to its limits, which leaves a larger error than such a prior; S is enlarged by it (`_at_limits`). cov(m) is
the covariance of the offsets (`precision.offset_errors`); its part is taken as the same in all frames. The part of a
degree of freedom that the keypoints determine, its resolution, is ``1 - (A^-1 C)_ii``.

Both terms of the first part are derivatives: A^-1 B A^-1 is minus that of A^-1 when A grows by B. Joints on a limit are
counted as if they could pass it. Correlation of the errors over time plays no part, as each frame is solved alone;
`solver.smoothness_mm`, which would lower the errors, is not counted.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from scipy.special import ndtr

from stac_mjx.calibration.precision import Linear, linearised
from stac_mjx.inverse_kinematics.levenberg import MM, Robust, Status, loss
from stac_mjx.inverse_kinematics.pose_solver import Observation, PoseSolver, markers_at, pad_rows, slices
from stac_mjx.kinematics import trajectory
from stac_mjx.kinematics.articulated import inverse_diagonal
from stac_mjx.kinematics.forward import marker_locals, node_poses, points_on_nodes, screws
from stac_mjx.kinematics.tree import Tree
from stac_mjx.records import thinned

BATCH = 128
"""Frames computed at once; small enough for the cache of a core."""
SAMPLED = 250
"""Frames that the noise, and what depends on it, is estimated from."""
POOLED, LEAST_NOISE = 20.0, 0.01
"""Coordinates that the common variance counts as in that of each keypoint; the smallest part of it one may have."""
DETERMINED, FEWEST = 0.9, 2
"""Keypoints determine a joint beyond this resolution in all frames; fewer such joints do not show how far joints go."""
OBSERVED = 0.5
"""Keypoints observe a joint when this part of its angle comes from them rather than from the neutral pose, in one of
the frames looked at."""
PASSES = 4
"""Times the errors of joints that are clipped at their limits are passed on to the others."""
LAG_FRAMES = 1000
"""Frames that the distance of a pose from its neighbours is measured at."""
LEAST = 1e-6
"""Smallest pull, mm^2 per squared rad, where the solver has none."""


@dataclass(frozen=True)
class PoseErrors:
    """How well poses are known."""

    stderr: Float[np.ndarray, "frame dof"]
    """Standard error of each degree of freedom, rad (slides: metres); NaN in frames without a pose."""
    resolution: Float[np.ndarray, "frame dof"]
    """Part of each estimate that comes from the keypoints, 0..1; NaN in frames without a pose."""
    observed: Bool[np.ndarray, " dof"]
    """Whether keypoints rather than the neutral pose of the solver determine it in some frame."""

    def resampled(self, plan: trajectory.Resampling) -> PoseErrors:
        """Return those of interpolated frames: the worse of the two they are between."""
        first, last = plan.first, plan.last
        return PoseErrors(
            np.maximum(self.stderr[first], self.stderr[last]),
            np.minimum(self.resolution[first], self.resolution[last]),
            self.observed,
        )


@dataclass(frozen=True)
class Solved:
    """Poses of a recording, and what they were solved with."""

    qpos: Float[np.ndarray, "frame nq"]
    """Metres."""
    status: np.ndarray
    """`levenberg.Status` of each frame."""
    observation: Observation
    offsets: Float[np.ndarray, "keypoint 3"]
    """Metres."""
    offset_covariance: Float[np.ndarray, "size size"] | None
    """Of all coordinates of the offsets, metres^2, NaN where unknown; None: they are exact."""
    robust_mm: Float[np.ndarray, " keypoint"]
    """Scale of the robust loss."""


class _Frames(NamedTuple):
    """Some frames, batch last: poses, weights W, W V W, and S."""

    qpos: Array
    weight: Array
    noise: Array
    spread: Array


def pose_errors(solver: PoseSolver, solved: Solved) -> PoseErrors:
    """Return standard errors and resolution of all frames."""
    tree = solver.tree
    residual = np.where(
        solved.observation.present[..., None],
        MM * (solved.observation.target - markers_at(solver, solved.offsets, solved.qpos)),
        0.0,
    )
    squared = (residual**2).sum(axis=-1)
    weight, outlier = _trust(solver, solved, squared)
    linear, some = _sample(solver, solved, weight * ~outlier)
    noise = _noise(linear, (weight * ~outlier)[some], residual[some])
    variance = np.where(outlier, squared / 3, noise)
    constant = np.zeros(tree.n_dof)
    if solved.offset_covariance is not None:
        # a few frames with hardly a keypoint would dominate a mean
        constant = np.median(linear.spread(MM**2 * np.nan_to_num(solved.offset_covariance)), axis=0)
    reach = _reach(solver)
    pull = solver.prior_weight.astype(np.float64) + np.where(np.isfinite(reach), noise.mean() / (2 * reach), LEAST)
    usual = _at_limits(solver, linear, noise, pull, _used(solver, solved.qpos[some], linear))
    spread, row = _spread(solver, solved, usual)
    stderr, resolution = (np.full((len(weight), tree.n_dof), np.nan, np.float32) for _ in range(2))

    def work(part: slice) -> None:
        with jax.enable_x64(True):
            rows = (solved.qpos[part].astype(np.float64), weight[part], (weight**2 * variance)[part], spread[row[part]])
            frames = _Frames(*(jnp.asarray(pad_rows(row, BATCH).T) for row in rows))
            inverse, found = _variances(tree, (solver.body.marker_body, solved.offsets), pull, frames)
        n = part.stop - part.start
        resolution[part] = np.clip(1 - pull * np.asarray(inverse).T[:n], 0.0, 1.0)
        stderr[part] = np.sqrt(np.maximum(np.asarray(found).T[:n], 0.0) + constant)

    with ThreadPoolExecutor(solver.threads) as pool:
        list(pool.map(work, slices(len(weight), BATCH)))
    unusable = solved.status >= Status.NO_MARKERS
    stderr[unusable], resolution[unusable] = np.nan, np.nan
    node = tree.body_node[solver.body.marker_body]
    moved = tree.ancestors[node[np.ravel(solved.observation.present.any(axis=0))]].any(axis=0)
    most = linear.resolution.max(axis=0)
    return PoseErrors(stderr, resolution, moved & ((most > OBSERVED) | (most == 0)))  # 0: always at a limit


def compile_errors(solver: PoseSolver) -> None:
    """Compile what `pose_errors` runs, on frames without keypoints."""
    tree, markers = solver.tree, (solver.body.marker_body, solver.body.marker_offset)
    unseen, spread = np.zeros((len(markers[0]), BATCH)), np.ones((tree.n_dof, BATCH))
    with jax.enable_x64(True):
        frames = _Frames(*(jnp.asarray(a) for a in (np.tile(tree.qpos0[:, None], BATCH), unseen, unseen, spread)))
        _variances(tree, markers, np.ones(tree.n_dof), frames)


@partial(jax.jit, static_argnames="tree")
def _variances(tree: Tree, markers: tuple[Array, Array], pull: Array, frames: _Frames) -> tuple[Array, Array]:
    """Return the diagonals of A^-1 and of A^-1 (J' W V W J + C S C) A^-1, batch last; `markers`: bodies, offsets."""
    pose = node_poses(tree, frames.qpos)
    node = jnp.asarray(tree.body_node)[markers[0]]
    points = points_on_nodes(pose, node, marker_locals(tree, *markers))
    origin = tuple(p.mean(0) for p in points)
    axes = screws(tree, pose, origin)
    axes = axes._replace(linear=tuple(MM * a for a in axes.linear))
    place = tuple(MM * (p - o) for p, o in zip(points, origin, strict=True))
    held = jnp.broadcast_to(pull[:, None], frames.spread.shape)
    inverse, slope = jax.jvp(
        lambda w, c: inverse_diagonal(tree, node, axes, place, w, c),
        (frames.weight, held),
        (frames.noise, held**2 * frames.spread),
    )
    return inverse, -slope


def _trust(
    solver: PoseSolver, solved: Solved, squared: Float[np.ndarray, "frame keypoint"]
) -> tuple[Float[np.ndarray, "frame keypoint"], Bool[np.ndarray, "frame keypoint"]]:
    """Return the weight of each keypoint in the solution, and whether it counts as an outlier."""
    confidence, scale = solved.observation.weight, solved.robust_mm
    if solver.robust is Robust.NONE:
        return confidence, np.zeros(confidence.shape, bool)
    return confidence * loss(squared, scale, solver.robust)[1], squared > scale**2


def _sample(solver: PoseSolver, solved: Solved, weight: np.ndarray) -> tuple[Linear, Int[np.ndarray, " frame"]]:
    """Linearise the fit of some frames under `weight`; return their numbers too."""
    frames = np.flatnonzero(solved.status < Status.NO_MARKERS)
    frames = frames[thinned(len(frames), SAMPLED)]
    some = replace(solved.observation.take(frames), weight=weight[frames])
    return linearised(solver, solved.qpos[frames], solved.offsets, some), frames


def _noise(linear: Linear, weight: np.ndarray, residual: np.ndarray) -> Float[np.ndarray, " keypoint"]:
    """Return the variance of the noise on each coordinate of each keypoint, mm^2.

    Residuals are (I - H) times noise, H = J K. So the sums of squares of all keypoints are linear in their variances,
    which are solved for (Rao 1971, MINQUE), held to the common variance where residuals say little.
    """
    n_keypoints = weight.shape[1]
    seen = np.repeat(weight > 0, 3, axis=1).astype(np.float64)
    left = seen[..., None] * (np.eye(3 * n_keypoints) - linear.jacobian @ linear.gain) * seen[:, None]
    shares = (left**2).sum(axis=0).reshape(n_keypoints, 3, n_keypoints, 3).sum(axis=(1, 3))
    total = ((weight > 0)[..., None] * residual**2).sum(axis=(0, 2))
    common = total.sum() / max(shares.sum(), 1e-9)
    noise = np.linalg.solve(shares + POOLED * np.eye(n_keypoints), total + POOLED * common)
    return np.maximum(noise, LEAST_NOISE * common)


def _reach(solver: PoseSolver) -> Float[np.ndarray, " dof"]:
    """Return the mean squared distance from the neutral pose, were all poses within the limits equally likely.

    Infinite without limits.
    """
    tree, dof, out = solver.tree, solver.tree.scalar_dof, np.full(solver.tree.n_dof, np.inf)
    neutral = solver.neutral[tree.scalar_qadr]
    bounded = np.isfinite(tree.upper[dof] - tree.lower[dof])
    low, high = ((limit[dof] - neutral)[bounded] for limit in (tree.lower, tree.upper))
    out[dof[bounded]] = np.maximum(low**2 + low * high + high**2, 1e-12) / 3
    for first, limit in zip(tree.ball_dof, tree.ball_limit, strict=True):
        out[first : first + 3] = min(limit, np.inf) ** 2 / 3
    return out


def _used(solver: PoseSolver, qpos: np.ndarray, linear: Linear) -> float:
    """Return how much of their limits poses use: the mean squared distance from the neutral pose, over `_reach`.

    That of joints that keypoints determine; 1 where there are too few.
    """
    tree, reach = solver.tree, _reach(solver)
    away = trajectory.steps(tree, np.tile(solver.neutral, (len(qpos), 1)), qpos)
    known = np.isfinite(reach) & (linear.resolution.min(axis=0, initial=1.0) > DETERMINED)
    return float(np.median(((away**2).mean(axis=0) / reach)[known])) if known.sum() >= FEWEST else 1.0


def _at_limits(
    solver: PoseSolver, linear: Linear, noise: np.ndarray, pull: np.ndarray, used: float
) -> Float[np.ndarray, " dof"]:
    """Return S of the neutral pose: with it, joints have the errors of estimates that are clipped at their limits.

    Without its own prior, a joint would have the error e. The solver keeps the part k of it that its own, weak prior
    leaves, and clips it, so its variance is that of `_clipped` for k e, and (1 - k)^2 of the distance to the neutral
    pose. S is what gives this variance on average over the frames of `linear`. Without limits, turns are equally likely
    to be any, and slides are up to the size of the body.
    """
    tree, reach = solver.tree, _reach(solver)
    bounded = np.isfinite(reach)
    limit = np.sqrt(3 * np.where(bounded, reach, 1.0))
    away = np.where(bounded, used * reach, np.where(tree.is_slide, solver.body.size_m**2, np.pi**2 / 3))
    weighted = np.swapaxes(linear.weight * linear.jacobian, 1, 2)
    inverse = np.linalg.inv(weighted @ linear.jacobian + np.diag(pull))
    held = pull * np.diagonal(inverse, axis1=1, axis2=2)
    of_noise = ((inverse @ weighted) ** 2 @ np.repeat(noise, 3)[:, None])[..., 0]
    free = np.abs(linear.jacobian).max(axis=1) > 0
    kept = np.where(free, linear.resolution, 0.0).sum(axis=0) / np.maximum(free.sum(axis=0), 1)
    spread, table = away, _clipped(min(used, 1.0))
    for _ in range(PASSES):
        variance = of_noise + (inverse * pull) ** 2 @ spread
        alone = np.sqrt(np.maximum(variance - held**2 * spread, 0.0)) / np.maximum(1 - held, 1e-6)
        own = limit**2 * np.interp(kept * alone / limit, *table) + (1 - kept) ** 2 * away
        wanted = np.where(free, held**2 * (own - variance + held**2 * spread), 0.0).sum(axis=0)
        found = wanted / np.maximum(np.where(free, held**4, 0.0).sum(axis=0), 1e-12)
        spread = np.where(bounded & free.any(axis=0), np.maximum(found, away), away)
    return spread


def _clipped(used: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean squared error of a joint within -1 to 1 for some standard errors before it is clipped there.

    True angles are equally likely to be any within the part of the limits that is `used`.
    """
    error = np.concatenate([[0.0], np.geomspace(1e-3, 1e3, 300)])[:, None]
    true = np.sqrt(used) * np.linspace(-1, 1, 41)
    low, high = (-1 - true) / np.maximum(error, 1e-9), (1 - true) / np.maximum(error, 1e-9)
    inside = ndtr(high) - ndtr(low) - high * _density(high) + low * _density(low)
    squared = error**2 * inside + (1 - true) ** 2 * ndtr(-high) + (1 + true) ** 2 * ndtr(low)
    return error[:, 0], squared.mean(axis=1)


def _spread(
    solver: PoseSolver, solved: Solved, reach: Float[np.ndarray, " dof"]
) -> tuple[Float[np.ndarray, "row dof"], Int[np.ndarray, " frame"]]:
    """Return values of S, and which of them each frame has: the first where the prior is the neutral pose.

    In a gap the prior is the pose between complete neighbours a and b frames away. An error of interpolation grows with
    ``a b``, so it is that of the middle of two poses sqrt(a b) frames away.
    """
    lengths, present = solved.observation.clip_lengths, solved.observation.present
    complete = (solved.status < Status.NO_MARKERS) & present[:, present.any(axis=0)].all(axis=1)
    if complete.all() or not complete.any():
        return reach[None], np.zeros(len(complete), np.int64)
    stop = np.repeat(np.cumsum(lengths), lengths)
    start = stop - np.repeat(lengths, lengths)
    frame = np.arange(len(complete))
    last = np.maximum.accumulate(np.where(complete, frame, -1))
    following = np.minimum.accumulate(np.where(complete, frame, len(frame))[::-1])[::-1]
    before = np.where(last >= start, frame - last, 0)
    after = np.where(following < stop, following - frame, 0)
    lags = 2 ** np.arange(int(np.log2(lengths.max())) + 1)
    lag = np.where((before > 0) & (after > 0), np.sqrt(before * after), before + after)
    row = 1 + np.round(np.log2(np.maximum(lag, 1))).astype(int) + len(lags) * ((before == 0) | (after == 0))
    table = [reach]
    for both in (True, False):
        for step in lags.tolist():
            away = np.array([-step, step * both])
            inside = (frame + away[0] >= start) & (frame + away[1] < stop) & complete
            middle = frame[inside & complete[np.clip(frame + away[:, None], 0, len(frame) - 1)].all(axis=0)]
            table.append(np.minimum(reach, _departure(solver, solved.qpos, middle, away)) if len(middle) else reach)
    return np.array(table), np.where(lag > 0, row, 0)


def _departure(solver: PoseSolver, qpos: np.ndarray, frames: np.ndarray, away: np.ndarray) -> Float[np.ndarray, " dof"]:
    """Return the mean squared distance of poses from the one between those `away` frames before and after."""
    some = frames[thinned(len(frames), LAG_FRAMES)]
    first, second = (qpos[some + shift] for shift in away)
    if not away[1]:
        second = first
    middle = trajectory.between(solver.tree, first, second, np.full(len(some), 0.5))
    return (trajectory.steps(solver.tree, middle, qpos[some]) ** 2).mean(axis=0)


def _density(x: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi)
