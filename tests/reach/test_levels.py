"""Animals and sessions above trials: units of intervals, what tests keep, and that ignoring them would be wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from reach_analysis import config
from reach_analysis._common.errors import ConfigError, DataError
from reach_analysis.behaviour.muscles import simpler_envelopes
from reach_analysis.cli import main
from reach_analysis.data.levels import Levels, levels_of
from reach_analysis.data.rollouts import read_rollouts
from reach_analysis.statistics.estimates import Resampling, groups_of, mean_of, paired_difference, ratio_of
from reach_analysis.studies import forecast, pca
from synthetic.reach import ReachSettings, write_reaches
from synthetic.walk import WalkSettings, write_walks

PATTERNS = {"animal": r"^(\w)", "session": r"_(\d)_"}
QUICK = Resampling(400)


def names(counts: list[list[int]]) -> list[str]:
    """Trials of animals a, b, ... with so many trials in each session."""
    return [
        f"{chr(97 + animal)}_{session}_{trial}"
        for animal, sessions in enumerate(counts)
        for session, count in enumerate(sessions)
        for trial in range(count)
    ]


def test_units_are_the_outermost_level_with_enough_of_them() -> None:
    few = names([[2, 1], [1, 2], [1, 1]])
    levels = levels_of(PATTERNS, few, few, "file")
    unit, numbers = levels.units(few, 5)
    assert (unit, len(set(numbers.tolist()))) == ("sessions", 6), "session 0 of one animal is not that of another"
    assert "Fewer than 5 animals give no interval" in levels.note(few, 5)
    many = names([[2]] * 5)
    assert levels_of(PATTERNS, many, many, "file").units(many, 5)[0] == "animals"
    two = few[:4]
    assert levels.units(two, 5) == ("trials", pytest.approx(np.arange(4)))
    assert levels.strata(few).tolist() == [0, 0, 1, 2, 3, 3, 4, 5]
    assert Levels().strata(few).tolist() == [0] * 8
    with pytest.raises(DataError, match=r"levels.animal .* finds nothing in a_0_0"):
        levels_of({"animal": "mouse(\\d)"}, few, few, "file")
    with pytest.raises(ConfigError, match="expected a map"):
        levels_of("animal", few, few, "file")


def test_a_mean_over_animals_is_that_of_their_sums() -> None:
    trials = names([[3], [1], [4], [2], [5], [2]])
    chosen = QUICK.of(levels_of(PATTERNS, trials, trials, "file"), trials)
    values = np.random.default_rng(0).normal(size=17)
    values[4] = np.nan
    found = mean_of(values, "1", chosen)
    animal = np.array([ord(name[0]) for name in trials])
    sums = np.array([np.nansum(values[animal == one]) for one in np.unique(animal)])
    counts = np.array([np.isfinite(values[animal == one]).sum() for one in np.unique(animal)], float)
    expected = ratio_of(sums, counts, "1", QUICK)
    assert (found.value, found.n) == (expected.value, 6)
    assert found.value == pytest.approx(np.nanmean(values))
    assert groups_of(17, np.array(chosen.nest[0])).tolist() == (animal - 97).tolist()


def test_the_bootstrap_draws_animals_their_sessions_and_their_trials() -> None:
    """Means of resamples spread as those of loops over animals, sessions and trials do."""
    trials, rng = names([[3, 1], [4, 2, 6], [2], [5, 5], [3, 3]]), np.random.default_rng(3)
    chosen = Resampling(3000).of(levels_of(PATTERNS, trials, trials, "file"), trials)
    values = rng.normal(size=10)[list(chosen.nest[1])] + rng.normal(size=34)
    sums, counts = chosen.redrawn(values, np.ones(34))
    nested: dict[str, dict[str, list[float]]] = {}
    for name, value in zip(trials, values, strict=True):
        nested.setdefault(name[0], {}).setdefault(name[2], []).append(value)
    by_hand = []
    for _ in range(3000):
        drawn: list[float] = []
        for animal in rng.choice(list(nested), 5):
            for session in rng.choice(list(nested[animal]), len(nested[animal])):
                drawn += rng.choice(nested[animal][session], len(nested[animal][session])).tolist()
        by_hand.append(np.mean(drawn))
    at = [0.025, 0.25, 0.5, 0.75, 0.975]
    assert np.quantile(sums.sum(axis=1) / counts.sum(axis=1), at) == pytest.approx(np.quantile(by_hand, at), abs=0.07)


def test_signs_are_flipped_animal_by_animal() -> None:
    trials = names([[4], [3], [5], [4], [3]])
    chosen = QUICK.of(levels_of(PATTERNS, trials, trials, "file"), trials)
    difference = np.random.default_rng(1).normal(0.8, 1.0, size=19)
    sums = np.bincount(chosen.nest[0], difference)
    null = np.array(list(product([1.0, -1.0], repeat=5))) @ sums
    both = 2 * min((null >= sums.sum() - 1e-9).mean(), (null <= sums.sum() + 1e-9).mean())
    assert paired_difference(difference, np.zeros(19), "1", chosen).p == pytest.approx(min(1.0, both))


def test_trials_are_exchanged_within_sessions_only() -> None:
    """EMG and simulation share nothing but their session: exchanged among all, that looks like agreement."""
    rng = np.random.default_rng(2)
    strata = np.repeat(np.arange(4), 6)
    course = rng.normal(size=(4, 40))[strata]
    ours, theirs = (course + rng.normal(size=(24, 40)) for _ in range(2))
    assert simpler_envelopes(ours, theirs, 199, 0)["correlation_p"] < 0.02
    assert simpler_envelopes(ours, theirs, 199, 0, strata)["correlation_p"] > 0.02


def test_components_and_forecasts_are_over_animals_and_say_so(tmp_path: Path) -> None:
    write_reaches(tmp_path / "reaches.h5", ReachSettings(n_trials=12, n_units=4, seed=3))
    found = read_rollouts(tmp_path / "reaches.h5")
    names = tuple(f"{'abcdef'[place // 2]}_{place}" for place in range(12))
    rollouts = replace(found, clip_names=names).with_levels({"animal": r"^(\w)"})
    components = pca.run(rollouts, config.PcaConfig(layers=["latent_mean"]))
    quick = config.ForecastConfig(E=[2], tau=[-1], permutations=0, surrogates=0, sweeps=False, nonlinear=False)
    forecasts = forecast.run(rollouts, quick)
    assert {row["trials"] for row in (*components.results, *forecasts.tables["forecast_scores"])} == {6}
    assert "together over animals" in components.figures[0].caption
    assert "for a study of as many animals" in forecasts.figures[0].caption
    for study in (components, forecasts):
        assert "n = 6 animals, 12 trials" in study.figures[0].caption


def test_a_command_with_levels_names_its_unit(tmp_path: Path) -> None:
    write_walks(tmp_path / "walk.h5", WalkSettings(n_clips=10, duration_s=2.0, seed=2))
    arguments = [f"rollouts={tmp_path}/walk.h5", "levels={animal: '(.)$'}", "resamples=200", f"out={tmp_path}"]
    assert main(["gait", *arguments]) == 0
    found = json.loads((tmp_path / "gait.json").read_text())["results"]
    assert "10 animals, 10 trials: intervals and signs of differences are over animals" in found["notes"][0]
    assert found["numbers"]["feet"][0]["trials"] == 10
