"""Rollouts in a web page: the body over its ghost, muscles coloured by activation, contacts as dots."""

from __future__ import annotations

import itertools
from pathlib import Path

import mujoco
import numpy as np
from jaxtyping import Float
from matplotlib.colors import to_rgb

from track_mjx._common.figures import GREEN
from track_mjx._common.mjcf import compile_enclosed
from track_mjx._common.render import web
from track_mjx._common.render.extent import Motion, measure, pose
from track_mjx.render.footage import Body, Footage
from track_mjx.render.scene import GHOST, SLACK, TIGHT, muscles_of_tendons

APART = np.array([0.8, 0.6, 0.0])
"""Direction from a rollout to the next one, to the right as pages open."""
MOST_CONTACTS = 40
_CONTACT, _KEYPOINT = (0.1, 0.1, 0.1), to_rgb(GREEN)
_AROUND_MUSCLES = 0.4
"""Opacity of a body whose muscles are inside."""


class RolloutView:
    """One rollout in a scene, whose unit is twice the radius of the animal."""

    def __init__(
        self, server: web.Server, name: str, model: mujoco.MjModel, take: Footage, *, ghost: float, place: int = 0
    ) -> None:
        """Draw a rollout; `ghost` is the opacity of the reference, `place` counts rollouts next to each other."""
        self._model, self._take, self._shift = model, take, place * APART * 1.1
        self._data, self._target = mujoco.MjData(model), mujoco.MjData(model)
        dt_s = float(take.time[1] - take.time[0]) if len(take.time) > 1 else 1.0
        extent = measure(Motion(model, take.qpos, dt_s, 1.0, take.qpos_ref))
        self._centre, self._scale = extent.centre, 0.5 / extent.radius
        copies, self._muscles = web.body_copies(model), muscles_of_tendons(model)
        solid = _AROUND_MUSCLES if self._muscles else 1.0
        self._body = web.BodyView(server, f"{name}/body", copies, self._scale, opacity=solid)
        self._ghost = None
        if ghost and take.followed:
            self._ghost = web.BodyView(server, f"{name}/ghost", copies, self._scale, opacity=ghost, rgb=GHOST)
        self._tendons = web.Lines(server, f"{name}/tendons", SLACK, 0.014)
        self._contacts = web.Balls(server, f"{name}/contacts", MOST_CONTACTS, 0.014, _CONTACT)
        self._keypoints = None
        if take.keypoints is not None:
            self._keypoints = web.Balls(server, f"{name}/keypoints", take.keypoints.shape[1], 0.01, _KEYPOINT)

    def show(self, state: int) -> None:
        """Show a state; the last one after the end of the rollout."""
        state = min(state, len(self._take.time) - 1)
        origin = self._centre[state]
        pose(self._model, self._data, self._take.qpos[state])
        pose(self._model, self._target, self._take.qpos_ref[state])
        self._body.pose(self._in_scene(self._data.xpos, origin), self._data.xquat)
        if self._ghost is not None:
            self._ghost.pose(self._in_scene(self._target.xpos, origin), self._target.xquat)
        ends, rgb = self._paths(self._take.activation[state])
        self._tendons.show(self._in_scene(ends, origin), rgb)
        mujoco.mj_collision(self._model, self._data)
        self._contacts.show(self._in_scene(self._data.contact.pos.reshape(-1, 3), origin))
        if self._keypoints is not None and self._take.keypoints is not None:
            self._keypoints.show(self._in_scene(self._take.keypoints[state], origin))

    def remove(self) -> None:
        """Take the rollout out of the scene."""
        for node in (self._body, self._ghost, self._tendons, self._contacts, self._keypoints):
            if node is not None:
                node.remove()

    def _paths(
        self, activation: Float[np.ndarray, " actuator"]
    ) -> tuple[Float[np.ndarray, "line 2 3"], Float[np.ndarray, "line 3"]]:
        """Return the straight pieces of all tendons, and their colours."""
        points, pieces, rgb = self._data.wrap_xpos.reshape(-1, 3), [], []
        for tendon, (first, count) in enumerate(zip(self._data.ten_wrapadr, self._data.ten_wrapnum, strict=True)):
            part = activation[self._muscles[tendon]] if tendon in self._muscles else 0.0
            part = float(np.clip(np.nan_to_num(part), 0, 1))
            path = points[first : first + count]
            pieces += itertools.pairwise(path)
            rgb += [(1 - part) * np.array(SLACK) + part * np.array(TIGHT)] * max(count - 1, 0)
        return np.array(pieces).reshape(-1, 2, 3), np.array(rgb).reshape(-1, 3)

    def _in_scene(self, points: np.ndarray, origin: np.ndarray) -> np.ndarray:
        return (points - origin) * self._scale + self._shift


def write_rollout_page(path: Path, body: Body, take: Footage, ghost: float = 0.35) -> None:
    """Write a page that plays a rollout without a server."""
    server = web.Server()
    try:
        view = RolloutView(server, "/rollout", compile_enclosed(body.mjcf_xml, body.assets), take, ghost=ghost)
        web.look_from(server, np.zeros(3), 0.6)
        rate_hz = 1 / float(take.time[1] - take.time[0]) if len(take.time) > 1 else web.PAGE_FPS
        web.write_page(path, server, view.show, len(take.time), rate_hz)
    finally:
        server.stop()
