"""CKA, RSA and synergies: laws, known mixtures, and nulls that see through a common time course."""

from __future__ import annotations

import tracemalloc
from itertools import permutations

import numpy as np
import pytest
from reach_analysis._common.errors import ConfigError, DataError, MismatchError
from reach_analysis.data.series import TrialSeries, one_trial_each
from reach_analysis.representation import similarity
from reach_analysis.representation.similarity import common_window, exchanges, main_axes, trial_distances
from reach_analysis.representation.synergies import _project as project
from reach_analysis.representation.synergies import accounted, choose_rank, factorise, match_synergies, synergies
from reach_analysis.statistics.permutation import Arrangements
from scipy.optimize import linear_sum_assignment, nnls
from scipy.stats import spearmanr
from synthetic.reach import SYNERGIES, ReachSettings, make_reaches


def cka(first: np.ndarray, second: np.ndarray, orders: Arrangements) -> similarity.Similarity:
    return similarity.cka(main_axes(first, "a"), main_axes(second, "b"), orders)


def rsa(first: np.ndarray, second: np.ndarray, orders: Arrangements) -> similarity.Similarity:
    distances = trial_distances(first, "a"), trial_distances(second, "b")
    return similarity.rsa(*distances, orders, ("a", "b"), first.shape[1])


def similarity_of_patterns(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine of each synergy with its partner."""
    cosine = (first / np.linalg.norm(first, axis=1)[:, None]) @ (second / np.linalg.norm(second, axis=1)[:, None]).T
    return cosine[linear_sum_assignment(-cosine)]


def textbook_cka(first: np.ndarray, second: np.ndarray) -> float:
    one, two = (x.reshape(-1, x.shape[-1]) - x.reshape(-1, x.shape[-1]).mean(axis=0) for x in (first, second))
    kernel, other = one @ one.T, two @ two.T
    return float((kernel * other).sum() / np.sqrt((kernel**2).sum() * (other**2).sum()))


def test_cka_is_the_textbook_s_and_its_null_that_of_exchanged_trials() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(8, 15, 3))
    first, second = shared @ rng.normal(size=(3, 5)), shared @ rng.normal(size=(3, 7)) + rng.normal(size=(8, 15, 7))
    orders = exchanges(8, 30, 1)
    found = cka(first, second, orders)
    np.testing.assert_allclose(found.value, textbook_cka(first, second), atol=1e-4)
    null = [textbook_cka(first, second[order]) for order in orders.orders]
    np.testing.assert_allclose(found.null_mean, np.mean(null), atol=1e-3)
    assert found.p == pytest.approx((1 + np.sum(np.array(null) >= found.value)) / 31)


def test_cka_does_not_change_with_rotation_scale_and_offset() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(6, 20, 4)), rng.normal(size=(6, 20, 4))
    turn, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    orders = exchanges(6, 19, 0)
    assert cka(first, 3 * first @ turn + 5, orders).value == pytest.approx(1.0, abs=1e-9)
    assert cka(first, second, orders).value == pytest.approx(cka(second @ turn, first, orders).value, abs=1e-9)


def test_rsa_is_the_rank_correlation_of_distances() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=(9, 4, 3)), rng.normal(size=(9, 4, 2))
    upper = np.triu_indices(9, 1)
    one, two = (np.array([[np.linalg.norm(a - b) for b in x] for a in x])[upper] for x in (first, second))
    found = rsa(first, second, exchanges(9, 50, 0))
    assert found.value == pytest.approx(np.asarray(spearmanr(one, two))[0], abs=1e-12)
    assert abs(found.null_mean) < 0.15
    assert rsa(first, 2 * first, exchanges(9, 19, 0)).value == pytest.approx(1.0)


@pytest.mark.parametrize("measure", [cka, rsa])
def test_p_of_few_trials_counts_every_exchange(measure) -> None:
    """Four trials have 24 arrangements: the least p is 1/24, also where sums in another order differ by rounding."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        first = rng.normal(size=(4, 9, 3)).cumsum(axis=1)
        found = measure(first, first + 1e-3 * rng.normal(size=first.shape), exchanges(4, 500, 0))
        assert found.p * 24 == pytest.approx(round(found.p * 24))
        assert found.p >= 1 / 24


def test_many_trials_take_bounded_memory_and_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(300, 10, 24)), rng.normal(size=(300, 10, 24))
    orders = exchanges(300, 19, 0)
    tracemalloc.start()
    found = similarity.cka(first, second, orders)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6, "all pairs of trials would take 415 MB"
    monkeypatch.setattr(similarity, "MOST_PRODUCTS", 10**9)
    kept = similarity.cka(first, second, orders)
    assert (found.value, found.null_mean, found.p) == pytest.approx((kept.value, kept.null_mean, kept.p))


@pytest.mark.parametrize("measure", [cka, rsa])
def test_a_common_time_course_is_no_similarity_of_trials(measure) -> None:
    rng = np.random.default_rng(3)
    course = np.sin(np.linspace(0, 6, 40))[None, :, None]

    def draw(size: int) -> np.ndarray:
        return course * rng.normal(size=size) + 0.3 * rng.normal(size=(30, 40, size))

    found = measure(draw(4), draw(5), exchanges(30, 199, 0))
    if measure is cka:
        assert found.value > 0.7, "the shared template alone makes them look alike"
        assert found.null_mean > 0.7
    assert found.p > 0.05
    # a part that differs from trial to trial, in both, is found
    own = rng.normal(size=(30, 1, 1))
    coupled = measure(draw(4) + own, draw(5) + own, exchanges(30, 199, 0))
    assert coupled.p < 0.05


def test_false_positives_stay_at_their_level() -> None:
    rng = np.random.default_rng(4)
    course = np.linspace(0, 1, 8)[None, :, None]
    hits = {"CKA": 0, "RSA": 0}
    for seed in range(200):
        first, second = (course + 0.5 * rng.normal(size=(10, 8, 2)) for _ in range(2))
        for measure in (cka, rsa):
            found = measure(first, second, exchanges(10, 99, seed))
            hits[found.measure] += found.p <= 0.05
    assert all(2 <= count <= 20 for count in hits.values()), hits  # binomial, 200 x 5 %, 99.9 %


def test_series_are_brought_to_common_trials_and_times() -> None:
    long = one_trial_each("long", [np.arange(50.0)[:, None] + 100 * i for i in range(5)], 100.0, ["x"])
    late = TrialSeries(
        "late", "1", 100.0, ("4", "3", "2", "1"), ("y",),
        tuple(np.arange(50.0)[10:n, None] + 100 * i for i, n in ((4, 45), (3, 45), (2, 12), (1, 50))), np.full(4, 0.1),
    )  # fmt: skip
    (one, two), trials = common_window([long, late])
    assert trials == ("1", "3", "4")
    assert one.shape == two.shape == (3, 35, 1)
    np.testing.assert_array_equal(one, two)
    with pytest.raises(MismatchError, match="fewer than three"):
        common_window([long.take(["1", "2"]), late])


def test_what_cannot_be_compared_is_refused() -> None:
    flat = np.ones((5, 4, 2))
    with pytest.raises(DataError, match="does not vary"):
        cka(flat, flat, exchanges(5, 19, 0))
    with pytest.raises(DataError, match="equally far apart"):
        rsa(flat, flat, exchanges(5, 19, 0))
    with pytest.raises(ConfigError, match="at least 19"):
        exchanges(5, 10, 0)


def mixture(noise: float, seed: int = 0) -> TrialSeries:
    reaches = make_reaches(ReachSettings(n_trials=16, duration_s=0.3, rate_hz=100.0, seed=seed))
    rng = np.random.default_rng(seed)
    return reaches.activation.map(lambda rows: np.maximum(rows + noise * rng.normal(size=rows.shape), 0.0))


def test_the_true_synergies_are_found() -> None:
    activation = mixture(0.0)
    found = synergies(activation, 3)
    assert found.accounted > 0.999
    assert similarity_of_patterns(found.patterns * found.scale, SYNERGIES).min() > 0.95
    assert found.weights.lengths == activation.lengths
    assert found.patterns.max(axis=1) == pytest.approx(1.0)
    rows, _ = found.weights.rows()
    samples, _ = activation.rows()
    np.testing.assert_allclose(rows @ found.patterns * found.scale, samples, atol=0.03)


def test_held_out_variance_chooses_the_true_number_and_fit_alone_does_not() -> None:
    activation = mixture(0.05)
    choice = choose_rank(activation, 6, np.arange(16) % 4)
    assert choice.chosen == 3
    assert choice.held_out[2] > choice.held_out[1] + 0.02
    fits = [synergies(activation, rank).accounted for rank in (3, 4, 5)]
    assert fits == sorted(fits), "what was fitted is always fitted better by more"


def test_noise_has_no_synergies_worth_more_than_one() -> None:
    rng = np.random.default_rng(5)
    noise = one_trial_each("act", list(rng.uniform(size=(12, 40, 9))), 100.0, [f"m{i}" for i in range(9)])
    choice = choose_rank(noise, 6, np.arange(12) % 4)
    assert choice.chosen == 1


def test_projection_is_the_non_negative_least_squares_solution() -> None:
    rng = np.random.default_rng(6)
    samples, patterns = rng.uniform(size=(20, 7)), rng.uniform(size=(3, 7))
    expected = np.stack([nnls(patterns.T, row)[0] for row in samples])
    np.testing.assert_allclose(project(samples, patterns), expected, atol=1e-5)


def test_activation_that_is_none_is_refused() -> None:
    good = mixture(0.0)
    with pytest.raises(DataError, match="cannot be negative"):
        synergies(good.map(lambda rows: rows - 1), 2)
    ringing = good.map(lambda rows: np.where(rows == rows.min(), -0.003 * rows.max(), rows))  # of a zero-phase filter
    assert synergies(ringing, 3).patterns.min() >= 0
    with pytest.raises(DataError, match="values are missing"):
        synergies(good.map(lambda rows: rows * np.nan), 2)
    with pytest.raises(DataError, match="never active: biceps_long"):
        synergies(good.map(lambda rows: rows * (np.arange(9) != 2)), 2)
    with pytest.raises(ConfigError, match="1 to 9 synergies"):
        synergies(good, 10)
    with pytest.raises(ConfigError, match="two folds"):
        choose_rank(good, 3, np.zeros(16, int))


def test_synergies_of_two_sides_are_paired_and_p_is_exact() -> None:
    """Six muscles have 720 orders, so p is counted: of orthogonal blocks few orders are as good as the true one."""
    blocks = np.array([[1, 1, 0, 0, 0, 0], [0, 0, 1, 0.8, 0, 0], [0, 0, 0, 0, 1, 0.6]], float)
    found = match_synergies(blocks, blocks[[2, 0, 1]])
    assert found.partner.tolist() == [1, 2, 0]
    np.testing.assert_allclose(found.cosine, 1.0)
    # the blocks may change places in 6 ways, of which each turns pairs of equal entries or keeps them
    as_good = sum(_best(blocks, blocks[:, list(order)]) > 1 - 1e-9 for order in permutations(range(6)))
    assert found.p == as_good / 720
    assert found.null < 0.8
    rng = np.random.default_rng(3)
    draws = [match_synergies(*rng.uniform(size=(2, 2, 5)), draws=120).p for _ in range(200)]
    assert np.mean(np.array(draws) <= 0.1) < 0.1 + 3 * np.sqrt(0.1 * 0.9 / 200)


def _best(first: np.ndarray, second: np.ndarray) -> float:
    """Largest mean cosine over all pairings of three synergies."""
    one, two = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (first, second))
    return max(sum(float(one[k] @ two[order[k]]) for k in range(3)) / 3 for order in permutations(range(3)))


def test_a_factorisation_is_repeatable() -> None:
    samples, _ = mixture(0.05).rows()
    first, second = factorise(samples, 3, 1), factorise(samples, 3, 1)
    np.testing.assert_array_equal(first[1], second[1])
    assert accounted(samples, samples) == 1.0
