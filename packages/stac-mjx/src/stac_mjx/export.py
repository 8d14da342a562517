"""Registered clips in files of other programs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from stac_mjx._common.files import output_folder
from stac_mjx._common.motion_files import Columns, Movement, write_motion, write_states, write_tables, write_trc
from stac_mjx._common.nwb import write_nwb
from stac_mjx._common.settings import validate
from stac_mjx.config import ExportConfig
from stac_mjx.records import ReferenceClips, read_clips


def export(config: ExportConfig) -> list[Path]:
    """Write the files that a configuration asks for, and return their paths.

    Raises:
        ConfigError: if a setting is invalid.
        InputError, ContractError: if the clips cannot be read.
        OutputError: if a file cannot be written.
    """
    validate(config)
    clips = read_clips(Path(config.clips).expanduser())
    movements = movements_of(clips)
    folder = output_folder(config.out, "exported")
    written: list[Path] = []
    if "csv" in config.formats:
        written += write_tables(folder, movements)
    for kind, write in (("mot", write_motion), ("sto", write_states), ("trc", write_trc)):
        for move in movements if kind in config.formats else ():
            written.append(folder / f"{move.name}.{kind}")
            write(written[-1], move)
    if "nwb" in config.formats:
        written.append(folder / "movement.nwb")
        session = replace(config.nwb, subject_id=config.nwb.subject_id or clips.info.subject_id)
        write_nwb(written[-1], movements, session, clips.info.mjcf_xml, clips.info.skeleton)
    return written


def movements_of(clips: ReferenceClips) -> list[Movement]:
    """Return every clip on its own."""
    rate = float(clips.info.rate_hz or np.nan)

    def movement(index: int) -> Movement:
        rows = clips.frames(index)
        return Movement(
            clips.clip_name[index], rate, Columns(clips.names_qpos, clips.qpos_units, clips.qpos[rows]),
            Columns(clips.names_qvel, clips.qvel_units, clips.qvel[rows]), clips.kp_names, clips.kp_data[rows],
        )  # fmt: skip

    return [movement(index) for index in range(len(clips.clip_name))]
