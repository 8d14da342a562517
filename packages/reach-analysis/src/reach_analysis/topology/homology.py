"""Loops and voids of a cloud of points, by persistent homology on landmarks (Edelsbrunner et al. 2002; Carlsson 2009).

Points grow into balls; a loop or void is born at one radius and filled at another, and the difference is its lifetime.
A few landmarks, each as far as possible from those before (maxmin), represent the cloud. Lengths are given in units of
the cloud's root mean square distance from its centre, so that clouds of different size compare.

Vietoris-Rips complexes are computed by ripser, which the extra `topology` installs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import KDTree

from reach_analysis._common.errors import ConfigError, DataError

Cloud = Float[np.ndarray, "sample channel"]
CROWD = 10
"""Neighbours by whose distance a sample counts as lying alone."""


@dataclass(frozen=True)
class Diagram:
    """Features of one cloud."""

    births: tuple[Float[np.ndarray, " _feature"], ...]
    """By dimension (1: loops, 2: voids, 0: separate parts), in units of `scale`, longest life first."""
    deaths: tuple[Float[np.ndarray, " _feature"], ...]
    scale: float
    """Root mean square distance of the samples from their mean."""
    covered: float
    """Largest distance of a sample from its nearest landmark, in units of `scale`; what is smaller is noise."""

    def lifetimes(self, dimension: int) -> Float[np.ndarray, " feature"]:
        """Lifetimes in one dimension, longest first."""
        return self.deaths[dimension] - self.births[dimension]

    def features(self, dimension: int) -> Float[np.ndarray, " feature"]:
        """Lifetimes longer than the distance of samples from their landmarks; shorter ones are gaps."""
        lives = self.lifetimes(dimension)
        return lives[lives > self.covered]

    def longest(self, dimension: int) -> float:
        """Longest lifetime of a feature in one dimension; 0 without a feature."""
        return float(self.features(dimension).max(initial=0.0))

    def betti(self, dimension: int, radii: Float[np.ndarray, " radius"]) -> Int[np.ndarray, " radius"]:
        """Number of features alive at each radius (Betti curve)."""
        born = self.births[dimension][:, None] <= radii
        return (born & (radii < self.deaths[dimension][:, None])).sum(axis=0)


def require_ripser() -> None:
    """See that ripser is there."""
    try:
        import ripser  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "persistent homology needs the extra `topology`: python -m pip install 'reach-analysis[topology]'"
        ) from error


def crowded(points: Cloud, fraction: float) -> Float[np.ndarray, "kept channel"]:
    """The samples without the given fraction of the most isolated ones, which maxmin would pick first."""
    if not 0 <= fraction < 1:
        raise ConfigError(f"trim must be 0 or more and below 1, got {fraction:g}")
    if fraction == 0 or len(points) <= CROWD + 1:
        return points
    distance = KDTree(points).query(points, k=CROWD + 1)[0][:, -1]
    remaining = np.argsort(distance, kind="stable")[: max(CROWD, round((1 - fraction) * len(points)))]
    return points[np.sort(remaining)]


def landmarks(points: Cloud, count: int) -> tuple[Int[np.ndarray, " landmark"], float]:
    """Samples as far from each other as possible (maxmin), and the distance of any sample from the nearest of them.

    The first is the one farthest from the mean, so the same cloud always gives the same landmarks.
    """
    distance = np.linalg.norm(points - points.mean(axis=0), axis=1)
    chosen = [int(distance.argmax())]
    nearest = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < min(count, len(points)) and nearest.max() > 0:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen), float(nearest.max())


def homology(points: Cloud, *, count: int = 120, dimension: int = 2, trim: float = 0.05) -> Diagram:
    """Features up to a dimension of a cloud.

    Up to loops (`dimension` 1) or voids (2); the fraction `trim` of the samples that are most isolated is left out.
    """
    require_ripser()
    from ripser import ripser

    if dimension not in (1, 2) or count < 10:
        raise ConfigError(f"max_dimension must be 1 or 2 and landmarks at least 10, got {dimension} and {count}")
    if not np.isfinite(points).all() or len(points) < 10:
        raise DataError(f"homology needs at least 10 samples, all finite; got {len(points)}")
    remaining = crowded(points, trim)
    scale = float(np.sqrt(((remaining - remaining.mean(axis=0)) ** 2).sum(axis=1).mean()))
    if not scale > 0:
        raise DataError("all samples are equal")
    chosen, covered = landmarks(remaining, count)
    result = ripser(remaining[chosen] / scale, maxdim=dimension)["dgms"]
    births, deaths = [], []
    for pairs in result:
        finite = pairs[np.isfinite(pairs[:, 1])].astype(float)
        order = np.argsort(finite[:, 0] - finite[:, 1], kind="stable")
        births.append(finite[order, 0])
        deaths.append(finite[order, 1])
    return Diagram(tuple(births), tuple(deaths), scale, covered / scale)
