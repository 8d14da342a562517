"""What bears a body: the same ground as in its MJCF, whatever its shape and place in the file."""

from __future__ import annotations

from pathlib import Path

import h5py
import mujoco
import numpy as np
import pytest
from track.clip_files import WALKER, write_clips
from track.small_setups import WALKER_TASK, config, step_at
from track_mjx.body.arena import build_arena
from track_mjx.cli import main
from track_mjx.clips import Clips, read_clips
from track_mjx.config import ArenaConfig, PhysicsConfig
from track_mjx.learning.setup import build
from track_mjx.task.terms import observations, terminations

HILLS = (
    '<asset><hfield name="hills" nrow="2" ncol="2" size="1 1 .03 .01" elevation="1 1 1 0.999"/></asset><worldbody>'
    '<geom name="ground" type="hfield" hfield="hills" pos="0 0 0.01"/>'
)
GROUND = '<geom name="ground" type="plane" size="1 1 .1"/>'
FURTHER = '<worldbody><geom name="further" type="plane" size="1 1 .1" '
SCENES = {
    "plane": f"<worldbody>{GROUND}",
    "wall before the ground": f'{FURTHER} pos="1 0 0" zaxis="-1 0 0"/>{GROUND}',
    "ceiling before the ground": f'{FURTHER} pos="0 0 2" zaxis="0 0 -1"/>{GROUND}',
    "cellar below the ground": f'{FURTHER} pos="0 0 -2"/>{GROUND}',
    "height field": HILLS,
    "slope": '<worldbody><geom name="ground" type="plane" size="1 1 .1" euler="0 10 0" pos="0 0 0.01"/>',
    "table": '<worldbody><geom name="ground" type="box" size="1 1 .02" pos="0 0 0.02"/>',
}  # fmt: skip


def clips_of(folder: Path, xml: str, **options: object) -> Clips:
    given = {"end_effectors": ("foot_L", "foot_R"), "root": "trunk", **options}
    return read_clips(write_clips(folder / "clips.h5", xml, **given))


def after_a_second(model: mujoco.MjModel, qpos: np.ndarray, body: str = "trunk") -> float:
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    while data.time < 1:
        mujoco.mj_step(model, data)
    return float(data.xpos[model.body(body).id, 2])


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("contacts", ["end_effectors", "all"])
def test_the_animal_is_borne_by_the_ground_of_its_scene(tmp_path: Path, scene: str, contacts: str) -> None:
    clips = clips_of(tmp_path, WALKER.replace("<worldbody>", SCENES[scene]))
    arena = build_arena(clips, ArenaConfig(contacts=contacts), PhysicsConfig())
    assert arena.floor == "ground"
    assert after_a_second(arena.model, clips.qpos[0]) > -0.15, "it hangs on its feet at worst; a fall takes it to -4.8"
    if contacts == "all" and scene in (
        "height field",
        "slope",
        "table",
    ):  # it keeps its place, so that MuJoCo itself says how high the animal ends
        assert after_a_second(arena.model, clips.qpos[0]) == pytest.approx(
            after_a_second(clips.model(), clips.qpos[0]), abs=0.02
        )


def test_objects_rest_on_the_floor_and_are_touched_by_end_effectors(tmp_path: Path) -> None:
    grain = '<freejoint/><geom name="grain" type="sphere" size=".01" mass="0.001"/>'
    scene = f'<body name="pellet" pos=".3 0 .05">{grain}</body></worldbody>'
    clips = clips_of(tmp_path, WALKER.replace("</worldbody>", scene))
    arena = build_arena(clips, ArenaConfig(floor_height_m=0.0), PhysicsConfig())
    assert after_a_second(arena.model, clips.qpos[0], "pellet") == pytest.approx(0.01, abs=0.002)
    assert arena.others == ("grain",)


def test_the_scene_moves_with_its_floor(tmp_path: Path) -> None:
    """A rough ground on a plane, as that of the quadruped of dm_control: left behind, it throws the animal."""
    clips = clips_of(tmp_path, WALKER.replace("<worldbody>", HILLS.replace("ground", "rough") + GROUND))
    own, moved = clips.model(), build_arena(clips, ArenaConfig(floor_height_m=-0.5), PhysicsConfig()).model
    for name in ("rough", "ground"):
        np.testing.assert_allclose(moved.geom(name).pos - own.geom(name).pos, [0, 0, -0.5 - own.geom("ground").pos[2]])


def test_check_says_what_no_longer_collides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = clips_of(tmp_path, WALKER.replace("<worldbody>", SCENES["table"]))
    assert main(["check", str(clips.path)]) == 0
    printed = capsys.readouterr().out
    assert "floor ground" in printed
    assert "trunk_geom" in printed.split("switched off")[1]


@pytest.mark.parametrize("zero", [-0.5, 0.0, 0.5])
def test_heights_are_above_the_floor_wherever_the_recording_has_its_zero(tmp_path: Path, zero: float) -> None:
    path = write_clips(tmp_path / "clips.h5", WALKER, end_effectors=("foot_L", "foot_R"), root="trunk")
    with h5py.File(path, "r+") as file:
        file["qpos"][:, 2] += zero  # type: ignore[index]
    setup = build(config(path, WALKER_TASK), read_clips(path))
    step = step_at(setup)
    height = float(np.asarray(observations.root_height(step))[0, 0])
    assert 0.03 < height < 0.12, "legs are 6 cm long"
    assert not np.asarray(terminations.fall(step, low_m=height - 0.01, high_m=height + 0.01)).any()
    assert np.asarray(terminations.fall(step, low_m=height + 0.01)).all()
