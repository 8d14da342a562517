"""Every setting of the package: one field each, with its help as the string under it.

Nothing heavy is imported here, so that ``--help`` is fast.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from reach_analysis._common.settings import setting

SIGNALS = ("act", "ctrl")
"""Signals of a muscle: its activation, and its control."""


@dataclass
class OutputSettings:
    """Where results are written."""

    out: str | None = None
    """Folder of the results; empty: reach_results/VERB."""


@dataclass
class RolloutSettings(OutputSettings):
    """Which rollouts are analysed."""

    rollouts: Any = None
    """A mimic.rollouts file; verbs that compare conditions also take a list of files, or a map from condition to file:
    {joint_only: a.h5, physics_aware: b.h5}."""
    rollouts_seed: int | None = None
    """Repeat to read, by its seed, where a file holds several; empty: the first."""
    levels: Any = None
    """Levels above trials, outermost first: a map from level to a regular expression with one group that finds it in
    clip names, as {animal: '^(A\\d+)', session: '_(\\d{4}-\\d\\d-\\d\\d)_'}. Intervals are over the outermost
    level with at least five units, and tests exchange trials within the innermost. Empty: trials are the units."""


@dataclass
class TrialSettings(RolloutSettings):
    """How clips become trials."""

    clip_pattern: str | None = None
    """Regular expression with one group that finds the trial's name in clip names; empty: trial_id, or clip_name."""


@dataclass
class SeedSettings:
    """What random draws depend on."""

    seed: int = setting(0, ge=0)
    """Seed of everything that is drawn: folds, resamples, permutations, surrogates."""


@dataclass
class ResampleSettings(SeedSettings):
    """How intervals of means and tests of differences are computed."""

    resamples: int = setting(2000, ge=100)
    """Bootstrap resamples of trials for the intervals, and draws of signs for tests of differences."""


@dataclass
class IntervalSettings(SeedSettings):
    """Whether intervals are computed that need no random draws."""

    resamples: int = setting(1, ge=0)
    """0: no intervals. They come from leaving out trials (jackknife), so any other number gives the same ones."""


@dataclass
class ReplicationSettings:
    """Whether a verb is repeated with the choices of the public notebooks."""

    replication: bool = False
    """Also analyse with the choices of paper A's public notebooks, one at a time, and show both results."""


@dataclass
class RecordingConfig:
    """How the recordings of a lab are read."""

    rate_hz: float = setting(30000.0, gt=0)
    """EMG samples per second, where the file does not hold its rate."""
    unit: str = "V"
    """Unit of the EMG numbers, where the file does not name it."""
    frame_rate_hz: float | None = setting(200.0, gt=0)
    """The trial table counts frames at this rate; empty: it holds seconds."""
    id_column: str | None = None
    """Column of the table with the trial's name; empty: trial_id, trial, id, clip_name, clip or name; without any of
    them rows are counted."""
    first_row: int = 1
    """Number of the table's first row, where rows are counted."""
    start_column: str | None = None
    """Column with the start of the reach; empty: reach_start, else start."""
    end_column: str = "end"
    """Column with the end of the trial."""
    emg_names: bool = False
    """EMG (CSV): each row begins with the trial's name; off: rows are in the order of the table."""
    channels: Any = None
    """C3D, CSV with a column a channel, MATLAB: channels, as a map from muscle to channel ({biceps: 'Biceps.EMG4'}) or
    a list of patterns (['EMG*']); empty: those with EMG in their name, else those in volts, else all."""
    leave_out: list[str] = setting([])
    """Trials that are left out, by name."""
    nwb_series: str = "acquisition/EMG"
    """NWB: path of the time series that holds the EMG."""
    nwb_channels: Any = None
    """NWB: map from muscle to column, as {biceps:0,triceps:1}."""


@dataclass
class ChainConfig:
    """From raw EMG to envelopes; the defaults are those of paper A, section 2.2."""

    band_hz: list[float] = setting([20.0, 1000.0], gt=0)
    """Band of the first filter, Hz."""
    order: int = setting(4, ge=1)
    """Order of both Butterworth filters; they run forwards and backwards."""
    notch_hz: float | None = setting(None, gt=0)
    """Mains frequency, Hz: it and its harmonics in the band are removed (notches 2 Hz wide, both ways); empty: none."""
    envelope_hz: float = setting(50.0, gt=0)
    """Cut-off of the envelope, Hz."""
    window_s: list[float] = setting([0.0, 0.3])
    """Window of the envelope, s from the start of the reach; empty: to the end of the trial."""
    rate_hz: float = setting(200.0, gt=0)
    """Rate of the envelopes (block averages), Hz."""
    samples: int | None = setting(60, ge=1)
    """Samples of each trial; empty: the whole window."""
    baseline: float | None = setting(None, ge=0, lt=100)
    """Percentile of the envelope over all trials of a muscle that is subtracted as its rest; empty: nothing is."""
    percentile: float = setting(98.0, gt=0, le=100)
    """Amplitude over all trials of a muscle that becomes 1; 100: the largest."""


@dataclass
class RecordingSettings:
    """Which recordings are compared."""

    emg: Any = None
    """EMG: a map from muscle to CSV file (a row for each trial), as {biceps: b.csv, triceps: t.csv}; or one NWB file;
    or recordings with all muscles (C3D, CSV with a column a channel, MATLAB): one file, a list or a pattern, as
    'walk*.c3d', a trial a file; or `synthetic` or `synthetic:CONDITION` (EMG made from the activation of a
    condition, to check the method); empty: none."""
    trials: str | None = None
    """Table of the trials (CSV): when each reach starts in its row or file, or where trials are in one recording; empty
    with C3D, CSV and MATLAB recordings: a trial is a whole file."""
    mvc: Any = None
    """Recordings of maximal voluntary contractions, as for emg: each muscle is divided by its largest envelope there;
    empty: by the percentile over its trials."""
    recording: RecordingConfig = field(default_factory=RecordingConfig)
    muscles: Any = None
    """Map from EMG channel to actuator, as {triceps: Triceps_Long}; empty: the actuator of that name, or those of
    paper A (long biceps, lateral triceps)."""
    chain: ChainConfig = field(default_factory=ChainConfig)


@dataclass
class CheckConfig:
    """Settings of `reach-analysis check`."""

    file: Any = None
    """A mimic.rollouts file, or a list of files."""


@dataclass
class ConvertConfig:
    """Settings of `reach-analysis convert`."""

    rollouts: str | None = None
    """A rollouts file in the layout that is published with paper A."""
    clips: str | None = None
    """The mimic.reference_clips file of the clips in it, in the order of their names."""
    rate_hz: float = setting(400.0, gt=0)
    """Control steps a second; those of paper A last 2.5 ms."""
    out: str | None = None
    """File that is written; empty: NAME_converted.h5."""


@dataclass
class PcaConfig(ReplicationSettings, IntervalSettings, TrialSettings):
    """Settings of `reach-analysis pca`."""

    layers: list[str] = setting([])
    """Representations to analyse: latent_mean, encoder/layer_0, decoder/layer_2, ..., or joints (all angles); empty:
    the intention and every layer."""
    components: int = setting(3, ge=1)
    """Number of components."""
    folds: int = setting(5, ge=2)
    """Folds of trials for the held-out variance."""
    window_frames: int = setting(0, ge=0)
    """Analyse windows of this many frames (odd) in place of single frames; paper B takes 31 for the walking fly."""
    colour_by: str | None = None
    """Joint that colours the trajectories, by name, or speed (mean speed of the root in the trial); empty: shoulder
    extension (papers A and B) or the elbow if the body has one, else the angle that varies most."""


@dataclass
class EmgConfig(ReplicationSettings, ResampleSettings, RecordingSettings, TrialSettings):
    """Settings of `reach-analysis emg`."""

    signals: list[str] = setting(list(SIGNALS), choices=SIGNALS)
    """Signals that are compared with EMG: act (muscle activation), ctrl (control)."""
    resample: bool = True
    """Average the simulation over intervals to the rate of the envelopes; off: unequal rates are refused."""
    largest_lag_s: float = setting(0.05, ge=0)
    """Largest lag that is tried, in both directions, s."""
    onset_fraction: float = setting(0.25, gt=0, lt=1)
    """Fraction of a trial's range that counts as its onset."""


@dataclass
class EnvelopesConfig(ResampleSettings, RecordingSettings, OutputSettings):
    """Settings of `reach-analysis envelopes`."""

    chain: ChainConfig = field(default_factory=lambda: ChainConfig(window_s=[], samples=None))


@dataclass
class SpectraConfig(ReplicationSettings, ResampleSettings, TrialSettings):
    """Settings of `reach-analysis spectra`."""

    signal: str = setting("action", choices=("action", "ctrl", "act", "actuator_force"))
    """Signal to analyse: action (the policy's output), ctrl, act or actuator_force."""
    actuators: list[str] = setting([])
    """Actuators, by name; empty: all."""
    low_hz: float = setting(10.0, gt=0)
    """Lower edge of the band, Hz; trials must last two of its periods."""
    high_hz: float | None = setting(None, gt=0)
    """Upper edge, Hz; empty: half the rate, which is the most there can be."""


@dataclass
class SurvivalConfig(RolloutSettings):
    """Settings of `reach-analysis survival`."""

    times_s: list[float] = setting([1.0, 5.0, 30.0, 120.0], ge=0)
    """Times at which survival is given, s; paper B names half a minute and two minutes."""
    level: float = setting(0.95, gt=0, lt=1)
    """Coverage of the pointwise interval."""


@dataclass
class ErrorsConfig(ResampleSettings, RolloutSettings):
    """Settings of `reach-analysis errors`."""

    clips: str | None = None
    """The mimic.reference_clips file that was imitated, for errors of keypoints; empty: joints only."""
    regions: Any = None
    """Map from region to names of joints or keypoints, as {arm: ['Elbow*', 'Wrist*'], hand: ['Hand*']}; empty: limbs,
    head, back and tail by their usual names."""
    clip: str | None = None
    """Clip whose joint angles are drawn over the reference; empty: the unseen clip of median error, else of all."""


@dataclass
class GaitConfig(ResampleSettings, RecordingSettings, TrialSettings):
    """Settings of `reach-analysis gait`."""

    chain: ChainConfig = field(default_factory=lambda: ChainConfig(window_s=[], samples=None))
    clips: str | None = None
    """The mimic.reference_clips file that was imitated: feet of the animal are compared too; empty: its joints only."""
    planted: float = setting(0.4, gt=0, lt=1)
    """A foot of the animal is in contact where it is slower than this part of its fast steps (95th percentile)."""

    feet: list[str] = setting([])
    """Names of contacts that are feet; empty: all stored contacts."""
    lead: str | None = None
    """Foot whose touch-down begins a cycle; empty: the left forefoot, if its name is recognised."""
    shortest_stance_s: float = setting(0.03, ge=0)
    """Shorter contacts and gaps are removed as flicker, s."""
    cycle_s: list[float] = setting([0.1, 1.5], gt=0)
    """Shortest and longest cycle, s."""
    min_speed: float = setting(0.0, ge=0)
    """Cycles with a lower mean speed of the root are left out, m/s."""
    joints: list[str] = setting([])
    """Joints shown over the cycle; empty: shoulders, elbows, hips and knees, if their names are recognised."""


@dataclass
class SweepConfig(SeedSettings, RecordingSettings, OutputSettings):
    """Settings of `reach-analysis sweep`."""

    runs: Any = None
    """Run folders of track-mjx, or a pattern, as 'sweep/*'."""
    parameter: str | None = None
    """Setting that is swept, by its dotted key, or n_train (number of training clips); empty: the one number that
    differs between the runs."""
    reward: str | None = None
    """Term of the reward that is compared, or `reward` for all of it; empty: the term for joints, as in paper A."""
    low_hz: float = setting(10.0, gt=0)
    """Lower edge of the band of high-frequency power, Hz."""
    high_hz: float | None = setting(None, gt=0)
    """Upper edge, Hz; empty: half the rate, which is the most there can be."""
    progress_metric: str = "reward"
    """Metric logged during training, for the number of steps."""
    fraction: float = setting(0.95, gt=0, le=1)
    """Fraction of that metric's largest value that counts as reached."""
    clip_pattern: str | None = None
    """Regular expression with one group that finds the trial's name in clip names; empty: trial_id, or clip_name."""


@dataclass
class SimilarityConfig(SeedSettings, RecordingSettings, TrialSettings):
    """Settings of `reach-analysis similarity`."""

    layers: list[str] = setting([])
    """Layers that are compared with each other and with muscles and joints; empty: the intention and every layer."""
    draws: int = setting(500, ge=1)
    """Exchanges of trials for the nulls."""


@dataclass
class SynergiesConfig(SeedSettings, RecordingSettings, TrialSettings):
    """Settings of `reach-analysis synergies`."""

    actuators: list[str] = setting([])
    """Muscles, by name; empty: all."""
    largest: int = setting(6, ge=1)
    """Largest number of synergies that is tried."""
    rank: int | None = setting(None, ge=1)
    """Number of synergies; empty: chosen by held-out variance."""
    folds: int = setting(5, ge=2)
    """Folds of trials."""
    muscle_folds: int = setting(3, ge=2)
    """Folds of muscles."""


@dataclass
class ForecastConfig(ReplicationSettings, IntervalSettings, RecordingSettings, TrialSettings):
    """Settings of `reach-analysis forecast`."""

    targets: list[str] = setting([])
    """Muscles to predict, by name; empty: long biceps and lateral triceps, as in paper A; in a body without them, the
    two actuators that vary most."""
    signal: str = setting("act", choices=SIGNALS)
    """Signal to predict: act (muscle activation) or ctrl."""
    predictors: list[str] = setting([])
    """Joints that states are built from; empty: all angles that vary."""
    rate_hz: float | None = setting(200.0, gt=0)
    """Common rate of all series (means over intervals), Hz; empty: the rate of the rollouts."""
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
    folds: int = setting(5, ge=2)
    """Folds of trials: each is predicted from the others."""
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
class TopologyConfig(SeedSettings, TrialSettings):
    """Settings of `reach-analysis topology`."""

    layers: list[str] = setting([])
    """Representations to analyse: latent_mean, encoder/layer_0, decoder/layer_2, ...; empty: the intention."""
    components: int = setting(0, ge=0)
    """Principal axes of the cloud in which distances are computed; 0: all."""
    window_frames: int = setting(0, ge=0)
    """Analyse windows of this many frames (odd) in place of single frames."""
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


@dataclass
class ComparisonConfig(ResampleSettings, RolloutSettings):
    """Settings of `reach-analysis comparison`: controllers trial by trial, each with the first one."""

    low_hz: float = setting(10.0, gt=0)
    """Lower edge of the band of high-frequency power of the actions, Hz; it extends to half the rate."""


@dataclass
class CouplingConfig(SeedSettings):
    """How the report cross maps muscles and joints."""

    joints: list[str] = setting([])
    """Joints; empty: the six angles that vary most."""
    muscles: list[str] = setting([])
    """Muscles; empty: long biceps and lateral triceps, as in paper A; in a body without them, the two actuators that
    vary most."""
    signal: str = setting("act", choices=SIGNALS)
    """Signal of the muscles: act (muscle activation) or ctrl."""
    rate_hz: float | None = setting(200.0, gt=0)
    """Common rate of all series (means over intervals), Hz; empty: the rate of the rollouts."""
    lags: list[int] = setting([3, -1, 0])
    """E, tau and Tp, samples."""
    sizes: list[int] = setting([], ge=1)
    """Sizes of the libraries, trials; empty: five between 2 and all but one."""
    samples: int = setting(20, ge=1)
    """Libraries drawn of each size."""
    permutations: int = setting(199, ge=0)
    """Permutations of trials for the null at the largest library; 0: none."""


@dataclass
class ReportConfig(SeedSettings, RecordingSettings, TrialSettings):
    """Settings of `reach-analysis report`."""

    focus: str | None = None
    """Condition of the forecasts and of the comparison with the papers; empty: the last one given."""
    clips: Any = None
    """The mimic.reference_clips file that was imitated, for errors of keypoints, or a map from condition to file;
    empty: errors of joints only."""
    runs: Any = None
    """Run folders of a sweep, or a pattern, as 'sweep/*'; empty: no sweep."""
    parameter: str | None = None
    """Setting that is swept, as for `sweep`."""
    studies: dict[str, Any] = setting({})
    """Settings of single studies that differ from the report's, as {forecast:{permutations:5000}, gait:{lead:hand_L}};
    the studies are the chapters of the page, their settings are those of the verbs."""
    extras: list[str] = setting([])
    """Chapters that are made only on request: topology (loops of the intention, with nulls; needs the extra
    `topology`), replication (forecasts with the choices of paper A's public notebooks)."""
    title: str | None = None
    """Title of the page; empty: made from the name of the body."""


@dataclass
class FiguresConfig(ReportConfig):
    """Settings of `reach-analysis figures`."""

    paper: str = setting("A", choices=("A", "B"))
    """The paper: A (mouse forelimb) or B (MIMIC-MJX)."""


@dataclass
class BenchConfig(OutputSettings):
    """Settings of `reach-analysis bench`."""

    trials: int = setting(46, ge=5)
    """Trials of the tasks; paper A has 46."""
    samples: int = setting(60, ge=30)
    """Samples of each trial."""
    permutations: int = setting(1000, ge=3)
    """Trial permutations that are forecast; pyEDM forecasts three of them, and its time is scaled."""
    repeats: int = setting(3, ge=1)
    """Runs of each task; medians are shown."""
