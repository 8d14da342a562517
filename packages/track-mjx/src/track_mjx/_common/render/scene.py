"""The stage of a film: a neutral light, a floor with a grid, and a camera that follows the animal.

All sizes depend on the animal (`Extent.radius`), because MuJoCo's defaults suit things of about a metre: with them a
fly is dark and cut off by the near plane. Lengths are in the MJCF's unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import mujoco
import numpy as np
from jaxtyping import Float

from ..errors import ConfigError, unknown
from ..mjcf import body_errors, enclosed_spec
from .extent import Extent
from .video import Colour, Picture

SPHERE, CAPSULE = mujoco.mjtGeom.mjGEOM_SPHERE, mujoco.mjtGeom.mjGEOM_CAPSULE
PLANE, LINE = mujoco.mjtGeom.mjGEOM_PLANE, mujoco.mjtGeom.mjGEOM_LINE
_FLOOR, _GRID = (0.92, 0.93, 0.94), (0.72, 0.74, 0.77)
_FIELD_OF_VIEW_DEG = 30.0
_SPARE = 1.12
"""Space around the animal, relative to its size."""
_GRID_CELLS = 12
_TERRAIN, _TERRAIN_CELLS = "_film_terrain", 40
"""Name of the material of height fields in films, and the squares of its grid along an edge."""


def stage_model(mjcf_xml: str, assets: Mapping[str, bytes], width: int, height: int) -> mujoco.MjModel:
    """Compile a body for pictures of a size, with a plain sky and without its own lamps and level floors."""
    spec = enclosed_spec(mjcf_xml, assets)
    skybox = mujoco.mjtTexture.mjTEXTURE_SKYBOX
    names = [texture.name for texture in spec.textures if texture.type == skybox]
    for texture in [texture for texture in spec.textures if texture.type == skybox]:
        spec.delete(texture)
    for name in names or [""]:
        spec.add_texture(
            name=name, type=skybox, builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT, rgb1=[1, 1, 1],
            rgb2=[0.78, 0.82, 0.86], width=256, height=1536,
        )  # fmt: skip
    _add_terrain_grid(spec)
    with body_errors():
        model = spec.compile()
    model.light_active[:] = 0
    floors = [geom for geom, _ in level_floors(model)]
    model.geom_rgba[floors, 3] = 0
    model.geom_matid[floors] = -1
    head, quality, size = model.vis.headlight, model.vis.quality, model.vis.global_
    head.active, head.ambient[:], head.diffuse[:], head.specular[:] = 1, 0.50, 0.17, 0.05
    quality.shadowsize, quality.offsamples = 2048, 4
    size.offwidth, size.offheight, size.fovy = width, height, _FIELD_OF_VIEW_DEG
    return model


def _add_terrain_grid(spec: mujoco.MjSpec) -> None:
    """Give height fields the colours of the floor, and lines that show their shape."""
    fields = [geom for geom in spec.geoms if geom.type == mujoco.mjtGeom.mjGEOM_HFIELD]
    if not fields:
        return
    spec.add_texture(
        name=_TERRAIN, type=mujoco.mjtTexture.mjTEXTURE_2D, builtin=mujoco.mjtBuiltin.mjBUILTIN_FLAT, rgb1=_FLOOR,
        mark=mujoco.mjtMark.mjMARK_EDGE, markrgb=_GRID, width=100, height=100,
    )  # fmt: skip
    material = spec.add_material(name=_TERRAIN, texrepeat=[_TERRAIN_CELLS, _TERRAIN_CELLS])
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB.value] = _TERRAIN
    for geom in fields:
        geom.material, geom.rgba = _TERRAIN, [1, 1, 1, 1]


def level_floors(model: mujoco.MjModel) -> list[tuple[int, float]]:
    """Return the geom and the height of every level plane that does not move."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    fixed = (model.geom_type == PLANE) & (model.body_weldid[model.geom_bodyid] == 0)
    level = fixed & (data.geom_xmat[:, 8] > 1 - 1e-6)
    return [(int(geom), float(data.geom_xpos[geom, 2])) for geom in np.flatnonzero(level)]


class Stage:
    """Light, floor and camera for one motion, and the primitives that a film adds to it."""

    def __init__(self, canvas: mujoco.Renderer, extent: Extent, floor: float | None) -> None:
        """Prepare `canvas`, opened for a model of `stage_model`; `floor` is the height of the floor, if any."""
        self._canvas, self._extent, self._floor = canvas, extent, floor
        self.model, self.view = canvas.model, canvas.scene
        self.options = mujoco.MjvOption()
        self.options.sitegroup[:] = 0
        model = self.model
        model.stat.extent, model.stat.center[:] = 2 * extent.radius, extent.centre.mean(axis=0)
        # near and far plane in extents: the camera is about four radii away
        model.vis.map.znear, model.vis.map.zfar, model.vis.map.shadowclip = 0.05, 60.0, 0.8

    def camera(self, name: str | None, azimuth: float, elevation: float) -> mujoco.MjvCamera:
        """Return a camera of the model, or one that keeps the whole animal in view; angles in degrees."""
        camera, model = mujoco.MjvCamera(), self.model
        if name is None:
            camera.type = mujoco.mjtCamera.mjCAMERA_FREE.value
            camera.azimuth, camera.elevation = azimuth, elevation
            tall = np.tan(np.radians(_FIELD_OF_VIEW_DEG / 2)) / _SPARE
            wide = tall * self._canvas.width / self._canvas.height
            camera.distance = self._extent.distance(_camera_axes(azimuth, elevation), (wide, tall))
            return camera
        number = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA.value, name)
        if number < 0:
            names = [model.camera(i).name for i in range(model.ncam)]
            raise ConfigError(f"camera: {unknown('camera', name, names)}" if names else "camera: the model has none")
        camera.type, camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED.value, number
        return camera

    def show(self, data: mujoco.MjData, state: int, camera: mujoco.MjvCamera) -> None:
        """Fill the scene with a posed body, light and floor."""
        centre = self._extent.centre[state]
        if camera.type == mujoco.mjtCamera.mjCAMERA_FREE.value:
            camera.lookat[:] = centre
        self._surroundings(True)
        self._canvas.update_scene(data, camera, self.options)
        self._add_lamp(centre)
        self._add_floor(centre)

    def clear(self) -> None:
        """Leave an empty black scene; light and camera stay."""
        self.view.ngeom = self.view.nskin = 0
        self._surroundings(False)

    def draw(self) -> Picture:
        """Draw the scene."""
        return self._canvas.render()

    def _surroundings(self, shown: bool) -> None:
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_SKYBOX):
            self.view.flags[flag] = shown

    def add(self, kind: mujoco.mjtGeom, size: Sequence[float], position: np.ndarray, colour: Colour) -> None:
        """Add a shape, unless its position is not finite."""
        if not np.isfinite(position).all():
            return
        geom = self.view.geoms[self.view.ngeom]
        rotation, rgba = np.eye(3).ravel(), np.array((*colour, 1), np.float32)
        mujoco.mjv_initGeom(
            geom, kind.value, np.asarray(size, np.float64), np.asarray(position, np.float64), rotation, rgba
        )
        geom.category = mujoco.mjtCatBit.mjCAT_DECOR.value
        self.view.ngeom += 1

    def join(self, kind: mujoco.mjtGeom, width: float, ends: Sequence, colour: Colour) -> None:
        """Add a line between two positions, unless one of them is not finite or they are equal."""
        start, stop = (np.asarray(end, np.float64) for end in ends)
        if np.isfinite(start).all() and np.isfinite(stop).all() and not np.array_equal(start, stop):
            self.add(kind, (0, 0, 0), start, colour)
            mujoco.mjv_connector(self.view.geoms[self.view.ngeom - 1], kind.value, width, start, stop)

    def _add_lamp(self, centre: np.ndarray) -> None:
        """Add one lamp like the sun, which casts shadows whatever the size of the animal."""
        lamp = self.view.lights[self.view.nlight]
        lamp.type = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL.value
        direction = np.array([-0.35, 0.45, -1.0])
        lamp.dir[:] = direction / np.linalg.norm(direction)
        lamp.pos[:] = centre - lamp.dir * 3 * self._extent.radius
        lamp.ambient[:], lamp.diffuse[:], lamp.specular[:] = 0, 0.38, 0.1
        lamp.headlight, lamp.castshadow, lamp.texid = 0, 1, -1
        self.view.nlight += 1

    def _add_floor(self, centre: np.ndarray) -> None:
        """Add a floor whose lines do not move with the camera."""
        grid, floor = self._extent.grid, self._floor
        if floor is None:
            return
        reach = _GRID_CELLS * grid
        x, y = np.round(centre[:2] / grid) * grid
        self.add(PLANE, (3 * reach, 3 * reach, 0.1), np.array((x, y, floor)), _FLOOR)
        lift = floor + 2e-3 * self._extent.radius
        for step in np.arange(-_GRID_CELLS, _GRID_CELLS + 1) * grid:
            self.join(LINE, 1.2, ((x + step, y - reach, lift), (x + step, y + reach, lift)), _GRID)
            self.join(LINE, 1.2, ((x - reach, y + step, lift), (x + reach, y + step, lift)), _GRID)


def _camera_axes(azimuth: float, elevation: float) -> Float[np.ndarray, "3 3"]:
    """Return right, up and ahead of MuJoCo's free camera, in rows."""
    a, e = np.radians(azimuth), np.radians(elevation)
    ahead = np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
    right = np.array([np.sin(a), -np.cos(a), 0.0])
    return np.stack([right, np.cross(right, ahead), ahead])
