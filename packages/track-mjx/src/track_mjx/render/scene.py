"""A simulated body, its reference as a ghost, and muscles coloured by their activation."""

from __future__ import annotations

import mujoco
import numpy as np
from jaxtyping import Float

from track_mjx._common.render.extent import Motion, measure, pose
from track_mjx._common.render.scene import CAPSULE, Stage, level_floors
from track_mjx._common.render.shapes import bare_limbs
from track_mjx._common.render.video import Colour, Picture
from track_mjx.render.footage import Footage

GHOST = (0.90, 0.55, 0.0)
"""Colour of the reference."""
GOAL = (0.15, 0.60, 0.30)
"""Colour of a target."""
SLACK, TIGHT = (0.45, 0.55, 0.72), (0.80, 0.10, 0.15)
"""Colours of a muscle at rest and of a fully active one."""
_BONE = (0.80, 0.79, 0.76)
_BEHIND = 0.04
"""The ghost is moved away from the camera by this part of the animal's radius."""


class GhostScene:
    """A body and its ghost, state by state."""

    def __init__(self, footage: Footage, canvas: mujoco.Renderer, length_unit_m: float, ghost: float) -> None:
        """Prepare a canvas whose model was made by `stage_model`; `ghost` is the opacity of the reference, 0 to 1."""
        model = canvas.model
        self._footage, self._ghost = footage, ghost if footage.followed else 0.0
        self._data, self._target = mujoco.MjData(model), mujoco.MjData(model)
        self._limbs, self._muscles = bare_limbs(model), muscles_of_tendons(model)
        dt_s = float(footage.time[1] - footage.time[0]) if len(footage.time) > 1 else 1.0
        self.extent = measure(Motion(model, footage.qpos, dt_s, length_unit_m, footage.qpos_ref))
        self.floor = max((height for _, height in level_floors(model)), default=None)
        self.stage = Stage(canvas, self.extent, self.floor)

    def picture(self, state: int, camera: mujoco.MjvCamera) -> Picture:
        """Draw one state.

        The picture is drawn without and with a solid ghost, and both are mixed. So the ghost has the same opacity
        everywhere, and things in front of it hide it.
        """
        stage = self.stage
        self._pose(state)
        stage.show(self._data, state, camera)
        self._colour_muscles(self._footage.activation[state])
        self._add_limbs(self._data, _BONE, np.zeros(3))
        if self._footage.goal is not None:
            stage.add(mujoco.mjtGeom.mjGEOM_SPHERE, [0.04 * self.extent.radius] * 3, self._footage.goal, GOAL)
        plain = stage.draw()
        if self._ghost == 0:
            return plain
        self._add_ghost()
        return np.round((1 - self._ghost) * plain + self._ghost * stage.draw()).astype(np.uint8)

    def body_error(self, state: int) -> float:
        """Return the mean distance of moving bodies from the reference, model units; NaN if there is no pose."""
        self._pose(state)
        moving = np.flatnonzero(self.stage.model.body_weldid != 0)
        return float(np.linalg.norm(self._data.xpos[moving] - self._target.xpos[moving], axis=-1).mean())

    def _pose(self, state: int) -> None:
        pose(self.stage.model, self._data, self._footage.qpos[state])
        pose(self.stage.model, self._target, self._footage.qpos_ref[state])

    def _add_ghost(self) -> None:
        """Add the reference: shapes and limbs in one colour, without muscles and shadow."""
        view = self.stage.view
        first = view.ngeom
        options = mujoco.MjvOption()
        options.sitegroup[:] = 0
        options.flags[mujoco.mjtVisFlag.mjVIS_TENDON] = 0
        dynamic = mujoco.mjtCatBit.mjCAT_DYNAMIC.value
        mujoco.mjv_addGeoms(self.stage.model, self._target, options, mujoco.MjvPerturb(), dynamic, view)
        # slightly farther away, so that the body is visible where both coincide
        back = _BEHIND * self.extent.radius * np.asarray(view.camera[0].forward, np.float64)
        for geom in view.geoms[first : view.ngeom]:
            geom.rgba[:] = (*GHOST, 1)
            geom.matid = -1
            geom.category = mujoco.mjtCatBit.mjCAT_DECOR.value
            geom.pos[:] += back
        self._add_limbs(self._target, GHOST, back)

    def _colour_muscles(self, activation: Float[np.ndarray, " actuator"]) -> None:
        tendon = mujoco.mjtObj.mjOBJ_TENDON.value
        for geom in self.stage.view.geoms[: self.stage.view.ngeom]:
            actuator = self._muscles.get(geom.objid, -1) if geom.objtype == tendon else -1
            if actuator >= 0 and np.isfinite(activation[actuator]):
                part = float(np.clip(activation[actuator], 0, 1))
                geom.rgba[:3] = (1 - part) * np.array(SLACK) + part * np.array(TIGHT)

    def _add_limbs(self, data: mujoco.MjData, colour: Colour, shift: Float[np.ndarray, " 3"]) -> None:
        """Add bones between bodies without a shape, and from them to shapes beyond."""
        width = 0.025 * self.extent.radius
        for parent, child in self._limbs:
            ends = [data.xpos[child], *data.geom_xpos[self.stage.model.geom_bodyid == child]]
            starts = [data.xpos[parent], *[data.xpos[child]] * (len(ends) - 1)]
            for start, end in zip(starts, ends, strict=True):
                self.stage.join(CAPSULE, width, (start + shift, end + shift), colour)


def muscles_of_tendons(model: mujoco.MjModel) -> dict[int, int]:
    """Return, for each tendon of a muscle, the actuator that pulls it."""
    pulled = model.actuator_trntype == mujoco.mjtTrn.mjTRN_TENDON
    muscle = model.actuator_dyntype == mujoco.mjtDyn.mjDYN_MUSCLE
    return {int(model.actuator_trnid[a, 0]): int(a) for a in np.flatnonzero(pulled & muscle)}
