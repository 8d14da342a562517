"""Series that keep some properties of recorded trials and lose the rest.

All take samples of all trials end to end with the number of samples of each trial, and treat trials one by one. What a
surrogate keeps is what its null hypothesis allows the data to have:

- :func:`phase_randomised` keeps each trial's power spectrum (hence its autocorrelation) and mean, and relations between
  columns (Theiler et al. 1992; Prichard and Theiler 1994). It treats a trial as periodic, and it loses whatever is
  locked to the time of the trial.
- :func:`iterated_amplitude` keeps the distribution of values as well, exactly, and the spectrum nearly (Schreiber and
  Schmitz 1996).
- :func:`linear_process` draws from an autoregression fitted to all trials. It keeps short-range autocorrelation without
  treating trials as periodic, which matters where a series is forecast from its own past.
- :func:`shuffled` keeps values only. Any series with autocorrelation beats it, so it tests nothing; it is here to
  reproduce analyses that used it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int
from scipy.signal import lfilter

from reach_analysis._common.errors import DataError

FORGOTTEN = 1e-2
"""How much of its start an autoregression may remember when its trial begins."""
AMPLITUDE_STEPS = 50
"""Iterations of IAAFT; more change nothing that matters for a null."""
LARGEST_ROOT = 0.995
"""Largest root an autoregression may have; larger ones would not come to rest."""

Samples = Float[np.ndarray, "sample column"]
Surrogates = Float[np.ndarray, "draws sample column"]
Lengths = Int[np.ndarray, " trial"]


def phase_randomised(samples: Samples, lengths: Lengths, rng: np.random.Generator, draws: int = 1) -> Surrogates:
    """Give every frequency of every trial a random phase, the same for all columns."""
    out = np.empty((draws, *samples.shape))
    for rows in _equal_trials(lengths):
        spectrum = np.fft.rfft(samples[rows], axis=1)
        out[:, rows] = np.fft.irfft(spectrum * _phases(rng, draws, *rows.shape), n=rows.shape[1], axis=2)
    return out


def iterated_amplitude(samples: Samples, lengths: Lengths, rng: np.random.Generator, draws: int = 1) -> Surrogates:
    """Phase-randomise while keeping each trial's values (IAAFT); columns of a trial become independent."""
    out = np.empty((draws, *samples.shape))
    for rows in _equal_trials(lengths):
        ordered = np.sort(samples[rows], axis=1)
        power = np.abs(np.fft.rfft(samples[rows], axis=1))
        surrogate = rng.permuted(np.tile(samples[rows], (draws, 1, 1, 1)), axis=2)
        for _ in range(AMPLITUDE_STEPS):
            spectrum = np.fft.rfft(surrogate, axis=2)
            size = np.abs(spectrum)
            spectrum = np.where(size > 0, spectrum / np.where(size > 0, size, 1.0), 1.0) * power
            smooth = np.fft.irfft(spectrum, n=rows.shape[1], axis=2)
            np.put_along_axis(surrogate, np.argsort(smooth, axis=2), ordered[None], axis=2)
        out[:, rows] = surrogate
    return out


def linear_process(
    values: Float[np.ndarray, " sample"], lengths: Lengths, rng: np.random.Generator, draws: int
) -> Float[np.ndarray, "sample draws"]:
    """Simulate trials from one autoregression around one mean, with innovations drawn from its residuals.

    The order, up to a quarter of the shortest trial and 10, is the one of least BIC. Each trial starts from the
    stationary state.
    """
    centre = values.mean()
    coefficients, residuals = _autoregression(values - centre, lengths)
    longest = int(lengths.max())
    inside = np.arange(longest) < lengths[:, None]
    burn_in = 10 + int(np.log(FORGOTTEN) / np.log(np.clip(_largest_root(coefficients), 1e-9, LARGEST_ROOT)))
    innovations = rng.choice(residuals, size=(draws, len(lengths), burn_in + longest))
    series = np.asarray(lfilter([1.0], np.r_[1.0, -coefficients], innovations, axis=2))[:, :, burn_in:]
    return centre + series[:, inside].T


def _autoregression(
    values: Float[np.ndarray, " sample"], lengths: Lengths
) -> tuple[Float[np.ndarray, " order"], Float[np.ndarray, " residual"]]:
    """Coefficients and residuals of an autoregression fitted within trials by least squares; made stable if need be."""
    most = min(10, int(lengths.min()) // 4)
    time = np.arange(len(values)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    rows = np.flatnonzero(time >= most)
    if len(rows) < 3 * (most + 1) or np.ptp(values) == 0:
        raise DataError("trials are too short, or do not vary, for an autoregression to be fitted")

    def fit(order: int) -> tuple[np.ndarray, np.ndarray]:
        past = values[rows[:, None] - np.arange(1, order + 1)]
        solution = np.linalg.lstsq(past, values[rows], rcond=None)[0] if order else np.zeros(0)
        return solution, values[rows] - past @ solution

    def criterion(order: int) -> float:
        return len(rows) * np.log(np.maximum(fit(order)[1].var(), 1e-300)) + order * np.log(len(rows))

    coefficients, residuals = fit(min(range(most + 1), key=criterion))
    largest = _largest_root(coefficients)
    if largest > LARGEST_ROOT:
        coefficients = coefficients * (LARGEST_ROOT / largest) ** np.arange(1, len(coefficients) + 1)
    return coefficients, residuals - residuals.mean()


def _largest_root(coefficients: Float[np.ndarray, " order"]) -> float:
    return float(np.abs(np.roots(np.r_[1.0, -coefficients])).max(initial=0.0))


def shuffled(values: Samples, rng: np.random.Generator) -> Samples:
    """Shuffle all samples of all trials, columns together."""
    return values[rng.permutation(len(values))]


def _equal_trials(lengths: Lengths) -> Iterator[Int[np.ndarray, "some time"]]:
    """Rows of all trials of one length, for every length."""
    starts = np.cumsum(lengths) - lengths
    for length in np.unique(lengths):
        yield starts[lengths == length][:, None] + np.arange(length)


def _phases(rng: np.random.Generator, draws: int, trials: int, time: int) -> np.ndarray:
    """Unit complex numbers (draw, trial, frequency, 1): 1 at frequency 0, a random sign at the Nyquist frequency."""
    phases = np.exp(2j * np.pi * rng.random((draws, trials, time // 2 + 1, 1)))
    phases[:, :, 0] = 1
    if time % 2 == 0 and time > 1:
        phases[:, :, -1] = rng.choice([-1, 1], size=(draws, trials, 1))
    return phases
