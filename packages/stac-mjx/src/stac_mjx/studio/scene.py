"""What the page shows in 3D: the body, the keypoints, the lines between them, and a handle to drag.

Scenes are measured in sizes of the body, because browsers draw a fly in metres badly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import viser
from jaxtyping import Float
from matplotlib.colors import to_rgb

from stac_mjx._common.figures import BLUE, GREEN, GREY, ON_BODY, ORANGE, RED
from stac_mjx._common.render import web
from stac_mjx._common.render.extent import round_length
from stac_mjx.keypoints.keypoints import side
from stac_mjx.studio.session import Placed, Session

_SIDES = {"left": to_rgb(BLUE), "right": to_rgb(ORANGE), "": to_rgb(GREEN)}
_KEYPOINT, _SITE = 0.014, 0.009
"""Radii of keypoints and of markers on the body."""
_HEIGHT_STEP = 0.4
"""An animal is followed up and down in steps of this part of its size, so that the floor does not bob."""
_LARGEST_SQUARE = 0.15
"""Of the dots of the floor, in sizes of the body; the edge is 1, 2 or 5 times a power of ten metres."""
_APART = np.array([0.88, 0.66, 0.0])
"""Place of a recording that is shown next to the body, in sizes of the scene: to the right, as pages open."""


@dataclass
class Look:
    """What of the scene is shown."""

    opacity: float = 0.55
    """Of the body; 0 hides it."""
    hidden: str = ""
    """Names of bodies that are not drawn, with ``*`` and ``?``, separated by spaces."""
    apart: bool = False
    """Show the recording next to the body."""
    follow: bool = True
    """Keep the animal in the middle."""
    handle: str = "offset"
    """What the handle moves: ``offset`` of the selected keypoint, the ``recording``, or nothing."""


class Scene:
    """Shows one session."""

    def __init__(
        self,
        server: web.Server,
        session: Session,
        *,
        picked_keypoint: Callable[[str], None],
        picked_body: Callable[[str], None],
        dragged: Callable[[np.ndarray, np.ndarray, bool], None],
    ) -> None:
        """Open a scene of the size of the session's body.

        `picked_keypoint` and `picked_body` are called with a name that is clicked. `dragged` is called with the place
        (metres) and the orientation of the handle in its frame (of the body of an offset, of the world for the
        recording), and with whether the drag has ended.
        """
        self._server, self._picked_keypoint, self._picked_body = server, picked_keypoint, picked_body
        place = session.body.rest[0][1:]
        self.per_m = 1.0 / max(_extent(place), min(_extent(session.points(0)), 2 * _extent(place)), 1e-6)
        self._home = (place.max(axis=0) + place.min(axis=0)) / 2
        self.look = Look(follow=session.is_floating)
        self._body: web.BodyView | None = None
        self._drawn: tuple = ()
        self._origin = self._home
        web.look_from(server, np.zeros(3), 0.9)
        self.square_m = round_length(_LARGEST_SQUARE / self.per_m)
        self._floor = web.Floor(server, "/floor", self.per_m * self.square_m)
        self._skeleton = web.Lines(server, "/skeleton", to_rgb(GREY))
        self._misses = web.Lines(server, "/misses", to_rgb(RED), 0.007)
        self._frame = server.scene.add_frame("/handle", show_axes=False, visible=False)
        self._handle = server.scene.add_transform_controls("/handle/drag", scale=0.16, depth_test=False)
        self._label = server.scene.add_label("/label", "", visible=False)
        self._dragging = False

        @self._handle.on_update
        async def _(event: viser.TransformControlsEvent) -> None:  # asynchronous: in their order
            self._dragging = event.phase != "end"
            place, turn = np.asarray(self._handle.position) / self.per_m, np.asarray(self._handle.wxyz)
            dragged(place, turn, not self._dragging)

    def load(self, session: Session) -> None:
        """Draw what does not change from frame to frame, where it differs from what is drawn."""
        names = session.recording.names
        model = (id(session.body.model), self.look.hidden, self.look.opacity)
        if self._drawn[:1] != (model,):
            self._load_body(session)
        if self._drawn[1:2] != (names,):
            self._keypoints = web.Balls(self._server, "/keypoints", len(names), _KEYPOINT, to_rgb(GREEN))
            self._keypoints.node.on_click(lambda event: self._picked(names, event.instance_index))
            self._sites = web.Balls(self._server, "/sites", len(names), _SITE, to_rgb(ON_BODY))
        if self._drawn != (model, names, tuple(session.pairs)):
            colours = np.array([_SIDES[side(name)] for name in names])
            pale = np.array([name not in session.pairs for name in names])[:, None]
            self._keypoints.node.batched_colors = (255 * np.where(pale, 0.45 * colours + 0.55, colours)).astype(
                np.uint8
            )
        self._drawn = (model, names, tuple(session.pairs))

    def _picked(self, names: tuple[str, ...], number: int | None) -> None:
        if number is not None:  # the browser names no copy while they are being sent
            self._picked_keypoint(names[number])

    def _load_body(self, session: Session) -> None:
        if self._body is not None:
            self._body.remove()
        self._body = None
        if self.look.opacity > 0:
            body = session.body
            patterns = self.look.hidden.split()
            hidden = {i for i, n in enumerate(body.body_names) if any(fnmatchcase(n, one) for one in patterns)}
            scale = body.length_unit_m * self.per_m
            self._body = web.BodyView(
                self._server, "/body", web.body_copies(body.model, hidden), scale, opacity=self.look.opacity
            )
            self._body.on_pick(lambda number: self._picked_body(body.body_names[number]))

    def show(self, session: Session, frame: int, placed: Placed, selected: str | None) -> None:
        """Show a frame of a session, the bodies `placed`."""
        self.load(session)
        names, pairs = session.recording.names, session.body.marker_names
        points = placed.T_body_recording.apply(session.points(frame))
        centre = placed.xpos[session.body.root]
        step = _HEIGHT_STEP / self.per_m
        followed = np.array([*centre[:2], step * np.round(centre[2] / step)])
        self._origin = followed if self.look.follow else self._home
        shift = np.zeros(3)
        if self.look.apart and np.isfinite(points).any():
            shift = _APART / self.per_m + self._home - np.nanmean(points, axis=0)
            self._origin = self._home + _APART / 2 / self.per_m
        keypoints, sites = self._in_scene(points + shift), self._in_scene(placed.sites)
        with self._server.atomic():
            if self._body is not None:
                self._body.pose(self._in_scene(placed.xpos), placed.xquat)
            self._keypoints.show(keypoints, np.where([name == selected for name in names], 1.7, 1.0))
            self._floor.show(self._in_scene(np.zeros(3)))
            rows = {name: k for k, name in enumerate(names)}
            paired = [k for k, name in enumerate(pairs) if name in rows]
            self._sites.show(sites[paired])
            ends = [(keypoints[rows[a]], keypoints[rows[b]]) for a, b in session.body.skeleton if {a, b} <= set(rows)]
            self._skeleton.show(np.array(ends).reshape(-1, 2, 3))
            misses = [(sites[k], keypoints[rows[pairs[k]]]) for k in paired]
            self._misses.show(np.array(misses).reshape(-1, 2, 3))
            self._show_selected(session, placed, selected, keypoints)

    def _show_selected(self, session: Session, placed: Placed, selected: str | None, keypoints: np.ndarray) -> None:
        shown = selected is not None and selected in session.recording.names
        if shown:
            place = keypoints[session.recording.names.index(str(selected))]
            shown = bool(np.isfinite(place).all())
        self._label.visible = shown
        if shown:
            self._label.text, self._label.position = str(selected), (*place[:2], place[2] + 0.04)
        if self._dragging:
            return
        marker = session.pairs.get(str(selected))
        if self.look.handle == "offset" and marker is not None:
            number = session.body.body_names.index(marker.body)
            self._frame.position = tuple(self._in_scene(placed.xpos[number]))
            self._frame.wxyz = tuple(placed.xquat[number])
            self._handle.position = tuple(np.asarray(marker.offset) * self.per_m)
            self._handle.wxyz = (1.0, 0.0, 0.0, 0.0)
        elif self.look.handle == "recording":
            self._frame.position, self._frame.wxyz = tuple(-self._origin * self.per_m), (1.0, 0.0, 0.0, 0.0)
            self._handle.position = tuple(np.asarray(session.config.alignment.translation) * self.per_m)
            self._handle.wxyz = np.asarray(session.config.alignment.rotation)
        self._handle.disable_rotations = self.look.handle == "offset"
        self._frame.visible = self.look.handle == "recording" or (self.look.handle == "offset" and marker is not None)

    def _in_scene(self, points: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
        return (points - self._origin) * self.per_m


def _extent(points: Float[np.ndarray, "point 3"]) -> float:
    """Return the diagonal of the box around points; 0 without."""
    there = points[np.isfinite(points).all(axis=1)]
    return float(np.linalg.norm(np.ptp(there, axis=0))) if len(there) else 0.0
