"""What inverse kinematics works on: a body with solver settings, observed frames, marker offsets, and solved poses.

Arrays are (frame, ...); lengths are in metres unless the name ends in ``_mm``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from stac_mjx._common.system import n_cores
from stac_mjx.body.body import Body
from stac_mjx.config import SolverConfig
from stac_mjx.inverse_kinematics.levenberg import Robust, damping_scale
from stac_mjx.kinematics.forward import marker_locals, marker_positions
from stac_mjx.kinematics.tree import Tree

CPU_BATCH, ACCELERATOR_BATCH = 512, 16384
"""Frames solved at once."""
SHORT, SHORT_BATCH = 2048, 128
"""Up to so many frames, most batches of a fit (keyframes, calibration) are not full: smaller ones take less time."""
NOT_ROBUST_MM = 1e4
"""Scale at which every robust loss is a parabola."""


@dataclass(frozen=True)
class Observation:
    """Keypoints of a set of frames."""

    target: Float[np.ndarray, "frame keypoint 3"]
    """Positions in metres; NaN where missing."""
    weight: Float[np.ndarray, "frame keypoint"]
    """Confidence; 0 where missing."""
    clip_lengths: Int[np.ndarray, " clip"]

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.target)

    @property
    def present(self) -> Bool[np.ndarray, "frame keypoint"]:
        """Whether each keypoint was observed."""
        return self.weight > 0

    def take(self, frames: np.ndarray) -> Observation:
        """Return these frames only, as one clip."""
        return Observation(self.target[frames], self.weight[frames], np.array([len(frames)]))


@dataclass(frozen=True)
class Fit:
    """Solved poses of a set of frames."""

    qpos: Float[np.ndarray, "frame nq"]
    error_mm: Float[np.ndarray, " frame"]
    """Weighted root mean square distance between keypoints and markers."""
    status: Int[np.ndarray, " frame"]
    """`levenberg.Status` of each frame."""

    def with_frames(self, frames: np.ndarray, other: Fit, rows: np.ndarray) -> Fit:
        """Return a copy in which `frames` are the chosen `rows` (bool) of `other`."""
        out = Fit(self.qpos.copy(), self.error_mm.copy(), self.status.copy())
        out.qpos[frames], out.error_mm[frames] = other.qpos[rows], other.error_mm[rows]
        out.status[frames] = other.status[rows]
        return out


@dataclass(frozen=True, eq=False)
class PoseSolver:
    """A body and solver settings: what every solve of this body shares. Create it with `pose_solver`."""

    tree: Tree
    body: Body
    settings: SolverConfig
    robust: Robust
    neutral: Float[np.ndarray, " nq"]
    """Reference pose, moved inside the joint limits."""
    prior_weight: Float[np.ndarray, " dof"]
    """Pull of the neutral pose, mm^2 per squared rad (slides: metre); 0 on the root."""
    trunk: Bool[np.ndarray, " keypoint"]
    """Keypoints that place the root."""
    batch: int
    """Frames solved at once."""
    threads: int
    """Batches solved in parallel."""

    @property
    def default_robust_mm(self) -> Float[np.ndarray, " keypoint"]:
        """Scale of the robust loss that the settings give; without one, no keypoint is an outlier."""
        return np.full(len(self.body.marker_names), self.settings.robust_mm or NOT_ROBUST_MM)


def pose_solver(body: Body, settings: SolverConfig, n_frames: int | None = None) -> PoseSolver:
    """Prepare inverse kinematics of a body for a recording of so many frames (None: a long one)."""
    tree, names = body.tree, np.array(body.marker_names)
    trunk = np.isin(names, body.trunk_keypoints)
    is_root = np.isin(np.arange(tree.n_dof), tree.root_dofs)
    cpu = jax.default_backend() == "cpu"
    return PoseSolver(
        tree=tree,
        body=body,
        settings=settings,
        robust=Robust(settings.robust),
        neutral=neutral_pose(tree),
        prior_weight=np.where(is_root, 0.0, settings.pose_prior_mm**2).astype(np.float32),
        trunk=trunk if trunk.any() else np.ones(len(names), bool),
        batch=ACCELERATOR_BATCH if not cpu else SHORT_BATCH if n_frames and n_frames <= SHORT else CPU_BATCH,
        threads=n_cores() if cpu else 1,
    )


def neutral_pose(tree: Tree) -> Float[np.ndarray, " nq"]:
    """Return the reference pose, moved inside the joint limits."""
    pose = tree.qpos0.copy()
    dof, qadr = tree.scalar_dof, tree.scalar_qadr
    pose[qadr] = np.clip(pose[qadr], tree.lower[dof], tree.upper[dof])
    return pose.astype(np.float32)


@dataclass(frozen=True)
class Target:
    """What poses are fitted to: observed frames and the markers of the body. Create it with `fit_target`."""

    observation: Observation
    offsets: Float[np.ndarray, "keypoint 3"]
    """Marker offsets in the frames of their bodies."""
    robust_mm: Float[np.ndarray, " keypoint"]
    """Scale of the robust loss."""
    local: tuple[np.ndarray, ...]
    """Marker positions in the frames of their nodes, 3 arrays (keypoint, 1)."""
    damping: Float[np.ndarray, "dof 1"]
    """Scale of the damping (`damping_scale`)."""
    movable: Float[np.ndarray, " dof"]
    """1 where a degree of freedom is fitted, else 0."""

    def take(self, frames: np.ndarray) -> Target:
        """Return the same with these frames only."""
        return replace(self, observation=self.observation.take(frames))

    def only(self, keypoints: np.ndarray, dofs: np.ndarray) -> Target:
        """Return the same with some keypoints (bool) and some degrees of freedom (indices) only."""
        movable = np.zeros_like(self.movable)
        movable[dofs] = 1.0
        weight = np.where(keypoints, self.observation.weight, 0.0)
        return replace(self, observation=replace(self.observation, weight=weight), movable=movable)


def fit_target(
    solver: PoseSolver, observation: Observation, offsets: np.ndarray, robust_mm: np.ndarray | None = None
) -> Target:
    """Prepare frames for the solver; `offsets` (keypoint, 3) in metres, `robust_mm` (keypoint,) or the default."""
    tree = solver.tree
    return Target(
        observation=observation,
        offsets=offsets,
        robust_mm=solver.default_robust_mm if robust_mm is None else robust_mm,
        local=marker_locals(tree, solver.body.marker_body, offsets.astype(np.float32)),
        damping=damping_scale(solver.body, offsets),
        movable=np.ones(tree.n_dof, np.float32),
    )


def markers_at(solver: PoseSolver, offsets: np.ndarray, qpos: np.ndarray) -> Float[np.ndarray, "frame keypoint 3"]:
    """Return the marker positions at poses `qpos`, metres."""
    place = partial(marker_positions, solver.tree, solver.body.marker_body, offsets=offsets.astype(np.float32))
    parts = [
        np.asarray(place(pad_rows(qpos[part], solver.batch)))[: part.stop - part.start]
        for part in slices(len(qpos), solver.batch)
    ]
    return np.concatenate(parts)


def distances_mm(
    solver: PoseSolver, offsets: np.ndarray, observation: Observation, qpos: np.ndarray
) -> Float[np.ndarray, "frame keypoint"]:
    """Return the distances between keypoints and their markers; 0 where a keypoint is missing."""
    away = np.linalg.norm(observation.target - markers_at(solver, offsets, qpos), axis=-1)
    return np.where(observation.present, 1000 * away, 0.0)


def errors_mm(solver: PoseSolver, target: Target, qpos: np.ndarray) -> Float[np.ndarray, " frame"]:
    """Return the root of the weighted mean squared distance between keypoints and markers of each frame."""
    weight = target.observation.weight
    distance = distances_mm(solver, target.offsets, target.observation, qpos)
    return np.sqrt((weight * distance**2).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-12))


def slices(n_frames: int, size: int) -> list[slice]:
    """Cut `n_frames` into parts of at most `size`."""
    return [slice(start, min(start + size, n_frames)) for start in range(0, n_frames, size)]


def pad_rows(rows: np.ndarray, size: int) -> np.ndarray:
    """Repeat the last row until there are `size`."""
    return rows if len(rows) == size else np.concatenate([rows, np.repeat(rows[-1:], size - len(rows), axis=0)])
