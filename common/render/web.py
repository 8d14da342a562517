"""Bodies in a web page (viser): geoms as batched meshes, lines, and recordings as pages that need no server.

Positions are in the units of the scene: the animal should measure about one, because browsers draw small things badly.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

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
    from fast_simplification import simplify
except ImportError as error:
    raise OutputError(f"this needs {error.name}; install the extra studio: pip install '{PROGRAM}[studio]'") from None

_SPHERE, _CYLINDER, _CAPSULE, _ELLIPSOID, _MESH = (
    int(getattr(mujoco.mjtGeom, f"mjGEOM_{kind}")) for kind in ("SPHERE", "CYLINDER", "CAPSULE", "ELLIPSOID", "MESH")
)
_BONE, _BONE_RGB = 0.03, (0.80, 0.79, 0.76)
"""Thickness of a bone between bodies without a shape, relative to its length, and its colour."""
_FINE_GEOMS = 8
"""The largest geoms have round outlines, smaller ones fewer triangles: a page without a graphics card stays smooth."""
_FEW_FACES, _MOST_FACES = 60, 12_000
"""Triangles that a mesh keeps at least, and that all meshes of a body have together; large meshes get more of them."""
_FLOOR_RADIUS, _FLOOR_DOT, _FLOOR_GREY = 2.2, 0.004, 160
"""Radius of a floor and of its dots in units of the scene, and the grey of dots in the middle."""
_AMBIENT = 1.6
"""Light from all sides, instead of the reflections of a room, which cost as much as everything else together."""
_PLAIN: Any = {"lod": "off", "cast_shadow": False, "receive_shadow": False}
"""How meshes are drawn."""

PAGE_FPS = 30.0
"""Pictures per second of a page."""


class Server(viser.ViserServer):
    """A viser server without its share button, which would open the page to the internet, and without its banner."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0, label: str = PROGRAM) -> None:
        """Listen on a host and port; 0, or a port in use: another one."""
        with contextlib.redirect_stdout(io.StringIO()):
            super().__init__(host=host, port=port, label=label, verbose=False)
        self.gui.configure_theme(show_logo=False, show_share_button=False, control_width="large")
        self.scene.configure_default_lights(cast_shadow=False)
        self.scene.configure_environment_map(None)
        self.scene.add_light_ambient("/light", intensity=_AMBIENT)

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


class _Piece(NamedTuple):
    """A unit shape, or the mesh of a number, in the frame of a geom."""

    shape: str | int
    scale: tuple[float, ...]
    shift: tuple[float, ...] = (0.0, 0.0, 0.0)
    turn: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0)


def body_copies(model: mujoco.MjModel, hidden: Collection[int] = ()) -> list[Copies]:
    """Return what a body is drawn with: its geoms without those of the `hidden` bodies, and bones where it has none."""
    rows: dict[Any, list[tuple]] = {}
    geoms = [geom for geom in shown_geoms(model) if model.geom_bodyid[geom] not in hidden]
    fine = sorted(geoms, key=lambda geom: model.geom_rbound[geom])[-_FINE_GEOMS:]
    for geom in geoms:
        body, material = int(model.geom_bodyid[geom]), int(model.geom_matid[geom])
        rgb = (model.geom_rgba[geom] if material < 0 else model.mat_rgba[material])[:3]
        for piece in _pieces(model, geom, "fine " if geom in fine else ""):
            place = model.geom_pos[geom] + rotate(model.geom_quat[geom], np.array(piece.shift))
            turn = multiply(model.geom_quat[geom], np.array(piece.turn))
            rows.setdefault(piece.shape, []).append((body, place, turn, piece.scale, rgb))
    for parent, child in bare_limbs(model):
        end = model.body_pos[child]
        length = float(np.linalg.norm(end))
        if length > 0 and not {parent, child} & set(hidden):
            quat, width = np.empty(4), _BONE * length
            mujoco.mju_quatZ2Vec(quat, end / length)
            rows.setdefault("cylinder", []).append((parent, end / 2, quat, (width, width, length / 2), _BONE_RGB))
    kept = _kept(model, geoms)
    return [
        Copies(*_mesh(model, shape, kept.get(shape, 1.0)), *map(np.array, zip(*copies, strict=True)))
        for shape, copies in rows.items()
    ]


def _pieces(model: mujoco.MjModel, geom: int, detail: str) -> list[_Piece]:
    """Return the unit shapes (or the mesh) of a geom."""
    kind, size = int(model.geom_type[geom]), tuple(model.geom_size[geom].tolist())
    radius, half = size[:2]
    if kind == _MESH:
        return [_Piece(int(model.geom_dataid[geom]), (1.0, 1.0, 1.0))]
    if kind == _CAPSULE:
        ends = [((0.0, 0.0, half), (1.0, 0.0, 0.0, 0.0)), ((0.0, 0.0, -half), (0.0, 1.0, 0.0, 0.0))]
        domes = [_Piece(f"{detail}dome", (radius,) * 3, shift, turn) for shift, turn in ends]
        return [_Piece(f"{detail}tube", (radius, radius, half)), *domes]
    if kind == _CYLINDER:
        return [_Piece(f"{detail}cylinder", (radius, radius, half))]
    if kind in (_SPHERE, _ELLIPSOID):
        return [_Piece(f"{detail}sphere", (radius,) * 3 if kind == _SPHERE else size)]
    return [_Piece("box", size)]


def _kept(model: mujoco.MjModel, geoms: Sequence[int]) -> dict[int, float]:
    """Return the part of its triangles that each mesh keeps, by its number."""
    shown = [geom for geom in geoms if model.geom_type[geom] == _MESH]
    size = model.geom_rbound[shown] / model.geom_rbound[shown].sum()
    numbers = model.geom_dataid[shown]
    wanted = np.maximum(_MOST_FACES * size, _FEW_FACES) / model.mesh_facenum[numbers]
    return {int(number): float(part) for number, part in zip(numbers, wanted, strict=True)}


def _mesh(model: mujoco.MjModel, shape: str | int, keep: float) -> tuple[np.ndarray, np.ndarray]:
    """Return vertices and triangles of a unit shape, or of a mesh with a part of its triangles."""
    if isinstance(shape, int):
        first, count = model.mesh_vertadr[shape], model.mesh_vertnum[shape]
        start, faces = model.mesh_faceadr[shape], model.mesh_facenum[shape]
        vertices, triangles = model.mesh_vert[first : first + count], model.mesh_face[start : start + faces]
        return simplify(vertices, triangles, 1 - keep)[:2] if keep < 1 else (vertices, triangles)
    detail, kind = 2 if shape.startswith("fine ") else 1, shape.removeprefix("fine ")
    if kind == "box":
        unit = trimesh.creation.box(extents=(2.0, 2.0, 2.0))
    elif kind == "dome":
        angle = np.linspace(0.0, np.pi / 2, 3 + detail)
        unit = trimesh.creation.revolve(np.column_stack([np.cos(angle), np.sin(angle)]), sections=12 * detail)
    elif kind == "sphere":
        unit = trimesh.creation.icosphere(subdivisions=detail, radius=1.0)
    else:
        unit = trimesh.creation.cylinder(radius=1.0, height=2.0, sections=12 * detail)
    vertices, faces = np.asarray(unit.vertices), np.asarray(unit.faces)
    if kind == "tube":
        faces = faces[np.ptp(vertices[faces][..., 2], axis=1) > 0]
    return vertices, faces


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
                **_PLAIN,
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
        unit = trimesh.creation.icosphere(subdivisions=1, radius=radius)
        self.node = server.scene.add_batched_meshes_simple(
            name,
            np.asarray(unit.vertices),
            np.asarray(unit.faces),
            np.tile(np.array([1.0, 0.0, 0.0, 0.0], np.float32), (count, 1)),
            np.zeros((count, 3), np.float32),
            batched_scales=np.zeros(count, np.float32),
            batched_colors=np.tile(np.array(_colour(rgb), np.uint8), (count, 1)),
            **_PLAIN,
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


class Floor:
    """Dots at the corners of squares; they fade outwards, and move below an animal that is followed."""

    def __init__(self, server: viser.ViserServer, name: str, cell: float) -> None:
        """Draw a floor; `cell` is the edge of a square in units of the scene."""
        self._cell = cell
        count = int(_FLOOR_RADIUS / cell)
        edge = cell * np.arange(-count, count + 1.0)
        points = np.stack([*np.meshgrid(edge, edge), np.zeros((len(edge), len(edge)))], axis=-1).reshape(-1, 3)
        part = np.linalg.norm(points, axis=1, keepdims=True) / _FLOOR_RADIUS
        points, part = points[part[:, 0] < 1], part[part[:, 0] < 1]
        colours = np.broadcast_to(_FLOOR_GREY + (255 - _FLOOR_GREY) * part, points.shape)
        self._node = server.scene.add_point_cloud(
            name, points.astype(np.float32), colours.astype(np.uint8), point_size=_FLOOR_DOT, point_shape="circle"
        )

    def show(self, origin: Float[np.ndarray, " 3"]) -> None:
        """Put the origin of the world to a place in the scene."""
        self._node.position = (*np.mod(origin[:2], self._cell), float(origin[2]))


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
    """Write a page that plays `n_frames` that `draw` shows, of `rate_hz`, at up to 30 a second, and needs no server."""
    step = max(1, round(rate_hz / PAGE_FPS))
    recording = server.get_scene_serializer()
    for frame in range(0, n_frames, step):
        draw(frame)
        recording.insert_sleep(step / rate_hz)
    write_text(path, recording.as_html())
