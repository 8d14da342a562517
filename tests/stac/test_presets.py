"""Every preset composes, and fits every model of its species."""

import numpy as np
import pytest
from stac_mjx._common.errors import BodyError
from stac_mjx.body.body import Body, load_body
from stac_mjx.body.presets import body_preset, preset_names

MODELS = {
    "rat": ["rat/rodent.xml", "rat/rodent_imitation.xml", "rat/rodent_relaxed.xml", "rat/rodent_box_feet.xml",
            "rat/rodent_box_feet_free.xml", "rat/rodent_skin.xml", "rat/rodent_overlay.xml"],
    "fly": ["fly/fruitfly_force_free_nomesh.xml", "fly/fruitfly_force_fast_nomesh.xml", "fly/fruitfly_force_free.xml",
            "fly/fruitfly_tethered_primitives.xml"],
    "fly_treadmill": ["fly/fruitfly_force_free_nomesh.xml", "fly/fruitfly_tethered_primitives.xml"],
    "worm": ["worm/celegans.xml", "worm/celegans_fast.xml", "worm/celegans_motor.xml", "worm/celegans_primitives.xml"],
    "stick": ["stick/sungaya_inexpectata_box.xml", "stick/stick_fast.xml", "stick/sungaya_inexpectata_box_light.xml"],
    "mouse": ["mouse/mouse_nomesh.xml", "mouse/mouse_primitives.xml", "mouse/mouse_with_meshes.xml"],
    "mouse_free": ["mouse/mouse_nomesh.xml"],
    "mouse_treadmill": ["mouse/mouse_nomesh.xml"],
    "ostrich": ["ostrich/ostrich_nomesh.xml", "ostrich/ostrich.xml"],
    "human": ["human/humanoid_CMU.xml", "human/humanoid_CMU_V2020_free.xml"],
    "mouse_arm": ["mouse_arm/akira_muscle_nomesh.xml", "mouse_arm/arm_muscle.xml", "mouse_arm/arm_torque.xml"],
}  # fmt: skip


def test_every_preset_is_tested():
    assert set(preset_names()) == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_preset_composes(name):
    config = body_preset(name)
    assert config.name == name
    assert sorted(config.keypoint_order) == sorted(config.markers)
    assert config.rate_hz
    # metres: no marker is further from its body than a limb is long
    limb = {"human": 0.45, "ostrich": 0.25}.get(name, 0.05)
    assert max(np.abs(marker.offset).max() for marker in config.markers.values()) < limb


@pytest.mark.parametrize(("name", "file"), [(name, file) for name, files in MODELS.items() for file in files])
def test_preset_fits_the_model(data_dir, name, file):
    body = load_body(body_preset(name, mjcf=str(data_dir / file)))
    floating = name not in ("mouse_arm", "worm", "ostrich")
    assert body.model.nq - body.model.nv == floating
    assert body.part_dofs
    assert all(len(dofs) for dofs in body.part_dofs.values())
    # the root is solved with the trunk, never within a part; a worm's cannot tilt
    root = {"mouse_arm": 0, "worm": 4}.get(name, 6)
    assert min(dofs.min() for dofs in body.part_dofs.values()) >= root
    sizes = {"rat": 0.2, "fly": 0.003, "fly_treadmill": 0.003, "worm": 0.001, "stick": 0.035, "mouse": 0.14,
             "mouse_free": 0.14, "mouse_treadmill": 0.08, "mouse_arm": 0.011, "human": 1.6, "ostrich": 1.8}  # fmt: skip
    assert body.size_m == pytest.approx(sizes[name], rel=0.35)


@pytest.mark.parametrize("name", ["rat", "fly", "fly_treadmill", "human"])
def test_default_model_comes_with_dm_control(name):
    try:
        body = load_body(body_preset(name))
    except BodyError as error:
        assert "pip install stac-mjx[bodies]" in str(error)  # noqa: PT017
        pytest.skip("dm_control is not installed")
    assert body.model.nq == body.model.nv + 1


def test_embedded_arm_needs_no_path():
    body = load_body(body_preset("mouse_arm"))
    assert isinstance(body, Body)
    assert body.qpos_names == ("sh_elv", "sh_extension", "sh_rotation", "elbow")
