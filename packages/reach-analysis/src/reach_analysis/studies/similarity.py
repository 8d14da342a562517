"""How alike intention, layers, muscles, joints and EMG are: CKA and RSA beside nulls of exchanged trials."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from reach_analysis._common.figures import layer_label
from reach_analysis._common.progress import Stage, silent
from reach_analysis.behaviour.muscles import kind_of_actuators
from reach_analysis.config import SimilarityConfig
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.data.series import TrialSeries, over_steps, resample
from reach_analysis.figures.representation import similarity_matrices
from reach_analysis.representation.similarity import (
    Similarity,
    cka_of_axes,
    common_window,
    exchanges,
    main_axes,
    rsa_of_distances,
    trial_distances,
)
from reach_analysis.studies.emg import load_emg, recordings_of
from reach_analysis.studies.study import Shown, Study

JOINTS, EMG = "joints", "EMG"


def study(rollouts: Rollouts, config: SimilarityConfig, stage: Stage = silent) -> Study:
    """Compare every pair of representations.

    Raises:
        UserError: when a representation is not there, or too few trials are shared.
    """
    series, inputs, notes = _representations(rollouts, config)
    names = list(series)
    stacks = dict(zip(names, common_window(list(series.values())), strict=True))
    first = next(iter(stacks.values()))
    orders = exchanges(len(first), config.draws, config.seed)
    pairs = [(one, two) for number, one in enumerate(names) for two in names[number + 1 :]]
    tick = stage("pairs", len(pairs))
    found: list[Similarity] = []
    axes = {name: main_axes(stack, name) for name, stack in stacks.items()}
    distances = {name: trial_distances(stack, name) for name, stack in stacks.items()}
    for pair in pairs:
        one, two = pair
        found.append(cka_of_axes(axes[one], axes[two], orders, pair))
        found.append(rsa_of_distances(distances[one], distances[two], orders, pair, first.shape[1]))
        tick(1)
    rows = [asdict(entry) for entry in found]
    caption = (
        f"Similarity of representations. Left: linear CKA over all samples; middle: its excess over the mean of "
        f"{config.draws} exchanges of whole trials (what is common to all trials taken away); right: RSA, the rank "
        f"correlation of distances between trials. Dots: p <= 0.05 under exchange of trials, not corrected for "
        f"{len(pairs)} pairs. n = {len(first)} trials, {first.shape[0] * first.shape[1]} samples."
    )
    return Study(
        name="similarity",
        title="Similarity of intention, layers, muscles and joints",
        results=rows,
        inputs=(rollouts.path, *inputs),
        tables={"similarity": rows},
        figures=(Shown("similarity", similarity_matrices(names, found), caption),),
        notes=tuple(notes),
    )


def _representations(
    rollouts: Rollouts, config: SimilarityConfig
) -> tuple[dict[str, TrialSeries], list[Path], list[str]]:
    """Everything at one rate, by the name it is shown under."""
    series: dict[str, TrialSeries] = {}
    for name in config.layers or ["latent_mean", *rollouts.layers]:
        series[layer_label(name)] = rollouts.representation(name)
    if rollouts.has("act"):
        activation = over_steps(rollouts.series("act"))
        rows, _ = activation.rows()
        active = [c for c, column in zip(activation.channels, rows.T, strict=True) if column.std() > 0]
        if active:
            series[kind_of_actuators(rollouts)] = activation.select(active)
    series[JOINTS] = over_steps(rollouts.series("qpos"))
    if not config.emg:
        return series, [], []
    emg, inputs, notes = load_emg({"rollouts": rollouts}, recordings_of(config))
    series = {name: resample(one, emg.envelope.rate_hz) for name, one in series.items()}
    series[EMG] = replace(emg.envelope, name=EMG)
    return series, inputs, notes
