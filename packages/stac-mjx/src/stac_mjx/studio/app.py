"""The studio: what the user does, on one session that all open pages show.

Callbacks of the page come from several threads; one lock guards the state.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from stac_mjx._common.errors import ConfigError, UserError
from stac_mjx._common.files import output_folder, write_text
from stac_mjx._common.progress import Stage
from stac_mjx._common.render import web
from stac_mjx.keypoints.alignment import IDENTITY
from stac_mjx.report.accuracy import means
from stac_mjx.studio.presets import opened, preset_path, preset_yaml
from stac_mjx.studio.scene import Scene
from stac_mjx.studio.session import FEWEST_PAIRS, History, Placed, Session
from stac_mjx.studio.worker import SOME_FRAMES, Cancelled, Solved, Underway, Worker, fit_all, fit_frame, fit_some

AUTOSAVE = "studio.yaml"
"""The work in progress, in the folder of the studio."""
AUTOSAVE_S, PICTURE_S = 1.0, 0.04
"""Time between two looks at whether there is something to save, and between two pictures while playing."""


class Studio:
    """One session, its fits, and what the page shows of it."""

    def __init__(self, server: web.Server, session: Session, out: Path, solved: Solved | None = None) -> None:
        """Open a session; work in progress and results go to the folder `out`."""
        self.server, self.out = server, out
        self.history, self.frame, self.selected = History(session), 0, next(iter(session.unpaired), None)
        self.name = session.config.body.name
        self.playing, self.speed = False, 1.0
        self.message, self.failed, self.stage, self.part = "", False, "", 0.0
        self.worker, self.lock, self.stopped = Worker(), threading.RLock(), threading.Event()
        self.changed: Callable[[], None] = lambda: None
        """Called after everything that the controls show has changed."""
        self.moved: Callable[[], None] = lambda: None
        """Called after another frame is shown."""
        self._solved, self._kept, self._drag = (session, solved), session, False
        self._underway: tuple[Session, Underway | None] = session, None
        self.scene = Scene(server, session, picked_keypoint=self.select, picked_body=self.pair_with, dragged=self.drag)
        self.scene.look.apart = not self._together()

    @property
    def session(self) -> Session:
        """The session as it is now."""
        return self.history.now

    @property
    def solved(self) -> Solved | None:
        """The last fit, where it is of this session."""
        return self._solved[1] if self._solved[0] is self.session else None

    @property
    def placed(self) -> Placed:
        """The bodies in the frame shown: as a running fit has them, else as fitted, else in the default pose."""
        fitted, poses = self._underway
        if poses is not None and fitted is self.session and self.frame in poses.frames:
            return poses.placed(self.frame)
        placed = None if self.solved is None else self.solved.placed(self.frame)
        return placed or self.session.resting(self.frame)

    @property
    def error_mm(self) -> float:
        """Mean error of the frame shown; NaN without pairs."""
        error = self.placed.error_mm
        return float(means(error[None], axis=1)[0]) if len(error) else np.nan

    def run(self) -> None:
        """Play, and keep the work in progress, until the studio is stopped."""
        kept = due = time.monotonic()
        while not self.stopped.wait(max(0.0, due - time.monotonic())):
            due = time.monotonic() + PICTURE_S
            if self.playing:
                rate = float(self.session.recording.rate_hz or 25.0)
                step = max(1, round(rate * self.speed * PICTURE_S))
                self.go((self.frame + step) % self.session.recording.n_frames)
                due += max(0.0, step / (rate * self.speed) - PICTURE_S)
            if time.monotonic() - kept > AUTOSAVE_S:
                kept = time.monotonic()
                self.keep()

    def keep(self) -> None:
        """Write the work in progress, where it has changed."""
        session = self.session
        if session is not self._kept:
            write_text(self.out / AUTOSAVE, preset_yaml(session, self.name))
            self._kept = session

    def attempt(self, action: Callable[[], None]) -> None:
        """Do something, and say what was wrong with it."""
        with self.lock:
            try:
                self.message, self.failed = "", False
                action()
            except UserError as error:
                self.message, self.failed = str(error), True
            self.refresh()

    def refresh(self) -> None:
        """Show the present state."""
        with self.lock:
            self.scene.show(self.session, self.frame, self.placed, self.selected)
        self.changed()

    def change(self, command: Callable[[Session], Session], *, replaces: bool = False) -> None:
        """Apply a command to the session; one that `replaces` the last leaves no step to undo."""

        def apply() -> None:
            together = self._together()
            self.history = self.history.then(command(self.session), replaces=replaces)
            if self._together() and not together:
                self.scene.look.apart = False

        self.attempt(apply)

    def _together(self) -> bool:
        """Whether pairs and alignment lay the recording onto the body."""
        error, size_mm = self.session.resting(self.frame).error_mm, 1000 * self.session.body.size_m
        return bool(np.isfinite(error).sum() >= FEWEST_PAIRS and np.nanmean(error) < size_mm)

    def step_back(self, *, redo: bool = False) -> None:
        """Undo, or redo."""
        with self.lock:
            self.history = self.history.redo() if redo else self.history.undo()
        self.refresh()

    def go(self, frame: int) -> None:
        """Show a frame."""
        with self.lock:
            self.frame = min(max(int(frame), 0), self.session.recording.n_frames - 1)
            self.scene.show(self.session, self.frame, self.placed, self.selected)
        self.moved()

    def go_clip(self, step: int) -> None:
        """Show the first frame of a clip before or after this one."""
        recording = self.session.recording
        clip = int(recording.frame_clip[self.frame]) + step
        self.go(int(recording.clip_starts[min(max(clip, 0), len(recording.clip_starts) - 1)]))

    def go_to(self, text: str) -> None:
        """Show a frame by its number, select a keypoint by its name, or show a clip by its name."""
        recording, text = self.session.recording, text.strip()
        if text.isdigit():
            self.go(int(text))
        elif text in recording.names:
            self.select(text)
        elif text in recording.clip_names:
            self.go(int(recording.clip_starts[recording.clip_names.index(text)]))

    def select(self, keypoint: str | None) -> None:
        """Select a keypoint."""
        with self.lock:
            self.selected = keypoint
        self.refresh()

    def pair_with(self, body: str) -> None:
        """Pair the selected keypoint with a body that was clicked, and select the next one without."""
        keypoint = self.selected
        if keypoint is None or keypoint in self.session.pairs:
            self.message = f"{body}: to pair it, select an unpaired keypoint first"
            self.changed()
            return
        self.change(lambda session: session.paired(keypoint, body))

    def drag(self, position: np.ndarray, quat: np.ndarray, ended: bool) -> None:
        """Follow the handle in the scene; the whole drag is one step to undo."""
        with self.lock:
            begun, self._drag = self._drag, not ended
            if self.scene.look.handle == "recording":
                self.change(
                    lambda s: s.with_alignment(rotation=quat.tolist(), translation=position.tolist()), replaces=begun
                )
            elif self.selected in self.session.pairs:
                name = str(self.selected)
                self.change(lambda s: s.with_offset(name, position.round(7).tolist()), replaces=begun)

    def fit(self, what: str) -> None:
        """Begin a fit of this ``frame``, of ``some`` frames or of ``everything``."""
        session, frame = self.session, self.frame
        watch = partial(self._watch, session)
        tasks: dict[str, Callable[[Stage], Solved]] = {
            "frame": lambda stage: fit_frame(session, frame),
            "some": lambda stage: fit_some(session, np.array(session.spread(SOME_FRAMES)), stage, watch),
            "everything": lambda stage: fit_all(session, stage, watch),
        }
        if not session.pairs:
            self.message = "pair keypoints first"
        elif self.worker.run(
            tasks[what],
            progress=self._progress,
            done=lambda result: self._done(session, result),
            then=lambda: (self.refresh(), self.moved()),
        ):
            self.stage, self.part, self.message = "fit", 0.0, ""
        self.changed()

    def _progress(self, stage: str, part: float) -> None:
        self.stage, self.part = stage, part
        self.changed()

    def _watch(self, session: Session, poses: Underway) -> None:
        """Show a fit that is running, at the nearest frame that it has a pose of."""
        with self.lock:
            self._underway = session, poses
        self.go(poses.nearest(self.frame))

    def _done(self, session: Session, result: Solved | UserError | Cancelled) -> None:
        with self.lock:
            self.stage, self.part, self._underway = "", 0.0, (session, None)
            if isinstance(result, Solved):
                self._solved = (session, result)
                if self.frame not in result.frames:
                    self.frame = int(result.frames[np.abs(result.frames - self.frame).argmin()])
            else:
                self.failed = not isinstance(result, Cancelled)
                self.message = str(result) if self.failed else "cancelled"

    def take_offsets(self) -> None:
        """Begin from the offsets, and the frame of the recording, that the last fit found."""
        solved = self.solved
        if solved is not None and solved.registration is not None:
            fitted = solved.registration.T_body_recording
            offsets = dict(zip(self.session.body.marker_names, solved.offsets.round(7).tolist(), strict=True))
            shared = fitted if fitted.scale.ndim == 0 else IDENTITY  # those of single clips are fitted again
            self.change(lambda session: session.with_offsets(offsets).transformed(shared))

    def open_text(self, text: str, where: str) -> None:
        """Continue with the settings of a file."""

        def apply() -> None:
            session, notes = opened(self.session, text, where)
            self.history, self.frame = self.history.then(session), 0
            self.message = "; ".join(notes) or f"opened {where}"

        self.attempt(apply)

    def save_preset(self, name: str) -> None:
        """Write the preset of the session."""

        def apply() -> None:
            self.name = name or self.name
            path = preset_path(self.out, self.name)
            output_folder(str(path.parent), "")
            write_text(path, preset_yaml(self.session, self.name))
            self.message = f"saved {path}. Use: stac-mjx fit --config-dir {self.out} body={path.stem}"

        self.attempt(apply)

    def save_results(self) -> None:
        """Write clips, offsets and report of a fit of everything."""

        def apply() -> None:
            if self.solved is None or self.solved.registration is None:
                raise ConfigError("fit everything first")
            self.message = f"saved {self.solved.registration.save(self.out)}: clips.h5, offsets.h5, report.html"

        self.attempt(apply)

    def save_page(self) -> None:
        """Write the clip shown as a page that needs no server."""

        def apply() -> None:
            recording, now, path = self.session.recording, self.frame, self.out / "replay.html"
            clip = int(recording.frame_clip[now])
            start, length = int(recording.clip_starts[clip]), int(recording.clip_lengths[clip])
            web.write_page(
                path,
                self.server,
                lambda frame: self.go(start + frame),
                length,
                float(recording.rate_hz or web.PAGE_FPS),
            )
            self.go(now)
            self.message = f"saved {path}"

        self.attempt(apply)
