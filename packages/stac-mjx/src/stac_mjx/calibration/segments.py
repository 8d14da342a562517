"""Scales of segments, fitted with poses and marker offsets: how long the animal's bones are against those of the model.

With poses held, markers are linear in the scales s as well as in the offsets m: ``p = R m + sum_s s D_s``, because the
origins of bodies are sums of turned lengths. The poses are eliminated as in `precision`, so with ``G = [R, D]`` each
round solves the normal equations of offsets and scales together, in closed form, then moves the poses:

    (sum_t G' W P G + prior) (dm, ds) = sum_t G' W (r - J A^-1 (J' W r + C (q0 - q))) + pull of the prior

The prior holds each scale to 1, with the standard deviation `calibration.segment_sd`, and each offset to the initial
one times the scale of its segment, as in calibration. All kinematics here are MuJoCo's, of the scaled model itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import mujoco
import numpy as np
from jaxtyping import Bool, Float

from stac_mjx.body.body import Body, with_segments
from stac_mjx.body.poses import marker_frames, posed
from stac_mjx.calibration.precision import FrameSample, lasting_factor
from stac_mjx.inverse_kinematics.levenberg import MM
from stac_mjx.inverse_kinematics.pose_solver import Observation, PoseSolver
from stac_mjx.records import thinned

FRAMES, ROUNDS, SETTLED = 120, 20, 3e-4
"""Frames used, most rounds, and the change of all scales at which they end."""
LARGEST_CHANGE, SHORTEST, HOLDS, AT_LIMIT = 0.1, 8, 5, 1e-6
"""Of a scale in one round; times a step is halved before the fit counts as finished; times a step is computed again
with joints held; distance from a limit, rad or length unit of the MJCF, that counts as at it."""
DETERMINED = 0.5
"""The recording determines a scale when this part of it comes from the keypoints."""


@dataclass(frozen=True)
class SegmentScales:
    """Scales of groups of segments."""

    names: tuple[str, ...]
    """Groups of `body.segments`."""
    scale: Float[np.ndarray, " segment"]
    """Factor on the lengths of each group."""
    standard_error: Float[np.ndarray, " segment"]
    """Of each factor."""
    resolution: Float[np.ndarray, " segment"]
    """Part of each that the keypoints determine; the rest is the prior."""

    def figures(self) -> dict[str, dict[str, float]]:
        """Return scale, standard error and the part that keypoints determine, by name of the group."""
        columns = ("scale", self.scale), ("std", self.standard_error), ("determined", self.resolution)
        return {n: {key: round(float(v[i]), 4) for key, v in columns} for i, n in enumerate(self.names)}

    def warnings(self) -> list[str]:
        """Say which scales only the prior decides."""
        weak = [f"{n} ({r:.0%})" for n, r in zip(self.names, self.resolution, strict=True) if r < DETERMINED]
        return [
            f"keypoints hardly determine the scale of segments {', '.join(weak)} (in brackets: their part in it): "
            "offsets and angles can make up for it, so the prior decides (calibration.segment_sd)"
        ] * bool(weak)


def factors_of(body: Body, scales: SegmentScales) -> dict[str, float]:
    """Return the factor of each body that has one."""
    return {b: float(s) for name, s in zip(scales.names, scales.scale, strict=True) for b in body.segments[name]}


class Start(NamedTuple):
    """Frames of a calibration, as it left them."""

    observation: Observation
    """In the frame of the body, with the weights of the last round."""
    sample: FrameSample
    """Where the frames are in the recording."""
    qpos: Float[np.ndarray, "frame nq"]
    """Poses, metres."""
    offsets: Float[np.ndarray, "keypoint 3"]
    """Metres."""

    def thinned(self, most: int) -> Start:
        """Return at most so many of the frames."""
        some = thinned(len(self.qpos), most)
        return Start(self.observation.take(some), self.sample.take(some), self.qpos[some], self.offsets)


def fit_segments(solver: PoseSolver, start: Start, pull: np.ndarray, sd: float) -> SegmentScales:
    """Fit the scale of each group of `body.segments`.

    Args:
        solver: body and settings.
        start: the end of a calibration.
        pull: of each offset toward the initial one, in observations a frame.
        sd: standard deviation of the prior of scales.
    """
    fit = _Fit(solver, start.thinned(FRAMES), pull, sd)
    for _ in range(ROUNDS):
        if fit.advance() < SETTLED:
            break
    return fit.result()


class _Fit:
    """Current poses (units of the MJCF), offsets (mm) and scales, and the normal equations around them."""

    def __init__(self, solver: PoseSolver, start: Start, pull: np.ndarray, sd: float) -> None:
        self.solver, self.body, self.sd = solver, solver.body, sd
        self.observation, self.sample = start.observation, start.sample
        self.qpos, self.offsets = solver.tree.to_model(start.qpos.astype(np.float64)), MM * start.offsets
        self.names = tuple(self.body.segments)
        self.scale = np.ones(len(self.names))
        self.unit = MM * self.body.length_unit_m
        group = np.array([[name in self.body.segments[g] for g in self.names] for name in self.body.marker_body_names])
        initial = MM * self.body.marker_offset
        # what an offset is away from the initial one, by offset and scale: m - m0 - (s - 1) m0
        self.tie = np.hstack([np.eye(initial.size), -(initial[..., None] * group[:, None]).reshape(initial.size, -1)])
        self.held = len(self.qpos) * np.repeat(np.maximum(pull, 1e-9), 3)
        self.stretched = [self._scaled(dict.fromkeys(self.body.segments[g], 2.0)) for g in self.names]
        self.linearise()

    def _scaled(self, factors: dict[str, float]) -> Body:
        return with_segments(self.body, factors) if factors else self.body

    def _origins(self, body: Body) -> Float[np.ndarray, "frame coordinate"]:
        """Return the origins of the markers' bodies at the poses, mm."""
        return MM * marker_frames(body, body.tree.from_model(self.qpos)).origin.reshape(len(self.qpos), -1)

    def linearise(self) -> None:
        """Compute residuals r, Jacobians J (poses) and G (offsets and scales), and A^-1, at the current values."""
        groups = zip(self.names, self.scale, strict=True)
        body = self._scaled({b: float(s) for name, s in groups for b in self.body.segments[name]})
        model, n_frames, size = body.model, len(self.qpos), self.offsets.size
        markers, turn = np.empty((n_frames, size)), np.zeros((n_frames, size, size))
        self.jacobian, self.away = np.empty((n_frames, size, model.nv)), np.empty((n_frames, model.nv))
        neutral = self.solver.tree.to_model(self.solver.neutral[None])[0].astype(np.float64)
        for f, data in enumerate(posed(body, body.tree.from_model(self.qpos))):
            mujoco.mj_comPos(model, data)
            mujoco.mj_differentiatePos(model, self.away[f], 1.0, self.qpos[f], neutral)
            for k, carrier in enumerate(self.body.marker_body.tolist()):
                rows = slice(3 * k, 3 * k + 3)
                turn[f, rows, rows] = data.xmat[carrier].reshape(3, 3)
                point = self.unit * data.xpos[carrier] + turn[f, rows, rows] @ self.offsets[k]
                markers[f, rows] = point
                block = np.zeros((3, model.nv))
                mujoco.mj_jac(model, data, block, None, point / self.unit, carrier)
                self.jacobian[f, rows] = self.unit * block
        at_one = self._origins(self.body)
        stretch = [self._origins(other) - at_one for other in self.stretched]
        self.design = np.concatenate([turn, np.stack(stretch, axis=-1)], axis=-1)
        self.weight = np.repeat(self.observation.weight, 3, axis=1)
        target = MM * np.where(self.observation.present[..., None], self.observation.target, 0.0).reshape(n_frames, -1)
        self.residual = np.where(self.weight > 0, target - markers, 0.0)
        self.prior = self.solver.prior_weight * self.solver.tree.dof_unit**2
        force = np.einsum("fik,fi->fk", self.jacobian, self.weight * self.residual) + self.prior * self.away
        self.hold(self._crossing(AT_LIMIT * np.sign(force)))

    def hold(self, held: Bool[np.ndarray, "frame dof"]) -> None:
        """Take some degrees of freedom out of the Jacobian, and eliminate the poses."""
        self.jacobian = np.where(held[:, None], 0.0, self.jacobian)
        self.free = ~held
        weighted = np.swapaxes(self.weight[..., None] * self.jacobian, 1, 2)
        self.inverse = np.linalg.inv(weighted @ self.jacobian + np.diag(np.maximum(self.prior, 1e-6)))
        self.gain = self.inverse @ weighted

    def _crossing(self, turn: Float[np.ndarray, "frame dof"]) -> Bool[np.ndarray, "frame dof"]:
        """Return which joints a step of the poses takes beyond their limits."""
        tree, dof = self.solver.tree, self.solver.tree.scalar_dof
        out, unit = np.zeros(turn.shape, bool), tree.dof_unit[dof]
        value = self.qpos[:, tree.scalar_qadr] + turn[:, dof]
        out[:, dof] = (value < tree.lower[dof] / unit) | (value > tree.upper[dof] / unit)
        return out

    def normal(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the information of the data on offsets and scales, that of the prior, and the scores of frames."""
        weighted = np.ascontiguousarray(np.swapaxes(self.weight[..., None] * self.design, 1, 2))
        scored = weighted - (weighted @ self.jacobian) @ self.gain
        data = np.tensordot(scored, self.design, axes=([0, 2], [0, 1]))
        taken = (np.swapaxes(self.gain, 1, 2) * self.jacobian).sum()
        freedom = 3 * int(self.observation.present.sum()) - float(taken)
        self.noise = float((self.weight * self.residual**2).sum()) / max(freedom - len(data), 1.0)
        prior = self.tie.T @ (self.held[:, None] * self.tie)
        scores = np.einsum("fai,fi->fa", scored, self.residual)
        # errors that last, as those of skin over bone, say as much of the scales as fewer frames would
        self.lasting = lasting_factor(scores - scores.mean(axis=0), self.sample)
        prior[-len(self.scale) :, -len(self.scale) :] += (
            np.eye(len(self.scale)) * self.lasting * self.noise / self.sd**2
        )
        return data, prior, scores

    def advance(self) -> float:
        """Make one step of all unknowns; return the largest change of a scale.

        Joints that the step would take beyond their limits are held, and the step is computed again: projected Newton
        (Bertsekas 1982), as in `levenberg`.
        """
        for _ in range(HOLDS):
            step, turn = self._newton()
            crossing = self._crossing(turn) & self.free
            if not crossing.any():
                break
            self.hold(crossing | ~self.free)
        before, state = self.cost(), (self.qpos, self.offsets, self.scale)
        for length in 0.5 ** np.arange(SHORTEST):
            self.qpos, self.offsets, self.scale = state
            self._move(length * step, length * turn)
            self.linearise()
            if self.cost() < before:
                return float(np.abs(length * step[-len(self.scale) :]).max())
        self.qpos, self.offsets, self.scale = state
        self.linearise()
        return 0.0

    def _newton(self) -> tuple[Float[np.ndarray, " unknown"], Float[np.ndarray, "frame dof"]]:
        """Return the step of offsets and scales, and the step of the poses that goes with it."""
        data, prior, scores = self.normal()
        self.held_to = prior
        pull = np.where(self.free, np.einsum("fij,fj->fi", self.inverse, self.prior * self.away), 0.0)
        kept = self.weight * np.einsum("fik,fk->fi", self.jacobian, pull)
        slope = scores.sum(axis=0) - np.tensordot(self.design, kept, axes=([0, 1], [0, 1]))
        moved = (self.offsets - MM * self.body.marker_offset).ravel()
        slope -= prior @ np.concatenate([moved, self.scale - 1])
        step = np.linalg.solve(data + prior, slope)
        step *= min(1.0, LARGEST_CHANGE / max(float(np.abs(step[-len(self.scale) :]).max()), 1e-12))
        left = self.residual - self.design @ step
        return step, np.where(self.free, np.einsum("fik,fk->fi", self.gain, left) + pull, 0.0)

    def _move(self, step: Float[np.ndarray, " unknown"], turn: Float[np.ndarray, "frame dof"]) -> None:
        """Change offsets and scales by a step, and the poses by another, within their limits."""
        self.qpos = self.qpos.copy()
        for pose, move in zip(self.qpos, turn, strict=True):
            mujoco.mj_integratePos(self.body.model, pose, move, 1.0)
        tree = self.solver.tree
        unit, dof = tree.dof_unit[tree.scalar_dof], tree.scalar_dof
        low, high = tree.lower[dof] / unit, tree.upper[dof] / unit
        self.qpos[:, tree.scalar_qadr] = np.clip(self.qpos[:, tree.scalar_qadr], low, high)
        self.offsets = self.offsets + step[: self.offsets.size].reshape(-1, 3)
        self.scale = self.scale + step[self.offsets.size :]

    def cost(self) -> float:
        """Return what the fit minimises, mm^2: squared distances, and the pull of poses, offsets and scales."""
        moved = np.concatenate([(self.offsets - MM * self.body.marker_offset).ravel(), self.scale - 1])
        data = (self.weight * self.residual**2).sum() + (self.prior * self.away**2).sum()
        return float(data + moved @ self.held_to @ moved)

    def result(self) -> SegmentScales:
        """Return the scales with a sandwich estimate of their errors, as `precision.offset_errors` makes it."""
        data, prior, scores = self.normal()
        inverse, count = np.linalg.inv(data + prior), len(self.scale)
        scores = scores - scores.mean(axis=0)
        away = self.tie @ np.concatenate([(self.offsets - MM * self.body.marker_offset).ravel(), self.scale - 1])
        pulled = self.tie.T * (self.held * np.sqrt((away**2).mean()))
        spread = self.lasting * scores.T @ scores + pulled @ pulled.T
        spread[-count:, -count:] += np.eye(count) * (self.lasting * self.noise / self.sd) ** 2
        error = np.sqrt(np.diag(inverse @ spread @ inverse))[-count:]
        return SegmentScales(self.names, self.scale, error, np.diag(inverse @ data)[-count:].clip(0.0, 1.0))
