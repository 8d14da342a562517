"""Where an animal is and how large: what a camera, a floor and a lamp need to know. Lengths in the MJCF's unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d

from stac_mjx._common.render.shapes import Shapes, body_shapes
from stac_mjx._common.rotations import quat_to_mat
from stac_mjx.records import ReferenceClips

_FOLLOW_S = 0.5
"""Time over which the camera's path is smoothed."""
_SAMPLE = 60
"""Frames that are measured."""
_IN_VIEW = 95.0
"""Percentage of the frames in which all of the animal is in view."""


@dataclass(frozen=True)
class Extent:
    """Where the animal is and how large.

    Attributes:
        centre: what the camera looks at in each frame.
        radius: of the sphere around the centre that holds the animal in nearly all frames.
        around: points around the animal in some frames, from the centre.
        marker: radius of a marker that does not cover its neighbours.
        floor: height of the floor; None where the root is fixed and the animal stands on nothing.
        grid: distance of the floor's lines.
        grid_mm: the same in mm.
    """

    centre: Float[np.ndarray, "frame 3"]
    radius: float
    around: tuple[Float[np.ndarray, "_ 3"], ...]  # other states, other numbers of points
    marker: float
    floor: float | None
    grid: float
    grid_mm: float

    def distance(self, axes: Float[np.ndarray, "3 3"], widest: tuple[float, float]) -> float:
        """How far from the centre a camera has to be to see the animal.

        Args:
            axes: where right, up and ahead point for the camera, unit vectors in rows.
            widest: half the width and half the height of the picture at unit distance.
        """
        needed = []
        for points in self.around:
            right, up, ahead = np.abs(points @ axes[0]), np.abs(points @ axes[1]), points @ axes[2]
            needed.append((np.maximum(right / widest[0], up / widest[1]) - ahead).max())
        return max(_percentile(needed, _IN_VIEW), 0.1 * self.radius)


def extent_of(clips: ReferenceClips, model: mujoco.MjModel) -> Extent:
    """Measure the frames of one clip, by the bodies that carry keypoints: others may hang anywhere."""
    unit = clips.info.length_unit_m
    shapes = body_shapes(model, 1.0)
    centre = _filled(clips.marker_sites.mean(axis=1, dtype=np.float64) / unit)
    some = np.unique(np.linspace(0, clips.n_frames - 1, _SAMPLE).astype(int)).tolist()
    marked = _bodies(clips, clips.kp_body or ())
    sites = clips.marker_sites[some] / unit
    around = [_around(clips, shapes, frame, marked) for frame in some]
    points = [np.concatenate(pair) for pair in zip(around, sites, strict=True)]
    floor = None
    if (model.jnt_type == mujoco.mjtJoint.mjJNT_FREE).any():
        floor = _floor_height(clips, shapes, some)
        own, centre = centre, _smoothed(centre, _FOLLOW_S * float(clips.info.rate_hz or 1.0))
    else:
        own = centre = np.tile(_middle(np.concatenate(points)), (len(centre), 1))
    relative = tuple(p - centre[frame] for frame, p in zip(some, points, strict=True))
    reach = [np.linalg.norm(p - own[frame], axis=-1).max() for frame, p in zip(some, points, strict=True)]
    radius = _percentile(reach, 90.0) or float(model.stat.extent)
    grid = _round_length(radius * unit / 2)
    return Extent(centre, radius, relative, _marker_size(sites, radius), floor, grid / unit, grid * 1000)


def _bodies(clips: ReferenceClips, names: Sequence[str]) -> list[int]:
    return [clips.names_xpos.index(name) for name in names if name in clips.names_xpos]


def _around(clips: ReferenceClips, shapes: Shapes, frame: int, bodies: list[int]) -> Float[np.ndarray, "point 3"]:
    """Points around some bodies (none: all), their origins among them."""
    unit = clips.info.length_unit_m
    bodies = bodies or list(range(1, len(clips.names_xpos)))
    chosen = np.isin(shapes.body, bodies)
    owner = shapes.body[chosen]
    surface = np.einsum("gij,gpj->gpi", quat_to_mat(clips.xquat[frame])[owner], shapes.points[chosen])
    surface = surface + clips.xpos[frame, owner][:, None] / unit
    return np.concatenate([surface.reshape(-1, 3), clips.xpos[frame, bodies] / unit])


def _floor_height(clips: ReferenceClips, shapes: Shapes, frames: list[int]) -> float:
    """Usual height of the lowest foot; where feet are not known, of the lowest body that carries a keypoint."""
    bodies = _bodies(clips, clips.info.end_effectors) or _bodies(clips, clips.kp_body or ())
    return _percentile([_around(clips, shapes, frame, bodies)[:, 2].min() for frame in frames], 20.0)


def _marker_size(sites: Float[np.ndarray, "frame keypoint 3"], radius: float) -> float:
    """A fiftieth of the animal, less where keypoints lie close together."""
    if sites.shape[1] < 2:
        return radius / 50
    apart = np.linalg.norm(sites[:, :, None] - sites[:, None], axis=-1)
    apart[:, np.arange(sites.shape[1]), np.arange(sites.shape[1])] = np.inf
    nearest = _percentile(apart.min(axis=2).ravel().tolist(), 50.0)
    return float(np.clip(nearest / 5, radius / 150, radius / 50))


def _smoothed(path: Float[np.ndarray, "frame 3"], frames: float) -> Float[np.ndarray, "frame 3"]:
    """A path without its wobble. Beyond its ends it goes on as it came, so that the camera does not lag there."""
    width = int(3 * frames) + 1
    longer = np.pad(path, ((width, width), (0, 0)), mode="reflect", reflect_type="odd")
    return gaussian_filter1d(longer, frames, axis=0)[width:-width]


def _middle(points: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, " 3"]:
    """Middle of the box around the points that are finite."""
    finite = points[np.isfinite(points).all(axis=1)]
    return (finite.min(axis=0) + finite.max(axis=0)) / 2 if len(finite) else np.zeros(3)


def _percentile(values: list, percent: float) -> float:
    """Percentile of the values that are finite; 0 for none."""
    finite = [v for v in values if np.isfinite(v)]
    return float(np.percentile(finite, percent)) if finite else 0.0


def _filled(path: Float[np.ndarray, "frame 3"]) -> Float[np.ndarray, "frame 3"]:
    """Replace points that are not finite by interpolation."""
    good = np.isfinite(path).all(axis=1)
    if not good.any():
        return np.zeros_like(path)
    frames = np.arange(len(path))
    return np.stack([np.interp(frames, frames[good], column[good]) for column in path.T], axis=1)


def _round_length(length: float) -> float:
    """The largest of 1, 2 or 5 times a power of ten that is not longer."""
    power = 10.0 ** np.floor(np.log10(length))
    return float(power * max(step for step in (1, 2, 5) if step * power <= length * (1 + 1e-9)))
