"""What a video shows: the body, its reference as a ghost, muscles by their activation, and a floor, in a neutral light.

Everything is measured by the animal (`Extent.radius`), because MuJoCo's own defaults suit things of about a metre: a
fly in them is dark and cut by the near plane. Lengths are in the MJCF's unit.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence

import mujoco
import numpy as np
from jaxtyping import Float, UInt8

from track_mjx._common.errors import BodyError, raise_all
from track_mjx._common.mjcf import compile_enclosed, reference_faults
from track_mjx._common.render.canvas import Canvas
from track_mjx._common.render.extent import Extent, level_floors
from track_mjx.render.footage import Body, Footage

GHOST = (0.90, 0.55, 0.0)
"""Colour of the reference."""
SLACK, TIGHT = (0.45, 0.55, 0.72), (0.80, 0.10, 0.15)
"""Colours of a muscle at rest and of one fully active."""
_FLOOR, _GRID, _BONE = (0.92, 0.93, 0.94), (0.72, 0.74, 0.77), (0.80, 0.79, 0.76)
_SKY = {
    "type": "skybox",
    "builtin": "gradient",
    "rgb1": "1 1 1",
    "rgb2": ".78 .82 .86",
    "width": "256",
    "height": "1536",
}
_FIELD_OF_VIEW = 30.0
_SPARE = 1.12
"""Room left around the animal."""
_GRID_CELLS = 12
_BEHIND = 0.04
"""The ghost is moved away from the camera by this part of the animal's radius."""

_SPHERE, _CAPSULE = mujoco.mjtGeom.mjGEOM_SPHERE, mujoco.mjtGeom.mjGEOM_CAPSULE
_PLANE, _LINE = mujoco.mjtGeom.mjGEOM_PLANE, mujoco.mjtGeom.mjGEOM_LINE


def stage_model(body: Body, width: int, height: int) -> mujoco.MjModel:
    """Compile a body for pictures of a size, with a plain sky and without its own lamps and level floors.

    Raises:
        BodyError: when it does not compile or is not complete.
    """
    raise_all(BodyError, "the enclosed MJCF", reference_faults(body.mjcf_xml, body.assets))
    model = compile_enclosed(_with_sky(body.mjcf_xml), body.assets)
    model.light_active[:] = 0
    floors = [geom for geom, _ in level_floors(model)]
    model.geom_rgba[floors, 3] = 0
    model.geom_matid[floors] = -1
    head, quality, size = model.vis.headlight, model.vis.quality, model.vis.global_
    head.active, head.ambient[:], head.diffuse[:], head.specular[:] = 1, 0.50, 0.17, 0.05
    quality.shadowsize, quality.offsamples = 2048, 4
    size.offwidth, size.offheight, size.fovy = width, height, _FIELD_OF_VIEW
    return model


def _with_sky(mjcf_xml: str) -> str:
    """The MJCF with one plain sky in place of its own."""
    root = ElementTree.fromstring(mjcf_xml)
    skies = [texture for texture in root.iter("texture") if texture.get("type") == "skybox"]
    for sky in skies:
        name = sky.get("name")
        sky.attrib.clear()
        sky.attrib.update(_SKY if name is None else {**_SKY, "name": name})
    if not skies:
        ElementTree.SubElement(ElementTree.SubElement(root, "asset"), "texture", _SKY)
    return ElementTree.tostring(root, encoding="unicode")


def _camera_axes(azimuth: float, elevation: float) -> Float[np.ndarray, "3 3"]:
    """Right, up and ahead of MuJoCo's free camera, in rows."""
    a, e = np.radians(azimuth), np.radians(elevation)
    ahead = np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
    right = np.array([np.sin(a), -np.cos(a), 0.0])
    return np.stack([right, np.cross(right, ahead), ahead])


class Scene:
    """A body and its ghost, state by state.

    Args:
        footage: the rollout.
        model: made by `stage_model`.
        extent: of the rollout.
        ghost: how opaque the reference is, 0 to 1; 0: there is none.
    """

    def __init__(self, footage: Footage, model: mujoco.MjModel, extent: Extent, ghost: float) -> None:
        self._footage, self._model, self._extent, self._ghost = footage, model, extent, ghost
        self._data, self._target = mujoco.MjData(model), mujoco.MjData(model)
        self._limbs = bare_limbs(model)
        self._muscles = muscles_of_tendons(model)
        self._aside = np.zeros(3)
        shown = model.ngeom + model.nskin + 20 * (model.ntendon + model.nwrap) + 100
        self._view = mujoco.MjvScene(model, maxgeom=2 * shown + 2 * (len(self._limbs) + model.ngeom) + 8 * _GRID_CELLS)
        self._options = mujoco.MjvOption()
        self._options.sitegroup[:] = 0
        model.stat.extent, model.stat.center[:] = 2 * extent.radius, extent.centre.mean(axis=0)
        # planes in extents: the camera is about four radii away
        model.vis.map.znear, model.vis.map.zfar, model.vis.map.shadowclip = 0.05, 60.0, 0.8

    def following_camera(self, azimuth: float, elevation: float) -> mujoco.MjvCamera:
        """A camera that keeps the whole animal in view; angles in degrees."""
        camera = mujoco.MjvCamera()
        camera.type = mujoco.mjtCamera.mjCAMERA_FREE.value
        camera.azimuth, camera.elevation = azimuth, elevation
        size = self._model.vis.global_
        tall = np.tan(np.radians(_FIELD_OF_VIEW / 2)) / _SPARE
        wide = tall * size.offwidth / size.offheight
        axes = _camera_axes(azimuth, elevation)
        self._aside, camera.distance = self._extent.framing(axes, (wide, tall))
        return camera

    def picture(self, canvas: Canvas, state: int, camera: mujoco.MjvCamera) -> UInt8[np.ndarray, "row column 3"]:
        """Draw one state.

        The picture is drawn with and without a solid ghost, and both are mixed: so the ghost has one thickness
        everywhere, hides what lies behind it no more than the rest, and is hidden by what lies before it.
        """
        self._pose(self._data, self._footage.qpos[state])
        self._pose(self._target, self._footage.qpos_ref[state])
        centre = self._extent.centre[state]
        if camera.type == mujoco.mjtCamera.mjCAMERA_FREE.value:
            camera.lookat[:] = centre + self._aside
        every = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(self._model, self._data, self._options, None, camera, every, self._view)
        self._add_lamp(centre)
        self._colour_muscles(self._footage.activation[state])
        self._add_floor(centre)
        self._add_limbs(self._data, _BONE, np.zeros(3))
        plain = canvas.draw(self._view)
        if self._ghost == 0:
            return plain
        self._add_ghost()
        both = canvas.draw(self._view)
        return np.round((1 - self._ghost) * plain + self._ghost * both).astype(np.uint8)

    def body_error(self, state: int) -> float:
        """Mean distance of the bodies that move from the reference, model units; NaN where there is no pose."""
        moving = np.flatnonzero(self._model.body_weldid != 0)
        for data, poses in ((self._data, self._footage.qpos), (self._target, self._footage.qpos_ref)):
            self._pose(data, poses[state])
        return float(np.linalg.norm(self._data.xpos[moving] - self._target.xpos[moving], axis=-1).mean())

    def _pose(self, data: mujoco.MjData, qpos: Float[np.ndarray, " qpos"]) -> None:
        """Put a body into a pose; one that is not finite leaves it where it was."""
        model = self._model
        if np.isfinite(qpos).all():
            data.qpos[:] = qpos
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_camlight(model, data)
        mujoco.mj_tendon(model, data)

    def _add_ghost(self) -> None:
        """The reference: shapes and limbs in one colour, without muscles and without a shadow."""
        first = self._view.ngeom
        dynamic = mujoco.mjtCatBit.mjCAT_DYNAMIC.value
        options = mujoco.MjvOption()
        options.sitegroup[:] = 0
        options.flags[mujoco.mjtVisFlag.mjVIS_TENDON] = 0
        mujoco.mjv_addGeoms(self._model, self._target, options, mujoco.MjvPerturb(), dynamic, self._view)
        # a little farther away: where both are in one place, the body is seen
        back = _BEHIND * self._extent.radius * np.asarray(self._view.camera[0].forward, np.float64)
        for geom in self._view.geoms[first : self._view.ngeom]:
            geom.rgba[:] = (*GHOST, 1)
            geom.matid = -1
            geom.category = mujoco.mjtCatBit.mjCAT_DECOR.value
            geom.pos[:] += back
        self._add_limbs(self._target, GHOST, back)

    def _colour_muscles(self, activation: Float[np.ndarray, " actuator"]) -> None:
        tendon = mujoco.mjtObj.mjOBJ_TENDON.value
        for geom in self._view.geoms[: self._view.ngeom]:
            actuator = self._muscles.get(geom.objid, -1) if geom.objtype == tendon else -1
            if actuator >= 0 and np.isfinite(activation[actuator]):
                part = float(np.clip(activation[actuator], 0, 1))
                geom.rgba[:3] = (1 - part) * np.array(SLACK) + part * np.array(TIGHT)

    def _add_lamp(self, centre: np.ndarray) -> None:
        """One lamp like the sun, so that there are shadows, whatever the size of the animal."""
        lamp = self._view.lights[self._view.nlight]
        lamp.type = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL.value
        direction = np.array([-0.35, 0.45, -1.0])
        lamp.dir[:] = direction / np.linalg.norm(direction)
        lamp.pos[:] = centre - lamp.dir * 3 * self._extent.radius
        lamp.ambient[:], lamp.diffuse[:], lamp.specular[:] = 0, 0.38, 0.1
        lamp.headlight, lamp.castshadow, lamp.texid = 0, 1, -1
        self._view.nlight += 1

    def _add_floor(self, centre: np.ndarray) -> None:
        """A floor whose lines stay where they are while the camera moves."""
        grid, floor = self._extent.grid, self._extent.floor
        if floor is None:
            return
        reach = _GRID_CELLS * grid
        x, y = np.round(centre[:2] / grid) * grid
        self._add(_PLANE, (3 * reach, 3 * reach, 0.1), (x, y, floor), _FLOOR)
        lift = floor + 2e-3 * self._extent.radius
        for step in np.arange(-_GRID_CELLS, _GRID_CELLS + 1) * grid:
            self._join(_LINE, 1.2, ((x + step, y - reach, lift), (x + step, y + reach, lift)), _GRID)
            self._join(_LINE, 1.2, ((x - reach, y + step, lift), (x + reach, y + step, lift)), _GRID)

    def _add_limbs(self, data: mujoco.MjData, colour: tuple, shift: np.ndarray) -> None:
        """Bones between the bodies that have no shape of their own, and to shapes beyond them."""
        width = 0.025 * self._extent.radius
        for parent, child in self._limbs:
            self._join(_CAPSULE, width, (data.xpos[parent] + shift, data.xpos[child] + shift), colour)
            for geom in np.flatnonzero(self._model.geom_bodyid == child):
                self._join(_CAPSULE, width, (data.xpos[child] + shift, data.geom_xpos[geom] + shift), colour)

    def _add(self, kind: mujoco.mjtGeom, size: tuple, place: Sequence | np.ndarray, colour: tuple) -> None:
        geom = self._view.geoms[self._view.ngeom]
        at, turn = np.asarray(place, np.float64), np.eye(3).ravel()
        mujoco.mjv_initGeom(
            geom, kind.value, np.asarray(size, np.float64), at, turn, np.array((*colour, 1), np.float32)
        )
        geom.category = mujoco.mjtCatBit.mjCAT_DECOR.value
        self._view.ngeom += 1

    def _join(self, kind: mujoco.mjtGeom, width: float, ends: tuple, colour: tuple) -> None:
        """Add a line between two places, unless they are one."""
        start, stop = (np.asarray(end, np.float64) for end in ends)
        if not np.array_equal(start, stop):
            self._add(kind, (0, 0, 0), start, colour)
            mujoco.mjv_connector(self._view.geoms[self._view.ngeom - 1], kind.value, width, start, stop)


def bare_limbs(model: mujoco.MjModel) -> list[tuple[int, int]]:
    """(parent, child) bodies between which a bone is drawn, in a model most of whose moving bodies have no shape."""
    shown = (model.geom_group < 3) & (model.geom_rgba[:, 3] > 0)
    shaped = set(model.geom_bodyid[shown].tolist())
    moving = np.flatnonzero(model.body_weldid != 0).tolist() or list(range(1, model.nbody))
    if 2 * sum(body in shaped for body in moving) > len(moving):
        return []
    pairs = [(int(model.body_parentid[body]), body) for body in range(1, model.nbody)]
    return [(parent, child) for parent, child in pairs if parent != 0 and parent not in shaped]


def muscles_of_tendons(model: mujoco.MjModel) -> dict[int, int]:
    """Tendon -> the muscle that pulls it."""
    pulled = model.actuator_trntype == mujoco.mjtTrn.mjTRN_TENDON
    muscle = model.actuator_dyntype == mujoco.mjtDyn.mjDYN_MUSCLE
    return {int(model.actuator_trnid[a, 0]): int(a) for a in np.flatnonzero(pulled & muscle)}
