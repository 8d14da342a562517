"""Videos of rollouts: framing by the animal's size, the ghost where the reference is, clear words where it fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import mujoco
import numpy as np
import pytest
from pictures import GREEN, SIZE, assert_body_fills, assert_film, capsule, near
from track import small_setups
from track_mjx import cli
from track_mjx._common.errors import ConfigError
from track_mjx._common.render.canvas import open_canvas
from track_mjx._common.render.scene import stage_model
from track_mjx._common.render.shapes import bare_limbs
from track_mjx.config import RenderConfig
from track_mjx.render import render
from track_mjx.render.footage import Body, Footage, read_footage
from track_mjx.render.scene import GHOST, GhostScene, muscles_of_tendons


def animal(length: float, off: float = 0.0, n: int = 20) -> tuple[Body, Footage]:
    """A capsule as long as `length` mm that walks two lengths along x, its reference `off` lengths above it."""
    body = Body(capsule(length), {}, 1e-3, "capsule")
    qpos = np.tile([0, 0, 0.3 * length, 1, 0, 0, 0], (n, 1)).astype(np.float64)
    qpos[:, 0] = np.linspace(0, 2 * length, n)
    target = qpos.copy()
    target[:, 2] += off * length
    return body, Footage("walk", np.arange(n) / 10, qpos, target, np.zeros((n, 0)), "", np.zeros((n, 6)))


def picture(body: Body, take: Footage, state: int, ghost: float = 0.5) -> np.ndarray:
    with open_canvas(staged(body), *SIZE) as canvas:
        scene = GhostScene(take, canvas, body.length_unit_m, ghost)
        return scene.picture(state, scene.stage.camera(None, 90.0, -15.0)).astype(float) / 255


def staged(body: Body) -> mujoco.MjModel:
    return stage_model(body.mjcf_xml, body.assets, *SIZE)


@pytest.fixture(scope="module")
def rollouts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The arm under an untrained policy, two seeds, as a file."""
    folder = tmp_path_factory.mktemp("film")
    setup = small_setups.arm(folder, clips={"lengths": (8, 6)})
    return small_setups.write_rollouts(setup, folder / "rollouts.h5", (3, 5))


@pytest.mark.usefixtures("canvas_here")
@pytest.mark.parametrize("length", [1e-2, 1.0, 300.0])
def test_animals_of_any_size_fill_the_picture_and_are_lit_alike(length: float) -> None:
    body, take = animal(length)
    for state in (0, 19):
        assert_body_fills(picture(body, take, state, ghost=0.0))


@pytest.mark.usefixtures("canvas_here")
def test_the_ghost_is_above_where_the_reference_is_above_and_unseen_where_both_are_one() -> None:
    body, take = animal(1.0, off=0.5)
    plain, both = picture(body, take, 5, ghost=0.0), picture(body, take, 5, ghost=0.5)
    green = np.nonzero(near(plain, GREEN))[0]
    changed = np.abs(both - plain).max(-1) > 0.05
    assert changed.sum() > 300
    assert np.nonzero(changed)[0].mean() < green.mean() - 20  # rows count downwards
    towards = (both - plain)[changed] @ (np.array(GHOST) - plain[changed].mean(0))
    assert np.median(towards) > 0
    together, one = animal(1.0)
    hidden = np.abs(picture(together, one, 5, ghost=0.9) - picture(together, one, 5, ghost=0.0)).max(-1) > 0.2
    assert hidden.sum() < 60  # at most a seam


@pytest.mark.usefixtures("canvas_here")
def test_a_reference_far_away_does_not_make_the_animal_a_speck() -> None:
    body, take = animal(1.0, off=30.0)
    columns = np.nonzero(near(picture(body, take, 5), GREEN).any(axis=0))[0]
    assert np.ptp(columns) > 0.25 * SIZE[0]


@pytest.mark.usefixtures("canvas_here")
def test_extent_and_error_are_those_of_the_animal_in_its_own_unit() -> None:
    body, take = animal(300.0, off=0.1)
    with open_canvas(staged(body), *SIZE) as canvas:
        scene = GhostScene(take, canvas, body.length_unit_m, 0.5)
        np.testing.assert_allclose(scene.extent.centre[:, 0], np.linspace(0, 600, 20), atol=1)
        assert scene.extent.radius == pytest.approx(180, rel=0.05)
        assert (scene.floor, scene.extent.grid) == (0, 50)
        assert scene.body_error(7) == pytest.approx(30.0)


@pytest.mark.parametrize(
    ("settings", "states"),
    [
        ({"fps": 10}, list(range(20))),
        ({"fps": 5, "speed": 2.0}, [0, 4, 8, 12, 16]),
        ({"fps": 20, "start_s": 1.0, "duration_s": 0.2}, [10, 10, 11, 11, 12]),
        ({"fps": 10, "start_s": 1.9}, [19]),
        ({"fps": 10, "speed": 0.5, "start_s": 1.0, "duration_s": 0.2}, [10, 10, 11, 11, 12]),
    ],
)
def test_each_picture_shows_the_state_nearest_in_time(settings: dict[str, Any], states: list[int]) -> None:
    _, take = animal(1.0)
    config = RenderConfig(**settings)
    assert render.shown_states(take, config, config.speed or 1.0).tolist() == states


def test_a_rollout_that_ended_early_holds_its_last_state() -> None:
    _, take = animal(1.0)
    states = render.shown_states(replace(take, ending="fall"), RenderConfig(fps=10), 1.0)
    assert states[-8:].tolist() == [19] * 8


@pytest.mark.parametrize(("length", "speed"), [(60.0, 1.0), (3.0, 1.0), (1.9, 0.5), (0.5, 0.1), (0.005, 0.001)])
def test_short_rollouts_are_slowed_down(length: float, speed: float) -> None:
    _, take = animal(1.0)
    assert render.pleasant_speed(replace(take, time=np.linspace(0, length, 20))) == pytest.approx(speed)


def test_footage_is_what_the_file_says(rollouts: Path) -> None:
    body, takes = read_footage(rollouts, [], 5)
    assert (body.name, len(takes)) == ("tiny", 2)
    with h5py.File(rollouts) as file:
        qpos, valid = np.asarray(file["qpos"])[1], np.asarray(file["valid"])[1]
        names = [name.decode() for name in np.asarray(file["clip_name"]).tolist()]
    for row, take in enumerate(takes):
        assert take.clip == names[row]
        assert len(take.time) == 1 + valid[row].sum()
        np.testing.assert_array_equal(take.qpos, qpos[row, : len(take.time)])
        assert np.isfinite(take.qpos_ref).all()
        assert ((take.activation >= 0) & (take.activation <= 1)).all()
    model = staged(body)
    assert sorted(muscles_of_tendons(model).values()) == [0, 1, 2]
    assert bare_limbs(model) == []


def test_bodies_without_shapes_get_bones() -> None:
    limb = "<inertial pos='0 0 0' mass='1' diaginertia='1 1 1'/><joint axis='0 1 0'/>"
    xml = f"<mujoco><worldbody><body>{limb}<body pos='1 0 0'>{limb}</body></body></worldbody></mujoco>"
    assert bare_limbs(mujoco.MjModel.from_xml_string(xml)) == [(1, 2)]


@pytest.mark.usefixtures("canvas_here")
def test_command_films_all_clips_one_after_another(rollouts: Path, tmp_path: Path) -> None:
    pytest.importorskip("imageio_ffmpeg")
    out = tmp_path / "arms.mp4"
    settings = {"clip": "all", "seed": 3, "speed": 0.05, "fps": 20, "width": SIZE[0], "height": SIZE[1]}
    cli.render(RenderConfig(rollouts=str(rollouts.parent), out=str(out), **settings))
    assert [path.name for path in tmp_path.iterdir()] == ["arms.mp4"]
    _, takes = read_footage(rollouts, [], 3)
    assert_film(out, 20.0, sum(1 + round(take.time[-1] * 20 / 0.05) for take in takes))


def test_all_senseless_settings_are_named_at_once() -> None:
    wrong = {"width": 33, "height": 4, "fps": 0, "speed": -1.0, "duration_s": 0.0, "start_s": -1.0, "ghost": 2.0}
    config = RenderConfig(rollouts="x.h5", clip=[1.5], out="a.gif", **wrong)
    with pytest.raises(ConfigError) as caught:
        render.render(config)
    for words in (*wrong, "clip=[1.5]", "a.gif"):
        assert words in str(caught.value)


@pytest.mark.usefixtures("canvas_here")
@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"clip": 7}, ConfigError, "expected 0 to 1"),
        ({"clip": "clip_X"}, ConfigError, "unknown clip"),
        ({"seed": 4}, ConfigError, "has seeds 3, 5"),
        ({"start_s": 9.0}, ConfigError, "lasts"),
        ({"camera": "above"}, ConfigError, "the model has none"),
    ],
)
def test_what_is_not_in_the_file_is_refused(
    rollouts: Path, tmp_path: Path, settings: dict[str, Any], error: type, words: str
) -> None:
    pytest.importorskip("imageio_ffmpeg")
    out = tmp_path / "a.mp4"
    with pytest.raises(error, match=words):
        render.render(RenderConfig(rollouts=str(rollouts), out=str(out), width=240, height=180, **settings))
    assert list(tmp_path.iterdir()) == []
