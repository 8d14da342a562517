"""Ground that is not level, as a height field in the place of the floor: a Gaussian bowl with Perlin noise.

Paper B, section 4.5.2; equations by its numbers. Rows of a grid of heights run along y, columns along x.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Float

from track_mjx._common.errors import ConfigError
from track_mjx._common.mjcf import quick_compile
from track_mjx._common.rotations import Array
from track_mjx.config import ArenaConfig, TerrainConfig

_DEPTH = -10.0
"""Amplitude A of the depression, to which the amplitude of the noise is relative (eq. 2)."""
_GATE = (0.05, 0.25)
"""Radii between which the noise sets in, as parts of the grid's width (eq. 9)."""
_BASE = 0.1
"""Thickness of the ground below its lowest point, as a part of the half width; thin ground is fallen through."""
_HFIELD = mujoco.mjtGeom.mjGEOM_HFIELD


def bowl(terrain: TerrainConfig) -> Float[np.ndarray, "row column"]:
    """Return the heights of a bowl, 0 to 1 (eq. 2 to 11)."""
    n = terrain.cells + 1
    along = np.linspace(-1.0, 1.0, n)
    squared = along**2 + along[:, None] ** 2
    inner, outer = (part * n for part in _GATE)
    gate = np.clip(((n - 1) / 2 * np.sqrt(squared) - inner) / (outer - inner), 0.0, 1.0)
    gate = 3 * gate**2 - 2 * gate**3
    noise = _from_0_to_1(perlin(n, terrain.periods, terrain.seed))
    return _from_0_to_1(_DEPTH * np.exp(-squared / (2 * terrain.sigma**2)) + terrain.noise * gate * noise)


def perlin(n: int, periods: int, seed: int) -> Float[np.ndarray, "row column"]:
    """Return Perlin noise on an n x n grid that spans so many periods of it, opposite edges equal (eq. 3 to 7)."""
    angle = np.random.default_rng(seed).uniform(0.0, 2 * np.pi, (periods, periods))
    place = periods * np.linspace(0.0, 1.0, n)
    cell, within = np.floor(place).astype(int), place % 1.0
    fade = 6 * within**5 - 15 * within**4 + 10 * within**3

    def corner(right: int, up: int) -> np.ndarray:
        gradient = angle[np.ix_((cell + up) % periods, (cell + right) % periods)]
        return np.cos(gradient) * (within - right) + np.sin(gradient) * (within - up)[:, None]

    low, high = ((1 - fade) * corner(0, up) + fade * corner(1, up) for up in (0, 1))
    return (1 - fade)[:, None] * low + fade[:, None] * high


def _from_0_to_1(values: np.ndarray) -> np.ndarray:
    """Scale values to a range of 0 to 1 (eq. 8 and 11); those that are all alike become 0."""
    spread = np.ptp(values)
    return (values - values.min()) / spread if spread > 1e-9 else np.zeros_like(values)


def set_terrain(spec: mujoco.MjSpec, arena: ArenaConfig, floor: str, length_unit_m: float) -> None:
    """Turn the floor into the terrain of the config, its lowest point at the height of the floor, its centre at 0.

    The geom keeps its name, so that contacts and sensors refer to it.
    """
    terrain = arena.terrain
    if terrain.kind == "none":
        return
    if arena.friction:
        raise ConfigError("arena.friction needs a plane: along and across are not known on arena.terrain")
    model = quick_compile(spec)
    number = model.geom(floor).id if floor else -1
    body = model.geom_bodyid[number] if floor else 0
    if not floor or model.geom_type[number] != mujoco.mjtGeom.mjGEOM_PLANE or model.body_weldid[body]:
        raise ConfigError(f"arena.terrain.kind={terrain.kind}: there is no level floor to replace; set arena.floor=on")
    half, height = terrain.half_width_m / length_unit_m, terrain.height_m / length_unit_m
    heights = bowl(terrain) if height > 0 else np.zeros((terrain.cells + 1, terrain.cells + 1))
    spec.add_hfield(
        name=floor, nrow=len(heights), ncol=len(heights), size=[half, half, height or half, _BASE * half],
        userdata=heights.astype(np.float32).ravel(),
    )  # fmt: skip
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    geom = next(geom for geom in spec.geoms if geom.name == floor)
    geom.type, geom.hfieldname, geom.quat = _HFIELD, floor, data.xquat[body] * [1, -1, -1, -1]
    geom.pos = data.xmat[body].reshape(3, 3).T @ ([0.0, 0.0, data.geom_xpos[number, 2]] - data.xpos[body])


def use_older_collision(spec: mujoco.MjSpec) -> None:
    """Disable MuJoCo's native collision of convex shapes where there is a height field.

    With it, feet sink into a flat height field by millimetres, or float above it (google-deepmind/mujoco #2883).
    """
    if any(geom.type == _HFIELD for geom in spec.geoms):
        spec.option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_NATIVECCD)


class Surface(NamedTuple):
    """The surface of a height field that does not move; lengths in the model's unit."""

    heights: Float[np.ndarray, "row column"]
    """Above `origin`."""
    half: Float[np.ndarray, "2"]
    """Half of its width along x and y."""
    origin: Float[np.ndarray, "3"]
    """Its centre, at the height of its lowest point."""

    def height(self, place: Float[Array, "*batch 2"]) -> Float[Array, "*batch"]:
        """Return the height of the ground at places of the world; beyond the edge, that of the edge.

        Cells are two triangles that share the diagonal towards x and y, as in `mj_ray`.
        """
        most = np.array(self.heights.shape[::-1], np.int32) - 1
        at = (place - self.origin[:2] + self.half) * (most / (2 * self.half)).astype(np.float32)
        cell = jnp.clip(jnp.floor(at).astype(jnp.int32), 0, most - 1)
        x, y = jnp.moveaxis(jnp.clip(at - cell, 0.0, 1.0), -1, 0)
        column, row = jnp.moveaxis(cell, -1, 0)
        heights = jnp.asarray(self.heights)
        low, high = heights[row, column], heights[row + 1, column + 1]
        right, up = heights[row, column + 1], heights[row + 1, column]
        by_x = low + x * (right - low) + y * (high - right)
        by_y = low + y * (up - low) + x * (high - up)
        return jnp.where(x > y, by_x, by_y) + self.origin[2]

    def normal(self, place: Float[Array, "*batch 2"]) -> Float[Array, "*batch 3"]:
        """Return the unit normal of the ground at places, by differences over two cells (eq. 12 to 14)."""
        step = (2 * self.half / (np.array(self.heights.shape[::-1]) - 1)).astype(np.float32)
        along = [np.array([step[0], 0.0], np.float32), np.array([0.0, step[1]], np.float32)]
        slope = [(self.height(place + d) - self.height(place - d)) / (2 * d.sum()) for d in along]
        upward = jnp.stack([-slope[0], -slope[1], jnp.ones_like(slope[0])], -1)
        return upward / jnp.linalg.norm(upward, axis=-1, keepdims=True)


def surface_of(model: mujoco.MjModel, floor: str) -> Surface | None:
    """Return the surface of a floor that is a height field, level, along the axes of the world and at rest."""
    if not floor or model.geom(floor).type[0] != _HFIELD:
        return None
    geom, data = model.geom(floor).id, mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    if model.body_weldid[model.geom_bodyid[geom]] or not np.allclose(data.geom_xmat[geom], np.eye(3).ravel()):
        return None
    field = int(model.geom_dataid[geom])
    rows, columns, first = (int(part[field]) for part in (model.hfield_nrow, model.hfield_ncol, model.hfield_adr))
    heights = model.hfield_data[first : first + rows * columns].reshape(rows, columns)
    size, origin = model.hfield_size[field].astype(np.float32), data.geom_xpos[geom].astype(np.float32)
    return Surface(heights * size[2], size[:2], origin)
