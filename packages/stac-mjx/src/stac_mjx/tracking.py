"""Inverse kinematics of a recording with known offsets: staged start, batches, gaps, restarts, smoothness.

`solver` improves one batch of poses; this module decides where each frame starts and which frames need more work:

1. Every `keyframe_stride`-th frame is solved from the neutral pose in stages (Algorithm 1 of MIMIC-MJX): the root by
   Procrustes and a few steps on the trunk keypoints, each part on its own keypoints, then all joints on all keypoints.
2. The other frames start between their keyframes, so nothing runs frame after frame and all are solved in parallel.
3. Frames whose error stays far above the rest start again from their neighbours' poses; the better result is kept.
4. Frames with missing keypoints are solved again with the neighbours in time, instead of the neutral pose, as prior.

Arrays are (frame, ...), lengths in model units unless the name says mm.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from stac_mjx import solver, trajectory
from stac_mjx.alignment import procrustes
from stac_mjx.body import Body
from stac_mjx.config import SolverConfig
from stac_mjx.kinematics import marker_locals, marker_positions, retract
from stac_mjx.solver import Problem, Robust, State, Status
from stac_mjx.tree import Tree

CPU_BATCH, ACCELERATOR_BATCH = 512, 16384
NOT_ROBUST_MM, ROBUST_MEDIANS = 1e4, 5.0
"""Scale at which every loss is a parabola; scale chosen from the data, in medians of the marker distances."""
PILOT_FRAMES = 200
ROUND = 4
"""Iterations between two looks at which frames have converged."""
PART_ITERATIONS, ROOT_ITERATIONS = 4, 6
RESTARTS, RESTART_ITERATIONS, STUCK = 3, 12, 0.95
"""Passes that look for stuck frames, iterations each gets, and how good a neighbour's pose must be (own error = 1)."""
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Observation:
    """What a set of frames is fitted to.

    Attributes:
        target: keypoints in model units; NaN where missing, (frame, keypoint, 3).
        weight: confidence, 0 where missing, (frame, keypoint).
        clip_lengths: frames a clip, (clip,).
    """

    target: Float[np.ndarray, "frame keypoint 3"]
    weight: Float[np.ndarray, "frame keypoint"]
    clip_lengths: Int[np.ndarray, " clip"]

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.target)

    def take(self, frames: np.ndarray) -> Observation:
        """These frames only, as one clip."""
        return Observation(self.target[frames], self.weight[frames], np.array([len(frames)]))


@dataclass(frozen=True)
class Fit:
    """Poses of a set of frames: `qpos` (frame, nq), weighted rms error `error_mm` (frame,), `status` (frame,)."""

    qpos: Float[np.ndarray, "frame nq"]
    error_mm: Float[np.ndarray, " frame"]
    status: Int[np.ndarray, " frame"]


@dataclass(frozen=True)
class Pull:
    """Quadratic pull of poses: toward `qpos` (frame, nq) with `weight` (frame, dof), mm^2 per squared rad or unit."""

    qpos: np.ndarray
    weight: np.ndarray


class Tracker:
    """Solves frames of one body with one setting. Offsets are arguments of `solve`, so none are ever stale.

    `robust_mm` (keypoint,) is the scale of the robust loss: the one that was set, or what `choose_scale` read off the
    data.
    """

    def __init__(self, tree: Tree, body: Body, settings: SolverConfig) -> None:
        self.tree, self.body, self.settings = tree, body, settings
        self.mm = 1000.0 * body.length_unit_m
        cpu = jax.default_backend() == "cpu"
        self.threads = settings.threads or (len(os.sched_getaffinity(0)) if cpu else 1)
        self.batch = settings.batch or (CPU_BATCH if cpu else ACCELERATOR_BATCH)
        self.robust = Robust(settings.robust)
        self.robust_mm = np.full(len(body.marker_names), settings.robust_mm or NOT_ROBUST_MM)
        self.neutral = neutral_pose(tree)
        self.node = jnp.asarray(tree.body_node[body.marker_body])
        is_root = np.isin(np.arange(tree.n_dof), tree.root_dofs)
        self.prior_weight = np.where(is_root, 0.0, settings.pose_prior_mm**2).astype(np.float32)
        self.everything = np.ones(tree.n_dof, np.float32)
        names = np.array(body.marker_names)
        trunk = np.isin(names, body.trunk_keypoints)
        self.trunk = trunk if trunk.any() else np.ones(len(names), bool)

    def choose_scale(self, distances_mm: np.ndarray, observed: np.ndarray) -> None:
        """Set the scale of the robust loss from distances between keypoints and markers, unless the user has set it.

        Each keypoint gets its own, at least that of all together: an outlier is a point far off for *that* keypoint,
            and
        one that fits the body badly throughout is not to lose its say. Both arguments are (frame, keypoint).
        """
        if self.settings.robust_mm is not None or not observed.any():
            return
        common = float(np.median(distances_mm[observed]))
        own = [
            np.median(column[seen]) if seen.any() else common
            for column, seen in zip(distances_mm.T, observed.T, strict=True)
        ]
        self.robust_mm = np.maximum(ROBUST_MEDIANS * np.maximum(own, common), 1e-3)

    def pilot(self, offsets: np.ndarray, seen: Observation) -> None:
        """Choose the scale of the robust loss from some frames spread over the recording."""
        if self.robust is Robust.NONE or self.settings.robust_mm is not None:
            return
        frames = np.unique(np.linspace(0, seen.n_frames - 1, min(PILOT_FRAMES, seen.n_frames)).astype(int))
        some = replace(seen.take(frames), clip_lengths=np.ones(len(frames), np.int64))
        fit = self.solve(offsets, some)
        self.choose_scale(self.distances_mm(offsets, some, fit.qpos), some.weight > 0)

    def distances_mm(
        self, offsets: np.ndarray, seen: Observation, qpos: np.ndarray
    ) -> Float[np.ndarray, "frame keypoint"]:
        """Distances between keypoints and their markers, mm; 0 where a keypoint is missing."""
        out = np.zeros(seen.weight.shape)
        local = jnp.asarray(offsets, jnp.float32)
        for part in _slices(len(qpos), self.batch):
            poses = jnp.asarray(_pad(qpos[part], self.batch))
            markers = np.asarray(marker_positions(self.tree, self.body.marker_body, poses, local))
            out[part] = np.linalg.norm(seen.target[part] - markers[: part.stop - part.start], axis=-1)
        return np.where(seen.weight > 0, self.mm * out, 0.0)

    def solve(self, offsets: np.ndarray, seen: Observation, progress: Progress | None = None) -> Fit:
        """Poses of all frames from nothing but the keypoints; `offsets` (keypoint, 3) in model units."""
        run = _Run(self, offsets, seen)
        keys = keyframes(seen, self.settings.keyframe_stride)
        fit = self._complete(run.take(keys), run.start(keys))
        fit = self._restart(run.take(keys), fit)
        _advance(progress, len(keys))
        known = np.zeros(seen.n_frames, bool)
        qpos = np.tile(self.neutral, (seen.n_frames, 1))
        known[keys], qpos[keys] = fit.status < Status.NO_MARKERS, fit.qpos
        qpos = trajectory.fill(self.tree, qpos, known, seen.clip_lengths).copy()
        rest = np.setdiff1d(np.arange(seen.n_frames), keys)
        error, status = np.zeros(seen.n_frames), np.zeros(seen.n_frames, np.int64)
        error[keys], status[keys] = fit.error_mm, fit.status
        if len(rest):
            part = self._complete(run.take(rest), qpos[rest], progress=progress)
            qpos[rest], error[rest], status[rest] = part.qpos, part.error_mm, part.status
        fit = self._restart(run, Fit(qpos, error, status))
        fit = self._bridge_gaps(run, fit)
        return self._smooth(run, fit)

    def refine(self, offsets: np.ndarray, seen: Observation, qpos: np.ndarray, iterations: int) -> Fit:
        """Improve given poses by a fixed number of iterations."""
        return self._complete(_Run(self, offsets, seen), qpos, iterations=iterations)

    def _complete(
        self,
        run: _Run,
        qpos: np.ndarray,
        *,
        iterations: int = 0,
        pull: Pull | None = None,
        progress: Progress | None = None,
    ) -> Fit:
        """Whole-body solve; `iterations` > 0 runs just so many on every frame, otherwise until convergence."""
        budget = iterations or self.settings.max_iterations
        return run.improve(qpos, self.everything, budget, pull=pull, settle=not iterations, progress=progress)

    def _restart(self, run: _Run, fit: Fit) -> Fit:
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

    def _best_neighbour(self, run: _Run, fit: Fit, usable: np.ndarray, offset: int) -> tuple[np.ndarray, np.ndarray]:
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

    def _bridge_gaps(self, run: _Run, fit: Fit) -> Fit:
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

    def _smooth(self, run: _Run, fit: Fit) -> Fit:
        """Add the smoothness term by majorisation: every pass pulls each frame to the middle of its neighbours.

        For a pair of neighbours a, b now at a0, b0:  |a - b|^2 <= 2 |a - m|^2 + 2 |b - m|^2  with m = (a0 + b0) / 2,
            and
        equal at a0, b0. So passes over independent frames lower the sum over the whole clip, in any order.
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


def _advance(progress: Progress | None, n_frames: int) -> None:
    if progress is not None:
        progress(n_frames)


def neutral_pose(tree: Tree) -> Float[np.ndarray, " nq"]:
    """The reference pose, moved inside the joint limits."""
    pose = tree.qpos0.copy()
    dof, qadr = tree.scalar_dof, tree.scalar_qadr
    pose[qadr] = np.clip(pose[qadr], tree.lower[dof], tree.upper[dof])
    return pose.astype(np.float32)


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


class _Run:
    """One set of frames with one set of offsets: builds batches and runs them, several side by side on a CPU."""

    def __init__(self, tracker: Tracker, offsets: np.ndarray, seen: Observation) -> None:
        self.tracker, self.offsets, self.seen = tracker, offsets, seen
        tree, body = tracker.tree, tracker.body
        self.local = marker_locals(tree, body.marker_body, jnp.asarray(offsets, jnp.float32))
        self.scale = jnp.asarray(solver.damping_scale(tree, body.marker_body, np.asarray(offsets), tracker.mm))

    def take(self, frames: np.ndarray) -> _Run:
        """The same with these frames only."""
        out = object.__new__(_Run)
        out.__dict__.update(self.__dict__, seen=self.seen.take(frames))
        return out

    def start(self, frames: np.ndarray) -> np.ndarray:
        """Staged start from the neutral pose: root, then parts (Algorithm 1)."""
        tracker, tree = self.tracker, self.tracker.tree
        part = self.take(frames)
        qpos = np.tile(tracker.neutral, (len(frames), 1))
        if len(tree.root_dofs) == tree.n_dof:
            return part._place_root(qpos)
        qpos = part._place_root(qpos)
        root = np.isin(np.arange(tree.n_dof), tree.root_dofs).astype(np.float32)
        if len(tracker.body.part_dofs) or len(tree.root_dofs) >= 3:
            qpos = part._on_keypoints(tracker.trunk).improve(qpos, root, ROOT_ITERATIONS).qpos
        marker_node = tree.body_node[tracker.body.marker_body]
        for dofs in tracker.body.part_dofs.values():
            movable = np.zeros(tree.n_dof, np.float32)
            movable[dofs] = 1.0
            own = np.logical_or.reduce(tree.ancestors[marker_node][:, dofs], axis=1)
            qpos = part._on_keypoints(own).improve(qpos, movable, PART_ITERATIONS).qpos
        return qpos

    def _on_keypoints(self, chosen: np.ndarray) -> _Run:
        out = object.__new__(_Run)
        seen = replace(self.seen, weight=np.where(chosen, self.seen.weight, 0.0))
        out.__dict__.update(self.__dict__, seen=seen)
        return out

    def _place_root(self, qpos: np.ndarray) -> np.ndarray:
        """Root of a floating body by Procrustes of the trunk (all keypoints where the trunk is not seen)."""
        tracker, tree = self.tracker, self.tracker.tree
        root = tree.root_dofs
        if len(root) != 6 or not len(tree.ball_dof) or tree.ball_dof[0] != root[3]:
            return qpos
        rest_pose = tracker.neutral.copy()
        rest_pose[:3], rest_pose[3:7] = 0.0, (1.0, 0.0, 0.0, 0.0)
        offsets = jnp.asarray(self.offsets, jnp.float32)
        poses = jnp.asarray(rest_pose)[None]
        rest = np.asarray(marker_positions(tree, tracker.body.marker_body, poses, offsets), np.float64)
        weight = self.seen.weight * tracker.trunk
        weight = np.where((weight > 0).sum(axis=1, keepdims=True) >= 3, weight, self.seen.weight)
        fit = procrustes(np.broadcast_to(rest, self.seen.target.shape), self.seen.target, weight)
        qpos = qpos.copy()
        qpos[:, :3], qpos[:, 3:7] = fit.translation, quats_of(fit.rotation)
        return qpos

    def improve(
        self,
        qpos: np.ndarray,
        movable: np.ndarray,
        iterations: int,
        *,
        pull: Pull | None = None,
        settle: bool = False,
        progress: Progress | None = None,
    ) -> Fit:
        """Run the solver on all frames; with `settle`, frames that have converged leave the batches early."""
        tracker, n_frames = self.tracker, self.seen.n_frames
        out = np.array(qpos, np.float32)
        error, gain = np.full(n_frames, np.nan), np.full(n_frames, np.inf)
        active, done = np.arange(n_frames), 0
        state: State | None = None
        while done < iterations and len(active):
            count = min(ROUND, iterations - done) if settle else iterations
            state = self._round(active, out, movable, count, pull, state)
            out[active], gain[active] = state.qpos.T, state.gain_mm
            done += count
            going = (gain[active] > tracker.settings.tolerance_mm) | (done < 2)
            if settle:
                _advance(progress, int((~going).sum()))
            state = jax.tree.map(lambda a: a[..., going], state)  # noqa: B023 - used at once
            active = active[going]
        _advance(progress if settle else None, len(active))
        error = self.errors_mm(out)
        status = np.where(gain <= tracker.settings.tolerance_mm, Status.CONVERGED, Status.MAX_ITERATIONS)
        status = np.where(np.isfinite(out).all(axis=1) & np.isfinite(error), status, Status.NON_FINITE)
        status = np.where((self.seen.weight > 0).any(axis=1), status, Status.NO_MARKERS)
        broken = status >= Status.NO_MARKERS
        out[broken], error[broken] = qpos[broken], 0.0
        return Fit(out, error, status)

    def errors_mm(self, qpos: np.ndarray) -> Float[np.ndarray, " frame"]:
        """Root of the weighted mean squared distance between keypoints and markers, mm."""
        distance, weight = self.tracker.distances_mm(self.offsets, self.seen, qpos), self.seen.weight
        return np.sqrt((weight * distance**2).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-12))

    def _round(
        self,
        frames: np.ndarray,
        qpos: np.ndarray,
        movable: np.ndarray,
        count: int,
        pull: Pull | None,
        state: State | None,
    ) -> State:
        """Some iterations on `frames`, in padded batches of one shape, so that one program serves all."""
        tracker = self.tracker

        def work(part: slice) -> State:
            chosen = _pad(frames[part], tracker.batch)
            problem = self._problem(chosen, movable, pull)
            if state is None:
                begin = solver.start(problem, jnp.asarray(qpos[chosen].T), tracker.tree.n_dof)
            else:
                begin = jax.tree.map(lambda a: jnp.asarray(_pad_last(a[..., part], tracker.batch)), state)
            end = solver.iterate(tracker.tree, problem, begin, tracker.robust, jnp.asarray(count))
            return jax.tree.map(lambda a: np.asarray(a)[..., : part.stop - part.start], end)

        parts = list(_slices(len(frames), tracker.batch))
        if tracker.threads > 1 and len(parts) > 1:
            with ThreadPoolExecutor(tracker.threads) as pool:
                states = list(pool.map(work, parts))
        else:
            states = [work(part) for part in parts]
        return jax.tree.map(lambda *arrays: np.concatenate(arrays, axis=-1), *states)

    def _problem(self, frames: np.ndarray, movable: np.ndarray, pull: Pull | None) -> Problem:
        tracker, seen = self.tracker, self.seen
        weight = seen.weight[frames]
        target = np.where(weight[..., None] > 0, seen.target[frames], 0.0).astype(np.float32)
        size = (tracker.tree.n_dof, len(frames))
        if pull is None:
            prior = np.broadcast_to(tracker.neutral[:, None], (tracker.tree.n_qpos, len(frames)))
            prior_weight = np.broadcast_to(tracker.prior_weight[:, None], size)
        else:
            prior, prior_weight = pull.qpos[frames].T, pull.weight[frames].T
        return Problem(
            target=tuple(jnp.asarray(target[:, :, k].T) for k in range(3)),
            weight=jnp.asarray(weight.T, jnp.float32),
            local=self.local,
            node=tracker.node,
            prior=jnp.asarray(prior, jnp.float32),
            prior_weight=jnp.asarray(prior_weight, jnp.float32),
            movable=jnp.asarray(movable[:, None]),
            scale=self.scale,
            mm=jnp.asarray(tracker.mm, jnp.float32),
            robust_mm=jnp.asarray(tracker.robust_mm[:, None], jnp.float32),
        )


def quats_of(rotation: Float[np.ndarray, "*batch 3 3"]) -> Float[np.ndarray, "*batch 4"]:
    """Quaternions (wxyz) of rotation matrices."""
    from scipy.spatial.transform import Rotation

    xyzw = Rotation.from_matrix(rotation).as_quat()
    return xyzw[..., [3, 0, 1, 2]]


def _slices(n_frames: int, size: int) -> Iterator[slice]:
    for start in range(0, n_frames, size):
        yield slice(start, min(start + size, n_frames))


def _pad(rows: np.ndarray, size: int) -> np.ndarray:
    """Repeat the last row until there are `size`."""
    return rows if len(rows) == size else np.concatenate([rows, np.repeat(rows[-1:], size - len(rows), axis=0)])


def _pad_last(array: np.ndarray, size: int) -> np.ndarray:
    missing = size - array.shape[-1]
    return array if not missing else np.concatenate([array, np.repeat(array[..., -1:], missing, axis=-1)], axis=-1)
