"""Frames in batches of one shape: what a set of frames is fitted to, its staged start, and rounds of the solver.

Batches are padded to one size, so that one compiled program serves all, and run side by side on a CPU. Frames that have
converged leave the batches. Arrays are (frame, ...), lengths in model units unless the name says mm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from stac_mjx._common.system import n_cores
from stac_mjx.body.body import Body
from stac_mjx.config import SolverConfig
from stac_mjx.inverse_kinematics import levenberg as solver
from stac_mjx.inverse_kinematics.levenberg import Problem, Robust, State, Status
from stac_mjx.keypoints.alignment import procrustes
from stac_mjx.kinematics.forward import Vec, marker_locals, marker_positions
from stac_mjx.kinematics.tree import Tree

CPU_BATCH, ACCELERATOR_BATCH = 512, 16384
NOT_ROBUST_MM = 1e4
"""Scale at which every robust loss is a parabola."""
ROUND = 4
"""Iterations between two looks at which frames have converged."""
REPACK_BELOW = 0.75
"""Frames that go on are packed anew once this part of the batches would hold them."""
PART_ITERATIONS, ROOT_ITERATIONS = 4, 6
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


@dataclass(frozen=True)
class Batch:
    """Frames that are solved together, on the device: `frames` are their numbers, without the padding."""

    frames: np.ndarray
    problem: Problem
    state: State

    def collect(self, qpos: np.ndarray, gain_mm: np.ndarray) -> None:
        """Write the best poses so far, and what the last iteration gained, into arrays of the whole set."""
        count = len(self.frames)
        qpos[self.frames] = np.asarray(self.state.qpos)[:, :count].T
        gain_mm[self.frames] = np.asarray(self.state.gain_mm)[:count]


class BatchSolver:
    """A body and solver settings: what every batch shares.

    Attributes:
        tree, body, settings: as given.
        mm: millimetres per model unit.
        batch, threads: frames solved at once, and batches side by side.
        robust, robust_mm: loss, and its scale for each keypoint, (keypoint,).
        neutral: reference pose within the limits, (nq,).
        prior_weight: pull of the neutral pose, (dof,), mm^2 per squared rad or unit; none on the root.
        trunk: keypoints that place the root, (keypoint,) bool.
    """

    def __init__(self, tree: Tree, body: Body, settings: SolverConfig) -> None:
        self.tree, self.body, self.settings = tree, body, settings
        self.mm = 1000.0 * body.length_unit_m
        cpu = jax.default_backend() == "cpu"
        self.threads = settings.threads or (n_cores() if cpu else 1)
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

    def run(self, offsets: np.ndarray, seen: Observation) -> Run:
        """Frames to be solved with offsets (keypoint, 3), model units."""
        local = marker_locals(self.tree, self.body.marker_body, jnp.asarray(offsets, jnp.float32))
        scale = solver.damping_scale(self.tree, self.body.marker_body, np.asarray(offsets), self.mm)
        return Run(self, offsets, seen, local, jnp.asarray(scale))

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


@dataclass(frozen=True)
class Run:
    """One set of frames with one set of offsets: builds batches and runs them, several side by side on a CPU.

    Attributes:
        tracker: body, tree and settings.
        offsets: in model units, (keypoint, 3).
        seen: the frames.
        local: the offsets in the frames of their nodes, 3 arrays (keypoint, 1).
        scale: of the damping, (dof, 1).
    """

    tracker: BatchSolver
    offsets: np.ndarray
    seen: Observation
    local: Vec
    scale: jax.Array

    def take(self, frames: np.ndarray) -> Run:
        """The same with these frames only."""
        return replace(self, seen=self.seen.take(frames))

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

    def _on_keypoints(self, chosen: np.ndarray) -> Run:
        return replace(self, seen=replace(self.seen, weight=np.where(chosen, self.seen.weight, 0.0)))

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
        qpos[:, :3] = fit.translation
        qpos[:, 3:7] = Rotation.from_matrix(fit.rotation).as_quat(scalar_first=True)
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
        """Run the solver on all frames; with `settle`, it stops where frames have converged."""
        tracker, n_frames = self.tracker, self.seen.n_frames
        out, gain = np.array(qpos, np.float32), np.full(n_frames, np.inf)
        batches, done = self._batches(np.arange(n_frames), movable, pull, out), 0
        while batches and done < iterations:
            count = min(ROUND, iterations - done) if settle else iterations
            batches, done = self._iterate(batches, count), done + count
            if settle and done > 1:
                batches = self._drop_converged(batches, movable, pull, (out, gain), progress)
        for batch in batches:
            batch.collect(out, gain)
            advance(progress if settle else None, len(batch.frames))
        error = self.errors_mm(out)
        status = np.where(gain <= tracker.settings.tolerance_mm, Status.CONVERGED, Status.MAX_ITERATIONS)
        status = np.where(np.isfinite(out).all(axis=1) & np.isfinite(error), status, Status.NON_FINITE)
        status = np.where((self.seen.weight > 0).any(axis=1), status, Status.NO_MARKERS)
        broken = status >= Status.NO_MARKERS
        out[broken], error[broken] = qpos[broken], 0.0
        return Fit(out, error, status)

    def _drop_converged(
        self,
        batches: list[Batch],
        movable: np.ndarray,
        pull: Pull | None,
        results: tuple[np.ndarray, np.ndarray],
        progress: Progress | None,
    ) -> list[Batch]:
        """Collect converged frames and pack the others anew, once that saves a batch; none left when all have."""
        tolerance = self.tracker.settings.tolerance_mm
        going = [np.asarray(b.state.gain_mm)[: len(b.frames)] > tolerance for b in batches]
        n_going = int(sum(mask.sum() for mask in going))
        if -(-n_going // self.tracker.batch) > REPACK_BELOW * len(batches):
            return batches
        for batch in batches:
            batch.collect(*results)
        advance(progress, sum(len(b.frames) for b in batches) - n_going)
        frames = np.concatenate([b.frames[mask] for b, mask in zip(batches, going, strict=True)])
        rows = [
            jax.tree.map(lambda a, m=m: np.asarray(a)[..., : len(m)][..., m], b.state)
            for b, m in zip(batches, going, strict=True)
        ]
        state = jax.tree.map(lambda *arrays: np.concatenate(arrays, axis=-1), *rows)
        return self._batches(frames, movable, pull, state)

    def errors_mm(self, qpos: np.ndarray) -> Float[np.ndarray, " frame"]:
        """Root of the weighted mean squared distance between keypoints and markers, mm."""
        distance, weight = self.tracker.distances_mm(self.offsets, self.seen, qpos), self.seen.weight
        return np.sqrt((weight * distance**2).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-12))

    def _batches(
        self, frames: np.ndarray, movable: np.ndarray, pull: Pull | None, begin: np.ndarray | State
    ) -> list[Batch]:
        """Cut `frames` into padded batches that start from poses (frame of the set, nq), or go on from a state."""
        size, out = self.tracker.batch, []
        for part in _slices(len(frames), size):
            problem = self._problem(_pad(frames[part], size), movable, pull)
            if isinstance(begin, State):
                state = jax.tree.map(lambda a, part=part: jnp.asarray(_pad_last(a[..., part], size)), begin)
            else:
                poses = jnp.asarray(begin[_pad(frames[part], size)].T)
                state = solver.start(problem, poses, self.tracker.tree.n_dof)
            out.append(Batch(frames[part], problem, state))
        return out

    def _iterate(self, batches: list[Batch], count: int) -> list[Batch]:
        """Some iterations on every batch, several side by side on a CPU."""
        tracker = self.tracker

        def work(batch: Batch) -> Batch:
            state = solver.iterate(tracker.tree, batch.problem, batch.state, tracker.robust, jnp.asarray(count))
            return replace(batch, state=jax.block_until_ready(state))

        if tracker.threads > 1 and len(batches) > 1:
            with ThreadPoolExecutor(tracker.threads) as pool:
                return list(pool.map(work, batches))
        return [work(batch) for batch in batches]

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


def advance(progress: Progress | None, n_frames: int) -> None:
    """Report progress, if anybody listens."""
    if progress is not None:
        progress(n_frames)


def neutral_pose(tree: Tree) -> Float[np.ndarray, " nq"]:
    """The reference pose, moved inside the joint limits."""
    pose = tree.qpos0.copy()
    dof, qadr = tree.scalar_dof, tree.scalar_qadr
    pose[qadr] = np.clip(pose[qadr], tree.lower[dof], tree.upper[dof])
    return pose.astype(np.float32)


def _slices(n_frames: int, size: int) -> Iterator[slice]:
    for start in range(0, n_frames, size):
        yield slice(start, min(start + size, n_frames))


def _pad(rows: np.ndarray, size: int) -> np.ndarray:
    """Repeat the last row until there are `size`."""
    return rows if len(rows) == size else np.concatenate([rows, np.repeat(rows[-1:], size - len(rows), axis=0)])


def _pad_last(array: np.ndarray, size: int) -> np.ndarray:
    missing = size - array.shape[-1]
    return array if not missing else np.concatenate([array, np.repeat(array[..., -1:], missing, axis=-1)], axis=-1)
