"""The controls of the page: they show the state of a studio and call its commands."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import numpy as np
import viser
import viser.uplot

from stac_mjx._common.figures import BLUE, CYCLE, GREY, RED
from stac_mjx._common.render.page import GO_TO, cursor, scales, script, small
from stac_mjx.config import AXES, UNITS
from stac_mjx.studio import plots
from stac_mjx.studio.app import Studio
from stac_mjx.studio.session import Session
from stac_mjx.studio.worker import Solved

KEYS = (
    ("Space", "play"), ("&larr; &rarr;", "step"), ("[ ] or PageUp PageDown", "clip"), ("U", "undo"),
    ("R", "redo"), ("F", "fit the frame"), ("S", "save"),
)  # fmt: skip


class Panels:
    """The controls of one studio."""

    def __init__(self, studio: Studio) -> None:
        """Add all controls to the studio's server."""
        self._studio, self._gui, self._setting = studio, studio.server.gui, False
        self._gui.main_panel.dock_right()
        self._gui.main_panel.set_width(400)
        self._status = self._gui.add_html("")
        self._add_time()
        tabs = self._gui.add_tab_group()
        for label, add in (
            ("Pair", self._add_pairs), ("Align", self._add_alignment), ("Fit", self._add_fit),
            ("View", self._add_view), ("File", self._add_files),
        ):  # fmt: skip
            with tabs.add_tab(label):
                add()
        self._add_keys()
        studio.changed, studio.moved = self.update, self.update_frame
        studio.refresh()

    def _when(self, control: viser.GuiInputHandle, action: Callable[[], None]) -> None:
        """Call `action` when a user changes a control, not when we do."""

        @control.on_update
        def _(event: viser.GuiEvent) -> None:
            if event.client_id is not None:
                action()

    def _button(self, label: str, action: Callable[[], None], **more: str) -> viser.GuiButtonHandle:
        button = self._gui.add_button(label, **more)  # type: ignore[arg-type]
        button.on_click(lambda _: action())
        return button

    def _buttons(self, label: str, actions: dict[str, Callable[[], None]]) -> None:
        group = self._gui.add_button_group(label, tuple(actions))
        group.on_click(lambda _: actions[str(group.value)]())

    def _add_time(self) -> None:
        gui, studio = self._gui, self._studio
        last = max(1, studio.session.recording.n_frames - 1)
        self._frame = gui.add_slider("Frame", min=0, max=last, step=1, initial_value=0)
        self._when(self._frame, lambda: studio.go(int(self._frame.value)))
        self._cursor = gui.add_html("")
        self._line = gui.add_html("")
        clips = {"Clip -": lambda: studio.go_clip(-1), "Clip +": lambda: studio.go_clip(1)}
        self._buttons("Play", {"Play / pause": self.play, **clips})
        self._go_to = gui.add_text(GO_TO, "", hint="number of a frame, name of a keypoint or of a clip")
        self._when(self._go_to, lambda: studio.go_to(self._go_to.value))
        gui.add_html(script())

    def play(self) -> None:
        """Play or pause."""
        self._studio.playing = not self._studio.playing

    def _add_pairs(self) -> None:
        gui, studio = self._gui, self._studio
        self._show = gui.add_dropdown("Show", ("all", "unpaired", "paired", "never observed"))
        self._filter = gui.add_text("Filter", "")
        self._when(self._show, self.update)
        self._when(self._filter, self.update)
        self._table = gui.add_html("")
        self._body = gui.add_dropdown("Body", ("-", *studio.session.body.body_names[1:]))
        self._when(self._body, self._body_chosen)
        self._suggested = gui.add_html("")
        self._buttons("Accept", {
            "Suggestion": lambda: self._accept(studio.selected),
            "All by name": lambda: studio.change(lambda s: s.accepted(s.suggestions())),
            "All nearest": lambda: studio.change(lambda s: s.accepted(s.nearest(studio.frame, studio.placed))),
        })  # fmt: skip
        self._offset = gui.add_vector3("Offset, mm", (0.0, 0.0, 0.0), step=0.01, hint="in the frame of the body")
        self._when(self._offset, self._offset_typed)
        self._held = gui.add_checkbox("Regularise", False, hint="keep it near this place in the calibration")
        self._when(self._held, lambda: self._on_selected(lambda s, k: s.regularised(k, float(self._held.value))))
        self._buttons("Change", {
            "Mirror": lambda: self._on_selected(lambda s, k: s.mirrored(k)),
            "Undo": studio.step_back,
            "Redo": lambda: studio.step_back(redo=True),
        })  # fmt: skip

    def _body_chosen(self) -> None:
        studio, body = self._studio, str(self._body.value)
        if studio.selected is not None:
            keypoint = studio.selected
            studio.change(lambda s: s.without(keypoint) if body == "-" else s.paired(keypoint, body))

    def _accept(self, keypoint: str | None) -> None:
        found = self._studio.session.suggestions()
        if keypoint in found:
            self._studio.change(lambda s: s.paired(str(keypoint), found[str(keypoint)]))

    def _on_selected(self, command: Callable[[Session, str], Session]) -> None:
        keypoint = self._studio.selected
        if keypoint in self._studio.session.pairs:
            self._studio.change(lambda session: command(session, str(keypoint)))

    def _offset_typed(self) -> None:
        self._on_selected(lambda session, k: session.with_offset(k, [x / 1000 for x in self._offset.value]))

    def _add_alignment(self) -> None:
        gui, studio = self._gui, self._studio
        self._aligned = gui.add_html("")
        with gui.add_folder("Recording"):
            self._unit = gui.add_dropdown("Unit", ("of the file", *UNITS))
            self._when(self._unit, lambda: studio.change(lambda s: s.with_unit(self._unit.value)))
            self._up = gui.add_dropdown("Up axis", tuple(AXES), initial_value="z")
            self._when(self._up, lambda: studio.change(lambda s: s.with_alignment(up=self._up.value)))
            self._with_scale = gui.add_checkbox("Fit a scale too", False)
            self._buttons("Align", {
                "This frame": lambda: self._align([studio.frame]),
                "50 frames": lambda: self._align(studio.session.spread(50)),
                "Reset": lambda: studio.change(lambda s: s.with_alignment(
                    rotation=[1.0, 0.0, 0.0, 0.0], translation=[0.0, 0.0, 0.0], scale=1.0)),
            })  # fmt: skip
            self._by_hand = gui.add_checkbox("Move by hand", False, hint="a handle in the scene")
            self._when(self._by_hand, self._handle_chosen)
            self._mode = gui.add_dropdown("In the fit", ("none", "rigid", "similarity"))
            self._when(self._mode, lambda: studio.change(lambda s: s.with_alignment(mode=self._mode.value)))
        with gui.add_folder("Model"):
            self._scale = gui.add_number("Scale", 1.0, min=1e-3, step=1e-3)
            self._when(self._scale, lambda: studio.change(lambda s: s.with_scale(float(self._scale.value))))
            self._segments = gui.add_checkbox("Fit segments", False, hint="one scale for both thighs, and so on")
            self._when(self._segments, lambda: studio.change(lambda s: s.with_segment_scales(self._segments.value)))
            self._button("Fit the scale to the recording", lambda: studio.change(lambda s: s.scaled_to_recording()))

    def _align(self, frames: list[int]) -> None:
        self._studio.change(lambda session: session.aligned(frames, with_scale=bool(self._with_scale.value)))

    def _handle_chosen(self) -> None:
        self._studio.scene.look.handle = "recording" if self._by_hand.value else "offset"
        self._studio.refresh()

    def _add_fit(self) -> None:
        gui, studio = self._gui, self._studio
        self._buttons("Fit", {
            "Frame": lambda: studio.fit("frame"),
            "100 frames": lambda: studio.fit("some"),
            "Everything": lambda: studio.fit("everything"),
        })  # fmt: skip
        self._bar = gui.add_progress_bar(0.0, visible=False)
        self._cancel = self._button("Cancel", studio.worker.cancel, color="red")
        self._result = gui.add_html("")
        self._choice = gui.add_dropdown("Plot", [str(plots.MEAN)], visible=False)
        self._when(self._choice, self._draw)
        self._plot = gui.add_uplot(
            (np.zeros(2), np.zeros(2)), ({"label": "frame"}, {"label": plots.MEAN}), height=190, visible=False,
            cursor={"drag": {"x": False, "y": False}}, scales=scales(()),
        )  # fmt: skip
        self._worst = gui.add_button_group("Worst frames", ("-",), visible=False)
        self._worst.on_click(lambda _: studio.go_to(str(self._worst.value)))
        self._warnings = gui.add_html("")
        self._take = self._button("Take these offsets as the start", studio.take_offsets)
        self._plotted: object = None

    def _add_view(self) -> None:
        gui, look, studio = self._gui, self._studio.scene.look, self._studio
        opacity = gui.add_slider("Body opacity", min=0.0, max=1.0, step=0.05, initial_value=look.opacity)
        hidden = gui.add_text("Hide bodies", look.hidden, hint="names with * and ?, separated by spaces")
        self._apart = gui.add_checkbox("Recording apart", look.apart, hint="next to the body")
        follow = gui.add_checkbox("Follow the animal", look.follow)
        speed = gui.add_slider("Speed", min=0.05, max=2.0, step=0.05, initial_value=1.0)
        gui.add_html(small(f"The dots of the floor are {1000 * studio.scene.square_m:g} mm apart."))

        def apply() -> None:
            look.opacity, look.hidden = float(opacity.value), hidden.value
            look.apart, look.follow, studio.speed = self._apart.value, follow.value, float(speed.value)
            studio.refresh()

        for control in (opacity, hidden, self._apart, follow, speed):
            self._when(control, apply)

    def _add_files(self) -> None:
        gui, studio = self._gui, self._studio
        self._name = gui.add_text("Name", studio.name)
        self._button("Save preset", lambda: studio.save_preset(self._name.value), color="green")
        self._button("Save clips, offsets and report", studio.save_results)
        self._button("Save this clip as a page", studio.save_page)
        upload = gui.add_upload_button("Open preset or public configuration", mime_type=".yaml,.yml")

        @upload.on_upload
        def _(_: object) -> None:
            file = upload.value
            studio.open_text(file.content.decode("utf-8", "replace"), file.name)

        rows = "".join(f"<tr><th align='left'>{key}</th><td>&emsp;{what}</td></tr>" for key, what in KEYS)
        gui.add_html(f"<table style='font-size:12px;margin:6px 10px'>{rows}</table>")

    def _add_keys(self) -> None:
        studio = self._studio
        for label, key, action in (
            ("Play or pause", "space", self.play),
            ("Next frame", "arrowright", lambda: studio.go(studio.frame + 1)),
            ("Previous frame", "arrowleft", lambda: studio.go(studio.frame - 1)),
            ("Next clip", "pagedown", lambda: studio.go_clip(1)),
            ("Previous clip", "pageup", lambda: studio.go_clip(-1)),
            ("Undo", "U", studio.step_back),
            ("Redo", "R", lambda: studio.step_back(redo=True)),
            ("Fit this frame", "F", lambda: studio.fit("frame")),
            ("Save preset", "S", lambda: studio.save_preset(self._name.value)),
        ):
            self._gui.add_command(label, hotkey=key).on_trigger(lambda _, action=action: action())  # type: ignore[arg-type]

    def update_frame(self) -> None:
        """Show the number of the frame."""
        n_frames = self._studio.session.recording.n_frames
        self._frame.value = self._studio.frame
        self._cursor.content = cursor(self._studio.frame, n_frames)
        if not self._studio.playing:
            self._status.content = self._status_text()

    def update(self) -> None:
        """Show the whole state."""
        studio = self._studio
        with studio.lock, studio.server.atomic():
            session, marker = studio.session, studio.session.pairs.get(str(studio.selected))
            self._frame.max = max(1, session.recording.n_frames - 1)
            self._line.content = plots.time_line(session, studio.solved)
            self._table.content = self._table_text()
            suggested = session.suggestions().get(str(studio.selected))
            self._suggested.content = small(
                f"{studio.selected}: {suggested}" if suggested else "no suggestion for the selected keypoint"
            )
            self._set(self._body, marker.body if marker else "-")
            if marker:
                self._set(self._offset, tuple(round(1000 * x, 4) for x in marker.offset))
                self._set(self._held, marker.regularize > 0)
            self._update_alignment(session)
            self._update_fit()
            self._apart.value = studio.scene.look.apart
            self.update_frame()
            self._status.content = self._status_text()

    def _set(self, control: viser.GuiInputHandle, value: object) -> None:
        if control.value != value:
            control.value = value

    def _update_alignment(self, session: Session) -> None:
        config, unit = session.config.alignment, session.config.keypoints.unit
        self._set(self._unit, unit or "of the file")
        self._set(self._up, config.up or "z")
        self._set(self._mode, config.mode)
        self._set(self._scale, session.config.body.scale)
        self._set(self._segments, session.config.calibration.segments)
        place = ", ".join(f"{1000 * x:.2f}" for x in config.translation)
        turn = ", ".join(f"{x:.3f}" for x in config.rotation)
        rest = session.resting(self._studio.frame).error_mm
        error = f"{np.nanmean(rest):.3f} mm" if np.isfinite(rest).any() else "-"
        self._aligned.content = small(
            f"<b>{error}</b> from the body in its default pose, this frame<br>recording: x {config.scale:g}, "
            f"rotation ({turn}), translation ({place}) mm"
        )

    def _update_fit(self) -> None:
        studio, solved = self._studio, self._studio.solved
        busy = studio.worker.busy
        self._bar.visible = self._cancel.visible = busy
        self._bar.value = 100 * studio.part
        for control in (self._choice, self._plot, self._worst):
            control.visible = solved is not None and len(solved.frames) > 1
        self._warnings.visible = self._take.visible = solved is not None and solved.registration is not None
        if busy:
            self._result.content = small(escape(studio.stage))
        elif solved is None:
            self._result.content = small("no fit of this state yet")
        elif solved is not self._plotted:
            self._result.content = small(_summary(solved, studio.session))
            found = solved.registration.summary()["warnings"] if solved.registration else ()
            self._warnings.content = small("<br>".join(map(escape, found[:3])))
            if len(solved.frames) > 1:
                self._choice.options = tuple(plots.choices(solved))
                self._worst.options = tuple(map(str, plots.worst_frames(solved))) or ("-",)
                self._draw()
        self._plotted = None if busy else solved

    def _draw(self) -> None:
        solved = self._studio.solved
        if solved is not None:
            shown = plots.curve(solved, self._studio.session, str(self._choice.value))
            style: list[Any] = [{"label": "frame"}]
            style += [
                {"label": label, "stroke": CYCLE[0] if k == 0 else RED, "width": 1.5 if k == 0 else 1}
                for k, label in enumerate(shown.labels)
            ]
            self._plot.title = shown.title
            self._plot.series = tuple(style)
            self._plot.scales = scales(shown.values)
            self._plot.data = (shown.frames, *shown.values)

    def _table_text(self) -> str:
        studio, session = self._studio, self._studio.session
        error = dict(zip(session.body.marker_names, studio.placed.error_mm, strict=True))
        rows = []
        for name in session.recording.names:
            marker = session.pairs.get(name)
            state = "paired" if marker else "never observed" if name in session.never_observed else "unpaired"
            wanted = self._show.value in ("all", state) and self._filter.value.lower() in name.lower()
            if not wanted:
                continue
            there = marker and np.isfinite(error[name])
            look = "background:#f8d7ea;" if name == studio.selected else ""
            rows.append(
                f"<tr data-go='{escape(name)}' style='cursor:pointer;{look}'><td><b>{escape(name)}</b></td>"
                f"<td style='color:{GREY if marker else RED}'>{escape(marker.body) if marker else state}</td>"
                f"<td style='text-align:right'>{f'{error[name]:.2f} mm' if there else ''}</td></tr>"
            )
        return (
            "<div style='max-height:210px;overflow-y:auto;margin:0 10px 6px'><table style='width:100%;font-size:12px;"
            f"border-spacing:0'>{''.join(rows)}</table></div>"
        )

    def _status_text(self) -> str:
        studio, session = self._studio, self._studio.session
        recording = session.recording
        clip = recording.clip_names[int(recording.frame_clip[studio.frame])]
        paired = f"{len(session.pairs)} of {len(recording.names)} keypoints paired"
        error = studio.error_mm
        posed = studio.solved is not None and studio.solved.placed(studio.frame) is not None
        shown = "-" if np.isnan(error) else f"{error:.3f} mm ({'fitted' if posed else 'default pose'})"
        text = f"<b>{escape(session.config.body.name)}</b>, {escape(clip)}: {paired}"
        text += f"<br>error of this frame: <b>{shown}</b>"
        if studio.message:
            text += f"<br><span style='color:{RED if studio.failed else BLUE}'>{escape(studio.message)}</span>"
        return small(text)


def _summary(solved: Solved, session: Session) -> str:
    """Return the figures of a fit; what a fit of everything shows is what ``fit_summary.json`` holds."""
    if solved.registration is None:
        what = f"frame {solved.frames[0]}" if len(solved.frames) == 1 else f"earlier fit of {len(solved.frames)} frames"
        return f"{what}: mean error {np.nanmean(solved.clips.error_mm):.4f} mm"
    figures = solved.registration.summary()
    whole = "everything" if len(solved.frames) == session.recording.n_frames else f"{len(solved.frames)} frames"
    return (
        f"{whole}: mean error <b>{figures['mean_error_mm']:.4f} mm</b>, rmse {figures['rmse_mm']:.4f} mm, "
        f"{figures['failed_frames']} failed, {figures['frames_at_limit']} with a joint at its limit"
        + "".join(f"<br>{escape(k)}: scale {f['scale']} ± {f['std']}" for k, f in figures["segment_scales"].items())
    )
