"""The ground under contact keypoints, laid level."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from stac import bodies_for_tests as bodies
from stac_mjx._common.errors import ConfigError
from stac_mjx.config import AlignmentConfig, FitConfig
from stac_mjx.inputs import match
from stac_mjx.keypoints.alignment import level
from stac_mjx.synthetic.motion import Motion, make_truth


def walk(seed: int) -> np.ndarray:
    """Four feet in stance half of the time on the plane z = 0, on a curved path; noise of 1 mm, some points far off."""
    rng, time = np.random.default_rng(seed), np.arange(400) / 100
    path = np.stack([time, 0.5 * np.sin(time), 0 * time], axis=1)
    corner = np.array([[0.1, 0.05, 0], [0.1, -0.05, 0], [-0.1, 0.05, 0], [-0.1, -0.05, 0]])
    lift = np.maximum(0, 0.04 * np.sin(12 * time[:, None] + np.array([0, np.pi, np.pi, 0])))
    feet = path[:, None] + corner
    feet[..., 2] += lift
    feet += rng.normal(0, 1e-3, feet.shape)
    feet[rng.random(feet.shape[:2]) < 0.03] += [0, 0, -0.1]
    feet[rng.random(feet.shape[:2]) < 0.1] = np.nan
    return feet


@pytest.mark.parametrize("degrees", [0.0, 3.0, 20.0])
def test_a_tilted_ground_is_laid_level(degrees: float) -> None:
    for seed in range(3):
        tilt = Rotation.from_rotvec(np.radians(degrees) * np.array([0.8, 0.6, 0.0])).as_matrix()
        laid = level(walk(seed) @ tilt.T + [0.3, 0.2, 0.7])
        up = (laid.rotation @ tilt)[2]  # the true normal, after it
        assert np.degrees(np.arccos(min(1.0, up[2]))) < 0.5
        ground = laid.apply(np.array([1.0, 0.2, 0.0]) @ tilt.T + [0.3, 0.2, 0.7])
        assert abs(ground[2]) < 5e-3


def test_places_on_a_line_are_refused() -> None:
    line = np.linspace(0, 1, 50)[:, None, None] * np.array([1.0, 0.5, 0.0])
    with pytest.raises(ValueError, match="line"):
        level(line)


def test_recordings_are_laid_level_and_names_are_checked() -> None:
    body = bodies.every_joint()
    recorded = make_truth(body, Motion(n_frames=60), seed=0).keypoints
    names = list(body.marker_names[:3])
    inputs = match(body, recorded, FitConfig(alignment=AlignmentConfig(ground=names)))
    moved = inputs.T_keypoints_file.apply(recorded.positions)
    np.testing.assert_allclose(inputs.keypoints.positions, moved, atol=1e-9)
    assert any("ground under" in note for note in inputs.keypoints.notes)
    with pytest.raises(ConfigError, match=r"alignment\.ground"):
        match(body, recorded, FitConfig(alignment=AlignmentConfig(ground=["hoof"])))
