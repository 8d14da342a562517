"""A transform for each clip: known places and headings of clips are found, kept, and used again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import stac_mjx
from scipy.spatial.transform import Rotation
from stac import bodies_for_tests as bodies
from stac_mjx._common.errors import ConfigError, InputError
from stac_mjx.body.body import Body
from stac_mjx.check import check_file
from stac_mjx.config import AlignmentConfig
from stac_mjx.keypoints.alignment import Similarity, prepared
from stac_mjx.records import read_offsets
from stac_mjx.synthetic.motion import Flaws, Motion, Truth, make_truth

N_CLIPS, N_FRAMES, SCALE = 4, 60, 1.2
QUICK = {"max_rounds": 25, "frames": 80}


def tethered(folder: Path) -> Body:
    """An animal whose trunk, with four keypoints, is fixed to the world; its two-joint limb moves."""
    xml = bodies.FINGER.replace("<worldbody>", '<worldbody><body name="trunk"><geom size=".02"/>').replace(
        "</worldbody>", "</body></worldbody>"
    )
    places = [("trunk", (0.05, 0.03, 0)), ("trunk", (-0.05, 0.03, 0.01)), ("trunk", (0, -0.04, 0.02))]
    places += [("trunk", (0, 0.01, 0.06)), ("upper", (0.05, 0.02, 0)), ("lower", (0.05, 0.015, 0))]
    places += [("upper", (0.09, -0.02, 0.01)), ("lower", (0.1, 0, 0.01))]
    body = bodies.body_of(folder, xml, {f"k{i}": (name, list(at)) for i, (name, at) in enumerate(places)})
    return replace(body, regularize=np.ones(len(places)))


def recorded(body: Body, scale: float) -> tuple[Truth, Similarity]:
    """Clips of one size, each in another place and heading; return the transforms too."""
    truth = make_truth(body, Motion(n_frames=N_FRAMES, n_clips=N_CLIPS, amplitude=0.7), Flaws(noise_m=1e-4), seed=3)
    rng = np.random.default_rng(5)
    rotations = Rotation.from_euler("zx", [[0, 0], [100, 10], [-160, 5], [40, -20]], degrees=True).as_matrix()
    rigs = Similarity(rotations, rng.uniform(-0.5, 0.5, (N_CLIPS, 3)), np.full(N_CLIPS, scale))
    positions = rigs.of_clips(truth.keypoints.frame_clip).apply(truth.keypoints.positions)
    return replace(truth, keypoints=replace(truth.keypoints, positions=positions)), rigs


@pytest.mark.parametrize("mode", ["rigid", "similarity"])
def test_places_and_headings_of_clips_are_found_kept_and_used_again(mode: str, tmp_path: Path) -> None:
    body = tethered(tmp_path)
    truth, rigs = recorded(body, SCALE if mode == "similarity" else 1.0)
    together, each = (
        stac_mjx.fit(body, truth.keypoints, alignment={"mode": mode, "per_clip": per_clip}, calibration=QUICK)
        for per_clip in (False, True)
    )
    assert np.median(together.clips.error_mm) > 10
    assert np.median(each.clips.error_mm) < 0.3
    # a turn of all clips and a shift of all offsets make up for each other: the initial offsets decide, and pull weakly
    back = each.T_body_recording
    shared = back.after(rigs)
    assert np.ptp(shared.rotation, axis=0).max() < 0.01
    assert np.ptp(shared.translation, axis=0).max() < 1e-3
    np.testing.assert_allclose(shared.rotation, np.tile(np.eye(3), (N_CLIPS, 1, 1)), atol=0.1)
    np.testing.assert_allclose(shared.translation, 0, atol=1e-2)
    np.testing.assert_allclose(shared.scale, 1, rtol=0.05)
    away = each.clips.qpos - truth.qpos
    assert np.abs(away - away.mean(axis=0)).mean() < 0.01
    assert np.abs(away).mean() < 0.1

    each.save(tmp_path / "fit", report=False)
    assert check_file(tmp_path / "fit" / "offsets.h5") == []
    known = read_offsets(tmp_path / "fit" / "offsets.h5")
    assert known.alignment_rotation is None
    assert known.alignment_clip == truth.keypoints.clip_names
    assert known.clip_alignment_translation is not None
    np.testing.assert_allclose(known.clip_alignment_translation, back.translation)
    # the last clips, in another order
    some = truth.keypoints.selected(["synthetic_004", "synthetic_002"])
    again = stac_mjx.ik(body, some, known)
    rows = [slice(c * N_FRAMES, (c + 1) * N_FRAMES) for c in map(truth.keypoints.clip_names.index, some.clip_names)]
    np.testing.assert_allclose(again.clips.qpos, np.concatenate([each.clips.qpos[r] for r in rows]), atol=2e-3)
    with pytest.raises(InputError, match="no transform of clips other"):
        stac_mjx.ik(body, replace(some, clip_names=("synthetic_001", "other")), known)


def test_one_transform_a_clip_needs_a_mode() -> None:
    with pytest.raises(ConfigError, match=r"alignment\.mode=rigid or similarity"):
        prepared(AlignmentConfig(per_clip=True))


def test_batches_transform_as_their_members_do() -> None:
    rng = np.random.default_rng(0)
    rotations = Rotation.random(3, rng=rng).as_matrix()
    batch = Similarity(rotations, rng.normal(size=(3, 3)), np.array([0.5, 1.0, 2.0]))
    first = Similarity(rotations[0], rng.normal(size=3), np.asarray(1.5))
    points = rng.normal(size=(3, 7, 3))
    for k in range(3):
        one = batch.of_clips(np.array(k))
        np.testing.assert_allclose(batch.apply(points)[k], one.apply(points[k]))
        np.testing.assert_allclose(batch.inverse().apply(points)[k], one.inverse().apply(points[k]))
        np.testing.assert_allclose(batch.after(first).apply(points)[k], one.apply(first.apply(points[k])))
