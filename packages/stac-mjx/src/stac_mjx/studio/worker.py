"""Fits of a session in the background: of one frame, of some, of everything; through the functions of the commands."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Float, Int

from stac_mjx._common.errors import InputError, UserError
from stac_mjx._common.progress import Stage, Tick, silent
from stac_mjx.body.body import Body
from stac_mjx.body.poses import body_poses, marker_frames
from stac_mjx.calibration.calibrate import Alternation
from stac_mjx.config import FitConfig
from stac_mjx.inputs import Inputs, confidence_weights
from stac_mjx.inverse_kinematics.pose_solver import Fit, Observation, pose_solver
from stac_mjx.inverse_kinematics.solve import solve
from stac_mjx.keypoints import Keypoints
from stac_mjx.keypoints.alignment import IDENTITY
from stac_mjx.records import ReferenceClips
from stac_mjx.registration import derive
from stac_mjx.results import Registration, register
from stac_mjx.studio.session import Placed, Session

SOME_FRAMES = 100
"""Frames of a fit of some."""


@dataclass(frozen=True)
class Solved:
    """Poses of some frames of a session."""

    frames: Int[np.ndarray, " frame"]
    """Their numbers in the recording, ascending."""
    clips: ReferenceClips
    offsets: Float[np.ndarray, "keypoint 3"]
    """Offsets used, in the order of the markers, metres."""
    registration: Registration | None = None
    """The whole fit; None for one frame."""

    def placed(self, frame: int) -> Placed | None:
        """Return the bodies in a frame of the recording, or None where it was not solved."""
        row = int(np.searchsorted(self.frames, frame))
        if row == len(self.frames) or self.frames[row] != frame:
            return None
        clips = self.clips
        sites, error, registration = clips.marker_sites[row], clips.error_mm[row], self.registration
        clip = clips.frame_clip[row]
        fitted = IDENTITY if registration is None else registration.T_body_recording.of_clips(clip)
        return Placed(clips.xpos[row], clips.xquat[row], sites, error, fitted)


@dataclass(frozen=True)
class Underway:
    """Poses of some frames during a fit."""

    frames: Int[np.ndarray, " frame"]
    """Their numbers in the recording."""
    body: Body
    found: Alternation

    def nearest(self, frame: int) -> int:
        """Return the frame with a pose that is nearest to a frame of the recording."""
        return int(self.frames[np.abs(self.frames - frame).argmin()])

    def placed(self, frame: int) -> Placed:
        """Return the bodies in one of the frames."""
        row, found = int(np.searchsorted(self.frames, frame)), self.found
        pose = found.fit.qpos[row : row + 1]
        (place,), (quat,) = body_poses(self.body, pose)
        (sites,) = marker_frames(self.body, pose).points(found.offsets)
        seen = np.where(found.sample.present[row], 1000.0, np.nan)
        error = seen * np.linalg.norm(found.sample.target[row] - sites, axis=-1)
        return Placed(place, quat, sites, error, found.T_body_recording.of_clips(found.group[row]))


Watch = Callable[[Underway], None]


def _unseen(_poses: Underway) -> None:
    """Show nothing during a fit."""


class Cancelled(Exception):
    """The user cancelled a fit."""


def fit_frame(session: Session, frame: int) -> Solved:
    """Solve one frame with the offsets of the session."""
    keypoints = _rows(session.matched, np.array([frame]))
    if not keypoints.observed.any():
        raise InputError(f"frame {frame}: no paired keypoint is observed")
    fit = _solve_frame(session, frame)
    used = session.body.marker_offset
    clips = derive(Inputs(session.body, keypoints, ()), _at_rate(session), used, fit.qpos, fit.status)
    return Solved(np.array([frame]), clips, used)


def warm_up(session: Session) -> None:
    """Compile what `fit_frame` needs, whatever will be paired."""
    ready = session if session.pairs else session.complete()
    frame = int(ready.matched.observed.sum(axis=1).argmax())
    if ready.matched.observed[frame].any():
        fit_frame(ready, frame)


def _solve_frame(session: Session, frame: int) -> Fit:
    """Solve one frame with all keypoints as markers, those without a pair without weight: one program for all pairs."""
    whole = session.complete()
    keypoints = _rows(whole.matched, np.array([frame]))
    weight = confidence_weights(keypoints) * np.isin(whole.body.marker_names, list(session.pairs))
    solver = replace(pose_solver(whole.body, session.config.solver), batch=1, threads=1)
    return solve(solver, Observation(keypoints.positions, weight, keypoints.clip_lengths), whole.body.marker_offset)


def fit_some(
    session: Session, frames: Int[np.ndarray, " frame"], stage: Stage = silent, watch: Watch = _unseen
) -> Solved:
    """Calibrate and solve some frames, each on its own."""
    inputs = session.inputs()
    keypoints = _rows(inputs.keypoints, frames)
    if session.config.alignment.per_clip:  # frames of a clip share its transform
        clip, count = np.unique(inputs.keypoints.frame_clip[frames], return_counts=True)
        names = tuple(inputs.keypoints.clip_names[c] for c in clip)
        keypoints = replace(keypoints, clip_names=names, clip_lengths=count)
    show = partial(_show, watch, inputs.body, frames)
    registration = register(replace(inputs, keypoints=keypoints), _at_rate(session), stage=stage, watch=show)
    return Solved(frames, registration.clips, registration.offsets, registration)


def fit_all(session: Session, stage: Stage = silent, watch: Watch = _unseen) -> Solved:
    """Calibrate and solve the whole recording, as ``stac-mjx fit`` does."""
    inputs = session.inputs()
    show = partial(_show, watch, inputs.body, np.arange(session.recording.n_frames))
    registration = register(inputs, session.config, stage=stage, watch=show)
    clips, keypoints = registration.clips, session.recording
    # where the clips have another rate: the frames nearest in time
    within = np.round(clips.time * float(registration.inputs.keypoints.rate_hz or 1.0)).astype(int)
    return Solved(keypoints.clip_starts[clips.frame_clip] + within, clips, registration.offsets, registration)


def _show(watch: Watch, body: Body, frames: np.ndarray, rows: np.ndarray, found: Alternation) -> None:
    watch(Underway(frames[rows], body, found))


def _at_rate(session: Session) -> FitConfig:
    """Return the settings without a rate to convert to."""
    return replace(session.config, trajectory=replace(session.config.trajectory, rate_hz=None))


def _rows(keypoints: Keypoints, frames: np.ndarray) -> Keypoints:
    """Return some frames, each as a clip."""
    return replace(
        keypoints,
        positions=keypoints.positions[frames],
        confidence=keypoints.confidence[frames],
        rate_hz=keypoints.rate_hz or 1.0,
        clip_names=tuple(f"frame_{frame}" for frame in frames),
        clip_lengths=np.ones(len(frames), np.int64),
        events={},
        labels=(),
    )


class Worker:
    """Runs one fit at a time in a thread."""

    def __init__(self) -> None:
        self.busy = False
        """Whether a fit is running."""
        self._cancel = threading.Event()

    def cancel(self) -> None:
        """Stop the fit that is running, at its next step."""
        self._cancel.set()

    def run(
        self,
        task: Callable[[Stage], Solved],
        *,
        progress: Callable[[str, float], None],
        done: Callable[[Solved | UserError | Cancelled], None],
        then: Callable[[], object] = lambda: None,
    ) -> bool:
        """Begin a fit; False where one is running.

        `progress` is called with the name of a stage and the part of it that is finished, `done` with the result, or
        with why there is none, and `then` when another fit may begin.
        """
        if self.busy:
            return False
        self._cancel.clear()

        def stage(name: str, total: int | None) -> Tick:
            finished = 0.0

            def tick(amount: int, note: str = "") -> None:
                nonlocal finished
                if self._cancel.is_set():
                    raise Cancelled
                finished += amount
                progress(f"{name} {note}".strip(), min(1.0, finished / max(total or 1, 1)))

            tick(0)
            return tick

        def work() -> None:
            try:
                try:
                    result: Solved | UserError | Cancelled = task(stage)
                except (UserError, Cancelled) as error:
                    result = error
                done(result)
            finally:
                self.busy = False
            then()

        self.busy = True
        threading.Thread(target=work, daemon=True).start()
        return True
