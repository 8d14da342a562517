"""Controllers side by side: differences that were put in, none where there is none, trials joined by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from reach_analysis._common.errors import DataError
from reach_analysis.config import ComparisonConfig, EmgConfig, SpectraConfig
from reach_analysis.data.inputs import over_shared_steps
from reach_analysis.data.rollouts import Rollouts, read_rollouts
from reach_analysis.statistics.estimates import Resampling, paired_difference
from reach_analysis.studies.comparison import run as study
from reach_analysis.studies.emg import run as emg_study
from reach_analysis.studies.spectra import run as spectra_study
from synthetic.reach import ReachSettings, make_reaches
from synthetic.writing import Content, write_content

N = 12
CONFIG = ComparisonConfig(low_hz=50.0, resamples=500)


def content() -> Content:
    return make_reaches(ReachSettings(n_trials=N, n_units=2, chatter=0.2, seed=8)).content


def written(path: Path, made: Content, **arrays: np.ndarray) -> Rollouts:
    write_content(path, replace(made, arrays={**made.arrays, **arrays}))
    return read_rollouts(path)


def rows_of(**conditions: Rollouts) -> dict[str, dict]:
    return {row["quantity"]: row for row in study(conditions, CONFIG).results}


def test_a_change_in_every_trial_is_found_with_its_size(tmp_path: Path) -> None:
    made = content()
    reference, action = made.arrays["qpos_ref"], made.arrays["action"]
    one = written(tmp_path / "one.h5", made, qpos=reference + 0.01)
    two = written(tmp_path / "two.h5", made, qpos=reference + 0.03, action=action / 2, ctrl=made.arrays["ctrl"] / 2)
    found = rows_of(one=one, two=two)
    error = next(row for name, row in found.items() if name.startswith("joint error"))
    scale = {"rad": 1.0, "deg": 180 / np.pi}[error["unit"]]
    assert error["first_mean"] == pytest.approx(0.01 * scale, rel=1e-5)
    assert error["second_mean"] == pytest.approx(0.03 * scale, rel=1e-5)
    assert error["difference"] == pytest.approx(0.02 * scale, rel=1e-5)
    assert [error["low"], error["high"]] == pytest.approx([0.02 * scale] * 2, rel=1e-4)  # alike in every trial
    power, effort = found["high-frequency power"], found["squared control"]
    assert power["second_mean"] == pytest.approx(power["first_mean"] / 4, rel=1e-5)
    assert effort["second_mean"] == pytest.approx(effort["first_mean"] / 4, rel=1e-5)
    for row in (error, power, effort):
        assert row["trials"] == N
        assert row["p"] < 0.01
        assert row["p"] <= row["p_holm"] < 0.05
    assert found["muscle activation"]["difference"] == 0.0
    assert found["muscle activation"]["p"] == 1.0


def test_parts_of_a_band_sum_to_the_whole_and_captions_name_it(tmp_path: Path) -> None:
    made = content()
    both = {name: written(tmp_path / f"{name}.h5", made) for name in ("one", "two")}
    powers = []
    for low, high, named in ((50.0, 90.0, "50 Hz to 90 Hz"), (90.0, None, "90 Hz to half"), (50.0, None, "50 Hz to")):
        found = study(both, replace(CONFIG, low_hz=low, high_hz=high))
        assert named in found.figures[0].caption
        powers += [row["first_mean"] for row in found.results if row["quantity"] == "high-frequency power"]
    assert powers[0] + powers[1] == pytest.approx(powers[2])


def test_no_change_is_called_none_and_exchanging_controllers_turns_signs(tmp_path: Path) -> None:
    """Deviations of the two are drawn alike, trial by trial, so they differ by chance only."""
    made, rng = content(), np.random.default_rng(4)
    draws = [made.arrays["qpos_ref"] + 0.02 * np.abs(rng.normal(size=(N, 1, 1))) for _ in range(2)]
    one, two = (written(tmp_path / f"{number}.h5", made, qpos=qpos) for number, qpos in enumerate(draws))
    found, turned = rows_of(one=one, two=two), rows_of(one=two, two=one)
    name = next(name for name in found if name.startswith("joint error"))
    row, back = found[name], turned[name]
    assert row["low"] < 0 < row["high"]
    assert row["p"] > 0.05
    assert back["difference"] == pytest.approx(-row["difference"])
    assert back["p"] == pytest.approx(row["p"], abs=0.05)


def test_false_positives_stay_at_their_level() -> None:
    """The paired test behind the table, over 300 data sets without an effect."""
    rng = np.random.default_rng(0)
    hits = 0
    for number in range(300):
        one, two = rng.gamma(2.0, size=(2, N))
        hits += paired_difference(one, two, "1", Resampling(200, seed=number)).p <= 0.05
    assert 5 <= hits <= 27  # 99.9 % of a binomial of 300 at 5 %


def test_trials_are_joined_by_name_not_by_place(tmp_path: Path) -> None:
    made = content()
    shift = np.linspace(0.01, 0.1, N)[:, None, None]
    one = written(tmp_path / "one.h5", made, qpos=made.arrays["qpos_ref"] + shift)
    order = np.arange(N)[::-1]
    backwards = {name: values[order] for name, values in made.arrays.items() if len(values) == N}
    names = {"clip_names": made.clip_names[::-1], "trial_ids": made.trial_ids[::-1]}
    moved = replace(made, arrays={**made.arrays, **backwards}, **names)
    two = written(tmp_path / "two.h5", moved, qpos=(made.arrays["qpos_ref"] + shift)[order])
    error = next(row for name, row in rows_of(one=one, two=two).items() if name.startswith("joint error"))
    assert error["difference"] == pytest.approx(0.0, abs=1e-6)
    assert abs(error["high"] - error["low"]) < 1e-5


def test_a_controller_cut_short_does_not_differ_from_itself(tmp_path: Path) -> None:
    """Effort changes over a reach: means over unequal time would differ by half."""
    made = content()
    one = written(tmp_path / "one.h5", made)
    ends = {"n_steps": np.full(N, 50), "terminated": np.ones(N, dtype=bool)}
    two = written(tmp_path / "two.h5", replace(made, **ends))
    found = study({"one": one, "two": two}, CONFIG)
    for row in found.results:
        assert row["difference"] == 0.0, row["quantity"]
        assert row["p"] == 1.0
        assert (row["first_reached_end"], row["second_reached_end"]) == (1.0, 0.0)
    assert f"{N * 70} steps that only one of them took were left out" in found.notes[0]
    spectra = spectra_study({"one": one, "two": two}, SpectraConfig(low_hz=50.0, resamples=100)).results["differences"]
    assert [(row["difference"], row["p"]) for row in spectra] == [(0.0, 1.0)]
    config = EmgConfig(emg="synthetic:one", resamples=100)
    rows = emg_study({"one": one, "two": two}, config).results["differences"]
    assert {row["mae_difference"] for row in rows} == {0.0}
    assert all(row["mae_p"] <= row["mae_p_holm"] for row in rows)


def test_controllers_of_two_rates_are_compared_over_the_same_time_and_band(tmp_path: Path) -> None:
    """Where both follow one movement in 400 and 200 steps a second, effort and error are the same."""
    fast = make_reaches(ReachSettings(n_trials=N, n_units=2, seed=8)).content
    time = np.arange(121) / 400.0
    effort = np.ones((N, 1, 9)) * (time[:120] < 0.15)[:, None]
    error = np.array(fast.arrays["qpos_ref"]) + time[:, None]
    one = written(tmp_path / "one.h5", fast, ctrl=effort, qpos=error)
    slow = make_reaches(ReachSettings(n_trials=N, n_units=2, seed=8, rate_hz=200.0)).content
    late = np.array(slow.arrays["qpos_ref"]) + time[::2][:, None]
    two = written(tmp_path / "two.h5", slow, ctrl=effort[:, ::2], qpos=late)
    cut, left_out = over_shared_steps({"one": one, "two": two.until(dict.fromkeys(two.trials, 40))})
    assert {name: set(rollouts.n_steps) for name, rollouts in cut.items()} == {"one": {80}, "two": {40}}
    assert left_out == N * 40
    found = study({"one": one, "two": two}, replace(CONFIG, low_hz=10.0))
    rows = {row["quantity"]: row for row in found.results}
    assert rows["squared control"]["difference"] == pytest.approx(0.0, abs=1e-12)
    assert abs(rows["joint error (deg)"]["difference"]) < 0.01 * rows["joint error (deg)"]["first_mean"]
    assert "10 Hz to 100 Hz" in found.figures[0].caption


def test_controllers_without_a_trial_in_common_are_refused(tmp_path: Path) -> None:
    made = content()
    one = written(tmp_path / "one.h5", made)
    strangers = replace(made, trial_ids=tuple(f"other{number}" for number in range(N)))
    with pytest.raises(DataError, match="share no trial"):
        study({"one": one, "two": written(tmp_path / "two.h5", strangers)}, CONFIG)
    with pytest.raises(DataError, match="at least two"):
        study({"one": one}, CONFIG)
