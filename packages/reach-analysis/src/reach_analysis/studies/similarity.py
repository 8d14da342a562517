"""Similarity of intention, layers, muscles, joints and EMG: CKA and RSA with nulls of exchanged trials."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from reach_analysis._common.errors import DataError, shorten
from reach_analysis._common.progress import Stage, silent
from reach_analysis.behaviour.muscles import ACTUATORS, MUSCLES, kind_of_actuators
from reach_analysis.config import SimilarityConfig
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.data.series import TrialSeries, over_steps, resample
from reach_analysis.figures import layer_label
from reach_analysis.figures.representation import similarity_matrices
from reach_analysis.representation.similarity import (
    Similarity,
    cka,
    common_window,
    exchanges,
    main_axes,
    rsa,
    trial_distances,
)
from reach_analysis.studies.recordings import load_emg, recordings_of
from reach_analysis.studies.section import Column, Section, table
from reach_analysis.studies.study import Study, StudyFigure, each, left_out_notes, lost_notes

TITLE = "Representation: similarity"
QUESTION = (
    "Which layers carry the same information as the {actuators} and the joints? Trials of one task are similar "
    "anyway; the exchange of trials shows how much of a similarity that explains."
)


JOINTS, EMG = "joints", "EMG"


def run(rollouts: Rollouts, config: SimilarityConfig, stage: Stage = silent) -> Study:
    """Compare every pair of representations."""
    series, inputs, notes = _representations(rollouts, config)
    flaws = {name: one.flaw for name, one in series.items()}
    if lost := [name for name in map(layer_label, config.layers) if flaws[name] == "Not finite"]:
        raise DataError(f"{rollouts.path}: {shorten(lost)}: holds values that are not finite")
    series = {name: one for name, one in series.items() if not flaws[name]}
    shared = common_window(list(series.values()))
    stacks = dict(zip(series, shared.stacks, strict=True))
    flaws |= {name: "The same in every trial" for name, stack in stacks.items() if not np.ptp(stack, axis=0).any()}
    notes += [*lost_notes(rollouts, shared.trials), *left_out_notes(flaws)]
    stacks = {name: stack for name, stack in stacks.items() if not flaws[name]}
    names = list(stacks)
    first = next(iter(stacks.values()))
    orders = exchanges(len(first), config.draws, config.seed, rollouts.levels.strata(shared.trials))
    pairs = list(combinations(names, 2))
    result: list[Similarity] = []
    axes = {name: main_axes(stack, name) for name, stack in stacks.items()}
    distances = {name: trial_distances(stack, name) for name, stack in stacks.items()}
    for pair in each(stage, "pairs", pairs):
        one, two = pair
        result.append(cka(axes[one], axes[two], orders, pair))
        result.append(rsa(distances[one], distances[two], orders, pair, first.shape[1]))
    rows = [asdict(entry) for entry in result]
    caption = (
        f"Similarity of representations. Left: linear CKA over all samples; middle: its excess over the mean of "
        f"{config.draws} exchanges of {rollouts.levels.exchanged} (what is common to all trials taken away); right: "
        f"RSA, the rank correlation of distances between trials. Dots: p <= 0.05 under these exchanges, not "
        f"corrected for {len(pairs)} pairs. n = {rollouts.levels.counted(shared.trials)}, "
        f"{first.shape[0] * first.shape[1]} samples."
    )
    return Study(
        name="similarity",
        results=rows,
        inputs=(rollouts.path, *inputs),
        tables={"similarity": rows},
        figures=(StudyFigure("similarity", similarity_matrices(names, result), caption),),
        notes=tuple(notes),
    )


def _representations(
    rollouts: Rollouts, config: SimilarityConfig
) -> tuple[dict[str, TrialSeries], list[Path], list[str]]:
    """Everything at one rate, by the name it is shown under."""
    series: dict[str, TrialSeries] = {}
    notes: list[str] = []
    for name in config.layers or ["latent_mean", *rollouts.layers]:
        series[layer_label(name)] = rollouts.representation(name)
    if rollouts.has("act"):
        activation, lacking = over_steps(rollouts.series("act")).known()
        if lacking:
            notes.append(f"Activation is missing, so these were left out: {', '.join(lacking)}.")
        rows, _ = activation.rows()
        active = [c for c, column in zip(activation.channels, rows.T, strict=True) if column.std() > 0]
        if active:
            series[kind_of_actuators(rollouts)] = activation.select(active)
    series[JOINTS], lacking = over_steps(rollouts.series("qpos")).known()
    if lacking:
        notes.append(f"Values are missing, so these joints were left out: {', '.join(lacking)}.")
    if not config.emg:
        return series, [], notes
    emg, inputs, said = load_emg({"rollouts": rollouts}, recordings_of(config))
    series = {name: resample(one, emg.envelope.rate_hz) for name, one in series.items()}
    series[EMG] = replace(emg.envelope, name=EMG)
    return series, inputs, [*notes, *said]


def section(study: Study) -> Section:
    """CKA and RSA of each representation with muscles (or other actuators), joints and EMG, in one row."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for row in study.results:
        if row["second"] in (MUSCLES, ACTUATORS, JOINTS, EMG):
            pair = rows.setdefault((row["first"], row["second"]), {"first": row["first"], "second": row["second"]})
            kind = row["measure"].lower()
            pair |= {f"{kind}_{key}": row[key] for key in ("value", "null_mean", "null_high", "p")}
    columns = (
        Column("between", "first"), Column("and", "second"), Column("CKA", "cka_value"),
        Column("null, mean", "cka_null_mean"), Column("null, 95 %", "cka_null_high"), Column("p", "cka_p", p=True),
        Column("RSA", "rsa_value"), Column("null, mean", "rsa_null_mean"), Column("null, 95 %", "rsa_null_high"),
        Column("p", "rsa_p", p=True),
    )  # fmt: skip
    title = (
        "Similarity with muscles or other actuators, joints and EMG, with exchanged trials, p not corrected for the "
        "number of pairs; the CSV has all pairs"
    )
    return Section((table(title, columns, list(rows.values())),))
