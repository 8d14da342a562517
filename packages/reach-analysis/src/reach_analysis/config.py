"""Every setting of the package: one documented field each, filled by Hydra from defaults and the command line.

The docstring under a field is its help text. Nothing heavy is imported here, so that ``--help`` answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class CheckConfig:
    """What `reach-analysis check` can be told."""

    file: Any = None
    """A mimic.rollouts file, or a list of files."""


@dataclass
class PcaConfig:
    """What `reach-analysis pca` can be told."""

    rollouts: Any = None
    """A mimic.rollouts file."""
    rollouts_seed: int | None = None
    """Which repeat to read, by its seed, where the file holds several; empty: the first."""
    clip_pattern: str | None = None
    """Regular expression with one group that finds the trial's name in clip names; empty: trial_id, or clip_name."""
    layers: list[str] = field(default_factory=list)
    """What to analyse: latent_mean, encoder/layer_0, decoder/layer_2, ...; empty: the intention and every layer."""
    components: int = 3
    """Components kept."""
    folds: int = 5
    """Folds of trials for the held-out variance."""
    window_frames: int = 0
    """Analyse windows of this many frames (odd) in place of single frames; paper B takes 31 for the walking fly."""
    colour_by: str | None = None
    """Joint that colours the trajectories, by name; empty: the elbow where there is one, else the angle that
    varies most."""
    resamples: int = 200
    """Bootstrap resamples of trials for the intervals; 0: no intervals."""
    seed: int = 0
    """Seed of folds and resamples."""
    replication: bool = False
    """Also do it with the choices of paper A's public notebooks, one at a time, and show both side by side."""
    out: str | None = None
    """Folder of the results; empty: reach_results/pca."""


@dataclass
class RecordingConfig:
    """How the recordings of a lab are read."""

    rate_hz: float = 30000.0
    """EMG samples a second (CSV; NWB files say it themselves)."""
    unit: str = "V"
    """Unit of the EMG numbers (CSV)."""
    frame_rate_hz: float | None = 200.0
    """The trial table counts frames at this rate; empty: it holds seconds."""
    id_column: str | None = None
    """Column of the table with the trial's name; empty: trial_id, trial, id, clip_name, clip or name; where there is
    none, rows are counted."""
    first_row: int = 1
    """Number of the table's first row, where rows are counted."""
    start_column: str | None = None
    """Column with the start of the reach; empty: reach_start, else start."""
    end_column: str = "end"
    """Column with the end of the trial."""
    nwb_series: str = "acquisition/EMG"
    """NWB: path of the time series that holds the EMG."""
    nwb_channels: Any = None
    """NWB: map from muscle to column, as {biceps:0,triceps:1}."""


@dataclass
class ChainConfig:
    """From raw EMG to envelopes; the defaults are those of paper A, section 2.2."""

    band_hz: list[float] = field(default_factory=lambda: [20.0, 1000.0])
    """Band kept by the first filter, Hz."""
    order: int = 4
    """Order of both Butterworth filters; they run forwards and backwards."""
    envelope_hz: float = 50.0
    """Cut-off of the envelope, Hz."""
    window_s: list[float] = field(default_factory=lambda: [0.0, 0.3])
    """Stretch kept, s from the start of the reach."""
    rate_hz: float = 200.0
    """Rate of the envelopes (block averages), Hz."""
    samples: int | None = 60
    """Samples kept of each trial; empty: the whole window."""
    percentile: float = 98.0
    """Amplitude over all trials of a muscle that becomes 1."""


@dataclass
class EmgConfig:
    """What `reach-analysis emg` can be told."""

    rollouts: Any = None
    """Rollouts by condition: {joint_only: a.h5, physics_aware: b.h5}, or a file, or a list of files."""
    rollouts_seed: int | None = None
    """Which repeat to read, by its seed, where a file holds several; empty: the first."""
    clip_pattern: str | None = None
    """Regular expression with one group that finds the trial's name in clip names; empty: trial_id, or clip_name."""
    emg: Any = None
    """Map from muscle to CSV file (a row a trial), as {biceps: b.csv, triceps: t.csv}; or one NWB file; or `synthetic`
    (EMG made from the activation of the first condition, to see the chain at work) or `synthetic:CONDITION`."""
    trials: str | None = None
    """Table of the trials (CSV), for EMG in CSV files."""
    recording: RecordingConfig = field(default_factory=RecordingConfig)
    chain: ChainConfig = field(default_factory=ChainConfig)
    muscles: Any = None
    """Map from EMG channel to actuator, as {triceps: Triceps_Long}; empty: the actuator of that name, or those of
    paper A (long biceps, lateral triceps)."""
    signals: list[str] = field(default_factory=lambda: ["act", "ctrl"])
    """What is compared with EMG: act (muscle activation), ctrl (control)."""
    resample: bool = True
    """Bring the simulation to the rate of the envelopes by averaging over intervals; off: unequal rates are refused."""
    largest_lag_s: float = 0.05
    """Shifts tried for the lag, each way, s."""
    onset_fraction: float = 0.25
    """Fraction of a trial's range that counts as its onset."""
    resamples: int = 2000
    """Bootstrap resamples of trials for the intervals."""
    seed: int = 0
    """Seed of resamples, and of synthetic EMG."""
    replication: bool = False
    """Also do it with the choices of paper A's public notebooks, one at a time, and show both side by side."""
    out: str | None = None
    """Folder of the results; empty: reach_results/emg."""


@dataclass
class SpectraConfig:
    """What `reach-analysis spectra` can be told."""

    rollouts: Any = None
    """Rollouts by condition: {joint_only: a.h5, physics_aware: b.h5}, or a file, or a list of files."""
    rollouts_seed: int | None = None
    """Which repeat to read, by its seed, where a file holds several; empty: the first."""
    clip_pattern: str | None = None
    """Regular expression with one group that finds the trial's name in clip names; empty: trial_id, or clip_name."""
    signal: str = "action"
    """What is analysed: action (the policy's output), ctrl, act or actuator_force."""
    actuators: list[str] = field(default_factory=list)
    """Actuators, by name; empty: all."""
    low_hz: float = 10.0
    """Lower edge of the band, Hz; trials must last two of its periods."""
    high_hz: float | None = None
    """Upper edge, Hz; at most half the rate, which is what empty means."""
    resamples: int = 2000
    """Bootstrap resamples of trials for the intervals."""
    seed: int = 0
    """Seed of resamples."""
    replication: bool = False
    """Also do it with the choices of paper A's public notebooks, one at a time, and show both side by side."""
    out: str | None = None
    """Folder of the results; empty: reach_results/spectra."""


@dataclass
class SurvivalConfig:
    """What `reach-analysis survival` can be told."""

    rollouts: Any = None
    """Rollouts by condition: {rat: a.h5, fly: b.h5}, or a file, or a list of files."""
    rollouts_seed: int | None = None
    """Which repeat to read, by its seed, where a file holds several; empty: the first."""
    times_s: list[float] = field(default_factory=lambda: [1.0, 5.0, 30.0, 120.0])
    """Times at which survival is given, s; paper B names half a minute and two minutes."""
    level: float = 0.95
    """Coverage of the pointwise interval."""
    out: str | None = None
    """Folder of the results; empty: reach_results/survival."""


@dataclass
class ErrorsConfig:
    """What `reach-analysis errors` can be told."""

    rollouts: Any = None
    """A mimic.rollouts file."""
    rollouts_seed: int | None = None
    """Which repeat to read, by its seed, where the file holds several; empty: the first."""
    clips: str | None = None
    """The mimic.reference_clips file that was imitated, for errors of keypoints; empty: joints only."""
    regions: Any = None
    """Map from region to names of joints or keypoints, as {arm: ['Elbow*', 'Wrist*'], hand: ['Hand*']}; empty: limbs,
    head, back and tail by the usual names."""
    resamples: int = 2000
    """Bootstrap resamples of trials for the intervals."""
    seed: int = 0
    """Seed of resamples."""
    out: str | None = None
    """Folder of the results; empty: reach_results/errors."""


@dataclass
class GaitConfig:
    """What `reach-analysis gait` can be told."""

    rollouts: Any = None
    """A mimic.rollouts file with contacts."""
    rollouts_seed: int | None = None
    """Which repeat to read, by its seed, where the file holds several; empty: the first."""
    feet: list[str] = field(default_factory=list)
    """Names of contacts that are feet; empty: all that are stored."""
    lead: str | None = None
    """Foot whose touch-down begins a cycle; empty: the left forefoot, where it is known by its name."""
    shortest_stance_s: float = 0.03
    """Contacts and gaps shorter than this are flicker, s."""
    cycle_s: list[float] = field(default_factory=lambda: [0.1, 1.5])
    """Shortest and longest cycle, s."""
    min_speed: float = 0.0
    """Mean speed of the root over a cycle below which it is no locomotion, m/s."""
    joints: list[str] = field(default_factory=list)
    """Joints shown over the cycle; empty: shoulders, elbows, hips and knees, where they are known by their names."""
    points: int = 100
    """Points of a cycle."""
    resamples: int = 2000
    """Bootstrap resamples for the intervals."""
    seed: int = 0
    """Seed of resamples."""
    out: str | None = None
    """Folder of the results; empty: reach_results/gait."""


@dataclass
class SweepConfig:
    """What `reach-analysis sweep` can be told."""

    runs: Any = None
    """Folders of runs as track-mjx leaves them, or a pattern, as 'sweep/*'."""
    parameter: str | None = None
    """Setting that is swept, by its dotted key, or n_train (number of training clips); empty: the one number that
    differs between the runs."""
    reward: str | None = None
    """Term of the reward that is compared, or `reward` for all of it; empty: the term for joints, as in paper A."""
    low_hz: float = 10.0
    """Lower edge of the band of high-frequency power, Hz."""
    high_hz: float | None = None
    """Upper edge, Hz; at most half the rate, which is what empty means."""
    progress_metric: str = "reward"
    """Metric logged during training, for the steps it took."""
    fraction: float = 0.95
    """Fraction of that metric's largest value that counts as reached."""
    clip_pattern: str | None = None
    """Regular expression with one group that finds the trial's name in clip names; empty: trial_id, or clip_name."""
    emg: Any = None
    """Map from muscle to CSV file, or one NWB file, as for `emg`; empty: no EMG error."""
    trials: str | None = None
    """Table of the trials, as for `emg`."""
    recording: RecordingConfig = field(default_factory=RecordingConfig)
    muscles: Any = None
    """Map from EMG channel to actuator, as for `emg`."""
    seed: int = 0
    """Seed of resamples."""
    out: str | None = None
    """Folder of the results; empty: reach_results/sweep."""


@dataclass
class SimilarityConfig:
    """What `reach-analysis similarity` can be told."""

    rollouts: Any = None
    """A mimic.rollouts file."""
    rollouts_seed: int | None = None
    """Which repeat to read, by its seed, where the file holds several; empty: the first."""
    clip_pattern: str | None = None
    """Regular expression with one group that finds the trial's name in clip names; empty: trial_id, or clip_name."""
    layers: list[str] = field(default_factory=list)
    """Layers compared, besides muscles and joints; empty: the intention and every layer."""
    emg: Any = None
    """Recordings to compare too, as for `emg`; empty: none."""
    trials: str | None = None
    """Table of the trials, as for `emg`."""
    recording: RecordingConfig = field(default_factory=RecordingConfig)
    muscles: Any = None
    """Map from EMG channel to actuator, as for `emg`."""
    draws: int = 500
    """Exchanges of trials for the nulls."""
    seed: int = 0
    """Seed of the exchanges."""
    out: str | None = None
    """Folder of the results; empty: reach_results/similarity."""


@dataclass
class SynergiesConfig:
    """What `reach-analysis synergies` can be told."""

    rollouts: Any = None
    """A mimic.rollouts file of a body with muscles."""
    rollouts_seed: int | None = None
    """Which repeat to read, by its seed, where the file holds several; empty: the first."""
    actuators: list[str] = field(default_factory=list)
    """Muscles, by name; empty: all."""
    largest: int = 6
    """Largest number of synergies tried."""
    rank: int | None = None
    """Number of synergies; empty: chosen by held-out variance."""
    most_numbers: int = 100_000
    """The choice looks at this many numbers (samples times muscles) at most: of more, means over samples are taken."""
    folds: int = 5
    """Folds of trials."""
    muscle_folds: int = 3
    """Folds of muscles."""
    seed: int = 0
    """Seed of folds and factorisations."""
    out: str | None = None
    """Folder of the results; empty: reach_results/synergies."""


@dataclass
class ForecastConfig:
    """What `reach-analysis forecast` can be told."""

    rollouts: Any = None
    """A mimic.rollouts file."""
    rollouts_seed: int | None = None
    """Which repeat to read, by its seed, where the file holds several; empty: the first."""
    clip_pattern: str | None = None
    """Regular expression with one group that finds the trial's name in clip names; empty: trial_id, or clip_name."""
    targets: list[str] = field(default_factory=list)
    """Muscles predicted, by name; empty: long biceps and lateral triceps, as in paper A; in a body without them, the
    two actuators that vary most."""
    signal: str = "act"
    """What is predicted of them: act (muscle activation) or ctrl."""
    predictors: list[str] = field(default_factory=list)
    """Joints that states are built from; empty: all angles that vary."""
    emg: Any = None
    """Recordings to predict too, as for `emg`; empty: none."""
    trials: str | None = None
    """Table of the trials, as for `emg`."""
    recording: RecordingConfig = field(default_factory=RecordingConfig)
    muscles: Any = None
    """Map from EMG channel to actuator, as for `emg`."""
    rate_hz: float | None = 200.0
    """Rate everything is brought down to, by means over intervals, Hz; empty: the rate of the rollouts."""
    E: list[int] = field(default_factory=lambda: [1, 2, 3, 4, 5, 6])
    """Embedding dimensions to choose from by nested folds."""
    tau: list[int] = field(default_factory=lambda: [-1, -2])
    """Lags to choose from, samples; negative reaches into the past."""
    Tp: list[int] = field(default_factory=lambda: [1])
    """Prediction horizons to choose from, samples."""
    largest_dimension: int = 40
    """States of more numbers (E times predictors) are not tried: in many dimensions all neighbours are equally far. Of
    more predictors than a third of it, that many principal components are taken, so that E = 3 of paper A can be."""
    own_lags: list[int] = field(default_factory=lambda: [3, -1, 1])
    """E, tau and Tp of forecasts of a series from its own past: fixed (those of paper A), because their nulls work out
    every draw anew."""
    folds: int = 5
    """Folds of trials: each is predicted from the others."""
    permutations: int = 1000
    """Permutations of trials for the null; 0: none."""
    surrogates: int = 200
    """Phase-randomised, linear and filtered-noise surrogates for the nulls; 0: none."""
    resamples: int = 2000
    """Bootstrap resamples of trials for the intervals."""
    sweeps: bool = True
    """Sweep E, tau and Tp one at a time, as in Fig. 4 of paper A."""
    sweep_E: int = 10
    """Largest E of the sweep."""
    sweep_tau: int = 5
    """Longest lag of the sweep, samples."""
    sweep_Tp: int = 10
    """Largest horizon of the sweep, samples."""
    nonlinear: bool = True
    """Forecast by S-map at several theta as well."""
    nonlinear_surrogates: int = 0
    """Linear surrogates to test S-map's gain against; 0: no test. A test needs at least 19, and takes that longer."""
    engine: str = "ours"
    """ours; pyedm: forecast with pyEDM too where it applies, and show both."""
    seed: int = 0
    """Seed of folds, permutations, surrogates and resamples."""
    replication: bool = False
    """Also do it with the choices of paper A's public notebooks, one at a time, and show both side by side."""
    out: str | None = None
    """Folder of the results; empty: reach_results/forecast."""


@dataclass
class TopologyConfig:
    """What `reach-analysis topology` can be told."""

    rollouts: Any = None
    """A mimic.rollouts file."""
    rollouts_seed: int | None = None
    """Which repeat to read, by its seed, where the file holds several; empty: the first."""
    clip_pattern: str | None = None
    """Regular expression with one group that finds the trial's name in clip names; empty: trial_id, or clip_name."""
    layers: list[str] = field(default_factory=list)
    """What to analyse: latent_mean, encoder/layer_0, decoder/layer_2, ...; empty: the intention."""
    components: int = 0
    """Principal axes kept before distances are taken; 0: all."""
    window_frames: int = 0
    """Analyse windows of this many frames (odd) in place of single frames."""
    landmarks: int = 120
    """Points that stand for the cloud; time grows steeply with them where voids are looked for."""
    max_dimension: int = 2
    """1: loops; 2: voids too."""
    trim: float = 0.05
    """Fraction of the samples left out because they lie alone."""
    nulls: list[str] = field(default_factory=lambda: ["gaussian", "norms", "phase", "exchange"])
    """What shapes have to beat: gaussian (same covariance), norms (and same distances from the mean), phase (same
    spectra), exchange (principal axes of different trials)."""
    draws: int = 99
    """Clouds drawn under each null; at least 19."""
    seed: int = 0
    """Seed of the draws."""
    out: str | None = None
    """Folder of the results; empty: reach_results/topology."""


@dataclass
class BenchConfig:
    """What `reach-analysis bench` can be told."""

    speed: bool = True
    """Measure speed beside pyEDM."""
    truths: bool = False
    """Also count false positives over data sets without an effect, for every null (minutes)."""
    trials: int = 46
    """Trials of the speed tasks; paper A has 46."""
    samples: int = 60
    """Samples of each trial."""
    largest_E: int = 10
    """Simplex runs at E from 1 to this."""
    permutations: int = 1000
    """Trial permutations that are forecast."""
    pyedm_permutations: int = 3
    """Permutations that pyEDM really does; its time is scaled up to all of them."""
    repeats: int = 3
    """Runs of each task; medians are shown."""
    data_sets: int = 1000
    """Data sets without an effect, for each null."""
    seed: int = 0
    """Seed of the speed tasks' data."""
    out: str | None = None
    """Folder of the results; empty: reach_results/bench."""
