"""The page of rollouts: several next to each other on one clock, plots that follow it, and the curves of a training."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import viser

from track_mjx._common.errors import ConfigError, UserError
from track_mjx._common.figures import CYCLE
from track_mjx._common.mjcf import compile_enclosed
from track_mjx._common.render import web
from track_mjx._common.render.page import GO_TO, announce, cursor, listen, scales, script, small, strip
from track_mjx.api import load
from track_mjx.config import StudioConfig
from track_mjx.render.footage import Footage, read_footage, with_keypoints
from track_mjx.render.render import wanted_clips
from track_mjx.render.replay import RolloutView
from track_mjx.runs.run_folder import RunFolder
from track_mjx.studio.curves import Curves, of_rollout, of_run

PICTURE_S, LOOK_S = 0.04, 5.0
"""Time between two pictures while playing, and between two looks at a training."""
MOST_CURVES = 12
NEWEST = "rollouts_studio.h5"
"""Rollouts of the newest policy, in the folder of a run."""


class RolloutPage:
    """Rollouts and the curves of a run, in one page."""

    def __init__(self, server: web.Server, config: StudioConfig) -> None:
        """Read what a configuration asks for, and draw it."""
        self.server, self._config = server, config
        self.frame, self.playing, self.speed, self.stopped = 0, False, 1.0, threading.Event()
        self.views: list[RolloutView] = []
        self.takes: dict[str, Footage] = {}
        """By what they are called, in the order of the views."""
        self._curves: dict[str, Curves] = {}
        self._run = RunFolder.open(config.run) if config.run else None
        self._read, self._rolling = 0.0, threading.Lock()
        self._load()
        web.look_from(
            server, 0.5 * (len(self.views) - 1) * np.array([0.88, 0.66, 0.0]), 0.35 + 0.35 * max(len(self.views), 1)
        )
        self._add_controls()
        self.go(0)

    def _sources(self) -> list[str]:
        if self._config.rollouts:
            given = self._config.rollouts
            return [given] if isinstance(given, str) else [str(one) for one in given]
        folder = self._run.path if self._run else Path()
        files = [path for path in (folder / name for name in ("rollouts.h5", NEWEST)) if self._run and path.is_file()]
        return [str(max(files, key=lambda path: path.stat().st_mtime))] if files else []

    def _load(self) -> None:
        """Read rollouts and curves, as they are now."""
        self._read = time.time()
        self._curves, self.takes = {}, {}
        views, self.views = self.views, []
        for view in views:
            view.remove()
        if self._run is not None:
            self._curves |= {f"run: {one.title}": one for one in of_run(self._run.metrics())}
        for source in self._sources():
            self._load_rollouts(source)
        if not self._curves and not self.views and self._run is None:
            raise ConfigError("rollouts or run: set one, for example rollouts=run/rollouts.h5")

    def _load_rollouts(self, source: str) -> None:
        body, takes = read_footage(source, wanted_clips(self._config.clip), self._config.seed)
        model = compile_enclosed(body.mjcf_xml, body.assets)
        for take in takes:
            place, label = len(self.views), f"{take.clip}" if len(self._sources()) == 1 else f"{source}, {take.clip}"
            shown = self._with_keypoints(take, body.length_unit_m)
            self.views.append(
                RolloutView(self.server, f"/{place}", model, shown, ghost=self._config.ghost, place=place)
            )
            self.takes[label] = take
            self._curves |= {f"{label}: {one.title}": one for one in of_rollout(source, take, self._config.seed)}

    def _with_keypoints(self, take: Footage, unit_m: float) -> Footage:
        """Return a rollout with the keypoints of the clips file that is named, or else of that of the run."""
        path = Path(self._config.clips or (self._run.record().clips if self._run else "")).expanduser()
        if not self._config.clips and not path.is_file():
            return take
        shown = with_keypoints(take, path, unit_m)
        if shown.keypoints is None and self._config.clips:
            raise ConfigError(f"clips={path}: has no clip {take.clip!r}")
        return shown

    @property
    def n_frames(self) -> int:
        """States of the longest rollout."""
        return max([len(take.time) for take in self.takes.values()], default=1)

    def go(self, frame: int) -> None:
        """Show a state of all rollouts."""
        self.frame = min(max(int(frame), 0), self.n_frames - 1)
        with self.server.atomic():
            for view in self.views:
                view.show(self.frame)
            self._slider.value = self.frame
            self._cursor.content = cursor(self.frame, self.n_frames)
        lines = []
        for label, take in self.takes.items():
            state = min(self.frame, len(take.time) - 1)
            ended = f", ended: {take.ending}" if take.ending and state == len(take.time) - 1 else ""
            lines.append(f"<b>{escape(label)}</b> {take.time[state]:.3f} s{ended}")
        self._status.content = small("<br>".join(lines) or "no rollout yet")

    def run(self) -> None:
        """Play, and look at a training that is running, until stopped."""
        due = time.monotonic()
        while not self.stopped.wait(max(0.0, due - time.monotonic())):
            due = time.monotonic() + PICTURE_S
            if self.playing and self.takes:
                dt_s = float(max(self.takes.values(), key=lambda take: len(take.time)).time[1])
                step = max(1, round(PICTURE_S * self.speed / dt_s))
                self.go((self.frame + step) % self.n_frames)
                due += max(0.0, step * dt_s / self.speed - PICTURE_S)
            if self._run is not None and time.time() - self._read > LOOK_S:
                self._look()

    def _look(self) -> None:
        """Read the run again; a file that is being written is read the next time."""
        assert self._run is not None
        try:
            if any(Path(source).stat().st_mtime > self._read for source in self._sources()):
                self._load()
                self._slider.max = max(1, self.n_frames - 1)
                self.go(self.frame)
            else:
                self._read = time.time()
                self._curves |= {f"run: {one.title}": one for one in of_run(self._run.metrics())}
        except (UserError, OSError) as error:
            self._say(f"cannot be read now: {error}")
            return
        self._choice.options = tuple(self._curves) or ("-",)
        self._draw()

    def roll_out(self) -> None:
        """Roll out the newest policy of the run, in the background; `_look` shows it."""
        if self._rolling.acquire(blocking=False):
            threading.Thread(target=self._roll_out, daemon=True).start()

    def _roll_out(self) -> None:
        assert self._run is not None
        self._say("rolling out the newest policy ...")
        try:
            load(self._run.path).roll_out(self._run.path / NEWEST, checkpoint="last", activations=False)
            self._say("")
        except UserError as error:
            self._say(str(error))
        finally:
            self._rolling.release()

    def _say(self, text: str) -> None:
        self._message.content = small(escape(text)) if text else ""

    def _add_controls(self) -> None:
        gui = self.server.gui
        gui.main_panel.dock_right()
        gui.main_panel.set_width(400)
        self._status = gui.add_html("")
        self._slider = gui.add_slider("State", min=0, max=max(1, self.n_frames - 1), step=1, initial_value=0)
        self._when(self._slider, lambda: self.go(int(self._slider.value)))
        self._cursor = gui.add_html("")
        gui.add_html(strip("", self.n_frames))
        play = gui.add_button("Play / pause")
        play.on_click(lambda _: self.play())
        speed = gui.add_slider("Speed", min=0.01, max=1.0, step=0.01, initial_value=self.speed)
        self._when(speed, lambda: setattr(self, "speed", float(speed.value)))
        self._message = gui.add_html("")
        if self._run is not None:
            gui.add_button("Roll out the newest policy").on_click(lambda _: self.roll_out())
        go_to = gui.add_text(GO_TO, "", hint="number of a state")
        self._when(go_to, lambda: go_to.value.strip().isdigit() and self.go(int(go_to.value)))
        gui.add_html(script())
        self._choice = gui.add_dropdown("Plot", list(self._curves) or ["-"])
        self._when(self._choice, self._draw)
        self._plot = gui.add_uplot(
            (np.zeros(2), np.zeros(2)),
            ({"label": "step"}, {"label": "-"}),
            height=260,
            cursor={"drag": {"x": False, "y": False}},
            scales=scales(()),
        )
        self._draw()
        for label, key, action in (
            ("Play or pause", "space", self.play),
            ("Next state", "arrowright", lambda: self.go(self.frame + 1)),
            ("Previous state", "arrowleft", lambda: self.go(self.frame - 1)),
        ):
            gui.add_command(label, hotkey=key).on_trigger(lambda _, action=action: action())  # type: ignore[arg-type]

    def _when(self, control: viser.GuiInputHandle, action: Callable[[], Any]) -> None:
        @control.on_update
        def _(event: viser.GuiEvent) -> None:
            if event.client_id is not None:
                action()

    def play(self) -> None:
        """Play or pause."""
        self.playing = not self.playing

    def _draw(self) -> None:
        shown = self._curves.get(str(self._choice.value))
        if shown is not None:
            names: Sequence[str] = list(shown.values)[:MOST_CURVES]
            style: list[Any] = [{"label": shown.axis}]
            style += [{"label": name, "stroke": CYCLE[k % len(CYCLE)], "width": 1.2} for k, name in enumerate(names)]
            self._plot.title = shown.title
            self._plot.series = tuple(style)
            self._plot.scales = scales([shown.values[name] for name in names])
            self._plot.data = (shown.x, *(shown.values[name] for name in names))


def serve(config: StudioConfig, say: Callable[[str], None]) -> None:
    """Open the page, and serve it until the command is interrupted."""
    server, address = listen(config.studio, "track-mjx studio")
    try:
        page = RolloutPage(server, config)
        announce(config.studio, address, say)
        page.run()
    except KeyboardInterrupt:
        say("stopped")
    finally:
        server.stop()
