"""Solve frames in padded batches of one shape, in parallel on a CPU; converged frames leave the batches.

One batch size means one compiled program. Arrays are (frame, ...); lengths are in metres.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import numpy as np

from stac_mjx.inverse_kinematics import levenberg
from stac_mjx.inverse_kinematics.levenberg import Problem, State, Status
from stac_mjx.inverse_kinematics.pose_solver import Fit, PoseSolver, Target, errors_mm, pad_rows, slices

ROUND = 4
"""Iterations between two checks for converged frames."""
REPACK_BELOW = 0.75
"""Frames are packed into new batches when that leaves at most this part of the batches."""
Progress = Callable[[int], None]


def no_progress(_n_frames: int) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Pull:
    """Quadratic pull of poses toward a reference."""

    qpos: np.ndarray
    """Reference poses, (frame, nq)."""
    weight: np.ndarray
    """Weights, (frame, dof), mm^2 per squared rad (slides: metre)."""


@dataclass(frozen=True)
class _Batch:
    """Frames that are solved together, on the device."""

    frames: np.ndarray
    """Their numbers, without the padding."""
    problem: Problem
    state: State

    def gain_mm(self) -> np.ndarray:
        """Return what the last iteration gained, (frame,)."""
        return np.asarray(self.state.gain_mm)[: len(self.frames)]

    def collect(self, qpos: np.ndarray, gain_mm: np.ndarray) -> None:
        """Write the best poses so far, and what the last iteration gained, into arrays of the whole set."""
        qpos[self.frames] = np.asarray(self.state.qpos)[:, : len(self.frames)].T
        gain_mm[self.frames] = self.gain_mm()


def improve(
    solver: PoseSolver,
    target: Target,
    qpos: np.ndarray,
    *,
    iterations: int | None = None,
    pull: Pull | None = None,
    progress: Progress = no_progress,
) -> Fit:
    """Improve poses of all frames.

    Args:
        solver: body and settings.
        target: what the poses are fitted to.
        qpos: where the frames start, (frame, nq).
        iterations: run this many on every frame; None: until each frame has converged.
        pull: pull of the poses; None: toward the neutral pose.
        progress: called with the number of frames that are done.
    """
    n_frames, settle = target.observation.n_frames, iterations is None
    budget = solver.settings.max_iterations if iterations is None else iterations
    out, gain = np.array(qpos, np.float32), np.full(n_frames, np.inf)
    pack = partial(_packed, solver, target, pull)
    batches, done = pack(np.arange(n_frames), out), 0
    while batches and done < budget:
        count = min(ROUND, budget - done) if settle else budget
        batches, done = _iterate(solver, batches, count), done + count
        if settle and done > 1:
            batches = _drop_converged(solver, pack, batches, (out, gain), progress)
    for batch in batches:
        batch.collect(out, gain)
        progress(len(batch.frames))
    return _judge(solver, target, qpos, out, gain)


def _packed(
    solver: PoseSolver, target: Target, pull: Pull | None, frames: np.ndarray, begin: np.ndarray | State
) -> list[_Batch]:
    """Cut `frames` into padded batches that start from poses (frame of the set, nq), or resume from a state."""
    size, out = solver.batch, []
    for part in slices(len(frames), size):
        padded = pad_rows(frames[part], size)
        problem = _problem(solver, target, pull, padded)
        if isinstance(begin, State):
            rows = pad_rows(np.arange(part.start, part.stop), size)
            state = jax.device_put(jax.tree.map(lambda a, rows=rows: a[..., rows], begin))
        else:
            state = levenberg.start(begin[padded].T, solver.tree.n_dof, len(target.local[0]))
        out.append(_Batch(frames[part], problem, state))
    return out


def _problem(solver: PoseSolver, target: Target, pull: Pull | None, frames: np.ndarray) -> Problem:
    observation, tree = target.observation, solver.tree
    weight = observation.weight[frames]
    points = np.where(weight[..., None] > 0, observation.target[frames], 0.0).astype(np.float32)
    if pull is None:
        prior = np.broadcast_to(solver.neutral[:, None], (tree.n_qpos, len(frames)))
        prior_weight = np.broadcast_to(solver.prior_weight[:, None], (tree.n_dof, len(frames)))
    else:
        prior, prior_weight = pull.qpos[frames].T, pull.weight[frames].T
    fields: dict[str, Any] = {
        "target": tuple(points[:, :, k].T for k in range(3)),
        "weight": weight.T.astype(np.float32),
        "local": target.local,
        "node": tree.body_node[solver.body.marker_body],
        "prior": prior.astype(np.float32),
        "prior_weight": prior_weight.astype(np.float32),
        "movable": target.movable[:, None],
        "damping": target.damping,
        "robust_mm": target.robust_mm[:, None].astype(np.float32),
    }
    return jax.device_put(Problem(**fields))


def _iterate(solver: PoseSolver, batches: list[_Batch], count: int) -> list[_Batch]:
    """Run some iterations on every batch."""

    def work(batch: _Batch) -> _Batch:
        state = levenberg.iterate(solver.tree, batch.problem, batch.state, solver.robust, np.int32(count))
        return replace(batch, state=jax.block_until_ready(state))

    if solver.threads > 1 and len(batches) > 1:
        with ThreadPoolExecutor(solver.threads) as pool:
            return list(pool.map(work, batches))
    return [work(batch) for batch in batches]


def _drop_converged(
    solver: PoseSolver,
    pack: Callable[[np.ndarray, State], list[_Batch]],
    batches: list[_Batch],
    results: tuple[np.ndarray, np.ndarray],
    progress: Progress,
) -> list[_Batch]:
    """Collect converged frames and repack the others, once that saves a batch; return what is left to solve."""
    active = [batch.gain_mm() > solver.settings.tolerance_mm for batch in batches]
    n_active = int(sum(mask.sum() for mask in active))
    if -(-n_active // solver.batch) > REPACK_BELOW * len(batches):
        return batches
    for batch in batches:
        batch.collect(*results)
    progress(sum(len(batch.frames) for batch in batches) - n_active)
    frames = np.concatenate([batch.frames[mask] for batch, mask in zip(batches, active, strict=True)])
    rows = [
        jax.tree.map(lambda a, m=mask: np.asarray(a)[..., : len(m)][..., m], batch.state)
        for batch, mask in zip(batches, active, strict=True)
    ]
    return pack(frames, jax.tree.map(lambda *arrays: np.concatenate(arrays, axis=-1), *rows))


def _judge(solver: PoseSolver, target: Target, before: np.ndarray, qpos: np.ndarray, gain_mm: np.ndarray) -> Fit:
    """Give every frame its error and status; frames without a usable pose keep the one `before`."""
    error = errors_mm(solver, target, qpos)
    status = np.where(gain_mm <= solver.settings.tolerance_mm, Status.CONVERGED, Status.MAX_ITERATIONS)
    status = np.where(np.isfinite(qpos).all(axis=1) & np.isfinite(error), status, Status.NON_FINITE)
    status = np.where(target.observation.present.any(axis=1), status, Status.NO_MARKERS)
    unusable = status >= Status.NO_MARKERS
    qpos[unusable], error[unusable] = before[unusable], 0.0
    return Fit(qpos, error, status)
