"""Series that keep some properties of recorded trials and lose the rest.

All take samples of all trials end to end with the number of samples of each trial, and treat trials one by one. What a
surrogate keeps is what its null hypothesis allows the data to have:

- :func:`phase_randomised` keeps each trial's power spectrum (hence its autocorrelation) and mean, and relations between
  columns (Theiler et al. 1992; Prichard and Theiler 1994). It treats a trial as periodic, and it loses whatever is
  locked to the time of the trial.
- :func:`iterated_amplitude` keeps the distribution of values as well, exactly, and the spectrum nearly (Schreiber and
  Schmitz 1996).
- :func:`filtered_noise` is white noise that went through the recording's own processing.
- :func:`shuffled` keeps values only. Any series with autocorrelation beats it, so it tests nothing; it is here to
  reproduce analyses that used it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int

from reach_analysis.errors import DataError

Pipeline = Callable[[Sequence[Float[np.ndarray, " _raw"]]], Sequence[Float[np.ndarray, " _time"]]]
"""Processing of a recording: one raw array a trial in, one processed array a trial out."""


def phase_randomised(
    values: Float[np.ndarray, "sample column"], lengths: Int[np.ndarray, " trial"], rng: np.random.Generator
) -> Float[np.ndarray, "sample column"]:
    """Give every frequency of every trial a random phase, the same for all columns."""
    out = np.empty_like(values)
    for rows in _equal_trials(lengths):
        spectrum = np.fft.rfft(values[rows], axis=1)
        out[rows] = np.fft.irfft(spectrum * _phases(rng, *rows.shape), n=rows.shape[1], axis=1)
    return out


def iterated_amplitude(
    values: Float[np.ndarray, "sample column"],
    lengths: Int[np.ndarray, " trial"],
    rng: np.random.Generator,
    iterations: int = 50,
) -> Float[np.ndarray, "sample column"]:
    """Phase-randomise while keeping each trial's values (IAAFT); columns of a trial become independent."""
    out = np.empty_like(values)
    for rows in _equal_trials(lengths):
        ordered = np.sort(values[rows], axis=1)
        power = np.abs(np.fft.rfft(values[rows], axis=1))
        surrogate = rng.permuted(values[rows], axis=1)
        for _ in range(iterations):
            spectrum = np.fft.rfft(surrogate, axis=1)
            size = np.abs(spectrum)
            spectrum = np.where(size > 0, spectrum / np.where(size > 0, size, 1.0), 1.0) * power
            smooth = np.fft.irfft(spectrum, n=rows.shape[1], axis=1)
            np.put_along_axis(surrogate, np.argsort(smooth, axis=1), ordered, axis=1)
        out[rows] = surrogate
    return out


def shuffled(
    values: Float[np.ndarray, "sample column"], rng: np.random.Generator
) -> Float[np.ndarray, "sample column"]:
    """Shuffle all samples of all trials, columns together."""
    return values[rng.permutation(len(values))]


def filtered_noise(
    pipeline: Pipeline, raw_lengths: Sequence[int], lengths: Int[np.ndarray, " trial"], rng: np.random.Generator
) -> Float[np.ndarray, " sample"]:
    """Pass Gaussian white noise of the recording's length through the recording's processing.

    Raises:
        DataError: when the processing returns trials of other lengths than the data's.
    """
    processed = pipeline([rng.normal(size=count) for count in raw_lengths])
    got = [len(rows) for rows in processed]
    if got != lengths.tolist():
        raise DataError(f"the pipeline turns noise into trials of {got[:5]}... samples, the data has {lengths[:5]}...")
    return np.concatenate(processed)


def _equal_trials(lengths: Int[np.ndarray, " trial"]) -> Iterator[Int[np.ndarray, "some time"]]:
    """Rows of all trials of one length, for every length."""
    starts = np.cumsum(lengths) - lengths
    for length in np.unique(lengths):
        yield starts[lengths == length][:, None] + np.arange(length)


def _phases(rng: np.random.Generator, trials: int, time: int) -> np.ndarray:
    """Unit complex numbers (trial, frequency, 1): 1 at frequency 0 and a random sign at the Nyquist frequency."""
    phases = np.exp(2j * np.pi * rng.random((trials, time // 2 + 1, 1)))
    phases[:, 0] = 1
    if time % 2 == 0 and time > 1:
        phases[:, -1] = rng.choice([-1, 1], size=(trials, 1))
    return phases
