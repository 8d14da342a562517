"""Where an animal is and how large: what a camera, a floor and a lamp need to know. Lengths in the MJCF's unit."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d

from stac_mjx.clips import ReferenceClips
from stac_mjx.silhouette import Shapes, body_shapes, rotations

_FOLLOW_S = 0.5
"""Time over which the camera's path is smoothed."""
_SAMPLE = 60
"""Frames that are measured."""
_IN_VIEW = 95
"""Percentage of the frames in which all of the animal is in view."""


@dataclass(frozen=True)
class Extent:
    """Where the animal is and how large.

    Attributes:
        centre: what the camera looks at in each frame.
        radius: of the sphere around the centre that holds the animal in nearly all frames.
        around: points around the animal in some frames, from the centre.
        floor: height of the floor; None where the root is fixed and the animal stands on nothing.
        grid: distance of the floor's lines.
        grid_mm: the same in mm.
    """

    centre: Float[np.ndarray, "frame 3"]
    radius: float
    around: tuple[Float[np.ndarray, "point 3"], ...]
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
    points = [_marked_points(clips, shapes, frame) for frame in some]
    floor = None
    if (model.jnt_type == mujoco.mjtJoint.mjJNT_FREE).any():
        floor = _percentile([p[:, 2].min() for p in points], 20)
        centre = gaussian_filter1d(centre, _FOLLOW_S * float(clips.info.rate_hz or 1.0), axis=0, mode="nearest")
    else:
        centre = np.tile(_middle(np.concatenate(points)), (len(centre), 1))
    around = tuple(p - centre[frame] for frame, p in zip(some, points, strict=True))
    radius = _percentile([np.linalg.norm(p, axis=-1).max() for p in around], 90) or float(model.stat.extent)
    grid = _round_length(radius * unit / 2)
    return Extent(centre, radius, around, floor, grid / unit, grid * 1000)


def _marked_points(clips: ReferenceClips, shapes: Shapes, frame: int) -> Float[np.ndarray, "point 3"]:
    """Points around the bodies that carry keypoints, and the marker sites."""
    unit = clips.info.length_unit_m
    marked = [clips.names_xpos.index(name) for name in clips.kp_body or () if name in clips.names_xpos]
    chosen = np.isin(shapes.body, marked) if marked else np.ones(len(shapes.body), bool)
    owner = shapes.body[chosen]
    around = np.einsum("gij,gpj->gpi", rotations(clips.xquat[frame])[owner], shapes.points[chosen])
    around = around + clips.xpos[frame, owner][:, None] / unit
    return np.concatenate([around.reshape(-1, 3), clips.marker_sites[frame] / unit])


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
