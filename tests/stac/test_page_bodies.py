"""Bodies as pages draw them: where MuJoCo has their surfaces, and with how many triangles."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import trimesh
from stac_mjx._common.render.web import Copies, body_copies
from stac_mjx._common.rotations import rotate

BODY = """
<mujoco>
  <worldbody>
    <body name="ground"><geom type="plane" size="1 1 0.1"/></body>
    <body name="limb">
      <freejoint/>
      <geom type="capsule" size="0.02" fromto="0 0 0 0.1 0.05 -0.1"/>
      <geom type="ellipsoid" size="0.03 0.02 0.01" pos="0.2 0 0" euler="20 30 40"/>
    </body>
  </worldbody>
</mujoco>
"""


def drawn(copies: list[Copies]) -> list[np.ndarray]:
    """Return the corners of the triangles of each batch, in the frame of the body."""
    return [
        np.concatenate([
            place + rotate(quat, scale * one.vertices[one.faces]).reshape(-1, 3)
            for place, quat, scale in zip(one.position, one.quat, one.scale, strict=True)
        ])
        for one in copies
    ]  # fmt: skip


def test_capsules_and_ellipsoids_are_drawn_where_they_are() -> None:
    model = mujoco.MjModel.from_xml_string(BODY)
    copies = body_copies(model)
    assert all((one.body == model.body("limb").id).all() for one in copies)  # and of no plane
    tube, dome, ball = drawn(copies)
    axis, capsule = np.array([0.1, 0.05, -0.1]), np.concatenate([tube, dome])
    part = np.clip(capsule @ axis / (axis @ axis), 0, 1)
    distance = np.linalg.norm(capsule - part[:, None] * axis, axis=1)
    np.testing.assert_allclose(distance, 0.02, atol=1e-6)
    along = dome @ axis / np.linalg.norm(axis)
    np.testing.assert_allclose([along.min(), along.max()], [-0.02, 0.17], atol=1e-3)
    local = rotate(model.geom_quat[2] * [1, -1, -1, -1], ball - model.geom_pos[2])
    assert np.abs(np.linalg.norm(local / np.array([0.03, 0.02, 0.01]), axis=1) - 1).max() < 1e-6


def test_large_meshes_are_drawn_with_fewer_triangles_of_the_same_shape(tmp_path: Path) -> None:
    fine = trimesh.creation.icosphere(subdivisions=5, radius=0.1)
    fine.export(tmp_path / "ball.stl")
    assets = "".join(f'<mesh name="{k}" file="ball.stl" scale="{s} {s} {s}"/>' for k, s in enumerate((1, 0.5)))
    geoms = "".join(f'<geom type="mesh" mesh="{k}"/>' for k in range(2))
    (tmp_path / "body.xml").write_text(
        f"<mujoco><asset>{assets}</asset><worldbody><body>{geoms}</body></worldbody></mujoco>"
    )
    one, other = body_copies(mujoco.MjModel.from_xml_path(str(tmp_path / "body.xml")))
    assert len(fine.faces) > len(one.faces) > len(other.faces)
    assert len(one.faces) + len(other.faces) <= 12_000
    for copies, radius in ((one, 0.1), (other, 0.05)):
        np.testing.assert_allclose(np.linalg.norm(copies.vertices, axis=1), radius, rtol=0.01)
