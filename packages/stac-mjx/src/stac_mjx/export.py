"""Registered clips in files of other programs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from stac_mjx._common.files import output_folder
from stac_mjx._common.motion_files import Columns, Movement, write_files
from stac_mjx._common.nwb import require_nwb, write_nwb
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
    session = replace(config.nwb, subject_id=config.nwb.subject_id or clips.info.subject_id)
    if "nwb" in config.formats:
        require_nwb(session)  # before anything is written
    movements, folder = movements_of(clips), output_folder(config.out, "exported")
    written = write_files(folder, movements, config.formats)
    if "nwb" in config.formats:
        written.append(folder / "movement.nwb")
        write_nwb(written[-1], movements, session, clips.info.mjcf_xml, clips.info.skeleton)
    return written


def movements_of(clips: ReferenceClips) -> list[Movement]:
    """Return every clip on its own."""
    rate = float(clips.info.rate_hz or np.nan)
    errors = {"standard_errors": (clips.dof_units, clips.qpos_stderr)}
    errors |= {"resolutions": (("1",) * len(clips.names_qvel), clips.qpos_resolution)}

    def movement(index: int) -> Movement:
        rows = clips.frames(index)
        return Movement(
            clips.clip_name[index], rate, Columns(clips.names_qpos, clips.qpos_units, clips.qpos[rows]),
            Columns(clips.names_qvel, clips.qvel_units, clips.qvel[rows]), clips.kp_names, clips.kp_data[rows],
            {k: Columns(clips.names_qvel, u, values[rows]) for k, (u, values) in errors.items() if values is not None},
        )  # fmt: skip

    return [movement(index) for index in range(len(clips.clip_name))]
