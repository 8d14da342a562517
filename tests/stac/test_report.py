"""The report: its numbers, its drawings of the body, and the page, also for odd recordings and hostile names."""

from __future__ import annotations

import json
import re
from pathlib import Path

import mujoco
import numpy as np
import pytest
from contract import examples
from stac_mjx import cli
from stac_mjx._common.errors import ConfigError, ContractError, OutputError
from stac_mjx._common.figures import drawing
from stac_mjx._common.render.shapes import body_shapes, outlines
from stac_mjx.config import ReportConfig
from stac_mjx.records import thinned, write_clips, write_offsets
from stac_mjx.report import accuracy, body_plots, joint_plots
from stac_mjx.report import error_plots as plots
from stac_mjx.report.page import matching_summary, write_report

SIDE = np.array([[1.0, 0, 0], [0, 0, 1.0]])
PICTURE = re.compile(r'src="data:image/png;base64,[A-Za-z0-9+/=]+"')


def at_frames(clips, frames: np.ndarray):
    """These frames of `clips`, as one clip."""
    names = "qpos qvel xpos xquat kp_data marker_sites kp_confidence at_joint_limit valid solver_status"
    names += " qpos_stderr qpos_resolution"
    arrays = {name: getattr(clips, name)[frames] for name in names.split()}
    return examples.changed(clips, **arrays, clip_name=("all",), clip_length=np.array([len(frames)]))


def test_statistics_equal_numpy_and_skip_missing_values():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 9))
    values[rng.uniform(size=values.shape) < 0.4] = np.nan
    values[:, 0] = 1.0
    np.testing.assert_allclose(
        accuracy.percentiles(values, (0, 2.5, 50, 97.5, 100)), np.nanpercentile(values, (0, 2.5, 50, 97.5, 100), axis=1)
    )
    np.testing.assert_allclose(accuracy.means(values, axis=0), np.nanmean(values, axis=0))
    np.testing.assert_allclose(accuracy.means(values, axis=1), np.nanmean(values, axis=1))
    empty = np.full((2, 3), np.nan)
    assert np.isnan(accuracy.percentiles(empty, (5, 50))).all()
    assert np.isnan(accuracy.means(empty, axis=0)).all()


@pytest.mark.parametrize("lengths", [(1,), (7, 3, 5), (5000,), (2000, 1, 3000), (3,) * 900])
def test_time_bins_hold_every_frame_once_and_never_two_clips(lengths):
    clips = examples.changed(examples.clips(), clip_length=np.array(lengths))
    bins = accuracy.time_bins(clips, 400)
    frames = np.concatenate([np.arange(a, b) for a, b in zip(bins.start, bins.stop, strict=True)])
    np.testing.assert_array_equal(frames, np.arange(sum(lengths)))
    np.testing.assert_array_equal(clips.frame_clip[bins.start], clips.frame_clip[bins.stop - 1])
    assert len(bins.start) <= 400 + len(lengths)
    values = np.random.default_rng(0).normal(size=(sum(lengths), 2))
    rows = accuracy.pooled(values, bins)
    for k in (0, len(rows) - 1):
        expected = values[bins.start[k] : bins.stop[k]].ravel()
        np.testing.assert_array_equal(rows[k][np.isfinite(rows[k])], expected)


def test_figures_follow_from_the_residuals():
    clips = examples.clips()
    found = accuracy.figures_of(clips)
    distances = np.linalg.norm(clips.kp_data - clips.marker_sites, axis=-1) * 1000
    seen = distances[np.isfinite(distances)]
    assert len(seen) == distances.size - 1
    assert found["mean_error_mm"] == pytest.approx(seen.mean(), rel=1e-5)
    assert found["rmse_mm"] == pytest.approx(np.sqrt((seen**2).mean()), rel=1e-5)
    assert found["failed_frames"] == found["solver_status"]["no_markers"] == 1
    per_clip = accuracy.figures_per_clip(clips)
    assert [c["frames"] for c in per_clip] == [7, 3, 5]
    assert [c["failed"] for c in per_clip] == [0, 0, 1]
    assert per_clip[1]["worst_mm"] == pytest.approx(distances[7:10].max(), rel=1e-5)


def test_numbers_keep_three_digits():
    written = [accuracy.three_digits(x) for x in (1.3, 0.0975012, 12345.6, np.nan, None)]
    assert written == ["1.30", "0.0975", "12,346", "-", "-"]


def test_long_recordings_are_thinned_evenly():
    some = thinned(180_000, 1000)
    assert (len(some), some[0], some[-1], np.ptp(np.diff(some))) == (1000, 0, 179_999, 1)
    assert thinned(5, 9).tolist() == list(range(5))


GEOMS = """
<mujoco>
  <worldbody>
    <geom type="plane" size="9 9 1"/>
    <body name="a" pos="1 0 2">
      <joint axis="0 1 0"/>
      <geom {geom}/>
      <geom type="sphere" size="9" group="3"/>
    </body>
  </worldbody>
</mujoco>
"""


@pytest.mark.parametrize(
    ("geom", "half"),
    [
        ('type="sphere" size=".5"', (0.5, 0.5)),
        ('type="box" size=".1 .2 .3"', (0.1, 0.3)),
        ('type="ellipsoid" size=".1 .2 .3"', (0.1, 0.3)),
        ('type="capsule" size=".1 .4"', (0.1, 0.5)),
        ('type="capsule" size=".1 .4" euler="0 90 0"', (0.5, 0.1)),
        ('type="cylinder" size=".2 .4"', (0.2, 0.4)),
    ],
)
def test_outline_of_a_geom_is_as_large_as_the_geom(geom, half):
    model = mujoco.MjModel.from_xml_string(GEOMS.format(geom=geom))
    shapes = body_shapes(model, 0.01)
    assert len(shapes.body) == 1  # neither the floor nor the hidden sphere
    xpos, turn = np.array([[0, 0, 0], [1.0, 0, 2.0]]) * 0.01, np.array([[1.0, 0, 0, 0]] * 2)
    [corners] = outlines(shapes, xpos, turn, SIDE)
    np.testing.assert_allclose(np.ptp(corners, axis=0) / 2, np.array(half) * 0.01, rtol=0.06)
    np.testing.assert_allclose((corners.max(axis=0) + corners.min(axis=0)) / 2, (0.01, 0.02), atol=2e-4)


def test_outline_of_a_mesh_reaches_its_vertices():
    model = examples.model()
    shapes = body_shapes(model, 1e-3)
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    vertices = data.geom_xpos[0] + model.mesh_vert @ data.geom_xmat[0].reshape(3, 3).T
    corners = outlines(shapes, data.xpos * 1e-3, data.xquat, SIDE)[:, :, :] * 1e3
    trunk = min(corners, key=lambda c: np.abs(c.max(axis=0) - (vertices @ SIDE.T).max(axis=0)).max())
    np.testing.assert_allclose(trunk.max(axis=0), (vertices @ SIDE.T).max(axis=0), atol=1e-6)
    np.testing.assert_allclose(trunk.min(axis=0), (vertices @ SIDE.T).min(axis=0), atol=1e-6)


def test_joint_ranges_are_in_degrees_and_mm_with_the_time_at_a_limit():
    clips = examples.clips()
    qpos, at_limit = np.tile(examples.model().qpos0, (15, 1)), np.zeros((15, examples.model().nq), np.uint8)
    hip, slide = clips.names_qpos.index("hip"), len(clips.names_qpos) - 1
    qpos[:, hip], qpos[:, slide] = np.radians(np.linspace(-30, 60, 15)), 1.0
    at_limit[-4:, hip] = 1
    ranges = joint_plots.ranges_used(examples.changed(clips, qpos=qpos, at_joint_limit=at_limit), examples.model())
    assert ranges is not None
    assert (ranges.names, ranges.still) == (("hip",), (clips.names_qpos[slide],))
    assert ranges.n_frames == 14  # the last one must not be used
    assert (ranges.low[0], ranges.high[0]) == pytest.approx((-60, 60))
    np.testing.assert_allclose(ranges.marks[:, 0], np.percentile(np.linspace(-30, 60, 15)[:-1], (0, 1, 99, 100)))
    assert ranges.at_limit[0] == pytest.approx(3 / 14)
    assert ranges.held == 1


@pytest.mark.parametrize(("n_joints", "n_figures"), [(1, 1), (40, 1), (223, 2), (2000, joint_plots.MOST_FIGURES)])
def test_joints_are_spread_over_columns_and_figures(n_joints, n_figures):
    ones = np.ones(n_joints)
    ranges = joint_plots.JointRanges(
        names=tuple(f"joint_{k}" for k in range(n_joints)),
        unit=("°",) * n_joints,
        limited=np.arange(n_joints) % 2 == 0,
        low=-90 * ones,
        high=90 * ones,
        marks=np.array([-45, -40, 40, 91])[:, None] * ones,
        at_limit=np.linspace(1, 0, n_joints),
        still=(),
        n_frames=3,
    )
    with drawing():
        assert len(joint_plots.joint_ranges(ranges)) == n_figures


def test_worst_frames_are_apart_within_a_clip_only():
    error = np.array([1, 9, 8, 1, 7, np.nan, 6, 5.0])
    clip = np.array([0, 0, 1, 1, 1, 1, 1, 1], np.int32)
    np.testing.assert_array_equal(body_plots.pick_worst(error, clip, 1), [1, 2, 4, 6])
    np.testing.assert_array_equal(body_plots.pick_worst(error, clip, 100), [1, 2])
    assert len(body_plots.pick_worst(np.full(3, np.nan), clip[:3], 1)) == 0


def test_the_page_stands_alone_and_shows_every_figure(tmp_path: Path):
    path = write_report(examples.clips(), examples.offsets(), None, tmp_path)
    text = path.read_text(encoding="utf-8")
    names = {p.stem for p in (tmp_path / "figures").iterdir()}
    expected = "keypoint_errors errors_over_time errors_per_clip worst_frames offsets_on_body joint_ranges joint_errors"
    assert names == set(f"{expected} calibration_history missing_keypoints".split())
    assert len(PICTURE.findall(text)) == len(names)
    rest = PICTURE.sub("", text)
    assert not re.search(r"https?:|src=|url\(|@import|<script|<link", rest)
    for figure in (tmp_path / "figures").iterdir():
        assert figure.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_figures_that_no_longer_apply_are_removed(tmp_path: Path):
    clips = examples.clips()
    write_report(clips, examples.offsets(), None, tmp_path)
    (tmp_path / "figures" / "mine.png").write_bytes(b"kept")
    write_report(
        examples.changed(at_frames(clips, np.arange(15)), kp_data=clips.marker_sites + 1e-4), None, None, tmp_path
    )
    left = {p.stem for p in (tmp_path / "figures").iterdir()}
    expected = "keypoint_errors errors_over_time worst_frames offsets_on_body joint_ranges joint_errors mine"
    assert left == set(expected.split())


def test_names_and_warnings_from_files_are_shown_as_they_are(tmp_path: Path):
    hostile = ("<img src=x onerror=alert(1)>", "$x_{1", "a" * 200, "鼠の鼻")
    clips = examples.changed(examples.clips(), kp_names=hostile, clip_name=("<b>", "$$", "c"))
    more = {"warnings": ["<script>alert(1)</script>"] * 100, "wall_s": 1.0, "frames_per_s": 5.0}
    summary = accuracy.figures_of(clips) | more
    text = write_report(clips, None, summary, tmp_path).read_text(encoding="utf-8")
    assert "<script" not in text
    assert "<b>&lt;" not in text
    assert "&lt;script&gt;" in text
    assert "and 60 more" in text
    assert "<td>&lt;b&gt;</td>" in text


def one_keypoint(clips):
    cut = {n: getattr(clips, n)[:, :1] for n in ("kp_data", "marker_sites", "kp_confidence")}
    return examples.changed(clips, **cut, kp_names=("nose",), kp_body=("head",), offsets=clips.offsets[:1])


@pytest.mark.parametrize(
    "odd",
    [
        lambda c: at_frames(c, np.arange(1)),
        one_keypoint,
        lambda c: at_frames(one_keypoint(c), np.arange(1)),
        lambda c: examples.changed(c, kp_data=np.full_like(c.kp_data, np.nan)),
        lambda c: examples.changed(c, valid=np.zeros_like(c.valid)),
        lambda c: examples.changed(c, offsets=None, kp_body=None),
        lambda c: at_frames(c, np.tile(np.arange(15), 200)),
        lambda c: examples.changed(c, marker_sites=c.kp_data),
    ],
    ids=["one frame", "one keypoint", "one point", "never seen", "never valid", "no offsets", "long", "perfect"],
)
def test_odd_recordings_have_a_report_too(odd, tmp_path: Path):
    assert write_report(odd(examples.clips()), None, None, tmp_path).stat().st_size > 10_000


def test_curves_of_long_recordings_have_few_points():
    clips = at_frames(examples.clips(), np.tile(np.arange(15), 4000))
    with drawing():
        [axes] = plots.errors_over_time(clips).axes
    assert max(np.size(line.get_xdata()) for line in axes.lines) <= accuracy.time_bins(clips).start.size <= 1201


def test_another_body_than_that_of_the_clips_is_refused(tmp_path: Path):
    clips = examples.clips()
    other = "<mujoco><worldbody><body><freejoint/><geom size='1'/></body></worldbody></mujoco>"
    with pytest.raises(ContractError, match="7 coordinates"):
        write_report(examples.changed(clips, info=examples.info(mjcf_xml=other)), None, None, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_command_finds_what_lies_beside_the_clips(tmp_path: Path):
    clips = examples.clips()
    write_clips(tmp_path / "clips.h5", clips)
    write_offsets(tmp_path / "offsets.h5", examples.offsets())
    (tmp_path / "fit_summary.json").write_text(json.dumps({**accuracy.figures_of(clips), "warnings": ["from the fit"]}))
    cli.report(ReportConfig(clips=str(tmp_path / "clips.h5")))
    assert (tmp_path / "figures" / "calibration_history.png").exists()
    assert "from the fit" in (tmp_path / "report.html").read_text(encoding="utf-8")
    cli.report(ReportConfig(clips=str(tmp_path / "clips.h5"), out=str(tmp_path / "else")))
    assert (tmp_path / "else" / "report.html").exists()


def test_a_summary_adds_only_what_the_clips_do_not_know_and_none_of_another_fit(tmp_path: Path):
    clips = examples.clips()
    stated = {"warnings": ["look"], "wall_s": "an hour", "frames_per_s": 2.5, "solver_status": 7}
    other = {"frames": 15, "clips": 3, "keypoints": 4, "mean_error_mm": 9.9}
    texts = ["", "[]", '{"frames": 15}', json.dumps(other), json.dumps(accuracy.figures_of(clips) | stated)]
    found = []
    for text in texts:
        (tmp_path / "fit_summary.json").write_text(text)
        found.append(matching_summary(clips, tmp_path / "clips.h5"))
    assert found == [None] * 4 + [{"warnings": ["look"], "frames_per_s": 2.5}]


def test_command_refuses_what_it_cannot_use(tmp_path: Path):
    with pytest.raises(ConfigError, match="clips is not set"):
        cli.report(ReportConfig())
    write_offsets(tmp_path / "offsets.h5", examples.offsets())
    with pytest.raises(ContractError, match="offsets"):
        cli.report(ReportConfig(clips=str(tmp_path / "offsets.h5")))
    write_clips(tmp_path / "clips.h5", examples.clips())
    (tmp_path / "figures").write_text("a file where the folder should be")
    with pytest.raises(OutputError, match="figures"):
        cli.report(ReportConfig(clips=str(tmp_path / "clips.h5")))
