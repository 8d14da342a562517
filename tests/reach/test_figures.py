"""The page of a paper's figures: what the files allow is drawn, everything else is named with what is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from reach_analysis.cli import main
from reach_analysis.data.series import one_trial_each
from reach_analysis.figures.representation import variance_by_layer
from reach_analysis.report.paper_figures import _drawn, paper_figures
from reach_analysis.report.sections import Chapter, Part
from reach_analysis.representation.pca import layer_pca
from reach_analysis.statistics.estimates import Interval
from reach_analysis.studies.study import Study, StudyFigure
from reach_analysis.verbs import STUDIES
from synthetic.walk import WalkSettings, write_walks


@pytest.mark.parametrize("paper", ["A", "B"])
def test_every_figure_names_a_chapter_or_what_draws_it(paper: str) -> None:
    entries = paper_figures(paper)
    assert len({entry.where for entry in entries}) == len(entries)
    for entry in entries:
        assert entry.needs
        assert bool(entry.chapter) == bool(entry.drawn), entry.where
        assert entry.chapter in ("", *STUDIES), entry.where


def test_the_figures_of_a_walk_are_drawn_and_the_others_named(tmp_path: Path, refuses: Callable[..., str]) -> None:
    assert "paper" in refuses("figures", "paper=C")
    write_walks(tmp_path / "walk.h5", WalkSettings(n_clips=5, duration_s=2.0, hazard_per_s=0.3, seed=2))
    out = tmp_path / "out"
    assert main(["figures", "paper=B", f"rollouts={tmp_path}/walk.h5", f"out={out}"]) == 0
    found = {one["figure"]: one for one in json.loads((out / "figures.json").read_text())["figures"]}
    assert found.keys() == {entry.where for entry in paper_figures("B")}
    drawn = {where for where, one in found.items() if one["captions"]}
    assert {"2a, 3a-d", "2c", "2d", "5b, 5c"} <= drawn
    assert all(bool(one["captions"]) != bool(one["missing"]) for one in found.values())
    assert "clips=clips.h5" in found["2b"]["missing"]
    assert "track-mjx bench" in found["4c, S4"]["missing"]
    assert "a rollouts file a length" in found["S5"]["missing"], "one condition shows no comparison"
    page = (out / "figures.html").read_text()
    assert page.count("<figure ") == sum(len(one["captions"]) for one in found.values()) == 4
    assert page.count('class="absent"') == len(found) - len(drawn)
    for one in found.values():
        for name in one["captions"]:
            assert (out / "figures" / f"{name}.svg").is_file()


def test_captions_name_the_condition_where_there_are_several() -> None:
    shown = next(one for one in paper_figures("A") if "joint_angles" in one.drawn)
    study = Study("errors", [], (), figures=(StudyFigure("joint_angles", Figure(), "Angles."),))
    parts = [Part(name, None, study) for name in ("joint_only", "physics_aware")]
    both, one = (_drawn(shown, Chapter("errors", "", "", tuple(some)), ()) for some in (parts, parts[:1]))
    assert [entry.caption for entry in both.pictures] == ["joint only: Angles.", "physics aware: Angles."]
    assert [entry.caption for entry in one.pictures] == ["Angles."]


def test_bars_of_components_carry_the_interval_of_their_sum() -> None:
    series = one_trial_each(
        "latent_mean", list(np.random.default_rng(0).normal(size=(8, 30, 6))), 100.0, list("abcdef")
    )
    layer = layer_pca(series, 3, np.arange(8) % 4)
    (axis,) = variance_by_layer([layer], [Interval(0.5, 0.8)]).axes
    (whisker,) = next(one for one in axis.containers if isinstance(one, ErrorbarContainer)).lines[2][0].get_segments()
    np.testing.assert_allclose(whisker[:, 1], [50.0, 80.0])
