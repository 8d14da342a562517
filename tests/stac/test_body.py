"""Loading a body: self-contained output, names, units, and one clear message for everything that can be wrong."""

import importlib.util
from pathlib import Path

import mujoco
import numpy as np
import pytest
from stac_mjx._common.errors import BodyError
from stac_mjx._common.mjcf import qpos_units, qvel_labels, qvel_units
from stac_mjx.body.body import load_body
from stac_mjx.config import BodyConfig, MarkerConfig

WORM = """
<mujoco model="worm">
  <compiler meshdir="{meshdir}" angle="radian"/>
  <asset><mesh name="bone" file="{mesh}"/><mesh name="unused" file="unused.stl"/></asset>
  <worldbody>
    <body name="trunk" pos="0 0 1">
      {root}
      <geom type="mesh" mesh="bone"/>
      <body name="arm" pos="1 0 0">
        <joint name="shoulder" axis="0 0 1" range="-1 1" limited="true"/><joint name="arm" axis="0 1 0"/>
        <geom size="0.1"/>
        <body pos="1 0 0"><joint type="ball"/><joint type="slide" name="reach"/><geom size="0.1"/></body>
      </body>
    </body>
  </worldbody>
</mujoco>
"""
CORNERS = np.array([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0], [0, 0, 0.1]], dtype="<f4")


def stl(corners: np.ndarray = CORNERS) -> bytes:
    """A tetrahedron as binary STL."""
    faces = [(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)]
    records = b"".join(b"\0" * 12 + corners[list(face)].tobytes() + b"\0\0" for face in faces)
    return b"\0" * 80 + np.uint32(len(faces)).tobytes() + records


def write_model(folder: Path, *, root='<freejoint name="root"/>', meshdir="meshes", mesh="bone.stl") -> Path:
    (folder / "lab" / "meshes").mkdir(parents=True, exist_ok=True)
    (folder / "lab" / "meshes" / "bone.stl").write_bytes(stl())
    (folder / "lab" / "meshes" / "unused.stl").write_bytes(stl(CORNERS * 2))
    path = folder / "lab" / "worm.xml"
    path.write_text(WORM.format(root=root, meshdir=meshdir, mesh=mesh))
    return path


def config(path: Path, **changes) -> BodyConfig:
    markers = {"Trunk": MarkerConfig(body="trunk"), "Arm": MarkerConfig(body="arm", offset=[0.0, 0.01, 0.0])}
    settings = {"name": "worm", "mjcf": str(path), "unit": "cm", "markers": markers} | changes
    return BodyConfig(**settings)


def test_body_compiles_from_what_it_carries(tmp_path):
    body = load_body(config(write_model(tmp_path)))
    assert set(body.assets) == {"bone.stl"}
    again = mujoco.MjModel.from_xml_string(body.mjcf_xml, body.assets)
    np.testing.assert_array_equal(again.body_pos, body.model.body_pos)
    np.testing.assert_array_equal(again.mesh_vert, body.model.mesh_vert)
    assert str(tmp_path) not in body.mjcf_xml


def test_numbers_keep_all_digits(tmp_path):
    path = tmp_path / "digits.xml"
    path.write_text(
        '<mujoco><worldbody><body name="a" pos="0.123456789012345 0 0" euler="10 20 30"><joint/>'
        '<inertial pos="0 0 0" mass="1e-6" diaginertia="3.9752768e-12 3.88943871e-12 8.65838e-14"/></body>'
        "</worldbody></mujoco>"
    )
    expected = mujoco.MjModel.from_xml_path(str(path))
    body = load_body(config(path, markers={"A": MarkerConfig(body="a")}))
    np.testing.assert_array_equal(body.model.body_pos, expected.body_pos)
    np.testing.assert_allclose(body.model.body_quat, expected.body_quat, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(body.model.body_inertia, expected.body_inertia)


def test_names_and_units_of_columns(tmp_path):
    body = load_body(config(write_model(tmp_path)))
    free = ("root_x", "root_y", "root_z", "root_qw", "root_qx", "root_qy", "root_qz")
    ball = ("joint_3_qw", "joint_3_qx", "joint_3_qy", "joint_3_qz")
    assert body.qpos_names == (*free, "shoulder", "arm", *ball, "reach")
    qvel = qvel_labels(body.model)
    assert qvel[:6] == ("root_vx", "root_vy", "root_vz", "root_wx", "root_wy", "root_wz")
    assert qvel[6:] == ("shoulder", "arm", "joint_3_wx", "joint_3_wy", "joint_3_wz", "reach")
    assert qpos_units(body.model, 0.01) == ("cm",) * 3 + ("1",) * 4 + ("rad", "rad") + ("1",) * 4 + ("cm",)
    assert qvel_units(body.model, 0.01) == ("cm s-1",) * 3 + ("rad s-1",) * 8 + ("cm s-1",)
    assert body.body_names == ("world", "trunk", "arm", "body_3")


def test_lengths_are_metres_and_offsets_are_not_scaled_again(tmp_path):
    body = load_body(config(write_model(tmp_path)))
    assert body.length_unit_m == 0.01
    # the arm sits 1 cm from the trunk, its marker 1 cm to the side
    assert body.size_m == pytest.approx(0.01 * 2**0.5)
    scaled = load_body(config(write_model(tmp_path), scale=2.0))
    assert scaled.size_m == pytest.approx((0.02**2 + 0.01**2) ** 0.5)


def test_parts_name_bodies_joints_or_patterns(tmp_path):
    parts = {"body": ["arm"], "joint": ["shoulder"], "both": ["reach", "arm"], "pattern": ["sh*", "re?ch"]}
    dofs = load_body(config(write_model(tmp_path), parts=parts)).part_dofs
    assert {part: found.tolist() for part, found in dofs.items()} == {
        "body": [6, 7], "joint": [6], "both": [6, 7, 11], "pattern": [6, 11],
    }  # fmt: skip


def test_free_root_is_added_once(tmp_path):
    fixed = load_body(config(write_model(tmp_path / "a", root=""), root="free"))
    assert fixed.qpos_names[:2] == ("root_x", "root_y")
    np.testing.assert_array_equal(fixed.model.qpos0[:7], [0, 0, 1, 1, 0, 0, 0])
    free = load_body(config(write_model(tmp_path / "b"), root="free"))
    assert free.model.nq == fixed.model.nq == 14


def test_upright_root_slides_and_turns_but_does_not_tilt(tmp_path):
    path = write_model(tmp_path)
    # a body rotated in its parent, and a default that a free joint would ignore
    text = path.read_text().replace('<body name="trunk" pos="0 0 1">', '<body name="trunk" pos="0 0 1" euler="1 2 3">')
    path.write_text(
        text.replace("<asset>", '<default><joint armature="0.5" damping="2" stiffness="3"/></default><asset>')
    )
    model = load_body(config(path, root="upright")).model
    assert [model.joint(i).name for i in range(4)] == ["root_x", "root_y", "root_z", "root_turn"]
    assert (model.nq, model.nv) == (11, 10), "free joint: 14 and 13"
    assert not model.jnt_limited[:4].any()
    for of_root in (model.dof_armature[:4], model.dof_damping[:4], model.jnt_stiffness[:4]):
        np.testing.assert_array_equal(of_root, 0)
    start, moved = mujoco.MjData(model), mujoco.MjData(model)
    moved.qpos[:4] = 0.2, -0.3, 0.4, 0.7
    for data in (start, moved):
        mujoco.mj_kinematics(model, data)
    np.testing.assert_allclose(moved.body("trunk").xpos - start.body("trunk").xpos, [0.2, -0.3, 0.4], atol=1e-12)
    turn = moved.body("trunk").xmat.reshape(3, 3) @ start.body("trunk").xmat.reshape(3, 3).T
    expected = [[np.cos(0.7), -np.sin(0.7), 0], [np.sin(0.7), np.cos(0.7), 0], [0, 0, 1]]
    np.testing.assert_allclose(turn, expected, atol=1e-12)


def test_two_assets_of_one_name_are_kept_apart(tmp_path):
    path = write_model(tmp_path)
    other = path.parent / "other"
    other.mkdir()
    (other / "bone.stl").write_bytes(stl(CORNERS * 3))
    xml = path.read_text().replace('meshdir="meshes"', "").replace('file="bone.stl"', 'file="meshes/bone.stl"')
    xml = xml.replace('<mesh name="unused" file="unused.stl"/>', '<mesh name="big" file="other/bone.stl"/>')
    path.write_text(xml.replace("<geom size", '<geom type="mesh" mesh="big"/><geom size', 1))
    body = load_body(config(path))
    assert set(body.assets) == {"bone.stl", "bone_2.stl"}
    assert body.model.geom_rbound[1] == pytest.approx(3 * body.model.geom_rbound[0], rel=1e-6)


@pytest.mark.parametrize("inner", ["parts/inner.xml", "inner.xml"], ids=["of the model", "of the include"])
def test_includes_at_any_depth_become_part_of_the_model(tmp_path, inner):
    """A path in an included file is relative to the main model or, as MuJoCo also reads it, to that file."""
    path = write_model(tmp_path)
    (path.parent / "parts").mkdir()
    (path.parent / "outer.xml").write_text('<mujoco><include file="parts/middle.xml"/></mujoco>')
    (path.parent / "parts" / "middle.xml").write_text(f'<mujoco><include file="{inner}"/></mujoco>')
    (path.parent / "parts" / "inner.xml").write_text(path.read_text())
    assert load_body(config(path.parent / "outer.xml")).body_names[1:3] == ("trunk", "arm")


SCENE = {
    "ball": '<body name="other"><freejoint/><geom size="1"/></body>',
    "wheel": '<body name="other"><joint name="axle"/><geom size="1"/></body>',
    "platform": '<body name="other"><geom size="1"/></body>',
}


@pytest.mark.parametrize("other", SCENE)
@pytest.mark.parametrize("root", ["keep", "free", "upright", "planar"])
def test_the_animal_is_what_carries_the_markers_whatever_the_scene_has_before_it(tmp_path, other, root):
    path = write_model(tmp_path, root='<freejoint name="root"/>' if root == "keep" else "")
    path.write_text(path.read_text().replace("<worldbody>", f"<worldbody>{SCENE[other]}"))
    body = load_body(config(path, root=root))
    assert body.body_names[body.root] == "trunk"
    names = [body.joint_names[j] for j in np.flatnonzero(body.model.jnt_bodyid == body.root)]
    along = {"upright": "xyz", "planar": "xy"}.get(root)
    assert names == ([*(f"root_{axis}" for axis in along), "root_turn"] if along else ["root"])
    assert len(body.tree.root_dofs) == (len(along) + 1 if along else 6)
    assert body.tree.root_dofs[0] == body.model.body_dofadr[body.root]


def test_sibling_folder_is_allowed(tmp_path):
    path = write_model(tmp_path, meshdir="../shared")
    (tmp_path / "shared").mkdir()
    for name in ("bone.stl", "unused.stl"):
        (tmp_path / "shared" / name).write_bytes(stl())
    assert set(load_body(config(path)).assets) == {"bone.stl"}


@pytest.mark.parametrize(
    ("meshdir", "mesh", "message"),
    [
        ("meshes", "/etc/hostname", "expected a path relative to the MJCF"),
        ("meshes", "../../../secret.stl", "outside the model folder"),
        ("meshes", "missing.stl", "no such file in .*meshes"),
        ("/srv/meshes", "bone.stl", "'/srv/meshes' is absolute"),
    ],
)
def test_assets_out_of_bounds_are_refused(tmp_path, meshdir, mesh, message):
    with pytest.raises(BodyError, match=message):
        load_body(config(write_model(tmp_path, meshdir=meshdir, mesh=mesh)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not xml at all", "invalid XML"),
        ("<html/>", "cannot read this as MJCF"),
        ('<mujoco><include file="../../../etc/passwd"/></mujoco>', "outside the model folder"),
        ('<mujoco><include file="gone.xml"/></mujoco>', "no such file"),
        ('<mujoco><worldbody><body name="a"><joint/></body></worldbody></mujoco>', "does not compile.*mass"),
    ],
)
def test_files_that_are_no_model(tmp_path, text, message):
    path = tmp_path / "bad.xml"
    path.write_text(text)
    with pytest.raises(BodyError, match=message):
        load_body(config(path))


def test_all_faults_are_listed_at_once_with_near_names(tmp_path):
    markers = {"Trunk": MarkerConfig(body="trnk"), "Arm": MarkerConfig(body="arm", offset=[0.0, 1.0])}
    bad = config(
        write_model(tmp_path),
        markers=markers,
        unit="inch",
        root="fixed",
        root_keypoint="Trunc",
        trunk_keypoints=["Arm", "Arm"],
        keypoint_order=["Trunk"],
        parts={"limb": ["sholder"], "still": ["trunk", "world"], "none": ["world"]},
        end_effectors=["hand"],
        skeleton=[["Trunk", "Leg"], ["Arm"]],
    )
    with pytest.raises(BodyError) as caught:
        load_body(bad)
    text = str(caught.value)
    for fault in (
        "unit: unknown value 'inch'",
        "root: unknown value 'fixed'",
        "markers.Trunk.body: unknown body 'trnk'; did you mean 'trunk'?",
        "markers.Arm.offset: expected three finite numbers (metres), got [0.0, 1.0]",
        "root_keypoint: unknown keypoint 'Trunc'; did you mean 'Trunk'?",
        "trunk_keypoints: 'Arm' is listed 2 times",
        "keypoint_order: marker 'Arm' is missing",
        "parts.limb: unknown body or joint 'sholder'; did you mean 'shoulder'",
        "parts.none: no joint moves ['world']",
        "end_effectors: unknown body 'hand'",
        "skeleton: unknown keypoint 'Leg'; available: Trunk, Arm",
        "skeleton: expected pairs of keypoints, got ['Arm']",
    ):
        assert fault in text
    assert "12 " in text.partition("\n")[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mjcf": "nowhere.xml"}, "no file 'nowhere.xml'"),
        ({"mjcf": None}, "has no default model: set body.mjcf=PATH"),
        ({"mjcf": None, "default_mjcf": "embedded:cat.xml"}, "names no file"),
        ({"mjcf": None, "default_mjcf": "web:cat.xml"}, "expected embedded:FILE or dm_control:PATH"),
        ({"markers": {}}, "markers: empty"),
        *(({"scale": scale}, "scale: expected more than 0") for scale in (0.0, -1.0, float("nan"), float("inf"))),
    ],
)
def test_settings_that_make_no_body(tmp_path, changes, message):
    with pytest.raises(BodyError, match=message):
        load_body(config(write_model(tmp_path), **changes))


def test_missing_dm_control_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BodyError, match=r"pip install stac-mjx\[bodies\].*body.mjcf=PATH"):
        load_body(config(tmp_path, mjcf=None, default_mjcf="dm_control:rat.xml"))


@pytest.mark.parametrize("root", ["free", "upright"])
def test_root_that_hangs_on_a_joint_cannot_be_changed(tmp_path, root):
    path = write_model(tmp_path, root='<joint name="lift" type="slide"/>')
    with pytest.raises(BodyError, match="body 'trunk' already has joint 'lift'"):
        load_body(config(path, root=root))
