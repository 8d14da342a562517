"""Inverse kinematics of a recording with known offsets: staged start, batches, gaps, restarts, smoothness.

`solver` improves one batch of poses; this module decides where each frame starts and which frames need more work:

1. Some keyframes are solved from the neutral pose in stages (Algorithm 1 of MIMIC-MJX): the root by Procrustes and a
   few steps on the trunk keypoints, each part on its own keypoints, then all joints on all keypoints.
2. The other keyframes start between those, and all other frames between the keyframes: nothing runs frame after frame,
   each level is solved in parallel.
3. Frames whose error stays far above the rest start again from their neighbours' poses; the better result is kept.
4. Frames with missing keypoints are solved again with the neighbours in time, instead of the neutral pose, as prior.

Arrays are (frame, ...), lengths in model units unless the name says mm.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from stac_mjx.inverse_kinematics.batches import BatchSolver, Fit, Observation, Progress, Pull, Run
from stac_mjx.inverse_kinematics.levenberg import Robust, Status
from stac_mjx.kinematics import trajectory
from stac_mjx.kinematics.forward import retract
from stac_mjx.kinematics.tree import Tree

ROBUST_MEDIANS, ROBUST_LEAST, PILOT_FRAMES = 4.0, 0.005, 200
"""Scale of the robust loss: medians of the marker distances, but at least this part of the body, for a loss that is too
narrow has no slope to follow; frames it is read off where offsets are known."""
COARSE = 8
"""Of every so many keyframes one is solved from the neutral pose; the others start between those."""
KEYFRAME_ITERATIONS = (32, 12)
"""Iterations of keyframes from the neutral pose, and between others; they are starts, so they need not converge."""
RESTARTS, RESTART_ITERATIONS, STUCK = 3, 12, 0.95
"""Passes that look for stuck frames, iterations each gets, and how good a neighbour's pose must be (own error = 1)."""


class Tracker(BatchSolver):
    """Solves frames of one body with one setting. Offsets are arguments of `solve`, so none are ever stale.

    `robust_mm` (keypoint,) is the scale of the robust loss: the one that was set, or what `choose_scale` read off the
    data.
    """

    def choose_scale(self, distances_mm: np.ndarray, observed: np.ndarray) -> None:
        """Set the scale of the robust loss from distances between keypoints and markers, unless the user has set it.

        Each keypoint gets its own, at least that of all together: an outlier is a point far off for *that* keypoint,
        and one that fits the body badly throughout is not to lose its say. Both arguments are (frame, keypoint).
        """
        if self.settings.robust_mm is not None or not observed.any():
            return
        common = float(np.median(distances_mm[observed]))
        own = [
            np.median(column[seen]) if seen.any() else common
            for column, seen in zip(distances_mm.T, observed.T, strict=True)
        ]
        least = ROBUST_LEAST * 1000 * self.body.size_m
        self.robust_mm = np.maximum(ROBUST_MEDIANS * np.maximum(own, common), max(least, 1e-3))

    def pilot(self, offsets: np.ndarray, seen: Observation) -> None:
        """Choose the scale of the robust loss from some frames spread over the recording."""
        if self.robust is Robust.NONE or self.settings.robust_mm is not None:
            return
        frames = np.unique(np.linspace(0, seen.n_frames - 1, min(PILOT_FRAMES, seen.n_frames)).astype(int))
        some = replace(seen.take(frames), clip_lengths=np.ones(len(frames), np.int64))
        fit = self.solve(offsets, some)
        self.choose_scale(self.distances_mm(offsets, some, fit.qpos), some.weight > 0)

    def solve(self, offsets: np.ndarray, seen: Observation, progress: Progress | None = None) -> Fit:
        """Poses of all frames from nothing but the keypoints; `offsets` (keypoint, 3) in model units."""
        run = self.run(offsets, seen)
        known, qpos = np.zeros(seen.n_frames, bool), np.tile(self.neutral, (seen.n_frames, 1))
        stride = self.settings.keyframe_stride
        for level, step in enumerate((COARSE * stride, stride)):
            keys = keyframes(seen, step)
            keys = keys[~known[keys]]
            if not len(keys):
                continue
            begin = qpos[keys] if level else run.start(keys)
            fit = self._complete(run.take(keys), begin, iterations=KEYFRAME_ITERATIONS[level])
            fit = self._restart(run.take(keys), fit)
            known[keys], qpos[keys] = fit.status < Status.NO_MARKERS, fit.qpos
            qpos = trajectory.fill(self.tree, qpos, known, seen.clip_lengths).copy()
        fit = self._complete(run, qpos, progress=progress)
        fit = self._restart(run, fit)
        fit = self._bridge_gaps(run, fit)
        return self._smooth(run, fit)

    def refine(self, offsets: np.ndarray, seen: Observation, qpos: np.ndarray, iterations: int) -> Fit:
        """Improve given poses by a fixed number of iterations."""
        return self._complete(self.run(offsets, seen), qpos, iterations=iterations)

    def _complete(
        self,
        run: Run,
        qpos: np.ndarray,
        *,
        iterations: int = 0,
        pull: Pull | None = None,
        progress: Progress | None = None,
    ) -> Fit:
        """Whole-body solve; `iterations` > 0 runs just so many on every frame, otherwise until convergence."""
        budget = iterations or self.settings.max_iterations
        return run.improve(qpos, self.everything, budget, pull=pull, settle=not iterations, progress=progress)

    def _restart(self, run: Run, fit: Fit) -> Fit:
        """Free frames that are stuck: those that a neighbour's pose explains nearly as well as their own.

        Such frames start again from that pose, and so do frames whose error is far above the rest; the better result
        is kept. Good starts spread from frame to frame, so a few passes free whole stretches.
        """
        offset = 1
        for _ in range(RESTARTS):
            usable = fit.status < Status.NO_MARKERS
            if usable.sum() < 2:
                return fit
            far = fit.error_mm > self.settings.restart_factor * np.median(fit.error_mm[usable])
            best, source = self._best_neighbour(run, fit, usable, offset)
            stuck = np.flatnonzero(usable & (source >= 0) & (far | (best < STUCK * fit.error_mm)))
            offset *= 3
            if not len(stuck):
                continue
            again = self._complete(run.take(stuck), fit.qpos[source[stuck]], iterations=RESTART_ITERATIONS)
            better = again.error_mm < 0.98 * fit.error_mm[stuck]
            fit = _replace_frames(fit, stuck[better], again, better)
        return fit

    def _best_neighbour(self, run: Run, fit: Fit, usable: np.ndarray, offset: int) -> tuple[np.ndarray, np.ndarray]:
        """Error (mm) of the better of the poses `offset` frames before and after, and its frame (-1: none)."""
        n_frames = len(usable)
        clip = np.repeat(np.arange(len(run.seen.clip_lengths)), run.seen.clip_lengths)
        best, source = np.full(n_frames, np.inf), np.full(n_frames, -1)
        for shift in (-offset, offset):
            other = np.clip(np.arange(n_frames) + shift, 0, n_frames - 1)
            valid = (clip[other] == clip) & (np.abs(other - np.arange(n_frames)) == offset) & usable[other]
            error = np.where(valid, run.errors_mm(fit.qpos[other]), np.inf)
            source = np.where(error < best, other, source)
            best = np.minimum(best, error)
        return best, source

    def _bridge_gaps(self, run: Run, fit: Fit) -> Fit:
        """Solve incomplete frames again with the pose between their complete neighbours as prior.

        Joints that no marker observes then follow their neighbours through the gap instead of falling to neutral.
        """
        usable = fit.status < Status.NO_MARKERS
        present = run.seen.weight > 0
        ever = present.any(axis=0)
        complete = usable & present[:, ever].all(axis=1)
        incomplete = np.flatnonzero(usable & ~complete)
        if len(incomplete) and complete.any():
            between = trajectory.fill(self.tree, fit.qpos, complete, run.seen.clip_lengths)[incomplete]
            pull = Pull(between, np.tile(self.prior_weight, (len(incomplete), 1)))
            again = self._complete(run.take(incomplete), between, pull=pull)
            keep = again.error_mm < 1.05 * fit.error_mm[incomplete] + 1e-3
            fit = _replace_frames(fit, incomplete[keep], again, keep)
        return replace(fit, qpos=trajectory.fill(self.tree, fit.qpos, usable, run.seen.clip_lengths))

    def _smooth(self, run: Run, fit: Fit) -> Fit:
        """Add the smoothness term by majorisation: every pass pulls each frame to the middle of its neighbours.

        For a pair of neighbours a, b now at a0, b0:  |a - b|^2 <= 2 |a - m|^2 + 2 |b - m|^2  with m = (a0 + b0) / 2,
        and equal at a0, b0. So passes over independent frames lower the sum over the whole clip, in any order.
        """
        weight = self.settings.smoothness_mm**2
        if weight == 0 or run.seen.n_frames < 2:
            return fit
        lengths = run.seen.clip_lengths
        first = np.zeros(run.seen.n_frames, bool)
        first[np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(int)] = True
        last = np.roll(first, -1)
        neutral = np.tile(self.neutral, (run.seen.n_frames, 1))
        for _ in range(self.settings.smoothing_passes):
            poses = jnp.asarray(fit.qpos)
            back = np.asarray(trajectory.steps(self.tree, poses, jnp.roll(poses, 1, axis=0))) * ~first[:, None]
            ahead = np.asarray(trajectory.steps(self.tree, poses, jnp.roll(poses, -1, axis=0))) * ~last[:, None]
            home = np.asarray(trajectory.steps(self.tree, poses, jnp.asarray(neutral)))
            pairs = (~first).astype(float) + ~last
            total = 2 * weight * pairs[:, None] + self.prior_weight
            step = (weight * (back + ahead) + self.prior_weight * home) / np.maximum(total, 1e-12)
            target = np.asarray(_retract(self.tree, poses, jnp.asarray(step, jnp.float32)))
            pull = Pull(target, np.broadcast_to(total, step.shape).astype(np.float32))
            fit = self._complete(run, fit.qpos, iterations=2, pull=pull)
        return fit


@partial(jax.jit, static_argnames="tree")
def _retract(tree: Tree, qpos: jax.Array, step: jax.Array) -> jax.Array:
    return retract(tree, qpos.T, step.T).T


def _replace_frames(fit: Fit, frames: np.ndarray, other: Fit, chosen: np.ndarray) -> Fit:
    """`fit` with `frames` taken from the `chosen` rows of `other`."""
    out = Fit(fit.qpos.copy(), fit.error_mm.copy(), fit.status.copy())
    out.qpos[frames], out.error_mm[frames] = other.qpos[chosen], other.error_mm[chosen]
    out.status[frames] = other.status[chosen]
    return out


def keyframes(seen: Observation, stride: int) -> Int[np.ndarray, " keyframe"]:
    """First and last frame of every clip and every `stride`-th between, moved to the best observed frame nearby."""
    quality = (seen.weight > 0).sum(axis=1)
    out = []
    start = 0
    for length in seen.clip_lengths.tolist():
        for frame in np.unique(np.append(np.arange(0, length, max(1, stride)), length - 1)):
            near = np.arange(start + frame, min(start + frame + max(1, stride // 2), start + length))
            out.append(near[np.argmax(quality[near])])
        start += length
    return np.unique(np.array(out, np.int64))
