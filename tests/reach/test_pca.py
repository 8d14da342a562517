"""Principal components: known mixtures, held-out variance that separates signal from noise, windows within trials."""

from __future__ import annotations

import numpy as np
import pytest
from reach_analysis._common.errors import ConfigError, DataError
from reach_analysis.data.series import TrialSeries, one_trial_each
from reach_analysis.representation import pca
from sklearn.decomposition import PCA
from synthetic.reach import LAYERS, ReachSettings, make_reaches


def gaussian(n_trials: int, length: int, deviations: list[float], seed: int) -> TrialSeries:
    """Independent samples with these standard deviations along axes turned at random."""
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(len(deviations), len(deviations))))
    values = [rng.normal(size=(length, len(deviations))) * deviations @ turn for _ in range(n_trials)]
    return one_trial_each("units", values, 400.0, [f"u{i}" for i in range(len(deviations))])


@pytest.mark.parametrize("shape", [(500, 7), (5, 12)])
def test_components_equal_those_of_scikit_learn(shape: tuple[int, int]) -> None:
    samples = np.random.default_rng(0).normal(size=shape) * np.linspace(3, 1, shape[1])
    ours, theirs = pca.components(samples), PCA(svd_solver="full").fit(samples)
    count = min(shape[0] - 1, shape[1])
    np.testing.assert_allclose(ours.explained[:count], theirs.explained_variance_ratio_[:count], atol=1e-10)
    np.testing.assert_allclose(np.abs(ours.scores(samples, 3)), np.abs(theirs.transform(samples)[:, :3]), atol=1e-8)


def test_known_variances_are_found() -> None:
    series = gaussian(20, 2000, [4.0, 2.0, 1.0, 0.5], seed=1)
    found = pca.layer_pca(series, 3, np.arange(20) % 5)
    expected = np.array([16.0, 4.0, 1.0]) / 21.25
    np.testing.assert_allclose(found.explained, expected, rtol=0.02)
    np.testing.assert_allclose(found.held_out, np.cumsum(expected), rtol=0.02)
    assert abs(found.participation_ratio / (21.25**2 / (256 + 16 + 1 + 0.0625)) - 1) < 0.02


def test_equal_variances_have_a_participation_ratio_of_their_number() -> None:
    samples = np.concatenate([np.eye(6), -np.eye(6)])
    assert abs(pca.components(samples).participation_ratio - 6.0) < 1e-12


def test_scores_come_back_as_clips_by_time_by_components() -> None:
    unequal = one_trial_each("x", [np.random.default_rng(i).normal(size=(n, 5)) for i, n in enumerate((9, 4, 7))], 1.0,
                             list("abcde"))  # fmt: skip
    found = pca.layer_pca(unequal, 3, np.arange(3))
    assert found.scores.lengths == (9, 4, 7)
    assert found.scores.channels == ("PC 1", "PC 2", "PC 3")
    every, _ = unequal.rows()
    model = pca.components(every)
    np.testing.assert_allclose(found.scores.values[1], model.scores(unequal.values[1], 3))


def test_layers_of_known_rank_need_that_many_components() -> None:
    reaches = make_reaches(ReachSettings(n_trials=12, layer_noise=0.001))
    for name, rank in LAYERS.items():
        layer = reaches.content.arrays[f"activations/{name}"]
        samples = layer.reshape(-1, layer.shape[-1])
        explained = np.cumsum(pca.components(samples).explained)
        assert explained[rank - 1] > 0.999
        assert explained[rank - 2] < 0.999


def test_noise_explains_itself_but_nothing_of_other_trials() -> None:
    rng = np.random.default_rng(2)
    # every trial is constant at a random place: many units, few trials
    values = [np.repeat(rng.normal(size=(1, 200)), 50, axis=0) for _ in range(12)]
    series = one_trial_each("noise", values, 400.0, [str(i) for i in range(200)])
    found = pca.layer_pca(series, 3, np.arange(12) % 4)
    assert found.explained.sum() > 0.25
    assert found.held_out[-1] < 0.1


def test_held_out_variance_never_uses_the_fold_it_is_tested_on() -> None:
    samples = np.random.default_rng(3).normal(size=(90, 4))
    fold = np.repeat([0, 1, 2], 30)
    by_hand, total = 0.0, 0.0
    for number in range(3):
        train, test = samples[fold != number], samples[fold == number]
        axis = np.asarray(PCA(1).fit(train).components_)[0]
        by_hand += (((test - train.mean(axis=0)) @ axis) ** 2).sum()
        total += ((test - train.mean(axis=0)) ** 2).sum()
    np.testing.assert_allclose(pca.held_out_variance(samples, fold, 1)[0], by_hand / total, atol=1e-12)


def test_signs_do_not_depend_on_the_solver() -> None:
    samples = np.random.default_rng(4).normal(size=(50, 6))
    axes = pca.components(samples).axes
    assert (axes[np.arange(6), np.abs(axes).argmax(axis=1)] > 0).all()
    np.testing.assert_allclose(np.abs(pca.components(-samples).axes), np.abs(axes), atol=1e-9)


def test_windows_stay_within_their_trial_and_have_the_paper_s_size() -> None:
    ramps = [1000.0 * trial + np.arange(40.0)[:, None] * np.ones((1, 60)) for trial in range(3)]
    series = one_trial_each("latent", [*ramps, np.ones((5, 60))], 500.0, [str(i) for i in range(60)])
    out = pca.delay_windows(series, 31)
    assert len(out.channels) == 1860
    assert out.lengths == (10, 10, 10)
    assert out.trials == ("0", "1", "2")
    for trial, rows in enumerate(out.values):
        assert (rows // 1000 == trial).all()
        np.testing.assert_array_equal(rows[0].reshape(31, 60)[:, 0] % 1000, np.arange(31.0))
    np.testing.assert_allclose(out.start_s, 15 / 500.0)
    with pytest.raises(ConfigError, match="odd number"):
        pca.delay_windows(series, 30)
    with pytest.raises(DataError, match="as long as a window"):
        pca.delay_windows(series, 41)


def test_a_cycle_seen_through_windows_is_a_circle() -> None:
    time = np.arange(300) / 100.0
    wave = np.sin(2 * np.pi * time)[:, None]
    windows = pca.delay_windows(one_trial_each("x", [wave], 100.0, ["x"]), 51)
    halves = (windows.values[0][:100], windows.values[0][100:200])
    series = TrialSeries("windows", "1", 100.0, ("0", "1"), windows.channels, halves, np.zeros(2))
    found = pca.layer_pca(series, 2, np.arange(2))
    assert found.explained.sum() > 0.999
    assert found.explained[1] > 0.4


def test_the_value_lies_within_its_interval_and_few_trials_have_none() -> None:
    """Trials of three samples in eight dimensions: what few trials show is far above what many would."""
    for seed in range(5):
        series = gaussian(6, 3, [1.0] * 8, seed)
        found = pca.explained_intervals(series, 3)
        values = [*pca.components(series.rows()[0]).explained[:3], pca.components(series.rows()[0]).explained[:3].sum()]
        assert all(one.low < value < one.high for one, value in zip(found, values, strict=True))
        assert found[-1].low < 3 / 8 + 0.05, "equal variances: three of eight components hold 3/8 of all"
    assert all(np.isnan(one.low) for one in pca.explained_intervals(gaussian(4, 40, [2.0, 1.0], 0), 2))


def test_colours_come_from_the_joint_of_that_name() -> None:
    reaches = make_reaches(ReachSettings(n_trials=2, duration_s=0.05))
    qpos = reaches.content.arrays["qpos"]
    positions = one_trial_each("qpos", list(qpos), 400.0, ["shoulder", "elbow"])
    steps = one_trial_each("scores", [np.ones((20, 3))] * 2, 400.0, ["a", "b", "c"])
    np.testing.assert_array_equal(pca.colour_values(positions, "elbow", steps)[1], qpos[1, :20, 1])
    with pytest.raises(DataError, match="did you mean 'elbow'"):
        pca.colour_values(positions, "elbo", steps)
    late = TrialSeries("scores", "1", 400.0, ("0",), ("a",), (np.ones((20, 1)),), np.array([0.01]))
    with pytest.raises(DataError, match="does not cover"):
        pca.colour_values(positions, "elbow", late)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([np.ones((9, 2))], "does not vary"),
        ([np.full((9, 2), np.nan)], "not finite"),
        ([np.ones((1, 2))], "two samples"),
    ],
)
def test_values_without_components_are_refused(values: list[np.ndarray], message: str) -> None:
    with pytest.raises(DataError, match=message):
        pca.components(values[0])


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        pca.layer_pca(gaussian(3, 9, [1.0, 1.0], 0), 0, np.arange(3))
    with pytest.raises(ConfigError, match="two folds"):
        pca.layer_pca(gaussian(3, 9, [1.0, 1.0], 0), 1, np.zeros(3, int))
