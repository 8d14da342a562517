"""Settings of the studies of representations, synergies and forecasts."""

from __future__ import annotations

from dataclasses import dataclass

from reach_analysis._common.settings import setting
from reach_analysis.config.recordings import RecordingSettings
from reach_analysis.config.shared import (
    ActuatorSettings,
    FoldSettings,
    IntervalSettings,
    MuscleSettings,
    ReplicationSettings,
    SeedSettings,
    TrialSettings,
    WindowSettings,
)  # fmt: skip


@dataclass
class PcaConfig(ReplicationSettings, WindowSettings, FoldSettings, IntervalSettings, TrialSettings):
    """Settings of `reach-analysis pca`."""

    layers: list[str] = setting([])
    """Representations to analyse: latent_mean, encoder/layer_0, decoder/layer_2, ..., or joints (all angles); empty:
    the intention and every layer."""
    components: int = setting(3, ge=1)
    """Number of components."""
    colour_by: str | None = None
    """Joint that colours the trajectories, by name, or speed (mean speed of the root in the trial); empty: shoulder
    extension (papers A and B) or the elbow if the body has one, else the angle that varies most."""


@dataclass
class SimilarityConfig(SeedSettings, RecordingSettings, TrialSettings):
    """Settings of `reach-analysis similarity`."""

    layers: list[str] = setting([])
    """Layers that are compared with each other and with muscles and joints; empty: the intention and every layer."""
    draws: int = setting(500, ge=1)
    """Exchanges of trials for the nulls."""


@dataclass
class SynergiesConfig(FoldSettings, ActuatorSettings, RecordingSettings, TrialSettings):
    """Settings of `reach-analysis synergies`."""

    largest: int = setting(6, ge=1)
    """Largest number of synergies that is tried."""
    rank: int | None = setting(None, ge=1)
    """Number of synergies; empty: chosen by held-out variance."""
    muscle_folds: int = setting(3, ge=2)
    """Folds of muscles."""


@dataclass
class ForecastConfig(
    ReplicationSettings, MuscleSettings, FoldSettings, IntervalSettings, RecordingSettings, TrialSettings
):
    """Settings of `reach-analysis forecast`."""

    targets: list[str] = setting([])
    """Muscles to predict, by name; empty: long biceps and lateral triceps, as in paper A; in a body without them, the
    two actuators that vary most."""
    predictors: list[str] = setting([])
    """Joints that states are built from; empty: all angles that vary."""
    protocol: str = setting("nested", choices=("nested", "paper"))
    """nested: E, tau and Tp are chosen by nested folds from those below; paper: those of paper A everywhere (E = 3,
    tau = -1, Tp = 5), and EMG from the reference joints."""
    reference: bool = False
    """Forecast EMG from the joints of the reference (qpos_ref), not from the simulated ones, as paper A does."""
    E: list[int] = setting([1, 2, 3, 4, 5, 6], ge=1)
    """Embedding dimensions to choose from by nested folds."""
    tau: list[int] = setting([-1, -2])
    """Lags to choose from, samples; negative lags reach into the past."""
    Tp: list[int] = setting([1])
    """Prediction horizons to choose from, samples."""
    largest_dimension: int = setting(40, ge=1)
    """Limit of E times the number of predictors: in many dimensions all neighbours are equally far. More predictors
    than a third of it are replaced by as many principal components, so that E = 3 of paper A is possible."""
    own_lags: list[int] = setting([3, -1, 1])
    """E, tau and Tp of forecasts of a series from its own past. They are fixed (those of paper A), because their nulls
    repeat the forecast for every draw."""
    permutations: int = setting(1000, ge=0)
    """Permutations of trials for the null; 0: none."""
    surrogates: int = setting(200, ge=0)
    """Phase-randomised, linear and filtered-noise surrogates for the nulls; 0: none."""
    sweeps: bool = True
    """Sweep E (to 10), tau (to -5) and Tp (to 10) one at a time, as in Fig. 4 of paper A."""
    nonlinear: bool = True
    """Forecast by S-map at several theta as well."""
    nonlinear_surrogates: int = setting(0, ge=0)
    """Linear surrogates to test S-map's gain against; 0: no test. A test needs at least 19, and takes longer."""


@dataclass
class CouplingConfig(MuscleSettings, SeedSettings):
    """How the report cross maps muscles and joints."""

    joints: list[str] = setting([])
    """Joints; empty: the six angles that vary most."""
    muscles: list[str] = setting([])
    """Muscles; empty: long biceps and lateral triceps, as in paper A; in a body without them, the two actuators that
    vary most."""
    lags: list[int] = setting([3, -1, 0])
    """E, tau and Tp, samples."""
    sizes: list[int] = setting([], ge=1)
    """Sizes of the libraries, trials; empty: five between 2 and all but one."""
    samples: int = setting(20, ge=1)
    """Libraries drawn of each size."""
    permutations: int = setting(199, ge=0)
    """Permutations of trials for the null at the largest library; 0: none."""


@dataclass
class TopologyConfig(WindowSettings, SeedSettings, TrialSettings):
    """Settings of `reach-analysis topology`."""

    layers: list[str] = setting([])
    """Representations to analyse: latent_mean, encoder/layer_0, decoder/layer_2, ...; empty: the intention."""
    components: int = setting(0, ge=0)
    """Principal axes of the cloud in which distances are computed; 0: all."""
    landmarks: int = setting(120, ge=1)
    """Points that represent the cloud; with voids, the time grows steeply with their number."""
    max_dimension: int = setting(2, choices=(1, 2))
    """1: loops; 2: also voids."""
    trim: float = setting(0.05, ge=0, lt=1)
    """Fraction of the samples that is left out because they are isolated."""
    nulls: list[str] = setting(["gaussian", "norms", "phase", "exchange"])
    """Nulls: gaussian (same covariance), norms (and same distances from the mean), phase (same spectra), exchange
    (principal axes of different trials)."""
    draws: int = setting(99, ge=19)
    """Clouds drawn under each null."""
