"""The verbs from end to end: on files with known truth they leave the right numbers; on bad input, one message."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reach_analysis.cli import main
from reach_analysis.synthetic.emg import EmgSettings
from reach_analysis.verbs import load
from synthetic.emg import write_emg
from synthetic.reach import Reaches, ReachSettings, write_reaches
from synthetic.walk import LAGS, WalkSettings, write_walks

MUSCLES = {"biceps": "biceps_long", "triceps": "triceps_lateral"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="module")
def reaches(folder: Path) -> Reaches:
    """Two conditions of the same reaches, and their EMG."""
    write_reaches(folder / "joint_only.h5", ReachSettings(n_trials=8, chatter=0.3, seed=1))
    truth = write_reaches(folder / "physics_aware.h5", ReachSettings(n_trials=8, seed=1))
    write_emg(folder, truth.activation, MUSCLES, EmgSettings(lead_s=0.1, tail_s=0.05))
    return truth


def assert_holm(ps: list[float], adjusted: list[float]) -> None:
    """Holm's p by its definition: the smallest level at which the step-down procedure rejects (F16)."""
    order = sorted(range(len(ps)), key=lambda k: ps[k])
    steps = [min(1.0, ps[k] * (len(ps) - place)) for place, k in enumerate(order)]
    for place, k in enumerate(order):
        assert adjusted[k] == pytest.approx(max(steps[: place + 1]))


def result(out: Path, verb: str) -> dict[str, Any]:
    return json.loads((out / f"{verb}.json").read_text())


def test_pca_leaves_numbers_tables_figures_and_where_they_come_from(reaches: Reaches, folder: Path) -> None:
    out = folder / "pca"
    assert main(["pca", f"rollouts={folder / 'physics_aware.h5'}", "resamples=50", f"out={out}"]) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "pca.csv", "pca.json", "pca_scores.csv", "pca_trajectories.png", "pca_trajectories.svg", "pca_variance.png",
        "pca_variance.svg",
    ]  # fmt: skip
    found = result(out, "pca")
    rows = {row["layer"]: row for row in found["results"]["numbers"]}
    assert next(iter(rows)) == "latent_mean"
    assert rows["latent_mean"]["explained"] == pytest.approx(1.0)  # three sources in four dimensions
    assert rows["activations/decoder/layer_2"]["explained_pc3"] < 1e-3  # of rank two
    assert found["inputs"][0]["name"] == "physics_aware.h5"
    assert len(found["inputs"][0]["sha256"]) == 64
    assert found["settings"]["components"] == 3
    assert "reach-analysis" in found["versions"]


def test_the_same_settings_give_the_same_files(reaches: Reaches, folder: Path) -> None:
    for name in ("once", "twice"):
        arguments = [f"rollouts={folder / 'physics_aware.h5'}", "resamples=20", "layers=[latent_mean]"]
        assert main(["pca", *arguments, f"out={folder / name}"]) == 0
    assert {path.suffix for path in (folder / "once").iterdir()} == {".csv", ".json", ".png", ".svg"}
    for path in (folder / "once").iterdir():
        other = folder / "twice" / path.name
        if path.suffix == ".json":  # which names its folder
            assert json.loads(path.read_text())["results"] == json.loads(other.read_text())["results"]
        else:
            assert path.read_bytes() == other.read_bytes(), path.name


def test_synergies_of_recorded_emg_are_those_of_the_controller(
    reaches: Reaches, folder: Path, tmp_path: Path, refuses: Callable
) -> None:
    assert "rollouts is not set" in refuses("synergies")
    assert "none are given" in refuses("envelopes", "emg=synthetic")
    muscles = {name: name for name in reaches.activation.channels}
    files = write_emg(tmp_path, reaches.activation, muscles, EmgSettings(lead_s=0.1, tail_s=0.05))
    emg = "emg={" + ",".join(f"{name}:{files[name]}" for name in muscles) + "}"
    rollouts, out = f"rollouts={folder / 'physics_aware.h5'}", f"out={tmp_path}/out"
    assert main(["synergies", rollouts, emg, f"trials={files['trials']}", "rank=3", out]) == 0
    matched = result(tmp_path / "out", "synergies")["results"]["numbers"]["matched"]
    assert len(matched) == 3
    assert min(row["cosine"] for row in matched) > 0.9
    assert matched[0]["p"] < 0.01
    assert main(["synergies", emg, f"trials={files['trials']}", "rank=3", out]) == 0
    assert result(tmp_path / "out", "synergies")["results"]["numbers"]["of"] == "EMG"


def test_emg_compares_both_conditions_with_csv_recordings(reaches: Reaches, folder: Path) -> None:
    out = folder / "emg"
    conditions = f"rollouts={{joint_only:{folder}/joint_only.h5,physics_aware:{folder}/physics_aware.h5}}"
    files = f"emg={{biceps:{folder}/emg_biceps.csv,triceps:{folder}/emg_triceps.csv}}"
    assert main(["emg", conditions, files, f"trials={folder}/trials.csv", "resamples=200", f"out={out}"]) == 0
    numbers = result(out, "emg")["results"]["numbers"]
    assert "the error with the EMG of other trials" in result(out, "emg")["results"]["captions"]["emg_error"]
    fits = {(row["condition"], row["muscle"], row["signal"]): row for row in numbers["fits"]}
    assert len(fits) == 8
    assert fits["physics_aware", "biceps", "act"]["correlation"] > 0.9
    assert abs(fits["physics_aware", "biceps", "act"]["lag_s"]) <= 0.005
    # the synthetic muscle lags its control by 10 ms
    assert fits["physics_aware", "triceps", "ctrl"]["lag_s"] == pytest.approx(-0.01, abs=0.0051)
    assert fits["joint_only", "biceps", "ctrl"]["mae"] > fits["physics_aware", "biceps", "ctrl"]["mae"]
    chatter = next(row for row in numbers["differences"] if row["signal"] == "ctrl" and row["muscle"] == "biceps")
    assert chatter["mae_low"] > 0
    family = [(row, f"{key}_p") for row in numbers["differences"] for key in ("mae", "correlation")]
    assert_holm(*([row[key + end] for row, key in family] for end in ("", "_holm")))
    assert not numbers["emg"]["synthetic"]
    assert numbers["emg"]["chain"]["percentile"] == 98.0
    assert (out / "emg_envelopes.csv").read_text().count("\n") == 1 + 8 * 60


def test_synthetic_emg_says_so(reaches: Reaches, folder: Path) -> None:
    out = folder / "emg_synthetic"
    arguments = [f"rollouts={folder}/physics_aware.h5", "emg=synthetic", "signals=[act]", "resamples=100"]
    assert main(["emg", *arguments, f"out={out}"]) == 0
    found = result(out, "emg")["results"]
    assert "synthetic" in found["notes"][0]
    assert found["captions"]
    assert all("Synthetic EMG" in caption for caption in found["captions"].values())
    assert found["numbers"]["emg"]["synthetic"]


def test_missing_values_in_the_emg_are_named(
    reaches: Reaches, folder: Path, tmp_path: Path, refuses: Callable[..., str]
) -> None:
    rows = (folder / "emg_biceps.csv").read_text().splitlines()
    cells = rows[3].split(",")
    cells[100] = "nan"
    rows[3] = ",".join(cells)
    (tmp_path / "b.csv").write_text("\n".join(rows))
    message = refuses(
        "emg", f"rollouts={folder}/physics_aware.h5", f"emg={{biceps:{tmp_path}/b.csv}}", f"trials={folder}/trials.csv"
    )
    assert "trial '4' holds missing values: 1 in biceps" in message


@pytest.fixture(scope="module")
def walk(folder: Path) -> Path:
    write_walks(folder / "walk.h5", WalkSettings(n_clips=10, duration_s=3.0, flicker=0.01, hazard_per_s=0.3, seed=2))
    return folder / "walk.h5"


def test_spectra_show_the_chatter_and_its_power(reaches: Reaches, folder: Path) -> None:
    conditions = f"rollouts={{joint_only:{folder}/joint_only.h5,physics_aware:{folder}/physics_aware.h5}}"
    assert main(["spectra", conditions, "low_hz=50", "resamples=200", f"out={folder}/spectra"]) == 0
    numbers = result(folder / "spectra", "spectra")["results"]["numbers"]
    assert numbers["band_hz"] == [50.0, 200.0]
    (difference,) = numbers["differences"]
    # actions are 2 ctrl - 1 and not clipped: white noise of 0.3 has a variance of 0.36, three quarters above 50 Hz
    assert difference["difference"] == pytest.approx(0.36 * 0.75, rel=0.1)
    assert difference["low"] > 0
    assert difference["p"] < 0.05
    assert difference["p_holm"] == difference["p"], "one test is a family of one"


def test_survival_finds_the_hazard(walk: Path, folder: Path) -> None:
    assert main(["survival", f"rollouts={walk}", "times_s=[1.0,2.0]", f"out={folder}/survival"]) == 0
    (row,) = result(folder / "survival", "survival")["results"]["numbers"]
    assert row["episodes"] == 10
    assert row["reasons"] == {"lost": row["ended"]}
    at = row["at_s"]["1"]
    assert at["low"] <= np.exp(-0.3) <= at["high"]


def test_gait_finds_cycle_duty_and_lags(walk: Path, folder: Path) -> None:
    assert main(["gait", f"rollouts={walk}", "resamples=200", f"out={folder}/gait"]) == 0
    numbers = result(folder / "gait", "gait")["results"]["numbers"]
    assert numbers["lead"] == "foot_fore_left"
    assert "simulated feet" in load("studies.gait").QUESTION, "nothing is claimed about those of the animal (F26)"
    assert numbers["duration_s"] == pytest.approx(0.4, abs=0.01)
    for row in numbers["feet"]:
        assert row["duty_factor"] == pytest.approx(0.6, abs=0.03)
        wanted = LAGS[row["foot"].removeprefix("foot_")]
        assert abs((row["phase_lag"] - wanted + 0.5) % 1 - 0.5) < 0.03
    (hip,) = (row for row in numbers["joints"] if row["joint"] == "hip_fore_left")
    assert hip["range_simulated"] == pytest.approx(np.rad2deg(0.8), rel=0.02)  # a sine of 0.4 rad


def test_synergies_and_similarity_of_known_mixtures(reaches: Reaches, folder: Path) -> None:
    rollouts = f"rollouts={folder}/physics_aware.h5"
    assert main(["synergies", rollouts, "largest=4", "folds=3", f"out={folder}/synergies"]) == 0
    numbers = result(folder / "synergies", "synergies")["results"]["numbers"]
    assert numbers["chosen"] == 3
    assert numbers["accounted"] > 0.99
    layers = "layers=[latent_mean,decoder/layer_0,decoder/layer_2]"
    assert main(["similarity", rollouts, layers, "draws=39", f"out={folder}/similarity"]) == 0
    rows = result(folder / "similarity", "similarity")["results"]["numbers"]
    found = {(row["first"], row["second"], row["measure"]): row for row in rows}
    assert len(found) == 2 * 10
    assert found["decoder 1", "muscles", "CKA"]["p"] <= 0.05  # both are mixtures of the same three bursts
    assert found["decoder 1", "muscles", "RSA"]["value"] > found["decoder 1", "muscles", "RSA"]["null_high"]


QUICK = ("permutations=19", "surrogates=19", "resamples=100", "folds=3")


def test_forecasts_come_with_nulls_and_baselines(reaches: Reaches, folder: Path) -> None:
    arguments = [f"rollouts={folder}/physics_aware.h5", "targets=[biceps]", "E=[2]", "tau=[-1]"]
    assert main(["forecast", *arguments, *QUICK, f"out={folder}/forecast"]) == 0
    found = result(folder / "forecast", "forecast")["results"]
    scores = {(s["name"], s["measure"]): s for s in found["numbers"]["scores"]}
    joints = scores["biceps_long (act) from joints", "spearman"]
    # of eight trials of 60 samples, each gives all but E - 1 states and the last one
    assert (joints["trials"], joints["predictions"]) == (8, 8 * (60 - 2))
    assert {null["name"] for null in joints["nulls"]} == {"trial permutation", "phase-randomised"}
    assert {baseline["name"] for baseline in joints["baselines"]} == {"mean trial", "ridge", "persistence"}
    assert joints["verdict"]
    past = scores["biceps_long (act) from its own past", "pearson"]
    assert {null["name"] for null in past["nulls"]} >= {"linear process"}
    assert past["ceiling"]["value"] <= 1
    assert any("observes the joints" in note for note in found["notes"])
    table = list(csv.DictReader((folder / "forecast/forecast_scores.csv").read_text().splitlines()))
    family = [row for row in table if row["measure"] == "pearson" and row["phase_randomised_p"]]
    assert len(family) > 1
    assert_holm(*([float(row[f"phase_randomised_p{end}"]) for row in family] for end in ("", "_holm")))
    assert {row["swept"] for row in found["numbers"]["sweeps"]} == {"E", "tau", "Tp", "E and tau"}


def test_forecasts_of_emg_stand_beside_filtered_noise(reaches: Reaches, folder: Path) -> None:
    arguments = [f"rollouts={folder}/physics_aware.h5", f"emg={{biceps:{folder}/emg_biceps.csv}}", "E=[1,2]"]
    arguments += ["tau=[-1]", f"trials={folder}/trials.csv", "sweeps=false", "nonlinear=false", "targets=[biceps]"]
    assert main(["forecast", *arguments, *QUICK, f"out={folder}/forecast_emg"]) == 0
    scores = {s["name"]: s for s in result(folder / "forecast_emg", "forecast")["results"]["numbers"]["scores"]}
    past = scores["biceps EMG from its own past"]
    noise = next(null for null in past["nulls"] if null["name"] == "filtered white noise")
    assert noise["median"] > 0.7, "the filter's own autocorrelation is easy to forecast"


def test_the_protocol_of_the_paper_is_named(reaches: Reaches, folder: Path) -> None:
    """E = 3, tau = -1, Tp = 5 everywhere; EMG from reference joints, which differ from the simulated ones."""
    arguments = [f"rollouts={folder}/physics_aware.h5", f"emg={{biceps:{folder}/emg_biceps.csv}}", "targets=[biceps]"]
    arguments += [f"trials={folder}/trials.csv", "sweeps=false", "nonlinear=false", "permutations=0", "surrogates=0"]
    found = {}
    for name, more in (("paper", ["protocol=paper"]), ("simulated", ["E=[3]", "tau=[-1]", "Tp=[5]"])):
        assert main(["forecast", *arguments, *more, "folds=3", f"out={folder}/{name}"]) == 0
        scores = result(folder / name, "forecast")["results"]["numbers"]["scores"]
        found[name] = {one["name"]: one for one in scores if one["measure"] == "spearman"}
    assert {tuple(one["parameters"]["lags"][0]) for one in found["paper"].values()} == {(3, -1, 5)}
    muscle = "biceps_long (act) from joints"
    assert found["paper"][muscle]["value"] == found["simulated"][muscle]["value"]
    reference = found["paper"]["biceps EMG from reference joints and control"]["value"]
    assert reference != found["simulated"]["biceps EMG from joints and control"]["value"]


def test_windows_of_joints_are_coloured_by_speed(walk: Path, folder: Path) -> None:
    arguments = ["layers=[joints]", "window_frames=31", "colour_by=speed", "resamples=0", f"out={folder}/w"]
    assert main(["pca", f"rollouts={walk}", *arguments]) == 0
    assert {path.stem for path in (folder / "w").glob("*.png")} == {"pca_variance", "pca_windows_3d", "pca_windows_2d"}
    rows = list(csv.DictReader((folder / "w/pca_scores.csv").read_text().splitlines()))
    assert {row["layer"] for row in rows} == {"joints, windows of 31 frames"}
    speeds = {row["trial"]: {one["speed"] for one in rows if one["trial"] == row["trial"]} for row in rows}
    assert all(len(values) == 1 for values in speeds.values()), "one mean speed a trial"


def test_errors_without_clips_are_those_of_joints(walk: Path, folder: Path) -> None:
    assert main(["errors", f"rollouts={walk}", "resamples=200", f"out={folder}/errors"]) == 0
    found = result(folder / "errors", "errors")["results"]
    regions = {(row["unit"], row["name"]) for row in found["numbers"] if row["level"] == "region"}
    assert {("deg", "hindlimbs"), ("deg", "total"), ("mm", "total")} <= regions
    assert "clips=clips.h5" in found["notes"][0]
