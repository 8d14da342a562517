"""Sweeps: runs as track-mjx leaves them, means over seeds by Student's t, the knee where it was put."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from reach_analysis._common.errors import ConfigError, DataError, InputError
from reach_analysis.behaviour.run_sweeps import condition_names, differing, knee, over_seeds, read_run, steps_to, swept
from reach_analysis.cli import main
from reach_analysis.config import SweepConfig
from reach_analysis.data.rollouts import read_rollouts
from reach_analysis.studies import sweep as sweeps
from reach_analysis.studies.study import Study
from reach_analysis.studies.sweep import compare_runs as study
from reach_analysis.studies.sweep import find_runs
from reach_analysis.synthetic.emg import EmgSettings
from scipy import stats
from synthetic.emg import write_emg
from synthetic.reach import Reaches, ReachSettings, write_reaches

COSTS = (0.0, 0.1, 0.2, 0.4)


ENERGIES = (0.0, 0.1)


def write_run(folder: Path, cost: float, seed: int, metrics: str = "jsonl", energy: float = 0.0) -> Reaches:
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(
        f"seed: {seed}\nout: {folder.name}\ntask:\n  costs:\n    control:\n      weight: {cost}\n"
        + (f"    energy:\n      weight: {energy}\n" if energy else "")
        + "  rewards: {}\nnetwork:\n  encoder: [64, 64]\n"
    )
    names = [f"synthetic_trial{i:02d}" for i in range(1, 5)]
    (folder / "run.json").write_text(json.dumps({"train": names[:3], "test": names[3:]}))
    rewards = 1 - np.exp(-np.arange(40) / 8)
    if metrics == "jsonl":
        lines = [json.dumps({"iteration": i, "steps": 1000 * i, "reward": float(r)}) for i, r in enumerate(rewards)]
        (folder / "metrics.jsonl").write_text("\n".join(lines) + '\n{"iteration": 40, "st')
    else:
        (folder / "metrics.csv").write_text(
            "iteration,steps,reward,extra\n" + "\n".join(f"{i},{1000 * i},{r}," for i, r in enumerate(rewards))
        )
    chatter = 0.3 * float(np.exp(-cost / 0.06))
    return write_reaches(folder / "rollouts.h5", ReachSettings(n_trials=4, n_units=4, chatter=chatter, seed=seed))


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    for cost in COSTS:
        for seed in range(3):
            write_run(folder / f"cost{cost}_seed{seed}", cost, seed)
    return folder


def test_a_run_is_read_with_all_its_settings(sweep: Path) -> None:
    run = read_run(sweep / "cost0.2_seed1")
    assert run.settings["task.costs.control.weight"] == 0.2
    assert run.settings["network.encoder"] == [64, 64]
    assert run.test == ("synthetic_trial04",)
    assert run.rollouts is not None
    assert len(run.progress["reward"]) == 40  # the line that was cut off does not count


def test_metrics_may_be_a_table(tmp_path: Path) -> None:
    write_run(tmp_path / "run", 0.1, 0, metrics="csv")
    run = read_run(tmp_path / "run")
    np.testing.assert_allclose(run.progress["steps"], 1000.0 * np.arange(40))
    assert np.isnan(run.progress["extra"]).all()


def test_what_is_swept_is_found(sweep: Path) -> None:
    runs = [read_run(folder) for folder in sorted(sweep.iterdir())]
    assert differing(runs) == ["task.costs.control.weight"]
    names, values = swept(runs, None)
    assert names == ("task.costs.control.weight",)
    assert sorted(set(values)) == [(cost,) for cost in COSTS]
    assert swept(runs, "n_train")[1] == [(3.0,)] * 12
    with pytest.raises(ConfigError, match=r"did you mean 'task\.costs\.control\.weight'"):
        swept(runs, "task.cost.control.weight")
    with pytest.raises(ConfigError, match="no number differs"):
        swept(runs[:3], None)
    with pytest.raises(ConfigError, match=r"network\.encoder is not a number"):
        swept(runs, "network.encoder")


def test_a_cost_that_a_run_lacks_is_zero(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 0.1, 0)
    write_run(tmp_path / "b", 0.1, 1)
    (tmp_path / "b" / "config.yaml").write_text("seed: 1\ntask:\n  rewards: {}\nnetwork:\n  encoder: [64, 64]\n")
    runs = [read_run(tmp_path / name) for name in "ab"]
    assert swept(runs, None) == (("task.costs.control.weight",), [(0.1,), (0.0,)])


def test_means_over_seeds_have_student_s_interval() -> None:
    numbers = [1.0, 2.0, 4.0, 7.0]
    (first, second) = over_seeds([(0.1,)] * 3 + [(0.3,)], {"reward": numbers}, {})
    expected = stats.t.interval(0.95, 2, np.mean(numbers[:3]), stats.sem(numbers[:3]))
    np.testing.assert_allclose([first.outcomes["reward"].low, first.outcomes["reward"].high], expected)
    assert (second.n, second.outcomes["reward"].value) == (1, 7.0)
    assert np.isnan(second.outcomes["reward"].high)


def test_steps_to_a_fraction_pass_over_a_lucky_line() -> None:
    reward = np.concatenate([np.linspace(0, 1, 101), np.ones(20)])
    steps = 10.0 * np.arange(len(reward))
    assert abs(steps_to({"steps": steps, "reward": reward}, "reward", 0.95) - 950) <= 20
    lucky = reward.copy()
    lucky[5] = 1.0
    assert abs(steps_to({"steps": steps, "reward": lucky}, "reward", 0.95) - 950) <= 20
    assert np.isnan(steps_to({"steps": steps}, "reward", 0.95))
    with pytest.raises(ConfigError, match="fraction: "):
        steps_to({"steps": steps, "reward": reward}, "reward", 1.5)


def test_the_knee_is_where_power_is_gone_and_reward_is_not() -> None:
    values = [(cost,) for cost in COSTS for _ in range(3)]
    noise = np.tile([0.01, 0.0, -0.01], 4)
    reward = np.repeat([1.0, 0.97, 0.9, 0.5], 3) + noise
    power = np.repeat([1.0, 0.6, 0.1, 0.05], 3) + noise
    found = knee(values, list(reward), list(power))
    assert found is not None
    assert found.value == (0.2,)
    assert found.agreement > 0.95
    assert knee(values[2:4], [1.0, 0.5], [1.0, 0.2]) is None
    with pytest.raises(DataError, match="every run"):
        knee(values[::4], [1.0, np.nan, 0.4], [1.0, 0.5, 0.2])


def test_the_command_puts_the_runs_side_by_side(sweep: Path, tmp_path: Path) -> None:
    assert main(["sweep", f"runs={sweep}/*", "low_hz=50", f"out={tmp_path}"]) == 0
    numbers = json.loads((tmp_path / "sweep.json").read_text())["results"]["numbers"]
    assert [row["runs"] for row in numbers["levels"]] == [3] * 4
    power = [row["high_frequency_power"] for row in numbers["levels"]]
    assert power == sorted(power, reverse=True)
    assert abs(power[0] / (0.36 * 0.75) - 1) < 0.1
    assert len(numbers["runs"]) == 12
    assert all(row["n_train"] == 3 for row in numbers["runs"])
    assert all(np.isfinite(row["reward_held_out"]) for row in numbers["runs"])
    for row in numbers["runs"]:
        assert row["reward_train"] * 0.75 + row["reward_held_out"] * 0.25 == pytest.approx(row["reward"])
        assert row["generalisation_gap"] == pytest.approx(row["reward_train"] - row["reward_held_out"])
    assert [choice["task.costs.control.weight"] in COSTS for choice in numbers["choices"]] == [True]
    assert (tmp_path / "sweep.svg").stat().st_size > 1000
    assert (tmp_path / "generalisation.svg").stat().st_size > 1000


def test_a_grid_of_two_settings_has_the_point_that_is_best_by_joints_and_emg(tmp_path: Path) -> None:
    """Only the seed changes the movement, and only the control cost the power: the truth of each is known."""
    for cost in COSTS[:3]:
        for number, energy in enumerate(ENERGIES):
            for seed in (2 * number, 2 * number + 1):
                truth = write_run(tmp_path / f"runs/{cost}_{energy}_{seed}", cost, seed, energy=energy)
    files = write_emg(tmp_path, truth.activation, {"biceps": "biceps_long"}, EmgSettings(lead_s=0.1, tail_s=0.05))
    control, energy_cost = parameters = ["task.costs.control.weight", "task.costs.energy.weight"]
    emg = [f"emg={{biceps: {files['biceps']}}}", f"trials={files['trials']}", "clip_pattern='trial0?(\\d+)'"]
    given = [f"runs={tmp_path}/runs/*", f"parameter={parameters}".replace("'", ""), "low_hz=50"]
    assert main(["sweep", *given, *emg, f"out={tmp_path}/out"]) == 0
    found = json.loads((tmp_path / "out/sweep.json").read_text())["results"]["numbers"]
    assert [(row[control], row[energy_cost], row["runs"]) for row in found["levels"]] == [
        (cost, energy, 2) for cost in COSTS[:3] for energy in ENERGIES
    ]
    rows = {row["run"]: row for row in found["runs"]}
    rollouts = read_rollouts(tmp_path / "runs/0.2_0.1_3/rollouts.h5")
    pairs = zip(rollouts.series("qpos").values, rollouts.series("qpos_ref").values, strict=True)
    apart = [np.abs(np.degrees(pose - reference)) for pose, reference in pairs]
    assert rows["0.2_0.1_3"]["joint_error_deg"] == pytest.approx(np.mean(apart))
    _, best = found["choices"]
    means = {(row[control], row[energy_cost]): [row["joint_error_deg"], row["emg_error"]] for row in found["levels"]}
    table = np.array(list(means.values()))
    scaled = ((table - table.min(axis=0)) / np.ptp(table, axis=0)).sum(axis=1)
    assert scaled[list(means).index((best[control], best[energy_cost]))] == pytest.approx(scaled.min())
    trends = {(row["parameter"], row["outcome"]): row["spearman"] for row in found["trends"]}
    assert trends[control, "high_frequency_power"] < -0.9
    assert abs(trends[control, "joint_error_deg"]) < 1e-12, "the same movements at every control cost"
    assert (tmp_path / "out/sweep.svg").stat().st_size > 1000
    assert "generalisation.svg" not in [path.name for path in (tmp_path / "out").iterdir()]


def test_conditions_of_an_ablation_are_named_by_what_departs_from_most_runs() -> None:
    names = ("task.rewards.position.weight", "task.rewards.joints.weight", "task.rewards.heading.weight")
    points = [(1.0, 1.0, 2.0), (0.0, 1.0, 2.0), (1.0, 0.0, 2.0), (1.0, 1.0, 0.0), (0.0, 1.0, 0.0)]
    assert list(condition_names(names, points).values()) == [
        "baseline", "position = 0", "joints = 0", "heading = 0", "position = 0, heading = 0",
    ]  # fmt: skip


def test_an_ablation_compares_conditions(sweep: Path, tmp_path: Path) -> None:
    keys = ["task.costs.control.weight", "seed", "n_train"]
    assert main(["sweep", f"runs={sweep}/*", f"parameter={keys}".replace("'", ""), "low_hz=50", f"out={tmp_path}"]) == 0
    found = json.loads((tmp_path / "sweep.json").read_text())["results"]["numbers"]
    assert found["choices"] == []
    assert [row["condition"] for row in found["levels"]][:2] == ["baseline", "seed = 1"]
    assert (tmp_path / "sweep.svg").stat().st_size > 1000
    for row in found["levels"]:
        if row["runs"] > 1:
            assert 0 <= row["reached_end_low"] <= row["reached_end_high"] <= 1
            assert row["high_frequency_power_low"] >= 0


def test_the_reward_that_is_compared_is_of_one_term_or_of_all_terms_in_every_run(tmp_path: Path) -> None:
    for name, cost in (("a", 0.1), ("b", 0.2)):
        write_run(tmp_path / name, cost, 0)
    rewards = [run["reward"] for run in study(find_runs(f"{tmp_path}/*"), SweepConfig(low_hz=50.0)).results["runs"]]
    with h5py.File(tmp_path / "b" / "rollouts.h5", "r+") as file:
        metric: Any = file["metric"]
        names = metric.asstr()[:]
        metric[:] = [name.replace("joint", "other") for name in names]
        assert any("joint" in name for name in names)
    found = [run["reward"] for run in study(find_runs(f"{tmp_path}/*"), SweepConfig(low_hz=50.0)).results["runs"]]
    series = [read_rollouts(tmp_path / name / "rollouts.h5").series("reward").values for name in "ab"]
    assert found == pytest.approx([np.mean([rows.mean() for rows in trials]) for trials in series])
    assert found != pytest.approx(rewards)


def test_trends_are_rank_correlations_over_runs(sweep: Path) -> None:
    """Power falls with the cost by construction; every trend is scipy's coefficient of the same runs."""
    found = study(find_runs(f"{sweep}/*"), SweepConfig(low_hz=50.0)).results
    trends = {row["outcome"]: row for row in found["trends"]}
    power = trends["high_frequency_power"]
    assert power["spearman"] < -0.95
    assert power["low"] <= power["spearman"] <= power["high"] < -0.8
    assert power["runs"] == 12
    costs = [row["task.costs.control.weight"] for row in found["runs"]]
    for name, row in trends.items():
        expected = stats.spearmanr(costs, [run[name] for run in found["runs"]])[0]
        assert row["spearman"] == pytest.approx(expected, abs=1e-12), name
    assert "steps_to_fraction" not in trends  # the same in every run, so it has no rank


def test_an_outcome_that_costs_do_not_touch_has_no_trend(tmp_path: Path) -> None:
    """Rewards follow from seeds alone: the trend's interval holds 0."""
    for number, cost in enumerate(COSTS * 2):
        write_run(tmp_path / f"run{number}", cost, seed=(7 * number) % 11)
    rows = study(find_runs(f"{tmp_path}/*"), SweepConfig(low_hz=50.0)).results["trends"]
    reward = next(row for row in rows if row["outcome"] == "reward")
    assert reward["low"] < 0 < reward["high"]
    few = study(find_runs([str(tmp_path / f"run{number}") for number in range(3)]), SweepConfig(low_hz=50.0))
    assert few.results["trends"] == []


def test_bad_input(sweep: Path, tmp_path: Path, refuses: Callable[..., str]) -> None:
    for fragment, *arguments in (
        ("runs is not set",), ("no folder of a run matches", "runs='nowhere/*'"),
        ("config.yaml is missing", f"runs={tmp_path}"), ("unknown term 'joy'", f"runs={sweep}/*", "reward=joy"),
        ("a setting is named twice", f"runs={sweep}/*", "parameter=[seed,seed]"),
        ("nothing above 200 Hz", f"runs={sweep}/*", "high_hz=1000"),
        ("give recordings to compare runs", f"runs={sweep}/*", "emg=synthetic"),
    ):  # fmt: skip
        assert fragment in refuses("sweep", *arguments, f"out={tmp_path}")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.yaml").write_text("a: [")
    with pytest.raises(InputError, match="cannot be read"):
        read_run(tmp_path / "broken")


def test_the_gap_of_so_many_clips_is_a_part_of_the_reward_of_trained_clips() -> None:
    row = {sweeps.TRAIN_CLIPS: 100.0, "runs": 3, sweeps.TRAINED: 2.0, sweeps.GAP: 0.1, f"{sweeps.GAP}_low": 0.06,
           f"{sweeps.GAP}_high": 0.14, sweeps.STEPS: 1e6}  # fmt: skip
    found = sweeps.facts(Study("sweep", {"parameters": [sweeps.TRAIN_CLIPS], "trends": [], "levels": [row]}, ()))
    assert found["train_clips/gap_100"].numbers == pytest.approx((0.05, 0.03, 0.07))
    assert found["train_clips/steps"].value == 1e6
