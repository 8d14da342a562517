"""Bodies that are not the arm of paper A: many joints, motors in place of muscles, feet that never step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reach_analysis import config
from reach_analysis._common.errors import DataError
from reach_analysis.behaviour.muscles import kind_of_actuators
from reach_analysis.data.rollouts import Rollouts, read_rollouts
from reach_analysis.figures import layer_label
from reach_analysis.figures.forecasts import forecast_scores
from reach_analysis.forecasting.embedding import trial_data
from reach_analysis.forecasting.nulls import noise_filtered
from reach_analysis.statistics.correlation import Measure
from reach_analysis.statistics.estimates import Interval
from reach_analysis.statistics.score import Null, Score
from reach_analysis.studies import (
    comparison,
    coupling,
    emg,
    errors,
    gait,
    pca,
    similarity,
    spectra,
    survival,
    synergies,
)
from reach_analysis.studies.forecast_questions import questions
from reach_analysis.studies.pca import usual_colour
from synthetic.reach import ReachSettings, make_reaches, write_reaches
from synthetic.walk import WalkSettings, make_walks
from synthetic.writing import write_content

N_JOINTS = 20
QUIET = config.CouplingConfig(samples=2, permutations=0, rate_hz=None)


@pytest.fixture(scope="module")
def motors(tmp_path_factory: pytest.TempPathFactory) -> Rollouts:
    """A body of 20 joints that three slow sources move, and of motors whose state goes below 0."""
    content = make_reaches(ReachSettings(n_trials=5, n_units=4, seed=3)).content
    rng = np.random.default_rng(0)
    n_trials, n_states = content.arrays["qpos"].shape[:2]
    sources = np.cumsum(rng.normal(size=(n_trials, n_states, 3)), axis=1)
    qpos = sources @ rng.normal(size=(3, N_JOINTS)) + 0.1 * rng.normal(size=(n_trials, n_states, N_JOINTS))
    qpos *= np.linspace(0.1, 1.0, N_JOINTS) / qpos.std(axis=(0, 1))  # the last ones move most
    names = tuple(f"joint_{number}" for number in range(N_JOINTS))
    body = replace(
        content.body,
        joints=names,
        joint_units=("rad",) * N_JOINTS,
        actuators=tuple(f"motor_{number}" for number in range(9)),
        positions=lambda angles: np.zeros((*angles.shape[:-1], 4, 3)),
    )
    act = 2 * content.arrays["act"] - 1
    act[..., 4:6] *= 10.0
    changed = {"qpos": qpos, "qvel": np.gradient(qpos, axis=1), "qpos_ref": qpos, "act": act}
    path = tmp_path_factory.mktemp("bodies") / "motors.h5"
    write_content(path, replace(content, body=body, arrays={**content.arrays, **changed}))
    return read_rollouts(path)


def test_more_joints_than_states_can_hold_become_principal_components(motors: Rollouts) -> None:
    asked, _, _ = questions(motors, config.ForecastConfig(rate_hz=None, largest_dimension=9))
    data = asked[0].data
    every = questions(motors, config.ForecastConfig(rate_hz=None, largest_dimension=3 * N_JOINTS))[0][0].data
    assert (data.predictors.shape[1], every.predictors.shape[1]) == (3, N_JOINTS)
    both = [one.predictors[::7] for one in (data, every)]
    apart, whole = (np.linalg.norm(one[:, None] - one[None], axis=-1) for one in both)
    np.testing.assert_allclose(apart, whole, atol=0.05 * whole.max())  # three sources: distances stay
    correlations = np.linalg.eigvalsh(np.corrcoef(every.predictors.T))[::-1]
    assert data.predictors.var(axis=0) == pytest.approx(correlations[:3], rel=1e-9)
    share = 100 * correlations[:3].sum() / N_JOINTS
    assert f"{N_JOINTS} series (joints)" in asked[0].notes[1]
    assert "first 3 principal components" in asked[0].notes[1]
    assert f"hold {share:.3g} % of the variance" in asked[0].notes[1]
    assert len(asked[1].notes) == 0  # its own past is one series


def test_rates_go_down_and_never_up(motors: Rollouts) -> None:
    fast, _, notes = questions(motors, config.ForecastConfig(rate_hz=10 * motors.rate_hz))
    assert fast[0].data.lengths.tolist() == motors.n_steps.tolist()
    assert "repeated samples would be forecast as if they were new" in " ".join(notes)
    slow, _, notes = questions(motors, config.ForecastConfig(rate_hz=motors.rate_hz / 2))
    assert slow[0].data.lengths.tolist() == (motors.n_steps // 2).tolist()
    assert "repeated" not in " ".join(notes)


def test_where_there_is_no_biceps_what_varies_most_stands_in_and_it_is_said(motors: Rollouts) -> None:
    asked, _, notes = questions(motors, config.ForecastConfig())
    assert [one.name.split(" ")[0] for one in asked[::2]] == ["motor_4", "motor_5"]
    assert "no biceps or triceps: the 2 of 9 actuators whose act varies most" in " ".join(notes)
    assert "predicting actuators" in asked[0].notes[0]
    assert usual_colour(motors) == f"joint_{N_JOINTS - 1}"


def test_motors_are_not_called_muscles(motors: Rollouts) -> None:
    assert kind_of_actuators(motors) == "actuators"
    with pytest.raises(DataError, match="has no muscles"):
        synergies.run(motors, config.SynergiesConfig())
    compared = similarity.run(motors, config.SimilarityConfig(layers=["latent_mean"], draws=19)).results
    assert {row["second"] for row in compared} == {"actuators", "joints"}
    rows = comparison.run({"one": motors, "two": motors}, config.ComparisonConfig(resamples=100)).results
    assert "muscle activation" not in {row["quantity"] for row in rows}


def rewritten(path: Path, **arrays: Any) -> Rollouts:
    """Six reaches with some data sets changed: functions of what they were."""
    made = make_reaches(ReachSettings(n_trials=6, n_units=8, seed=1)).content
    steps = arrays.pop("n_steps", made.n_steps)
    changed = {name: change(made.arrays[name].copy()) for name, change in arrays.items()}
    write_content(path, replace(made, n_steps=steps, arrays={**made.arrays, **changed}))
    return read_rollouts(path)


def test_one_constant_layer_or_missing_value_takes_nothing_else_away(tmp_path: Path) -> None:
    def gap(act: np.ndarray) -> np.ndarray:
        act[2, 50, 3] = np.nan
        return act

    changes: dict[str, Any] = {"activations/decoder/layer_0": np.ones_like, "act": gap}
    rollouts = rewritten(tmp_path / "gaps.h5", **changes)
    assert kind_of_actuators(rollouts) == "muscles"
    found = pca.run(rollouts, config.PcaConfig())
    assert len(found.results) == 5
    assert found.notes == ("Constant, and left out: decoder/layer_0.",)
    with pytest.raises(DataError, match=r"gaps.h5: decoder/layer_0: does not vary"):
        pca.run(rollouts, config.PcaConfig(layers=["decoder/layer_0"]))
    compared = similarity.run(rollouts, config.SimilarityConfig(draws=19))
    assert {row["first"] for row in compared.results} >= {"intention", "encoder 1", "muscles"}
    assert "Constant, and left out: decoder 1." in compared.notes
    muscle = rollouts.names["actuator"][3]
    assert any(muscle in note for note in compared.notes)
    kept = synergies.run(rollouts, config.SynergiesConfig(largest=2, folds=2))
    assert kept.results["left_out"] == [muscle]
    assert f"Activation is missing, so these were left out: {muscle} (2 samples)." in kept.notes


def test_layers_that_say_nothing_are_left_out_and_named(tmp_path: Path) -> None:
    """Of a value that is missing, and of the same course in every trial, which has components but no distances."""

    def gap(layer: np.ndarray) -> np.ndarray:
        layer[2, 50, 1] = np.nan
        return layer

    changes: dict[str, Any] = {
        "activations/encoder/layer_0": gap,
        "activations/decoder/layer_0": lambda a: 0 * a + a[0],
    }
    rollouts = rewritten(tmp_path / "gaps.h5", **changes)
    found = pca.run(rollouts, config.PcaConfig())
    assert found.notes == ("Not finite, and left out: encoder/layer_0.",)
    assert "decoder 1" in {layer_label(row["layer"]) for row in found.results}
    with pytest.raises(DataError, match=r"encoder/layer_0: holds values that are not finite"):
        pca.run(rollouts, config.PcaConfig(layers=["encoder/layer_0"]))
    compared = similarity.run(rollouts, config.SimilarityConfig(draws=19))
    assert set(compared.notes) == {
        "Not finite, and left out: encoder 1.", "The same in every trial, and left out: decoder 1."
    }  # fmt: skip
    assert "intention" in {row["first"] for row in compared.results}


def test_one_joint_or_action_with_a_missing_value_takes_nothing_else_away(tmp_path: Path) -> None:
    def gap(values: np.ndarray) -> np.ndarray:
        values[1, 30, 0] = np.nan
        return values

    rollouts = rewritten(tmp_path / "gaps.h5", qpos=gap, action=gap)
    joint, actuator = rollouts.names["names_qpos"][0], rollouts.names["actuator"][0]
    compared = similarity.run(rollouts, config.SimilarityConfig(layers=["latent_mean"], draws=19))
    assert f"Values are missing, so these joints were left out: {joint}." in compared.notes
    assert questions(rollouts, config.ForecastConfig())[0][0].data.predictors.shape[1] == 1
    found = spectra.run({"one": rollouts}, config.SpectraConfig(low_hz=50.0, resamples=100))
    assert f"one: values are missing, so these were left out: {actuator}." in found.notes
    rows = comparison.run({"one": rollouts, "two": rollouts}, config.ComparisonConfig(low_hz=50.0, resamples=100))
    assert {"high-frequency power", "joint error (deg)"} <= {row["quantity"] for row in rows.results}


def test_trials_of_no_step_or_one_are_passed_over(tmp_path: Path) -> None:
    short = rewritten(tmp_path / "short.h5", n_steps=np.array([120, 0, 120, 1, 120, 120]))
    layers = config.PcaConfig(layers=["latent_mean"])
    assert pca.run(short, layers).results[0]["trials"] == 5
    assert synergies.run(short, config.SynergiesConfig(largest=2, folds=2)).results["chosen"] == 2
    compared = similarity.run(short, config.SimilarityConfig(layers=["latent_mean"], draws=19)).results
    assert {row["n_trials"] for row in compared} == {4}
    assert len(questions(short, config.ForecastConfig())[0][0].data.ids) == 4
    fits = emg.run({"one": short}, config.EmgConfig(emg="synthetic", resamples=100)).results["fits"]
    assert {row["trials"] for row in fits} == {4}
    assert pca.run(rewritten(tmp_path / "one.h5", n_steps=np.ones(6, dtype=int)), layers).results[0]["samples"] == 6


@pytest.mark.parametrize("stored", [False, True])
def test_actuators_without_a_state_are_no_muscles_and_it_is_said(tmp_path: Path, stored: bool) -> None:
    content = make_walks(WalkSettings(n_clips=5, duration_s=0.5))
    shape = content.arrays["qpos"].shape
    empty = {"act": np.full((*shape[:2], len(content.body.actuators)), np.nan)} if stored else {}
    write_content(tmp_path / "walk.h5", replace(content, arrays={**content.arrays, **empty}))
    walker = read_rollouts(tmp_path / "walk.h5")
    assert kind_of_actuators(walker) == "actuators"
    with pytest.raises(DataError, match=r"have no activation \(act\), as muscles have; signal=ctrl"):
        questions(walker, config.ForecastConfig())
    asked, _, _ = questions(walker, config.ForecastConfig(signal="ctrl"))
    assert {one.name.split(" ")[1] for one in asked} == {"(ctrl)"}


@pytest.mark.parametrize(
    ("endings", "ended", "said"),
    [
        (("non_finite",), (None,) * 6, "Nothing could end an episode of one early"),
        (("lost", "non_finite"), (None,) * 6, "None of 6 episodes of one ended early (lost would end one)."),
        (
            ("lost", "non_finite"),
            ("non_finite", "lost", None, None, None, "lost"),
            "3 ended early (non finite: 1, lost: 2).",
        ),
    ],
)
def test_survival_says_what_could_end_an_episode_and_what_did(
    tmp_path: Path, endings: tuple[str, ...], ended: tuple[str | None, ...], said: str
) -> None:
    rollouts = replace(rewritten(tmp_path / "six.h5"), endings=endings, ended=ended)
    found = survival.run({"one": rollouts}, config.SurvivalConfig(times_s=[0.1]))
    assert said in survival.section(found).findings[0]


def test_errors_of_unseen_clips_come_first(tmp_path: Path) -> None:
    def off(qpos: np.ndarray) -> np.ndarray:
        qpos[:4] += 0.02  # the clips that were trained on, further away, so that the sets differ
        return qpos

    rollouts = rewritten(tmp_path / "six.h5", qpos=off)
    known = replace(rollouts, sets=("train",) * 4 + ("test",) * 2, ended=("lost", *rollouts.ended[1:]))
    found = errors.run(known, config.ErrorsConfig(resamples=100))
    totals = [row for row in found.results if row["name"] == errors.TOTAL]
    assert [(row["clips"], row["trials"]) for row in totals] == [("unseen", 2), ("trained on", 4)]
    assert [row["reached_end"] for row in totals] == [1.0, 0.75]
    assert errors.facts(found)["joints/total/deg/mean"].value == totals[0]["mean"] < totals[1]["mean"]
    first, second = errors.section(found).findings
    assert "joints of clips that were not trained on" in first
    assert "25 % of the episodes ended early" in second
    assert {row["clips"] for row in errors.run(rollouts, config.ErrorsConfig(resamples=100)).results} == {"all"}


def test_cross_maps_take_the_joints_that_vary_most_and_say_so(
    motors: Rollouts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coupling, "MOST_JOINTS", 2)
    found = coupling.run(motors, replace(QUIET, muscles=["motor_4"]))
    assert {row["history"] for row in found.results} == {"joint_18", "joint_19", "motor_4"}
    assert f"Of {N_JOINTS} joint angles, the 2 that vary most were taken." in found.notes
    assert "joints drive actuators" in found.notes[0]
    named = coupling.run(motors, replace(QUIET, joints=["joint_0"], muscles=["motor_4"]))
    assert {row["history"] for row in named.results} == {"joint_0", "motor_4"}


def test_contacts_that_never_touch_are_no_feet_and_feet_that_never_step_are_named(tmp_path: Path) -> None:
    content = make_walks(WalkSettings(n_clips=5, duration_s=3.0))
    shape = content.arrays["contact/foot_hind_left"].shape
    still = {"contact/foot_hind_left": np.ones(shape, bool), "contact/skull": np.zeros(shape, bool)}
    write_content(tmp_path / "walk.h5", replace(content, arrays={**content.arrays, **still}))
    found = gait.run(read_rollouts(tmp_path / "walk.h5"), config.GaitConfig(resamples=100))
    rows = {row["foot"]: row for row in found.results["feet"]}
    assert set(rows) == {f"foot_{leg}" for leg in ("fore_left", "fore_right", "hind_left", "hind_right")}
    assert found.results["without_cycles"] == 1
    notes = " ".join(found.notes)
    assert "left out: skull." in notes
    assert "foot_hind_left have no cycle of their own" in notes


def test_the_number_of_synergies_is_the_same_from_means_over_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_reaches(tmp_path / "reaches.h5", ReachSettings(n_trials=10, n_units=4, seed=5))
    reaches = read_rollouts(tmp_path / "reaches.h5")
    full = synergies.run(reaches, config.SynergiesConfig(largest=4))
    monkeypatch.setattr(synergies, "MOST_NUMBERS", 6_000)
    means = synergies.run(reaches, config.SynergiesConfig(largest=4))
    assert full.results["chosen"] == means.results["chosen"] == 3  # as they were made
    assert full.results["accounted"] == means.results["accounted"]  # of all samples
    assert "means over" not in full.figures[0].caption
    assert "means over 2 samples for the choice" in means.figures[0].caption


def test_a_null_has_the_colour_of_its_legend_in_every_row() -> None:
    """Two forecasts have different nulls: colours go by name, not by column."""
    interval = Interval(0.4, 0.6)
    draws = np.linspace(-0.1, 0.1, 20)
    scores = [
        Score("x", Measure.SPEARMAN, 0.5, "1", 5, 50, interval, tuple(Null(name, "", draws, 0.05) for name in names))
        for names in (("exchange", "phase"), ("exchange", "noise"))
    ]
    figure = forecast_scores([[score] for score in scores], Measure.SPEARMAN)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    legend: dict[str, Any] = dict(zip(names, figure.legends[0].legend_handles, strict=True))
    bars = [patch.get_facecolor() for patch in figure.axes[0].patches]
    assert bars == [legend[f"null: {name}"].get_facecolor() for name in ("exchange", "phase", "exchange", "noise")]
    assert len(set(bars)) == 3


def test_noise_of_one_chain_is_filtered_once_for_all_muscles() -> None:
    made: list[int] = []

    def noise(rng: np.random.Generator) -> np.ndarray:
        made.append(1)
        return rng.normal(size=12)

    one, other = (trial_data([np.arange(12.0)], [values]) for values in (np.arange(12.0), np.ones(12)))
    first = noise_filtered(one, noise, 4, seed=1).values
    np.testing.assert_array_equal(first, noise_filtered(other, noise, 4, seed=1).values)
    assert len(made) == 4
    assert not np.array_equal(first, noise_filtered(one, noise, 4, seed=2).values)
