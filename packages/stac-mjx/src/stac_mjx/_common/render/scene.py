"""What a video shows: the body of a clip in a neutral light, recorded keypoints, their sites, lines and a floor.

Everything is measured by the animal (`Extent.radius`), because MuJoCo's own defaults suit things of about a metre: a
fly in them is dark and cut by the near plane. Lengths are in the MJCF's unit unless said otherwise.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence

import mujoco
import numpy as np
from jaxtyping import Float, UInt8

from stac_mjx._common.errors import BodyError, raise_all
from stac_mjx._common.hdf5.info import FileInfo
from stac_mjx._common.mjcf import compile_enclosed, reference_faults
from stac_mjx._common.render.canvas import Canvas
from stac_mjx._common.render.extent import Extent
from stac_mjx._common.render.shapes import body_shapes
from stac_mjx.records import ReferenceClips

RECORDED, ON_BODY, BETWEEN = (0.90, 0.62, 0.0), (0.0, 0.45, 0.70), (0.84, 0.37, 0.0)
"""The colours of `plot_style`."""
X_RAY = 0.7
"""Markers inside the body shine through it this strongly."""
_FLOOR, _GRID, _LINK = (0.92, 0.93, 0.94), (0.72, 0.74, 0.77), (0.60, 0.60, 0.62)
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

_SPHERE, _CAPSULE = mujoco.mjtGeom.mjGEOM_SPHERE, mujoco.mjtGeom.mjGEOM_CAPSULE
_PLANE, _LINE = mujoco.mjtGeom.mjGEOM_PLANE, mujoco.mjtGeom.mjGEOM_LINE


def stage_model(info: FileInfo, width: int, height: int) -> mujoco.MjModel:
    """Compile the enclosed MJCF for pictures of a size, with a plain sky and without its own lamps and floor.

    Raises:
        BodyError: when it does not compile or is not complete.
    """
    raise_all(BodyError, "the enclosed MJCF", reference_faults(info.mjcf_xml, info.assets))
    model = compile_enclosed(_with_sky(info.mjcf_xml), info.assets)
    model.light_active[:] = 0
    flat = np.isin(model.geom_type, (_PLANE, mujoco.mjtGeom.mjGEOM_HFIELD)) & (model.geom_bodyid == 0)
    model.geom_rgba[flat, 3] = 0
    model.geom_matid[flat] = -1
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
    """A body and its markers, frame by frame."""

    def __init__(self, clips: ReferenceClips, model: mujoco.MjModel, extent: Extent) -> None:
        """Prepare for the frames of `clips`, one clip, on a model made by `stage_model`."""
        self._clips, self._model, self._extent = clips, model, extent
        self._data = mujoco.MjData(model)
        names, markers = clips.kp_names, len(clips.kp_names)
        self._pairs = [(names.index(a), names.index(b)) for a, b in clips.info.skeleton if {a, b} <= set(names)]
        added = 4 * markers + len(self._pairs) + model.nbody + 8 * _GRID_CELLS
        # room for every element the model could show (geoms, skins, pieces of tendons)
        shown = model.ngeom + model.nskin + 20 * (model.ntendon + model.nwrap) + 100
        self._view = mujoco.MjvScene(model, maxgeom=2 * (added + shown))
        self._options = mujoco.MjvOption()
        self._options.sitegroup[:] = 0
        self._bare = not len(body_shapes(model, 1.0).body)
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
        camera.distance = self._extent.distance(_camera_axes(azimuth, elevation), (wide, tall))
        return camera

    def picture(self, canvas: Canvas, frame: int, camera: mujoco.MjvCamera) -> UInt8[np.ndarray, "row column 3"]:
        """Draw one frame; a pose that is not finite leaves the body where it was."""
        self._pose(frame)
        if camera.type == mujoco.mjtCamera.mjCAMERA_FREE.value:
            camera.lookat[:] = self._extent.centre[frame]
        every = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(self._model, self._data, self._options, None, camera, every, self._view)
        self._add_lamp(self._extent.centre[frame])
        self._show_surroundings(True)
        self._add_floor(self._extent.centre[frame])
        if self._bare:
            self._add_links()
        self._add_markers(frame)
        whole = canvas.draw(self._view)
        self._view.ngeom = 0
        self._show_surroundings(False)
        self._add_markers(frame)
        return _overlaid(whole, canvas.draw(self._view))

    def _pose(self, frame: int) -> None:
        model, data = self._model, self._data
        qpos = self._clips.qpos[frame]
        if np.isfinite(qpos).all():
            data.qpos[:] = qpos
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_camlight(model, data)
        mujoco.mj_tendon(model, data)

    def _show_surroundings(self, shown: bool) -> None:
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_SKYBOX):
            self._view.flags[flag] = shown

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

    def _add_links(self) -> None:
        """Lines between the bodies of a model without shapes."""
        for body in range(1, self._model.nbody):
            parent = int(self._model.body_parentid[body])
            if parent:
                ends = (self._data.xpos[parent], self._data.xpos[body])
                self._join(_CAPSULE, 0.02 * self._extent.radius, ends, _LINK)

    def _add_markers(self, frame: int) -> None:
        unit, size = self._clips.info.length_unit_m, self._extent.marker
        recorded, sites = self._clips.kp_data[frame] / unit, self._clips.marker_sites[frame] / unit
        for at, site in zip(recorded, sites, strict=True):
            self._add(_SPHERE, (size, size, size), site, ON_BODY)
            self._add(_SPHERE, (size, size, size), at, RECORDED)
            self._join(_CAPSULE, 0.4 * size, (site, at), BETWEEN)
        for a, b in self._pairs:
            self._join(_CAPSULE, 0.3 * size, (recorded[a], recorded[b]), RECORDED)

    def _add(self, kind: mujoco.mjtGeom, size: tuple, place: Sequence | np.ndarray, colour: tuple) -> None:
        """Add a shape, unless its place is not known."""
        if np.isfinite(place).all():
            at, turn = np.asarray(place, np.float64), np.eye(3).ravel()
            mujoco.mjv_initGeom(
                self._new(), kind.value, np.asarray(size, np.float64), at, turn, np.array((*colour, 1), np.float32)
            )

    def _join(self, kind: mujoco.mjtGeom, width: float, ends: tuple, colour: tuple) -> None:
        """Add a line between two places, unless one of them is not known or they are one."""
        start, stop = (np.asarray(end, np.float64) for end in ends)
        if np.isfinite(start).all() and np.isfinite(stop).all() and not np.array_equal(start, stop):
            self._add(kind, (0, 0, 0), start, colour)
            mujoco.mjv_connector(self._view.geoms[self._view.ngeom - 1], kind.value, width, start, stop)

    def _new(self) -> mujoco.MjvGeom:
        geom = self._view.geoms[self._view.ngeom]
        self._view.ngeom += 1
        geom.category = mujoco.mjtCatBit.mjCAT_DECOR.value
        return geom


def _overlaid(
    whole: UInt8[np.ndarray, "row column 3"], markers: UInt8[np.ndarray, "row column 3"]
) -> UInt8[np.ndarray, "row column 3"]:
    """Lay markers drawn on black over a picture, so that those inside the body shine through.

    The half-covered pixels of their edges are dark, which sets them off.
    """
    brightest = markers.max(axis=2)
    rows, columns = np.nonzero(brightest)
    strength = X_RAY * np.minimum(brightest[rows, columns, None] / np.float32(60), 1)
    out = whole.copy()
    out[rows, columns] = (1 - strength) * whole[rows, columns] + strength * markers[rows, columns]
    return out
