"""Every verb's mistakes: one clear message on standard error, exit code 2, no traceback, nothing on standard output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import h5py
import pytest
from reach_analysis._common.cli import load
from reach_analysis.cli import VERBS
from reach_analysis.synthetic.emg import EmgSettings
from synthetic.emg import write_emg
from synthetic.reach import ReachSettings, write_reaches
from synthetic.walk import WalkSettings, write_walks

SCHEMAS = {verb: load(entry.config) for verb, entry in VERBS.items()}
READERS = [
    verb
    for verb, schema in SCHEMAS.items()
    if "rollouts" in {field.name for field in fields(schema)} and verb != "convert"  # it reads no contract
]
SEEDED = [verb for verb, schema in SCHEMAS.items() if "seed" in {field.name for field in fields(schema)}]
Refuses = Callable[..., str]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reaches with recordings, a walk, and files with one fault each."""
    folder = tmp_path_factory.mktemp("lab")
    truth = write_reaches(folder / "reach.h5", ReachSettings(n_trials=6, n_units=8, seed=1))
    write_emg(folder, truth.activation, {"biceps": "biceps_long"}, EmgSettings(lead_s=0.1, tail_s=0.05))
    write_reaches(folder / "one.h5", ReachSettings(n_trials=1, n_units=2, seed=1))
    write_walks(folder / "walk.h5", WalkSettings(n_clips=3, duration_s=2.0, seed=2))
    (folder / "text.h5").write_text("no HDF5")
    (folder / "empty.h5").write_bytes(b"")
    (folder / "other_trials.csv").write_text("trial,start,end\n" + "".join(f"x{i},30,90\n" for i in range(6)))
    for name, kind, version in (("major.h5", "mimic.rollouts", "2.0"), ("kind.h5", "mimic.offsets", "1.0")):
        (folder / name).write_bytes((folder / "reach.h5").read_bytes())
        with h5py.File(folder / name, "r+") as file:
            file.attrs["schema_name"], file.attrs["schema_version"] = kind, version
    return folder


def emg_of(lab: Path, trials: str = "trials.csv") -> list[str]:
    return [f"emg={{biceps:{lab}/emg_biceps.csv}}", f"trials={lab}/{trials}"]


EVERY_WAY = ("pca", "comparison", "synergies", "report")
"""A verb for each way of taking rollouts: of one condition, of all, if they are given, for a report."""


@pytest.mark.parametrize("verb", READERS)
def test_rollouts_that_cannot_be_read(verb: str, lab: Path, tmp_path: Path, refuses: Refuses) -> None:
    given = [*(emg_of(lab) if verb == "emg" else []), f"out={tmp_path}"]
    assert "rollouts is not set" in refuses(verb, *given)
    files = (
        (f"{lab}/kind.h5", "mimic.offsets", "mimic.rollouts"),
        ("absent.h5", "no such file"), ("'absent*.h5'", "no file matches"), (f"{lab}/text.h5", "HDF5"),
        (f"{lab}/empty.h5", "is empty"), (f"{lab}/major.h5", "2.0", "1."),
    )  # fmt: skip
    for rollouts, *fragments in files if verb in EVERY_WAY else files[:1]:
        message = refuses(verb, f"rollouts={rollouts}", *given)
        assert all(fragment in message for fragment in fragments), message


@pytest.mark.parametrize("verb", SCHEMAS)
def test_settings_that_do_not_exist(verb: str, refuses: Refuses) -> None:
    assert "unknown setting 'nonsense'" in refuses(verb, "nonsense=1")
    assert "settings are given as name=value" in refuses(verb, "nonsense") or verb == "check"


@pytest.mark.parametrize("verb", SEEDED)
def test_settings_of_a_wrong_type(verb: str, refuses: Refuses) -> None:
    assert "many" in refuses(verb, "seed=many")


DAMAGE = {
    "emg": "act", "pca": "latent_mean", "forecast": "qpos", "similarity": "latent_mean", "synergies": "act",
    "spectra": "action", "report": "ctrl",
}  # fmt: skip


@pytest.mark.parametrize(("verb", "dataset"), DAMAGE.items())
def test_missing_numbers_are_refused_and_named(
    verb: str, dataset: str, lab: Path, tmp_path: Path, refuses: Refuses
) -> None:
    damaged = tmp_path / "damaged.h5"
    damaged.write_bytes((lab / "reach.h5").read_bytes())
    with h5py.File(damaged, "r+") as file:
        values: Any = file[dataset]
        values[2, 10] = float("nan")
    given = {"emg": emg_of(lab), "pca": ["layers=[latent_mean]"], "similarity": ["layers=[latent_mean]"]}
    message = refuses(verb, f"rollouts={damaged}", *given.get(verb, []), f"out={tmp_path}/out")
    assert any(word in message for word in ("finite", "missing", "NaN")), message
    assert dataset in message or "intention: " in message, message


MISTAKES = {
    "muscle without an actuator": (
        "emg",
        ["emg={calf:LAB/emg_biceps.csv}", "trials=LAB/trials.csv"],
        "actuator 'calf'",
    ),
    "condition of synthetic EMG": ("emg", ["emg=synthetic:absent"], "unknown condition 'absent'"),
    "signal of muscles": ("emg", ["EMG", "signals=[force]"], "signals: unknown value 'force'"),
    "signal of spectra": ("spectra", ["signal=torque"], "signal: unknown value 'torque'"),
    "setting of the chain": ("emg", ["EMG", "chain.bands_hz=[1,2]"], "did you mean 'chain.band_hz'"),
    "layer": ("pca", ["layers=[decoder/layer_9]"], "unknown layer 'decoder/layer_9'"),
    "joint that colours": ("pca", ["layers=[latent_mean]", "resamples=0", "colour_by=elbo"], "unknown channel 'elbo'"),
    "muscle to forecast": ("forecast", ["targets=[bicep]"], "unknown actuator 'bicep'"),
    "joint to forecast from": ("forecast", ["predictors=[wrist]"], "unknown channel 'wrist'"),
    "layer to compare": ("similarity", ["layers=[decoder/layer_9]"], "unknown layer 'decoder/layer_9'"),
    "muscle of synergies": ("synergies", ["actuators=[bicep]"], "unknown channel 'bicep'"),
    "actuator of spectra": ("spectra", ["actuators=[bicep]"], "unknown channel 'bicep'"),
    "region": ("errors", ["regions={wing:['wing*']}"], "matches none"),
    "foot": ("gait", ["WALK", "lead=hand_L"], "unknown foot 'hand_L'"),
    "focus": ("report", ["focus=absent"], "unknown condition 'absent'"),
    "condition of clips": ("report", ["clips={absent:LAB/reach.h5}"], "unknown condition 'absent'"),
    "study": ("report", ["studies={forcast:{E:[1]}}"], "did you mean 'forecast'"),
    "section": ("report", ["extras=[topologie]"], "did you mean 'topology'"),
    "setting of a study": ("report", ["studies={errors:{resample:100}}"], "did you mean 'resamples'"),
    "kind of settings of a study": ("report", ["studies={errors:3}"], "expected a map"),
    "rate without whole blocks": ("emg", ["EMG", "recording.rate_hz=31480"], "chain.samples=null"),
    "too few trials to forecast": ("forecast", ["rollouts=LAB/one.h5"], "fewer than three trials are in all series"),
    "unequal rates": ("emg", ["EMG", "resample=false"], "400 samples a second"),
    "rate of the recording": ("emg", ["EMG", "recording.rate_hz=800"], "sampled 800"),
    "frames of the trial table": ("emg", ["EMG", "recording.frame_rate_hz=20"], "outside the recorded"),
    "trials of EMG": ("emg", ["OTHER"], "share no trial"),
    "trials of the report's EMG": ("report", ["OTHER"], "share no trial"),
    "trials to forecast": ("forecast", ["OTHER", "targets=[biceps]"], "share no trial"),
    "trials to compare": ("similarity", ["OTHER", "layers=[latent_mean]"], "share no trial"),
    "rate of forecasts": ("forecast", ["rate_hz=-5"], "rate_hz: "),
    "band above half the rate": ("spectra", ["high_hz=1000"], "nothing above 200 Hz"),
    "empty band": ("spectra", ["low_hz=100", "high_hz=100"], "is empty"),
    "band upside down": ("spectra", ["low_hz=150", "high_hz=100"], "is empty"),
    "band below a trial": ("spectra", ["low_hz=1"], "less than two periods"),
    "empty band of the EMG": ("emg", ["EMG", "chain.band_hz=[1000,20]"], "band"),
    "one edge of a band": ("emg", ["EMG", "chain.band_hz=[20]"], "two edges"),
    "one edge of a window": ("emg", ["emg=synthetic", "chain.window_s=[0.3]"], "two edges"),
    "band of the report": ("report", ["studies={spectra:{low_hz:100,high_hz:100}}"], "is empty"),
    "rate of the report": ("report", ["EMG", "studies={emg:{resample:false}}"], "400 samples a second"),
    "trials without table": ("report", ["emg={biceps:LAB/emg_biceps.csv}"], "trials is not set"),
    "level of survival": ("survival", ["level=2"], "level: "),
    "no contacts": ("gait", [], "no contacts are stored"),
    "cycles of no such length": ("gait", ["WALK", "cycle_s=[5,9]"], "no cycle of 5 to 9 s"),
    "window of even length": ("pca", ["window_frames=30"], "odd number"),
    "too few permutations": ("forecast", ["permutations=5"], "at least 19"),
    "lags longer than trials": (
        "forecast",
        ["E=[30]", "tau=[-5]", "permutations=0", "surrogates=0"],
        "no state is left",
    ),
    "pattern of no clip": ("pca", ["clip_pattern='mouse(.)'"], "finds nothing in"),
    "no candidates": ("forecast", ["E=[]"], "at least one value"),
    "two files": ("pca", ["rollouts=[LAB/reach.h5,LAB/walk.h5]"], "takes one file, got 2"),
    "runs of the report": ("report", ["runs='LAB/none/*'"], "no folder of a run"),
    "clips that are none": ("report", ["clips=LAB/reach.h5"], "mimic.reference_clips"),
}


@pytest.mark.parametrize(("verb", "arguments", "fragment"), MISTAKES.values(), ids=list(MISTAKES))
def test_names_settings_and_data_that_do_not_fit(
    verb: str, arguments: list[str], fragment: str, lab: Path, tmp_path: Path, refuses: Refuses
) -> None:
    assert fragment in refuses(verb, *_filled(arguments, lab), f"out={tmp_path}/some/where")
    assert not (tmp_path / "some").exists(), "a refused command leaves no folder"


@pytest.mark.parametrize("verb", ["survival", "report"])
def test_a_folder_that_cannot_be_written(verb: str, lab: Path, refuses: Refuses) -> None:
    assert "written" in refuses(verb, f"rollouts={lab}/reach.h5", f"out={lab}/text.h5/sub")


def _filled(arguments: list[str], lab: Path) -> list[str]:
    """Arguments with the files they speak of; reaches, unless they name rollouts."""
    out: list[str] = []
    for argument in arguments:
        if argument == "EMG":
            out += emg_of(lab)
        elif argument == "OTHER":
            out += emg_of(lab, "other_trials.csv")
        elif argument == "WALK":
            out.append(f"rollouts={lab}/walk.h5")
        else:
            out.append(argument.replace("LAB", str(lab)))
    named = any(argument.startswith("rollouts=") for argument in out)
    return out if named else [f"rollouts={lab}/reach.h5", *out]
