"""Kinematics of a body by MuJoCo itself, frame by frame in double precision: whatever the solver does not iterate.

Poses are (frame, nq) in metres, as the solver's (`Tree`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float

from stac_mjx.body.body import Body


class Frames(NamedTuple):
    """Frames of some bodies: world positions, metres, and rotations from each frame to the world."""

    origin: Float[np.ndarray, "frame body 3"]
    rotation: Float[np.ndarray, "frame body 3 3"]

    def points(self, local: Float[np.ndarray, "body 3"]) -> Float[np.ndarray, "frame body 3"]:
        """Return the world positions of one point fixed to each body."""
        return self.origin + np.einsum("fbij,bj->fbi", self.rotation, local)

    def within(self, points: Float[np.ndarray, "frame body 3"]) -> Float[np.ndarray, "frame body 3"]:
        """Express one point in the world per body in the frame of that body."""
        return np.einsum("fbji,fbj->fbi", self.rotation, points - self.origin)


def posed(body: Body, qpos: Float[np.ndarray, "frame nq"]) -> Iterator[mujoco.MjData]:
    """Yield MuJoCo's data of each pose, with the kinematics computed; lengths in the unit of the MJCF."""
    data = mujoco.MjData(body.model)
    for pose in body.tree.to_model(np.asarray(qpos, np.float64)):
        data.qpos[:] = pose
        mujoco.mj_kinematics(body.model, data)
        yield data


def body_poses(
    body: Body, qpos: Float[np.ndarray, "frame nq"]
) -> tuple[Float[np.ndarray, "frame body 3"], Float[np.ndarray, "frame body 4"]]:
    """Return world positions, metres, and orientations, wxyz, of all bodies, ``world`` first, in single precision."""
    xpos, xquat = (np.empty((len(qpos), body.model.nbody, n), np.float32) for n in (3, 4))
    for frame, data in enumerate(posed(body, qpos)):
        xpos[frame], xquat[frame] = data.xpos * body.length_unit_m, data.xquat
    return xpos, xquat


def marker_frames(body: Body, qpos: Float[np.ndarray, "frame nq"]) -> Frames:
    """Return the frames of the bodies that carry the markers."""
    n_markers = len(body.marker_body)
    out = Frames(np.empty((len(qpos), n_markers, 3)), np.empty((len(qpos), n_markers, 3, 3)))
    for frame, data in enumerate(posed(body, qpos)):
        out.origin[frame] = data.xpos[body.marker_body] * body.length_unit_m
        out.rotation[frame] = data.xmat[body.marker_body].reshape(-1, 3, 3)
    return out


def marker_jacobian(
    body: Body, qpos: Float[np.ndarray, "frame nq"], offsets: Float[np.ndarray, "keypoint 3"]
) -> Float[np.ndarray, "frame keypoint 3 dof"]:
    """Return the derivative of marker positions, metres, to a tangent step, rad (slides: metres): ``mj_jac``.

    `offsets` are those of the markers in the frames of their bodies, metres.
    """
    model, tree = body.model, body.tree
    out = np.zeros((len(qpos), len(offsets), 3, model.nv))
    for frame, data in enumerate(posed(body, qpos)):
        mujoco.mj_comPos(model, data)
        for k, carrier in enumerate(body.marker_body.tolist()):
            point = data.xpos[carrier] + data.xmat[carrier].reshape(3, 3) @ (offsets[k] / body.length_unit_m)
            mujoco.mj_jac(model, data, out[frame, k], None, point, carrier)
    return out * (body.length_unit_m / tree.dof_unit)
