"""Files of synthetic EMG, as a lab keeps them."""

from __future__ import annotations

from pathlib import Path

from reach_analysis._common.errors import shorten
from reach_analysis._common.files import write_text
from reach_analysis.data.series import TrialSeries, index_of
from reach_analysis.synthetic.emg import EmgSettings, make_emg


def write_emg(folder: Path, activation: TrialSeries, muscles: dict[str, str], settings: EmgSettings) -> dict[str, Path]:
    """Write one CSV a muscle (a row a trial, no header) and ``trials.csv``; return the files, the table as "trials".

    `muscles` maps the name of an EMG channel to a channel of `activation`, the true one.
    """
    for channel in muscles.values():
        index_of("channel", channel, activation.channels, f"{activation.name} ({shorten(activation.channels)})")
    raw = make_emg(activation.select(list(muscles.values())), settings)
    files = {}
    for column, muscle in enumerate(muscles):
        rows = (",".join(f"{value:.4e}" for value in rows[:, column]) for rows in raw.values)
        files[muscle] = folder / f"emg_{muscle}.csv"
        write_text(files[muscle], "\n".join(rows) + "\n")
    reach = round(settings.lead_s * settings.frame_rate_hz)
    lines = ["trial,start,reach_start,end"]
    for name, rows in zip(raw.trials, activation.values, strict=True):
        lines.append(f"{name},1,{reach},{reach + round(len(rows) / activation.rate_hz * settings.frame_rate_hz)}")
    files["trials"] = folder / "trials.csv"
    write_text(files["trials"], "\n".join(lines) + "\n")
    return files
