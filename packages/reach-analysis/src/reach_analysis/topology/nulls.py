"""Null clouds: they keep some properties of the data and randomise the rest.

- `gaussian`: independent Gaussian samples of the same mean and covariance.
- `norms`: the same, each sample moved to the distance from the mean that the data's sample of the same rank has.
  Layer-normed activations are near a sphere, which has a void whatever they represent.
- `phase`: each trial's spectra and the relations between channels, with random phases: a linear stationary process. A
  ring of a linear oscillator is also in this null.
- `exchange`: each principal axis takes its course from another trial: the courses that trials share stay, what ties
  axes together within a trial is lost.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from reach_analysis._common.errors import ConfigError, unknown
from reach_analysis.representation.pca import components
from reach_analysis.statistics.permutation import exchangeable, permuted_rows, trial_permutations
from reach_analysis.statistics.surrogates import phase_randomised

KEEPS = {
    "gaussian": "mean and covariance",
    "norms": "mean, covariance and distances from the mean",
    "phase": "spectra of each trial and relations between channels",
    "exchange": "the course of each principal axis, trial by trial",
}

Cloud = Float[np.ndarray, "sample channel"]


def null_clouds(name: str, rows: Cloud, lengths: Int[np.ndarray, " trial"], draws: int, seed: int) -> Iterator[Cloud]:
    """Draw clouds under a null, one of `KEEPS`; `rows` holds the trials end to end."""
    if name not in KEEPS:
        raise ConfigError(f"nulls: {unknown('null', name, list(KEEPS))}")
    rng = np.random.default_rng([*name.encode(), seed])
    if name == "exchange":
        yield from _exchanged(rows, lengths, draws, rng)
        return
    for _ in range(draws):
        if name == "phase":
            yield phase_randomised(rows, lengths, rng)[0]
        else:
            drawn = _gaussian(rows, rng)
            yield _with_norms(drawn, rows) if name == "norms" else drawn


def _gaussian(rows: Cloud, rng: np.random.Generator) -> Cloud:
    """Samples of the same mean and covariance, whatever the rank."""
    model = components(rows)
    deviations = np.sqrt(model.variances)
    return model.mean + (rng.normal(size=(len(rows), len(deviations))) * deviations) @ model.axes


def _with_norms(drawn: Cloud, rows: Cloud) -> Cloud:
    """Move each drawn sample to the data's distance from the mean of the same rank."""
    centre = rows.mean(axis=0)
    away = drawn - centre
    norms, wanted = np.linalg.norm(away, axis=1), np.sort(np.linalg.norm(rows - centre, axis=1))
    rank = np.argsort(np.argsort(norms))
    return centre + away * (wanted[rank] / np.maximum(norms, 1e-300))[:, None]


def _exchanged(
    rows: Cloud, lengths: Int[np.ndarray, " trial"], draws: int, rng: np.random.Generator
) -> Iterator[Cloud]:
    model = components(rows)
    scores = (rows - model.mean) @ model.axes.T
    groups = exchangeable(np.zeros(len(rows)), lengths)
    for _ in range(draws):
        orders = trial_permutations(groups, scores.shape[1], int(rng.integers(1 << 31)))
        taken = permuted_rows(orders, lengths)
        yield model.mean + np.take_along_axis(scores, taken, axis=0) @ model.axes
