"""Which numbers of a study its section shows as tables; all of them stand in the JSON and the CSV files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reach_analysis._common.figures import layer_label
from reach_analysis.behaviour.muscles import ACTUATORS, MUSCLES
from reach_analysis.report.numbers import Column, Table, table
from reach_analysis.studies.similarity import EMG, JOINTS
from reach_analysis.studies.study import Study

Rows = Sequence[Mapping[str, Any]]
OUTSIDE = (MUSCLES, ACTUATORS, JOINTS, EMG)
"""What layers are held against."""


def tables_of(study: Study) -> list[Table]:
    """The tables of a section; empty ones are left out."""
    made = [table(title, columns, rows(study)) for title, rows, columns in _VIEWS.get(study.name, ())]
    return [one for one in made if one.rows and one.headings]


def _all(study: Study) -> Rows:
    return study.results


def _of(key: str) -> Callable[[Study], Rows]:
    return lambda study: study.results[key]


def _regions(study: Study) -> Rows:
    """Regions and all of them together, which a single region already is."""
    rows = [row for row in study.results if row["level"] == "region"]
    kinds = [(row["error"], row["unit"]) for row in rows]
    return [row for row, kind in zip(rows, kinds, strict=True) if row["name"] != "total" or kinds.count(kind) != 2]


def _all_actuators(study: Study) -> Rows:
    return [row for row in study.results["rows"] if row["actuator"] == "all actuators"]


def _survival(study: Study) -> Rows:
    return [
        {"condition": row["condition"], "episodes": row["episodes"], "ended": row["ended"], "time": float(time)} | at
        for row in study.results
        for time, at in row["at_s"].items()
        if float(time) <= row["last_seen_s"]
    ]


def _layers(study: Study) -> Rows:
    return [row | {"name": layer_label(row["layer"])} for row in study.results]


def _shapes(study: Study) -> Rows:
    return [
        row | {"name": layer_label(row["layer"]), "is_beyond": "yes" if row.get("beyond") else "no"}
        for row in study.results
    ]


def _alike(study: Study) -> Rows:
    """Every representation beside muscles (or other actuators), joints and EMG: CKA and RSA in one row."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for row in study.results:
        if row["second"] in OUTSIDE:
            own = rows.setdefault((row["first"], row["second"]), {"first": row["first"], "second": row["second"]})
            kind = row["measure"].lower()
            own |= {f"{kind}_{key}": row[key] for key in ("value", "null_mean", "null_high", "p")}
    return list(rows.values())


def _scores(study: Study) -> Rows:
    return [
        {**row, "ceiling": pearson.get("ceiling"), "pearson": pearson.get("value")}
        for row in study.tables["forecast_scores"]
        if row["measure"] == "spearman"
        for pearson in [_pearson(study, row["question"])]
    ]


def _pearson(study: Study, question: str) -> Mapping[str, Any]:
    rows = study.tables["forecast_scores"]
    return next((row for row in rows if row["question"] == question and row["measure"] == "pearson"), {})


def _nonlinear(study: Study) -> Rows:
    rows = []
    for found in study.results["nonlinearity"]:
        best = max(range(len(found["thetas"])), key=lambda i: -float(found["rmse"][i]))
        rows.append({
            "question": found["question"], "theta": float(found["thetas"][best]), "rmse": float(found["rmse"][best]),
            "linear": float(found["rmse"][0]), "gain": found["gain"], "p": found["p"],
            "predictions": found["predictions"],
        })  # fmt: skip
    return rows


def _levels(study: Study) -> Rows:
    parameter = study.results["parameter"]
    return [row | {"swept": float(row[parameter])} for row in study.results["levels"]]


def _interval(heading: str, key: str, stem: str | None = None, scale: float = 1.0) -> Column:
    """A column whose interval is named after its value."""
    stem = key if stem is None else stem
    joint = f"{stem}_" if stem else ""
    return Column(heading, key, f"{joint}low", f"{joint}high", scale)


_VIEWS: dict[str, tuple[tuple[str, Callable[[Study], Rows], tuple[Column, ...]], ...]] = {
    "errors": ((
        "Distances by region: mean of trial means with its interval, and quantiles over all frames", _regions,
        (Column("what", "error"), Column("region", "name"), Column("unit", "unit"), _interval("mean [95 %]", "mean"),
         Column("median", "median"), Column("95 % below", "q95"), Column("largest", "largest"),
         Column("trials", "trials"), Column("values", "samples")),
    ),),
    "survival": ((
        "Fraction of episodes not ended", _survival,
        (Column("controller", "condition"), Column("time, s", "time"),
         Column("not ended, % [95 %]", "survival", "low", "high", 100.0), Column("episodes", "episodes"),
         Column("ended early", "ended")),
    ),),
    "comparison": ((
        "Paired differences, second less first", _all,
        (Column("quantity", "quantity"), Column("first", "first"), _interval("mean [95 %]", "first_mean", "first"),
         Column("second", "second"), _interval("mean [95 %]", "second_mean", "second"),
         _interval("difference [95 %]", "difference", ""), Column("p", "p", p=True),
         Column("p, Holm", "p_holm", p=True),
         Column("trials", "trials")),
    ),),
    "emg": (
        ("Agreement with EMG; errors in units of the EMG's 98th percentile, correlation over time within trials",
         _of("fits"),
         (Column("controller", "condition"), Column("muscle", "muscle"), Column("signal", "signal"),
          _interval("MAE [95 %]", "mae"), _interval("RMSE [95 %]", "rmse"), _interval("r [95 %]", "correlation"),
          Column("lag, ms", "lag_s", scale=1e3), Column("onset, ms", "onset_s", "onset_s_low", "onset_s_high", 1e3),
          Column("trials", "trials"))),
        ("Paired differences between controllers, first less second", _of("differences"),
         (Column("muscle", "muscle"), Column("signal", "signal"), Column("first", "first"), Column("second", "second"),
          _interval("MAE [95 %]", "mae_difference", "mae"), Column("p", "mae_p", p=True),
          _interval("r [95 %]", "correlation_difference", "correlation"), Column("p", "correlation_p", p=True),
          Column("trials", "trials"))),
    ),
    "spectra": (
        ("Power of the actions within the band (mean square, all actuators; actions have no unit)", _all_actuators,
         (Column("controller", "condition"), _interval("power [95 %]", "power"),
          Column("share of variance, %", "fraction_of_variance", scale=100.0), Column("trials", "trials"))),
        ("Paired differences, first less second", _of("differences"),
         (Column("first", "first"), Column("second", "second"), _interval("difference [95 %]", "difference", ""),
          Column("p", "p", p=True), Column("trials", "trials"))),
    ),
    "pca": ((
        "Variance along the first components, %", _layers,
        (Column("layer", "name"), Column("units", "units"),
         *(_interval(f"PC {n} [95 %]", f"explained_pc{n}", scale=100.0) for n in (1, 2, 3)),
         _interval("together [95 %]", "explained", scale=100.0), Column("trials left out", "held_out", scale=100.0),
         Column("participation ratio", "participation_ratio"), Column("trials", "trials")),
    ),),
    "similarity": ((
        "Similarity with muscles or other actuators, joints and EMG, beside exchanged trials; all pairs are in the CSV",
        _alike,
        (Column("between", "first"), Column("and", "second"), Column("CKA", "cka_value"),
         Column("null, mean", "cka_null_mean"), Column("null, 95 %", "cka_null_high"), Column("p", "cka_p", p=True),
         Column("RSA", "rsa_value"), Column("null, mean", "rsa_null_mean"), Column("null, 95 %", "rsa_null_high"),
         Column("p", "rsa_p", p=True)),
    ),),
    "synergies": ((
        "Left-out activation that is predicted", _of("ranks"),
        (Column("synergies", "synergies"), Column("predicted, %", "held_out", scale=100.0),
         Column("standard error", "standard_error", scale=100.0)),
    ),),
    "forecast": (
        ("Simplex projection: Spearman's ρ, and its median where there is nothing to find", _scores,
         (Column("question", "question"), _interval("ρ [95 %]", "value", ""),
          Column("trials exchanged", "trial_permutation_median"), Column("p", "trial_permutation_p", p=True),
          Column("phases random", "phase_randomised_median"), Column("p", "phase_randomised_p", p=True),
          Column("linear process", "linear_process_median"), Column("p", "linear_process_p", p=True),
          Column("filtered noise", "filtered_white_noise_median"), Column("p", "filtered_white_noise_p", p=True),
          Column("predictions", "predictions"))),
        ("The same beside simpler forecasts of the same samples, and what it shows", _scores,
         (Column("question", "question"), Column("ρ", "value"), Column("mean trial", "mean_trial"),
          Column("ridge", "ridge"), Column("persistence", "persistence"), Column("Pearson's r", "pearson"),
          Column("ceiling of r", "ceiling"), Column("trials", "trials"), Column("it is", "verdict"))),
        ("S-map: forecasts that are local in state space against one linear model (theta = 0)", _nonlinear,
         (Column("question", "question"), Column("best theta", "theta"), Column("RMSE there", "rmse"),
          Column("RMSE, linear", "linear"), Column("gain, %", "gain", scale=100.0), Column("p", "p", p=True),
          Column("predictions", "predictions"))),
    ),
    "coupling": ((
        "Cross maps at the largest library, beside trials exchanged", _all,
        (Column("history of", "history"), Column("finds", "finds"), _interval("r [95 % of libraries]", "skill", ""),
         Column("r, smallest library", "skill_smallest"), Column("null, median", "null_median"),
         Column("null, 95 %", "null_95"), Column("p", "p", p=True)),
    ),),
    "topology": ((
        "Longest lifetimes beside the nulls (in root mean square distances from the centre)", _shapes,
        (Column("layer", "name"), Column("features", "features"), Column("longest", "longest"), Column("next", "next"),
         Column("null", "null"), Column("null, median", "null_median"), Column("null, 95 %", "null_95"),
         Column("p", "p", p=True), Column("beyond", "is_beyond"), Column("trials", "trials")),
    ),),
    "forecast_replication": ((
        "Our choice and theirs, and what either scores when trials are exchanged", _all,
        (Column("question", "question"), Column("their choice", "departure"), Column("measure", "measure"),
         Column("ours", "ours"), Column("theirs", "public"), Column("ours, exchanged", "ours_null"),
         Column("theirs, exchanged", "public_null"), Column("n, ours", "ours_n"), Column("n, theirs", "public_n")),
    ),),
    "gait": (
        ("Feet", _of("feet"),
         (Column("foot", "foot"), _interval("duty factor [95 %]", "duty_factor", "duty"),
          Column("phase lag (cycles)", "phase_lag"), Column("agreement", "phase_agreement"),
          Column("touch-downs", "cycles_with_touch_down"), Column("own cycles", "own_cycles"))),
        ("Joints over the cycle", _of("joints"),
         (Column("joint", "joint"), Column("unit", "unit"), Column("range", "range_simulated"),
          Column("range followed", "range_reference"), Column("rms apart", "rms_of_means"),
          Column("cycles", "cycles"))),
    ),
    "sweep": ((
        "Means over seeds", _levels,
        (Column("value", "swept"), Column("runs", "runs"), _interval("reward [95 %]", "reward"),
         _interval("held-out reward [95 %]", "reward_held_out"),
         _interval("high-frequency power [95 %]", "high_frequency_power"),
         _interval("EMG error, biceps [95 %]", "emg_error_biceps"),
         _interval("EMG error, triceps [95 %]", "emg_error_triceps"),
         _interval("steps to 95 % [95 %]", "steps_to_fraction")),
    ),),
}  # fmt: skip
