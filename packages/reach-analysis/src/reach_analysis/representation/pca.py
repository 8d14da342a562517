"""Principal components of latents and layers (paper A, section 2.7; paper B, section 4.7).

Samples of all trials are put end to end, (clips x time, units), their mean is taken away, and the components are
reshaped to clips x time x components afterwards. Explained variance says how compact a set of trials is; held-out
variance shows how well the components of some trials describe others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import linalg

from reach_analysis._common.errors import ConfigError, DataError
from reach_analysis.data.series import TrialSeries
from reach_analysis.statistics.estimates import LOGIT, Interval, groups_of, jackknifed

Samples = Float[np.ndarray, "sample channel"]


@dataclass(frozen=True)
class Components:
    """Principal components of a set of samples."""

    mean: Float[np.ndarray, " channel"]
    axes: Float[np.ndarray, "component channel"]
    """Orthonormal rows, the first along the largest variance; each has its largest entry positive."""
    variances: Float[np.ndarray, " component"]
    """Variance along each axis, largest first, of all there are."""

    @property
    def explained(self) -> Float[np.ndarray, " component"]:
        """Fraction of the variance along each axis."""
        return self.variances / self.variances.sum()

    @property
    def participation_ratio(self) -> float:
        """Effective number of dimensions: (sum of variances)^2 / sum of squared variances."""
        return float(self.variances.sum() ** 2 / (self.variances**2).sum())

    def scores(self, samples: Samples, count: int) -> Float[np.ndarray, "sample component"]:
        """Coordinates of samples along the first `count` axes."""
        return (samples - self.mean) @ self.axes[:count].T


def components(samples: Samples, name: str = "samples") -> Components:
    """Principal components of samples."""
    if len(samples) < 2:
        raise DataError(f"{name}: principal components need at least two samples, got {len(samples)}")
    if not np.isfinite(samples).all():
        raise DataError(f"{name}: {int((~np.isfinite(samples)).sum())} values are not finite")
    mean = samples.mean(axis=0)
    centred = samples - mean
    if len(samples) > samples.shape[1]:
        # the covariance is much smaller than the samples, and as exact for what is asked here
        variances, axes = np.linalg.eigh(centred.T @ centred / (len(samples) - 1))
        variances, axes = variances[::-1], axes[:, ::-1].T
    else:
        _, singular, axes = np.linalg.svd(centred, full_matrices=False)
        variances = singular**2 / (len(samples) - 1)
    variances = np.maximum(variances, 0.0)
    if not variances.sum() > 0:
        raise DataError(f"{name}: does not vary, so it has no principal components")
    largest = axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)]
    return Components(mean, axes * np.where(largest < 0, -1.0, 1.0)[:, None], variances)


@dataclass(frozen=True)
class LayerPca:
    """Principal components of one latent or layer over trials."""

    name: str
    n_trials: int
    n_samples: int
    n_units: int
    explained: Float[np.ndarray, " component"]
    """Fraction of the variance along each of the first components."""
    held_out: Float[np.ndarray, " component"]
    """Fraction of the variance of trials left out that the first 1, 2, ... components of the others account for
    together, over all folds."""
    participation_ratio: float
    """Effective number of dimensions."""
    scores: TrialSeries
    """Trials x time x components."""


def layer_pca(series: TrialSeries, count: int, folds: Int[np.ndarray, " trial"]) -> LayerPca:
    """Analyse one latent or layer, with at most `count` components; variance is held out by `folds`."""
    if count < 1:
        raise ConfigError(f"the number of components must be at least 1, got {count}")
    samples, owner = series.rows()
    result = components(samples, series.name)
    remaining = min(count, len(result.axes))
    names = [f"PC {number + 1}" for number in range(remaining)]
    return LayerPca(
        name=series.name,
        n_trials=len(series.trials),
        n_samples=len(samples),
        n_units=samples.shape[1],
        explained=result.explained[:remaining],
        held_out=held_out_variance(samples, folds[owner], remaining, series.name),
        participation_ratio=result.participation_ratio,
        scores=series.split(result.scores(samples, remaining), names),
    )


def held_out_variance(
    samples: Samples, fold: Int[np.ndarray, " sample"], count: int, name: str = "samples"
) -> Float[np.ndarray, " component"]:
    """Variance of left-out folds that 1, 2, ... `count` components of the others account for, as a fraction.

    Mean and axes come from the other folds alone; variance is counted from their mean. Below 0: worse than that mean.
    """
    numbers = np.unique(fold)
    if len(numbers) < 2:
        raise ConfigError(f"{name}: held-out variance needs at least two folds of trials")
    centred = samples - samples.mean(axis=0)
    parts = [centred[fold == number] for number in numbers]
    sums, squares = np.stack([part.sum(axis=0) for part in parts]), np.stack([part.T @ part for part in parts])
    total, accounted = 0.0, np.zeros(count)
    for left_out, own_sum, own_square in zip(parts, sums, squares, strict=True):
        number = len(samples) - len(left_out)
        mean = (sums.sum(axis=0) - own_sum) / number
        scatter = squares.sum(axis=0) - own_square - number * np.outer(mean, mean)
        axes = leading_axes(scatter, count, name)
        rest = left_out - mean
        total += float((rest**2).sum())
        accounted[: axes.shape[1]] += ((rest @ axes) ** 2).sum(axis=0)
    return np.cumsum(accounted) / total


def leading_axes(scatter: Float[np.ndarray, "n n"], count: int, name: str) -> Float[np.ndarray, "n axis"]:
    """Axes of the largest scatter, largest first, as columns; at most `count`."""
    n = len(scatter)
    if not np.trace(scatter) > 0:
        raise DataError(f"{name}: does not vary, so it has no principal components")
    return linalg.eigh(scatter, subset_by_index=(max(0, n - count), n - 1))[1][:, ::-1]


def delay_windows(series: TrialSeries, frames: int) -> TrialSeries:
    """Each sample with its neighbours in time, `frames` in all, as one vector; no window crosses the border of a trial.

    Paper B, section 4.7.2: windows of 31 frames of a latent of 60 dimensions give 1860 dimensions. A window has the
    time of its middle sample; the first and last ``(frames - 1) / 2`` samples of a trial have none.
    """
    if frames < 1 or frames % 2 == 0:
        raise ConfigError(f"a window needs an odd number of frames, so that it has a middle; got {frames}")
    if max(series.lengths, default=0) < frames:
        raise DataError(f"{series.name}: no trial is as long as a window of {frames} frames")
    half = frames // 2
    offsets = range(-half, half + 1)
    long_enough = [name for name, length in zip(series.trials, series.lengths, strict=True) if length >= frames]
    remaining = series.take(long_enough)
    values = tuple(
        np.concatenate([rows[half + offset : len(rows) - half + offset] for offset in offsets], axis=1)
        for rows in remaining.values
    )
    return TrialSeries(
        name=f"{series.name}, windows of {frames} frames",
        unit=series.unit,
        rate_hz=series.rate_hz,
        trials=remaining.trials,
        channels=tuple(f"{channel} at {offset:+d}" for offset in offsets for channel in series.channels),
        values=values,
        start_s=remaining.start_s + half / series.rate_hz,
    )


def explained_intervals(
    series: TrialSeries, count: int, axes: int = 64, units: Int[np.ndarray, " trial"] | None = None
) -> list[Interval]:
    """Intervals over trials of the explained variance of each of the first `count` components, and of all together.

    They are for the variance that the components of very many trials explain; few trials seem to have fewer dimensions.
    Trials are left out in groups, those of one of the `units` together. Only the leading `axes` axes of all trials are
    looked at; variance outside them counts as variance that no component explains.
    """
    samples, owner = series.rows()
    everything = components(samples, series.name)
    scores = everything.scores(samples, axes)
    outside = ((samples - everything.mean) ** 2).sum(axis=1) - (scores**2).sum(axis=1)
    group = groups_of(len(series.trials), units)[owner]
    parts = [scores[group == number] for number in range(group.max() + 1)]
    sums, squares = np.stack([part.sum(axis=0) for part in parts]), np.stack([part.T @ part for part in parts])
    rest, sizes = np.bincount(group, weights=outside), np.bincount(group)

    def explained(weight: Float[np.ndarray, " group"]) -> Float[np.ndarray, " component"]:
        number = weight @ sizes
        mean = weight @ sums / number
        variances = np.linalg.eigvalsh(np.tensordot(weight, squares, axes=1) / number - np.outer(mean, mean))[::-1]
        return np.append(variances[:count], variances[:count].sum()) / (variances.sum() + weight @ rest / number)

    value = explained(np.ones(len(parts)))
    without = np.array([explained(weight) for weight in 1.0 - np.eye(len(parts))])
    return [jackknifed(float(one), left, LOGIT, biased=True) for one, left in zip(value, without.T, strict=True)]


def colour_values(positions: TrialSeries, joint: str, scores: TrialSeries) -> Sequence[Float[np.ndarray, " time"]]:
    """Values of a joint, chosen by name, at the samples of the scores, for colouring a plot.

    Both must come from the same rollouts: joints are states, scores belong to the steps between them, so each score
    gets the joint at the state it acts on.
    """
    column = positions.select([joint]).take(scores.trials)
    values = []
    for rows, begin, score_rows, score_begin in zip(
        column.values, column.start_s, scores.values, scores.start_s, strict=True
    ):
        first = round((score_begin - begin) * scores.rate_hz)
        if first < 0 or first + len(score_rows) > len(rows):
            raise DataError(f"{positions.name}: {joint} does not cover the times of {scores.name}")
        values.append(rows[first : first + len(score_rows), 0])
    return values
