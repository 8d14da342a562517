"""Persistent homology: circle, torus, sphere and blob are distinguished; nulls keep what they should."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import h5py
import numpy as np
import pytest
from reach_analysis._common.errors import ConfigError, DataError
from reach_analysis.cli import main
from reach_analysis.config import TopologyConfig
from reach_analysis.data.series import TrialSeries, one_trial_each
from reach_analysis.topology.assessment import Shape, shape
from reach_analysis.topology.homology import crowded, homology, landmarks
from reach_analysis.topology.nulls import null_clouds
from synthetic.reach import ReachSettings, write_reaches

pytest.importorskip("ripser", reason="the extra `topology` is not installed")


def in_trials(points: np.ndarray, n_trials: int = 20) -> TrialSeries:
    names = [f"u{i}" for i in range(points.shape[1])]
    return one_trial_each("latent", np.split(points, n_trials), 100.0, names)


def circle(rng: np.random.Generator, n: int = 1000, noise: float = 0.1) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi, n)
    return np.column_stack([np.cos(angle), np.sin(angle), np.zeros(n)]) + noise * rng.normal(size=(n, 3))


def torus(rng: np.random.Generator, n: int = 2000) -> np.ndarray:
    """The flat torus in four dimensions, turned into six."""
    a, b = rng.uniform(0, 2 * np.pi, (2, n))
    points = np.column_stack([np.cos(a), np.sin(a), np.cos(b), np.sin(b)])
    turn, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    return points @ turn[:4] + 0.02 * rng.normal(size=(n, 6))


def sphere(rng: np.random.Generator, n: int = 1000) -> np.ndarray:
    points = rng.normal(size=(n, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def numbers(found: Shape) -> set[tuple[int, int]]:
    """Loops and voids beyond each null."""
    return {(found.beyond(null, 1), found.beyond(null, 2)) for null in found.nulls}


def looked_for(points: np.ndarray, *nulls: str, landmarks: int = 60, dimension: int = 2, n_trials: int = 20) -> Shape:
    settings = TopologyConfig(landmarks=landmarks, max_dimension=dimension, nulls=list(nulls), draws=39)
    return shape(in_trials(points, n_trials), settings)


def test_a_circle_has_one_loop() -> None:
    found = looked_for(circle(np.random.default_rng(0)), "gaussian", "phase")
    assert numbers(found) == {(1, 0)}
    assert [found.p(null, 1) for null in found.nulls] == pytest.approx([1 / 40] * 2)
    loops = found.diagram.lifetimes(1)
    assert loops[0] > 3 * loops[1]


def test_a_circle_fills_at_the_side_of_its_inscribed_triangle() -> None:
    found = homology(circle(np.random.default_rng(0), noise=0.0), count=60, dimension=1, trim=0.0)
    assert found.scale == pytest.approx(1.0, abs=0.01)
    assert found.deaths[1][0] == pytest.approx(np.sqrt(3), abs=0.05)


def test_a_torus_has_two_loops_and_a_void() -> None:
    settings = TopologyConfig(draws=19, nulls=["gaussian", "norms"], trim=0.0)
    assert numbers(shape(in_trials(torus(np.random.default_rng(1))), settings)) == {(2, 1)}


def test_a_blob_has_no_shape() -> None:
    blob = np.random.default_rng(2).normal(size=(1000, 4)) * [3.0, 2.0, 1.0, 0.5]
    found = looked_for(blob, "gaussian", "norms", "phase", "exchange")
    assert numbers(found) == {(0, 0)}
    assert all(found.p(null, dimension) > 0.05 for null in found.nulls for dimension in (1, 2))


def test_a_sphere_has_a_void_that_the_null_of_equal_norms_has_too() -> None:
    """Layer-normed activations are on a sphere, whatever they represent."""
    found = looked_for(sphere(np.random.default_rng(3)), "gaussian", "norms")
    gaussian, norms = found.nulls
    assert found.p(gaussian, 2) == pytest.approx(1 / 40)
    assert found.beyond(gaussian, 2) == 1
    assert found.p(norms, 2) > 0.05
    assert found.beyond(norms, 2) == 0


def test_a_ring_in_a_plane_is_what_equal_norms_give() -> None:
    found = looked_for(circle(np.random.default_rng(3), noise=0.02), "gaussian", "norms", dimension=1)
    gaussian, norms = (np.median(null.longest[0]) / found.diagram.longest(1) for null in found.nulls)
    assert gaussian < 0.5
    assert norms > 0.9


def test_a_ring_run_through_by_a_linear_oscillator_is_no_more_than_its_spectrum() -> None:
    rng = np.random.default_rng(4)
    time = np.arange(40) / 40
    angle = 2 * np.pi * (time + rng.uniform(size=(15, 1)))
    rows = np.stack([np.cos(angle), np.sin(angle)], axis=2).reshape(-1, 2) + 0.03 * rng.normal(size=(600, 2))
    found = looked_for(rows, "gaussian", "phase", dimension=1, n_trials=15)
    gaussian, phase = found.nulls
    assert found.p(gaussian, 1) == pytest.approx(1 / 40)
    assert found.p(phase, 1) > 0.05


def test_courses_that_trials_share_explain_a_loop_they_make() -> None:
    """Each axis has its course in every trial; exchanging trials axis by axis leaves the loop as it is."""
    rng = np.random.default_rng(5)
    angle = 2 * np.pi * np.arange(50) / 50
    loop = np.column_stack([2 * np.cos(angle), np.sin(angle)])
    shared = (loop + 0.05 * rng.normal(size=(12, 50, 2))).reshape(-1, 2)
    found = looked_for(shared, "exchange", dimension=1, n_trials=12)
    assert np.median(found.nulls[0].longest[0]) > 0.9 * found.diagram.longest(1)
    # the same loop at a phase of its own in each trial: then the tie between axes makes it
    own = np.stack([np.roll(loop, int(shift), axis=0) for shift in rng.integers(0, 50, 12)])
    found = looked_for((own + 0.05 * rng.normal(size=own.shape)).reshape(-1, 2), "exchange", dimension=1, n_trials=12)
    assert found.p(found.nulls[0], 1) == pytest.approx(1 / 40)
    assert np.median(found.nulls[0].longest[0]) < 0.8 * found.diagram.longest(1)


@pytest.mark.slow
def test_false_positives_stay_at_their_level() -> None:
    hits = {1: 0, 2: 0}
    for seed in range(100):
        blob = np.random.default_rng([7, seed]).normal(size=(200, 3)) * [2.0, 1.0, 1.0]
        settings = TopologyConfig(landmarks=40, nulls=["gaussian"], draws=19, seed=seed)
        found = shape(in_trials(blob, 10), settings)
        for dimension in hits:
            hits[dimension] += found.p(found.nulls[0], dimension) <= 0.05
    # at most 5 %, and fewer where no draw has a feature at all; binomial, 100 x 5 %, 99.9 %
    assert all(count <= 12 for count in hits.values()), hits


def test_landmarks_are_maxmin() -> None:
    points = np.random.default_rng(6).normal(size=(120, 3))
    chosen, covered = landmarks(points, 30)
    assert len(set(chosen.tolist())) == 30
    between = np.linalg.norm(points[:, None] - points[chosen], axis=2)
    for count in range(1, 30):
        nearest = between[:, :count].min(axis=1)
        assert nearest[chosen[count]] == nearest.max(), "each is the sample farthest from all before"
    assert covered == between.min(axis=1).max()
    closest = min(np.linalg.norm(points[a] - points[b]) for a, b in combinations(chosen, 2))
    assert closest >= covered, "landmarks lie farther apart than any sample from them"
    np.testing.assert_array_equal(landmarks(points, 500)[0][:30], chosen)


def test_samples_that_lie_alone_are_left_out() -> None:
    rng = np.random.default_rng(7)
    cloud = np.concatenate([rng.normal(size=(190, 2)), 50 + 100 * rng.normal(size=(10, 2))])
    assert set(map(tuple, crowded(cloud, 0.05))) == set(map(tuple, cloud[:190]))
    assert crowded(cloud, 0.0) is cloud


def test_lifetimes_do_not_depend_on_size_place_or_turn() -> None:
    rng = np.random.default_rng(8)
    points = circle(rng, 200)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    one, two = (homology(cloud, count=50, dimension=1) for cloud in (points, 7 * points @ turn + 3))
    np.testing.assert_allclose(one.lifetimes(1), two.lifetimes(1), atol=1e-4)
    assert two.scale == pytest.approx(7 * one.scale)


def test_gaps_between_landmarks_are_no_features() -> None:
    few, many = (homology(circle(np.random.default_rng(9), 400, 0.05), count=n, dimension=1) for n in (12, 60))
    for found in (few, many):
        assert len(found.features(1)) == 1
        assert found.longest(1) == found.lifetimes(1)[0] > found.covered
        assert (found.lifetimes(1)[1:] <= found.covered).all()
    assert many.covered < few.covered


def test_betti_curves_count_what_is_alive() -> None:
    found = homology(circle(np.random.default_rng(9), 300, 0.01), count=60, dimension=1)
    radii = np.array([0.0, 1.0, 5.0])
    assert found.betti(1, radii).tolist() == [0, 1, 0]
    assert found.betti(0, radii).tolist() == [59, 0, 0], "the last part never dies, and is not counted"


@pytest.mark.parametrize("name", ["gaussian", "norms", "phase", "exchange"])
def test_nulls_keep_what_they_say(name: str) -> None:
    rng = np.random.default_rng(10)
    rows = rng.normal(size=(4000, 3)) @ np.array([[2.0, 0.5, 0], [0, 1, 0.3], [0, 0, 0.5]]) + [5.0, 0, 0]
    lengths = np.full(40, 100)
    drawn = next(null_clouds(name, rows, lengths, 1, 0))
    assert drawn.shape == rows.shape
    assert not np.allclose(drawn, rows)
    np.testing.assert_allclose(drawn.mean(axis=0), rows.mean(axis=0), atol=0.15)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(rows.T), atol=0.3)
    away, wanted = (np.sort(np.linalg.norm(x - rows.mean(axis=0), axis=1)) for x in (drawn, rows))
    assert np.allclose(away, wanted) == (name == "norms")
    np.testing.assert_array_equal(drawn, next(null_clouds(name, rows, lengths, 1, 0)))


def test_trials_of_unequal_length_have_no_exchange_and_it_is_said() -> None:
    rng = np.random.default_rng(11)
    series = one_trial_each("latent", [rng.normal(size=(n, 2)) for n in range(20, 30)], 100.0, ["a", "b"])
    found = shape(series, TopologyConfig(landmarks=30, max_dimension=1, nulls=["gaussian", "exchange"], draws=19))
    assert [null.name for null in found.nulls] == ["gaussian"]
    assert "no null `exchange`" in found.notes[0]


def test_bad_input_is_refused(monkeypatch: pytest.MonkeyPatch, refuses: Callable[..., str]) -> None:
    good = np.random.default_rng(12).normal(size=(50, 2))
    with pytest.raises(DataError, match="all samples are equal"):
        homology(np.ones((50, 2)))
    with pytest.raises(DataError, match="all finite"):
        homology(np.full((50, 2), np.nan))
    with pytest.raises(ConfigError, match="max_dimension must be 1 or 2"):
        homology(good, dimension=3)
    with pytest.raises(ConfigError, match="trim must be 0 or more"):
        homology(good, trim=1.0)
    assert "draws: " in refuses("topology", "draws=5")
    with pytest.raises(ConfigError, match="did you mean 'gaussian'"):
        shape(in_trials(good, 5), TopologyConfig(landmarks=20, nulls=["gausian"]))
    monkeypatch.setitem(sys.modules, "ripser", None)
    with pytest.raises(ConfigError, match=r"pip install 'reach-analysis\[topology\]'"):
        homology(good)


def test_the_command_finds_the_ring_of_a_file(tmp_path: Path) -> None:
    """A file whose first layer runs round a ring at a speed of its own in each trial."""
    write_reaches(tmp_path / "reaches.h5", ReachSettings(n_trials=8, seed=1))
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "reaches.h5", "r+") as file:
        layer = file["activations/decoder/layer_0"]
        assert isinstance(layer, h5py.Dataset)
        angle = np.cumsum(rng.normal(0.1, 0.2, layer.shape[:-1]), axis=-1) + rng.uniform(0, 6, (*layer.shape[:-2], 1))
        values = 0.02 * rng.normal(size=layer.shape)
        values[..., 0] += np.cos(angle)
        values[..., 1] += np.sin(angle)
        layer[...] = values
    out = tmp_path / "out"
    quick = ["landmarks=40", "draws=19", "nulls=[gaussian,exchange]", "components=3"]
    arguments = [f"rollouts={tmp_path}/reaches.h5", "layers=[decoder/layer_0]", *quick, f"out={out}"]
    assert main(["topology", *arguments]) == 0
    assert {path.name for path in out.iterdir()} == {
        "topology.json", "topology.csv", "topology_lifetimes.csv", "topology_betti.csv", "topology.png", "topology.svg",
    }  # fmt: skip
    found = json.loads((out / "topology.json").read_text())["results"]
    rows = {(row["features"], row["null"]): row for row in found["numbers"]}
    assert rows["loops", "gaussian"]["beyond"] == 1
    assert rows["voids", "gaussian"]["beyond"] == 0
    assert rows["loops", "gaussian"]["p"] == pytest.approx(1 / 20)
    assert "landmarks" in found["captions"]["topology"]
    curves = (out / "topology_betti.csv").read_text().splitlines()
    assert curves[0] == "layer,dimension,radius,data,gaussian_95,exchange_95"
    assert len(curves) == 1 + 2 * 101
