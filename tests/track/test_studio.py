"""Rollouts in a page: where body, ghost, muscles and contacts are drawn, and what the plots show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import mujoco
import numpy as np
import pytest
from track import small_setups
from track_mjx._common.errors import ConfigError
from track_mjx._common.render import web
from track_mjx._common.render.page import scales
from track_mjx.cli import main
from track_mjx.config import StudioConfig
from track_mjx.learning.setup import Setup
from track_mjx.render.footage import Footage, with_keypoints
from track_mjx.render.replay import RolloutView
from track_mjx.render.scene import TIGHT
from track_mjx.studio.curves import of_run
from track_mjx.studio.page import NEWEST, RolloutPage

ARM = """
<mujoco>
  <worldbody>
    <geom name="floor" type="plane" size="2 2 0.1"/>
    <site name="origin" pos="0 0.1 0.5"/>
    <body name="arm" pos="0 0 0.3">
      <joint name="turn" axis="0 1 0"/>
      <geom type="capsule" size="0.05" fromto="0 0 0 0 0 -0.2"/><site name="hold" pos="0 0.05 -0.1"/>
      <body name="ball" pos="0 0 -0.24"><geom size="0.065"/></body>
    </body>
  </worldbody>
  <tendon><spatial name="muscle"><site site="origin"/><site site="hold"/></spatial></tendon>
  <actuator><muscle name="pull" tendon="muscle" lengthrange="0.1 1"/></actuator>
</mujoco>
"""


@pytest.fixture
def rollouts(repository: Path) -> Path:
    return repository / "tests" / "contract" / "kept" / "rollouts-1.0-run.h5"


def test_body_ghost_muscle_and_contact_are_where_mujoco_has_them() -> None:
    model = mujoco.MjModel.from_xml_string(ARM)
    qpos, activation = np.array([[0.0], [0.5]]), np.array([[1.0], [0.0]])
    take = Footage("a", np.array([0.0, 0.1]), qpos, qpos + 0.4, activation, "", np.zeros((2, 1)))
    server = web.Server()
    try:
        view = RolloutView(server, "/one", model, take, ghost=0.3)
        view.show(0)
        data = mujoco.MjData(model)
        mujoco.mj_forward(model, data)
        place = lambda points: view._in_scene(np.asarray(points), view._centre[0])  # noqa: E731
        for shown, angle in ((view._body, 0.0), (view._ghost, 0.4)):
            assert shown is not None
            data.qpos[0] = angle
            mujoco.mj_forward(model, data)
            drawn = np.concatenate([node.batched_positions for node in shown.nodes])
            assert np.linalg.norm(drawn - place(data.geom_xpos[2]), axis=1).min() < 1e-5
        data.qpos[0] = 0.0
        mujoco.mj_forward(model, data)
        np.testing.assert_allclose(view._tendons._node.points[0], place(data.site_xpos), atol=1e-5)
        np.testing.assert_allclose(view._tendons._node.colors[0, 0] / 255, TIGHT, atol=0.01)
        assert data.ncon == (np.asarray(view._contacts.node.batched_scales) > 0).sum() == 1
        np.testing.assert_allclose(view._contacts.node.batched_positions[0], place(data.contact.pos[0]), atol=1e-5)
        view.show(1)
        assert not (np.asarray(view._contacts.node.batched_scales) > 0).any()
        view.show(7)  # after its end, a rollout stays in its last state
    finally:
        server.stop()


def test_the_page_shows_several_rollouts_and_their_curves(rollouts: Path) -> None:
    server = web.Server()
    try:
        page = RolloutPage(server, StudioConfig(rollouts=str(rollouts), clip=[0, 1]))
        assert len(page.views) == 2
        with h5py.File(rollouts) as file:
            reward = np.asarray(file["reward"])[0, 1]  # the first seed
        shown = page._curves["clip_1: reward"].values["reward"]
        np.testing.assert_array_equal(shown, reward[: len(shown)])
        page.go(10_000)
        assert page.frame == page.n_frames - 1
        with pytest.raises(ConfigError, match="rollouts or run"):
            RolloutPage(server, StudioConfig())
    finally:
        server.stop()


def test_the_animals_keypoints_are_those_of_its_clip_at_the_times_of_the_states(repository: Path) -> None:
    clips = repository / "tests" / "contract" / "kept" / "reference_clips-1.0.h5"  # walks of 7, 3 and 5 frames
    with h5py.File(clips) as file:
        points = np.asarray(file["kp_data"])
    poses = np.zeros((4, 1))
    take = Footage("walk_2[1:5]", np.arange(4) / 100, poses, poses, poses, "", poses, start_s=0.005)  # clips: 200 Hz
    shown = with_keypoints(take, clips, 1e-3).keypoints
    assert shown is not None
    np.testing.assert_allclose(shown[:2], 1000 * points[[12, 14]], rtol=1e-6)
    assert np.isnan(shown[2:]).all()  # after the end of the clip
    assert with_keypoints(replace(take, clip="run_0"), clips, 1.0).keypoints is None


def test_the_newest_policy_of_a_run_is_rolled_out_and_shown(arm_setup: Setup) -> None:
    run, server = small_setups.trained(arm_setup), web.Server()
    try:
        page = RolloutPage(server, StudioConfig(run=str(run.path)))
        assert not page.views
        page._rolling.acquire()
        page._roll_out()
        page._look()
        assert page._sources() == [str(run.path / NEWEST)]
        assert next(iter(page.takes)) in arm_setup.clips.clip_name
        assert page._slider.max == page.n_frames - 1 > 1
        page._look()
        assert len(page.views) == 1
    finally:
        server.stop()


def test_rollouts_are_exported_as_pages(rollouts: Path, tmp_path: Path) -> None:
    assert main(["export", f"rollouts={rollouts}", "formats=[html]", f"out={tmp_path}"]) == 0
    pages = sorted(path.name for path in tmp_path.glob("*.html"))
    assert pages == ["clip_0.html", "clip_1.html"]
    assert (tmp_path / pages[0]).stat().st_size < 2e6


def test_curves_of_a_run_are_drawn_where_some_lines_have_no_evaluation() -> None:
    """Lines without an evaluation have no value of it; 0 is a value."""
    lines = [{"steps": 1e6 * n, "reward": 0.1 * n} for n in range(4)]
    lines[2] |= {"eval/test/reward": 0.5}
    (curves,) = of_run(lines)
    np.testing.assert_array_equal(curves.values["reward"], [0.1 * n for n in range(4)])
    np.testing.assert_array_equal(curves.values["eval/test/reward"], [np.nan, np.nan, 0.5, np.nan])
    low, high = scales(list(curves.values.values()))["y"]["range"]
    assert -0.1 < low < 0.0
    assert 0.5 < high < 0.6
    assert scales([np.full(3, np.nan)])["y"]["range"] == (-0.05, 1.05)
