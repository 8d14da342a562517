"""The studies in configs/: every job of every study composes, names what exists, and is what its page says."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_module
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from track_mjx._common.cli import App
from track_mjx.cli import APP, VERBS
from track_mjx.config import TrainConfig
from track_mjx.task.registry import resolve

FOLDER = Path(__file__).resolve().parents[1] / "configs"
STUDIES = sorted(path.stem for path in (FOLDER / "study").glob("*.yaml"))


@cache
def jobs_of(study: str) -> list[TrainConfig]:
    """The settings of every job of a study."""
    APP.register("train")
    chosen = [f"hydra.searchpath=[file://{FOLDER}]", f"+study={study}"]
    with initialize_config_module("track_mjx.conf", version_base="1.3"):
        params = compose("train", chosen, return_hydra_config=True).hydra.sweeper.params
        sweep = OverridesParser.create().parse_overrides([f"{key}={value}" for key, value in params.items()])
        jobs = BasicSweeper.split_arguments(sweep, None)[0]
        found = []
        for job in jobs:
            composed = OmegaConf.to_object(compose("train", [*chosen, *job]))
            assert isinstance(composed, TrainConfig)
            found.append(composed)
    return found


def rows() -> dict[str, int]:
    """Study -> jobs, as the README has it."""
    table = re.findall(r"^\| (`.*?) \|.*\| (\d+)(?: each)? \|$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    return {name: int(count) for names, count in table for name in re.findall(r"`(\w+)`", names)}


@pytest.mark.parametrize("study", STUDIES)
def test_every_job_composes_with_terms_that_exist(study: str) -> None:
    jobs = jobs_of(study)
    assert len(jobs) == rows()[study]
    for job in jobs:
        resolve("reward", job.task.rewards, "rewards")
        resolve("cost", job.task.costs, "costs")
    text = (FOLDER / "study" / f"{study}.yaml").read_text()
    assert f"+study={study} " in text, "the file shows its own command"


def test_readme_lists_the_studies() -> None:
    assert sorted(rows()) == STUDIES


def test_control_cost_is_that_of_paper_a() -> None:
    jobs = jobs_of("paper_a_control_cost")
    weights = [0.0, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4]
    assert [(job.task.costs["control"]["weight"], job.seed) for job in jobs] == [
        (w, s) for w in weights for s in range(5)
    ]
    assert {job.task.costs["energy"]["weight"] for job in jobs} == {0.01}
    assert {job.network.latent for job in jobs} == {4}


def test_conditions_differ_in_costs_alone() -> None:
    by_costs: dict[bool, list[Any]] = {False: [], True: []}
    for job in jobs_of("paper_a_conditions"):
        by_costs[bool(job.task.costs)].append((job.seed, job.ppo, job.network, job.task.rewards))
    assert by_costs[False] == by_costs[True]


def test_ablations_are_those_of_the_figure_and_keep_the_other_terms() -> None:
    whole = jobs_of("paper_b_rat")[0].task.rewards
    coarse, fine = ("root_position_exp", "root_orientation_exp"), ("joint_position_exp", "end_effector_position_exp")
    left_out = []
    for job in jobs_of("paper_b_rewards"):
        zero = tuple(name for name, term in job.task.rewards.items() if term["weight"] == 0)
        left_out += [(zero, job.seed)]
        assert len(resolve("reward", job.task.rewards, "rewards")) == len(whole) - len(zero)
        kept = {name: term for name, term in job.task.rewards.items() if name not in zero}
        assert kept == {name: term for name, term in whole.items() if name not in zero}
    conditions = [(), *((name,) for name in coarse + fine), coarse, fine]
    assert [(set(zero), seed) for zero, seed in left_out] == [
        (set(names), seed) for names in conditions for seed in range(3)
    ]


def test_the_command_sweeps_over_a_study_and_names_the_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    seen: list[TrainConfig] = []
    given = ["+study=paper_a_control_cost", "preset=mouse_arm_quick", "seed=3", "out=sweep"]
    app = App("", {"train": replace(VERBS["train"], run=seen.append)})
    assert app.main(["train", "--multirun", "--config-dir", str(FOLDER), *given]) == 0
    assert [job.task.costs["control"]["weight"] for job in seen] == [0.0, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4]
    assert {job.seed for job in seen} == {3}
    assert seen[0].network.encoder == [128, 128], "the preset given on the command line"
    assert seen[1].out == "sweep/001_task.costs.control.weight-0.1_seed-3"
