"""EMG envelopes without a controller: first what the recording is worth, then the envelopes (paper A, section 2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from reach_analysis._common.errors import DataError
from reach_analysis._common.figures import BLUE, GREY, drawing, label
from reach_analysis._common.progress import Stage, silent
from reach_analysis.behaviour.muscles import mean_and_sem
from reach_analysis.config import EnvelopesConfig
from reach_analysis.data.emg import Emg, process
from reach_analysis.data.emg_quality import channel_quality, quality_notes, trial_quality
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.data.series import TrialSeries
from reach_analysis.figures import grid
from reach_analysis.statistics.estimates import Resampling, mean_of
from reach_analysis.studies.recordings import envelope_rows, how_made, is_synthetic, read_recording
from reach_analysis.studies.section import Column, Section, interval_column, table
from reach_analysis.studies.study import Study, StudyFigure

TITLE = "EMG envelopes"
QUESTION = "What is the recording worth, and what do its envelopes look like?"


def run(conditions: Mapping[str, Rollouts] | None, config: EnvelopesConfig, stage: Stage = silent) -> Study:
    """Judge the channels and process those that are alive."""
    tick = stage("envelopes", 2)
    recording = read_recording(conditions, config)
    trials = trial_quality(recording.raw, config.chain)
    channels = channel_quality(trials)
    tick(1)
    raw, dead_notes, dead_trials = _alive(recording.raw, trials)
    mvc = recording.mvc.select(raw.channels) if recording.mvc else None
    emg = process(raw, recording.table, config.chain, mvc=mvc)
    emg = replace(emg, left_out=emg.left_out | dict.fromkeys(dead_trials, "has a channel that does not vary"))
    rows = _rows(emg, Resampling(config.resamples, seed=config.seed))
    tick(1)
    caption = (
        f"Envelope of each channel: grey, {len(emg.envelope.trials)} trials; blue, their mean, shaded: standard error "
        f"of the mean over trials. {how_made(emg, config)}"
    )
    return Study(
        name="envelopes",
        results={"channels": channels, "envelopes": rows, "scale": emg.scale, "unit": emg.unit,
                 "raw_rate_hz": emg.raw_rate_hz, "left_out": emg.left_out, "chain": asdict(emg.chain),
                 "synthetic": is_synthetic(config.emg)},
        inputs=tuple(recording.inputs),
        tables={"emg_quality": trials, "emg_channels": channels, "emg_summary": rows,
                "emg_envelopes": envelope_rows(emg)},
        figures=(StudyFigure("emg_envelopes", _figure(emg.envelope), caption),),
        notes=(*recording.notes, *quality_notes(channels), *dead_notes),
    )  # fmt: skip


def _alive(raw: TrialSeries, quality: list[dict[str, Any]]) -> tuple[TrialSeries, list[str], list[str]]:
    """The recording without dead channels, notes about them, and trials left out for a channel that is dead in them.

    A channel is dead where it does not vary in most trials.
    """
    dead = {(row["channel"], row["trial"]) for row in quality if row["problems"] == "dead"}
    lost = [name for name in raw.channels if sum(one == name for one, _ in dead) * 2 > len(raw.trials)]
    kept = [name for name in raw.channels if name not in lost]
    if not kept:
        raise DataError(f"{raw.name}: no channel varies; was the amplifier connected?")
    spoilt = [trial for trial in raw.trials if any((name, trial) in dead for name in kept)]
    notes = [f"Dead channels, left out: {', '.join(lost)}."] if lost else []
    notes += [f"Trials with a dead channel, left out: {', '.join(spoilt)}."] if spoilt else []
    return raw.take([trial for trial in raw.trials if trial not in spoilt]).select(kept), notes, spoilt


def _rows(emg: Emg, resampling: Resampling) -> list[dict[str, Any]]:
    """Mean envelope of each channel over trials, and what became 1."""
    rows = []
    for place, channel in enumerate(emg.envelope.channels):
        means = np.array([values[:, place].mean() if len(values) else np.nan for values in emg.envelope.values])
        mean = mean_of(means, "1", resampling, least=0.0)
        rows.append({"channel": channel, "trials": mean.n, "scale": emg.scale[channel], "unit": emg.unit,
                     **mean.row("mean")})  # fmt: skip
    return rows


def section(study: Study) -> Section:
    """Quality of the channels, and their mean envelopes."""
    return Section((
        table("Quality of each channel, medians over trials; clipped and flat: the worst trial; spikes: all trials",
              (Column("channel", "channel"), Column("problems (trials)", "problems"), Column("amplitude", "rms"),
               Column("offset", "offset"), Column("mains, %", "mains", scale=100.0), Column("at, Hz", "mains_hz"),
               Column("clipped, %", "clipped", scale=100.0), Column("longest flat, ms", "flat_s", scale=1e3),
               Column("spikes", "spikes"), Column("below the band, %", "drift", scale=100.0),
               Column("trials", "trials")), study.results["channels"]),
        table("Mean envelope over trials", (Column("channel", "channel"), interval_column("mean [95 %]", "mean"),
              Column("divided by", "scale"), Column("unit", "unit"), Column("trials", "trials")),
              study.results["envelopes"]),
    ))  # fmt: skip


def _figure(envelope: TrialSeries) -> Figure:
    with drawing():
        figure, axes = grid(len(envelope.channels), 4, (2.6, 1.9))
        longest = int(np.argmax(envelope.lengths))
        padded = envelope.padded()
        for place, (axis, channel) in enumerate(zip(axes, envelope.channels, strict=True)):
            for number, values in enumerate(envelope.values):
                axis.plot(envelope.times(number), values[:, place], color=GREY, lw=0.6, alpha=0.5)
            mean, error = mean_and_sem(padded[..., place])
            axis.plot(envelope.times(longest), mean, color=BLUE, lw=1.2)
            axis.fill_between(envelope.times(longest), mean - error, mean + error, color=BLUE, alpha=0.25, linewidth=0)
            axis.set_title(label(channel, 20))
            axis.set_ylim(bottom=0)
        axes[-1].set_xlabel("time (s)")
        return figure
