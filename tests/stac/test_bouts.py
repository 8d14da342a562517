"""Bouts of locomotion: stretches of a known walk, by speed and by the stance of the feet."""

from __future__ import annotations

import numpy as np
import pytest
from stac_mjx._common.errors import ConfigError, InputError
from stac_mjx.config import KeypointsConfig
from stac_mjx.keypoints.bouts import in_bouts
from stac_mjx.keypoints.keypoints import Keypoints

RATE = 100.0


def recording() -> Keypoints:
    """A trunk that walks at 0.2 m/s from 1 to 3 s and from 5 to 6 s, is pushed from 7 to 8 s, and two feet."""
    time = np.arange(900) / RATE
    walks, pushed = ((time >= 1) & (time < 3)) | ((time >= 5) & (time < 6)), (time >= 7) & (time < 8)
    walked = np.cumsum(walks * 0.2 / RATE)
    x = walked + np.cumsum(pushed * 0.2 / RATE)
    phase = walked[:, None] / 0.1 + [0.0, 0.5]
    feet = (np.floor(phase) + np.clip(2 * (phase % 1) - 1, 0, 1)) * 0.1 + np.cumsum(pushed * 0.2 / RATE)[:, None]
    points = np.stack([x, x + 0.05, feet[:, 0], feet[:, 1]], axis=1)[..., None] * [1.0, 0.0, 0.0]
    points += np.random.default_rng(0).normal(0, 2e-4, points.shape)
    points[150:158, :2] = np.nan  # a gap within a bout
    return Keypoints(points, np.isfinite(points[..., 0]).astype(float), ("neck", "tail", "left", "right"), RATE, "m",
                     ("day",), np.array([900]), events={"tone": np.array([2.0])})  # fmt: skip


def test_bouts_are_found_by_speed() -> None:
    bouts = in_bouts(recording(), KeypointsConfig(bout_mm_s=100.0), ("neck", "tail"))
    assert bouts.clip_names == ("day_bout_00", "day_bout_01", "day_bout_02")
    assert bouts.more_labels == {"bout": ("0", "1", "2")}
    np.testing.assert_allclose(bouts.clip_lengths, [200, 100, 100], atol=5)
    np.testing.assert_allclose(bouts.events["tone"], [1.0, -3.0, -5.0], atol=0.05)


def test_feet_tell_steps_from_a_push() -> None:
    config = KeypointsConfig(bout_mm_s=100.0, bout_feet=["left", "right"])
    assert in_bouts(recording(), config, ()).clip_names == ("day_bout_00", "day_bout_01")
    assert len(in_bouts(recording(), KeypointsConfig(bout_mm_s=100.0, bout_s=1.5), ()).clip_names) == 1


def test_what_cannot_be_cut_is_said() -> None:
    with pytest.raises(InputError, match=r"reaches 2\d\d mm/s"):
        in_bouts(recording(), KeypointsConfig(bout_mm_s=1000.0), ("neck", "tail"))
    with pytest.raises(ConfigError, match="did you mean 'left'"):
        in_bouts(recording(), KeypointsConfig(bout_mm_s=100.0, bout_feet=["lft"]), ())
