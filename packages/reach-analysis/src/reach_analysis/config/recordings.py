"""Settings of recordings: which EMG, how it is read, and how it becomes envelopes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from reach_analysis._common.settings import setting


@dataclass
class RecordingConfig:
    """How the recordings of a lab are read."""

    rate_hz: float | None = setting(None, gt=0)
    """EMG samples per second, where the file does not hold its rate; empty: 30000 (paper A) for CSV files with a row a
    trial, which never hold it."""
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
    """Recordings with all muscles: channels, as a map from muscle to channel ({biceps: 'Biceps.EMG4'}) or
    a list of patterns (['EMG*']); empty: those with EMG in their name, else those in volts, else all."""
    leave_out: list[str] = setting([])
    """Trials that are left out, by name."""
    block_s: float | None = setting(None, gt=0)
    """A continuous recording without trials is cut into blocks of this length, s, which follow each other and count as
    trials; folds are then of neighbouring blocks. Empty: it is one trial."""
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
    or recordings with all muscles (C3D, CSV with a column a channel, MATLAB, Intan, Open Ephys by its index
    structure.oebin): one file, a list or a pattern, as
    'walk*.c3d', a trial a file; or `synthetic` or `synthetic:CONDITION` (EMG made from the activation of a
    condition, to check the method); empty: none."""
    trials: str | None = None
    """Table of the trials (CSV): when each reach starts in its row or file, or where events are in one recording;
    empty: the trials of an NWB file, else a trial is a whole file or a block (recording.block_s)."""
    mvc: Any = None
    """Recordings of maximal voluntary contractions, as for emg: each muscle is divided by its largest envelope there;
    empty: by the percentile over its trials."""
    recording: RecordingConfig = field(default_factory=RecordingConfig)
    muscles: Any = None
    """Map from EMG channel to actuator, as {triceps: Triceps_Long}; empty: the actuator of that name, or those of
    paper A (long biceps, lateral triceps)."""
    chain: ChainConfig = field(default_factory=ChainConfig)


@dataclass
class WholeTrialSettings(RecordingSettings):
    """Recordings whose trials are taken whole, not cut around a reach."""

    chain: ChainConfig = field(default_factory=lambda: ChainConfig(window_s=[], samples=None))
