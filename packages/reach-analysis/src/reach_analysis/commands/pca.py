"""`reach-analysis pca`: principal components of the intention and of every layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reach_analysis.config import PcaConfig

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from reach_analysis.progress import Stage
    from reach_analysis.representation.pca import LayerPca
    from reach_analysis.rollouts import Rollouts


def run(config: PcaConfig) -> int:
    """Write ``pca.json``, ``pca.csv``, ``pca_scores.csv`` and the figures ``pca_variance`` and ``pca_trajectories``."""
    from reach_analysis.files import output_folder
    from reach_analysis.inputs import one_rollout
    from reach_analysis.outputs import save_result
    from reach_analysis.progress import reporting

    rollouts = one_rollout(config.rollouts, config.clip_pattern, config.rollouts_seed)
    with reporting() as (_, stage):
        layers, drawn = analyse(rollouts, config, stage)
        out = output_folder(config.out, "reach_results/pca")
        rows = table(layers, drawn)
        _write(out, rollouts, config, layers, rows)
        save_result(out, "pca", config, [rollouts.path], rows)
    return 0


def analyse(rollouts: Rollouts, config: PcaConfig, stage: Stage) -> tuple[list[LayerPca], list[np.ndarray]]:
    """Components of every layer asked for, and explained variances of bootstrapped trials."""
    from reach_analysis.forecasting.folds import trial_folds
    from reach_analysis.representation.pca import bootstrap_explained, delay_windows, layer_pca

    names = config.layers or ["latent_mean", *(f"activations/{name}" for name in rollouts.layers)]
    folds = trial_folds(rollouts.trials, min(config.folds, len(rollouts.trials)), config.seed)
    layers, drawn = [], []
    tick = stage("layers", len(names))
    for name in names:
        path = name if name.startswith(("latent", "activations/")) else f"activations/{name}"
        series = rollouts.layer(path.removeprefix("activations/")) if "/" in path else rollouts.series(path)
        fold = folds
        if config.window_frames > 1:
            windows = delay_windows(series, config.window_frames)
            fold = folds[[series.trials.index(trial) for trial in windows.trials]]
            series = windows
        layers.append(layer_pca(series, config.components, fold))
        drawn.append(bootstrap_explained(series, config.components, config.resamples, config.seed))
        tick(1)
    return layers, drawn


def table(layers: list[LayerPca], drawn: list[np.ndarray]) -> list[dict[str, object]]:
    """One row a layer: sizes, explained and held-out variance with intervals over trials, effective dimensions."""
    import numpy as np

    rows = []
    for layer, resampled in zip(layers, drawn, strict=True):
        row: dict[str, object] = {
            "layer": layer.name,
            "trials": layer.n_trials,
            "samples": layer.n_samples,
            "units": layer.n_units,
        }
        for number, fraction in enumerate(layer.explained):
            row[f"explained_pc{number + 1}"] = float(fraction)
        row["explained"] = float(layer.explained.sum())
        if len(resampled):
            low, high = np.percentile(resampled.sum(axis=1), [2.5, 97.5])
            row |= {"explained_low": float(low), "explained_high": float(high)}
        row["held_out"] = float(layer.held_out[-1])
        row["participation_ratio"] = layer.participation_ratio
        rows.append(row)
    return rows


def _write(out: Path, rollouts: Rollouts, config: PcaConfig, layers: list[LayerPca], rows: list[dict]) -> None:
    from reach_analysis.figures.representation import trajectories, variance_by_layer
    from reach_analysis.figures.style import save
    from reach_analysis.files import write_table
    from reach_analysis.representation.pca import colour_values

    positions = rollouts.series("qpos")
    joint = config.colour_by or positions.channels[-1]
    colours = [colour_values(positions, joint, layer.scores) for layer in layers]
    write_table(out / "pca.csv", rows)
    scores = [
        {"layer": layer.name, "trial": trial, "time_s": float(time), joint: float(shade)}
        | dict(zip(layer.scores.channels, map(float, point), strict=True))
        for layer, shades in zip(layers, colours, strict=True)
        for number, trial in enumerate(layer.scores.trials)
        for time, point, shade in zip(
            layer.scores.times(number), layer.scores.values[number], shades[number], strict=True
        )
    ]
    write_table(out / "pca_scores.csv", scores)
    save(variance_by_layer(layers), out, "pca_variance")
    units = dict(zip(positions.channels, rollouts.column_units("qpos"), strict=True))
    save(trajectories(layers, colours, f"{joint} ({units[joint]})"), out, "pca_trajectories")
