"""The table of studies: each row has its module and documented settings, and a study is one row and one module."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType

import pytest
from reach_analysis import verbs
from reach_analysis._common.cli import load as load_config
from reach_analysis._common.progress import silent
from reach_analysis._common.settings import settings_of
from reach_analysis.cli import VERBS, study
from reach_analysis.config import ChainConfig, ReportConfig, RolloutSettings
from reach_analysis.report.build import build
from reach_analysis.report.opening import gather
from reach_analysis.report.sections import _settings
from reach_analysis.verbs import STUDIES, StudyVerb
from synthetic.reach import ReachSettings, write_reaches


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_follows_the_protocol(name: str) -> None:
    module = verbs.load(STUDIES[name].module)
    assert module.TITLE
    assert module.QUESTION
    assert all(callable(getattr(module, function)) for function in ("run", "section"))
    if STUDIES[name].replication:
        assert callable(verbs.load(STUDIES[name].replication))


@pytest.mark.parametrize("verb", VERBS)
def test_every_setting_has_help(verb: str) -> None:
    assert all(setting.help for setting in settings_of(load_config(VERBS[verb].config)))


@pytest.mark.parametrize(("verb", "setting"), [("forecast", "engine"), ("forecast", "sweep_E"), ("bench", "truths")])
def test_removed_settings_are_refused_by_name(verb: str, setting: str, refuses: Callable[..., str]) -> None:
    assert f"'{setting}' was removed" in refuses(verb, f"{setting}=1")


def test_a_report_processes_emg_alike_in_every_study(tmp_path: Path) -> None:
    """EMG at 2 kHz has no band up to 1 kHz: a band that only one study took would take the others off the page."""
    write_reaches(tmp_path / "reaches.h5", ReachSettings(n_trials=3))
    config = ReportConfig(rollouts=f"{tmp_path}/reaches.h5", emg="emg.c3d", chain=ChainConfig(band_hz=[20.0, 450.0]))
    inputs = gather(config)
    takes = [verb for verb in STUDIES.values() if "emg" in {entry.name for entry in fields(verb.config)}]
    chains = [_settings(verb, inputs, config, "").chain for verb in takes]
    assert len(chains) >= 6
    assert all(chain.band_hz == [20.0, 450.0] for chain in chains)
    assert [chain.window_s for chain in chains].count([]) == 2, "`envelopes` and `gait` are of whole trials"


@dataclass
class CountConfig(RolloutSettings):
    """Settings of the study below."""

    times: int = 2
    """Factor of the number of trials."""
    replication: bool = False
    """Whether the study is repeated."""


COUNT = """
from reach_analysis.studies.section import Column, Fact, Section, table
from reach_analysis.studies.study import Study

TITLE, QUESTION = "Number of trials", "How many trials are there?"


def run(rollouts, config, stage):
    rows = [{"trials": config.times * len(rollouts.trials)}]
    return Study("count", rows, (rollouts.path,), {"count": rows}, notes=("Counted.",))


def facts(study):
    return {"trials": Fact(study.results[0]["trials"])}


def section(study):
    number = study.results[0]["trials"]
    return Section((table("Trials", (Column("trials", "trials"),), study.results),), (f"{number} trials.",))
"""


def test_a_study_is_one_row_and_one_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = ModuleType("reach_analysis.studies.count")
    exec(COUNT, module.__dict__)
    monkeypatch.setitem(sys.modules, "reach_analysis.studies.count", module)
    errors = STUDIES["errors"]
    for name in list(STUDIES):
        monkeypatch.delitem(STUDIES, name)
    monkeypatch.setitem(STUDIES, "errors", errors)
    monkeypatch.setitem(STUDIES, "count", StudyVerb(CountConfig, "studies.count", replication="studies.count:run"))
    write_reaches(tmp_path / "reaches.h5", ReachSettings(n_trials=5))
    rollouts = f"{tmp_path}/reaches.h5"
    study("count", CountConfig(out=str(tmp_path), rollouts=rollouts, times=3, replication=True))
    assert capsys.readouterr().err.count("Counted.") == 2, "notes of the study and of its replication are logged"
    record = json.loads((tmp_path / "count.json").read_text())
    assert record["results"]["numbers"] == [{"trials": 15}]
    assert (tmp_path / "count.csv").read_text() == "trials\n15\n"
    config = ReportConfig(rollouts=rollouts, studies={"count": {"times": 4}, "errors": {"resamples": 100}})
    report = build(gather(config), config, silent)
    assert report.numbers["sections"]["count"]["parts"][0]["numbers"] == [{"trials": 20}]
    assert "20 trials." in report.numbers["findings"]
    assert "How many trials are there?" in report.html
    assert report.tables["count"] == [{"trials": 20}]
