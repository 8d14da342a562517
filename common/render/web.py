"""Bodies in a web page (viser): geoms as batched meshes, lines, and recordings as pages that need no server.

Positions are in the units of the scene: the animal should measure about one, because browsers draw small things badly.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float, Int

from .. import PROGRAM
from ..errors import OutputError
from ..files import write_text
from ..rotations import multiply, rotate
from .shapes import bare_limbs, shown_geoms

try:
    import trimesh
    import viser
except ImportError as error:
    raise OutputError(f"this needs {error.name}; install the extra studio: pip install '{PROGRAM}[studio]'") from None

_SPHERE, _CYLINDER, _CAPSULE, _ELLIPSOID, _MESH = (
    int(getattr(mujoco.mjtGeom, f"mjGEOM_{kind}")) for kind in ("SPHERE", "CYLINDER", "CAPSULE", "ELLIPSOID", "MESH")
)
_BONE, _BONE_RGB = 0.03, (0.80, 0.79, 0.76)
"""Thickness of a bone between bodies without a shape, relative to its length, and its colour."""


PAGE_FPS = 30.0
"""Pictures per second of a page."""


class Server(viser.ViserServer):
    """A viser server without its share button, which would open the page to the internet, and without its banner."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0, label: str = PROGRAM) -> None:
        """Listen on a host and port; 0, or a port in use: another one."""
        with contextlib.redirect_stdout(io.StringIO()):
            super().__init__(host=host, port=port, label=label, verbose=False)
        self.gui.configure_theme(show_logo=False, show_share_button=False, control_width="large")

    def request_share_url(self, verbose: bool = True) -> None:
        """Refuse to share."""

    def stop(self) -> None:
        """Stop without a banner."""
        with contextlib.redirect_stdout(io.StringIO()):
            super().stop()


@dataclass(frozen=True)
class Copies:
    """Copies of one mesh, each fixed in the frame of a body; lengths in the model's unit."""

    vertices: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]
    body: Int[np.ndarray, " copy"]
    """MuJoCo id of the body that each copy moves with."""
    position: Float[np.ndarray, "copy 3"]
    quat: Float[np.ndarray, "copy 4"]
    scale: Float[np.ndarray, "copy 3"]
    rgb: Float[np.ndarray, "copy 3"]


def body_copies(model: mujoco.MjModel, hidden: Collection[int] = ()) -> list[Copies]:
    """Return what a body is drawn with: its geoms without those of the `hidden` bodies, and bones where it has none."""
    rows: dict[Any, list[tuple]] = {}
    for geom in shown_geoms(model):
        body, material = int(model.geom_bodyid[geom]), int(model.geom_matid[geom])
        if body in hidden:
            continue
        rgb = (model.geom_rgba[geom] if material < 0 else model.mat_rgba[material])[:3]
        for shape, shift, scale in _pieces(model, geom):
            place = model.geom_pos[geom] + rotate(model.geom_quat[geom], np.asarray(shift, float))
            rows.setdefault(shape, []).append((body, place, model.geom_quat[geom], scale, rgb))
    for parent, child in bare_limbs(model):
        end = model.body_pos[child]
        length = float(np.linalg.norm(end))
        if length > 0 and not {parent, child} & set(hidden):
            quat, width = np.empty(4), _BONE * length
            mujoco.mju_quatZ2Vec(quat, end / length)
            rows.setdefault("cylinder", []).append((parent, end / 2, quat, (width, width, length / 2), _BONE_RGB))
    return [Copies(*_mesh(model, shape), *map(np.array, zip(*copies, strict=True))) for shape, copies in rows.items()]


def _pieces(model: mujoco.MjModel, geom: int) -> list[tuple[str | int, Sequence[float], Sequence[float]]]:
    """Return the unit shapes (or the number of a mesh) of a geom, with their places in its frame and sizes."""
    kind, size, centre = int(model.geom_type[geom]), model.geom_size[geom], (0.0, 0.0, 0.0)
    radius, half = float(size[0]), float(size[1])
    if kind == _MESH:
        return [(int(model.geom_dataid[geom]), centre, (1.0, 1.0, 1.0))]
    if kind == _CAPSULE:
        ends = [("sphere", (0.0, 0.0, sign * half), (radius,) * 3) for sign in (-1, 1)]
        return [("cylinder", centre, (radius, radius, half)), *ends]
    sizes = {_SPHERE: (radius,) * 3, _CYLINDER: (radius, radius, half)}.get(kind, tuple(size))
    return [({_SPHERE: "sphere", _ELLIPSOID: "sphere", _CYLINDER: "cylinder"}.get(kind, "box"), centre, sizes)]


def _mesh(model: mujoco.MjModel, shape: str | int) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(shape, int):
        first, count = model.mesh_vertadr[shape], model.mesh_vertnum[shape]
        start, faces = model.mesh_faceadr[shape], model.mesh_facenum[shape]
        return model.mesh_vert[first : first + count], model.mesh_face[start : start + faces]
    unit = {
        "sphere": lambda: trimesh.creation.icosphere(subdivisions=2, radius=1.0),
        "cylinder": lambda: trimesh.creation.cylinder(radius=1.0, height=2.0, sections=20),
        "box": lambda: trimesh.creation.box(extents=(2.0, 2.0, 2.0)),
    }[shape]()
    return np.asarray(unit.vertices), np.asarray(unit.faces)


class BodyView:
    """A body in a scene."""

    def __init__(
        self,
        server: viser.ViserServer,
        name: str,
        copies: Sequence[Copies],
        scale: float,
        *,
        opacity: float = 1.0,
        rgb: Sequence[float] | None = None,
    ) -> None:
        """Draw a body; `scale` is in units of the scene per unit of the model, `rgb` replaces the model's colours."""
        self._copies, self._scale = copies, scale
        self.nodes = [
            server.scene.add_batched_meshes_simple(
                f"{name}/{index}",
                one.vertices * scale,
                one.faces,
                batched_wxyzs=one.quat,
                batched_positions=one.position * scale,
                batched_scales=one.scale.astype(np.float32),
                batched_colors=(255 * (one.rgb if rgb is None else np.tile(rgb, (len(one.body), 1)))).astype(np.uint8),
                opacity=None if opacity >= 1 else opacity,
                lod="off",
                cast_shadow=False,
                receive_shadow=False,
            )
            for index, one in enumerate(self._copies)
        ]

    def pose(self, xpos: Float[np.ndarray, "body 3"], xquat: Float[np.ndarray, "body 4"]) -> None:
        """Put all bodies where they are; positions in units of the scene."""
        for node, one in zip(self.nodes, self._copies, strict=True):
            turn = xquat[one.body]
            node.batched_positions = (xpos[one.body] + rotate(turn, one.position * self._scale)).astype(np.float32)
            node.batched_wxyzs = np.asarray(multiply(turn, one.quat), np.float32)

    def on_pick(self, picked: Callable[[int], None]) -> None:
        """Call `picked` with the MuJoCo id of a body that is clicked."""
        for node, one in zip(self.nodes, self._copies, strict=True):
            node.on_click(lambda event, body=one.body: picked(int(body[event.instance_index or 0])))

    def remove(self) -> None:
        """Take the body out of the scene."""
        for node in self.nodes:
            node.remove()


class Balls:
    """Spheres; one without a place is not drawn."""

    def __init__(self, server: viser.ViserServer, name: str, count: int, radius: float, rgb: Sequence[float]) -> None:
        unit = trimesh.creation.icosphere(subdivisions=2, radius=radius)
        self.node = server.scene.add_batched_meshes_simple(
            name,
            np.asarray(unit.vertices),
            np.asarray(unit.faces),
            np.tile(np.array([1.0, 0.0, 0.0, 0.0], np.float32), (count, 1)),
            np.zeros((count, 3), np.float32),
            batched_scales=np.zeros(count, np.float32),
            batched_colors=np.tile(np.array(_colour(rgb), np.uint8), (count, 1)),
            lod="off",
            cast_shadow=False,
            receive_shadow=False,
        )

    def show(self, places: Float[np.ndarray, "ball 3"], sizes: Float[np.ndarray, " ball"] | float = 1.0) -> None:
        """Put the spheres to places in units of the scene, and multiply their radii by `sizes`; the rest is hidden."""
        count = len(self.node.batched_positions)
        all_places, all_sizes = np.zeros((count, 3), np.float32), np.zeros(count, np.float32)
        there = np.atleast_1d(np.isfinite(places[:count]).all(axis=-1))
        all_places[: len(there)] = np.where(there[:, None], places[:count], 0.0)
        all_sizes[: len(there)] = np.where(there, sizes, 0.0)
        self.node.batched_positions, self.node.batched_scales = all_places, all_sizes

    def remove(self) -> None:
        """Take the spheres out of the scene."""
        self.node.remove()


class Lines:
    """Lines between pairs of points; a line with a missing end is not drawn."""

    def __init__(self, server: viser.ViserServer, name: str, rgb: Sequence[float], width: float = 0.005) -> None:
        nothing = np.zeros((1, 2, 3), np.float32)
        self._node = server.scene.add_line_segments(name, nothing, _colour(rgb), thickness=width, visible=False)

    def show(self, ends: Float[np.ndarray, "line 2 3"], rgb: Float[np.ndarray, "line 3"] | None = None) -> None:
        """Draw lines, in units of the scene."""
        there = np.isfinite(ends).all(axis=(1, 2))
        self._node.visible = bool(there.any())
        if there.any():
            self._node.points = ends[there].astype(np.float32)
            if rgb is not None:
                self._node.colors = np.repeat(255 * rgb[there][:, None], 2, axis=1).astype(np.uint8)

    def remove(self) -> None:
        """Take the lines out of the scene."""
        self._node.remove()


def _colour(rgb: Sequence[float]) -> tuple[int, int, int]:
    red, green, blue = (round(255 * part) for part in rgb)
    return red, green, blue


def look_from(server: viser.ViserServer, centre: np.ndarray, radius: float) -> None:
    """Have pages open with a view of a sphere, from the front right and above."""
    direction = np.array([0.75, -1.0, 0.5])
    server.initial_camera.look_at = tuple(np.asarray(centre, float))
    server.initial_camera.position = tuple(centre + 2.4 * radius * direction / np.linalg.norm(direction))
    server.initial_camera.fov = 0.7


def write_page(path: Path, server: Server, draw: Callable[[int], None], n_frames: int, rate_hz: float) -> None:
    """Write a page that plays `n_frames` that `draw` shows, of `rate_hz`, at up to 30 a second, and needs no server.

    Raises:
        OutputError: if it cannot be written.
    """
    step = max(1, round(rate_hz / PAGE_FPS))
    recording = server.get_scene_serializer()
    for frame in range(0, n_frames, step):
        draw(frame)
        recording.insert_sleep(step / rate_hz)
    write_text(path, recording.as_html())
