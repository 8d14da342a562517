"""Rollouts in files of other programs: what the body did, and the reference it followed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from track_mjx._common.files import output_folder
from track_mjx._common.mjcf import compile_enclosed, qpos_labels, qpos_units, qvel_labels, qvel_units
from track_mjx._common.motion_files import Columns, Movement, write_motion, write_states, write_tables
from track_mjx._common.nwb import write_nwb
from track_mjx._common.settings import validate
from track_mjx.config import ExportConfig
from track_mjx.render.footage import Body, Footage, read_footage


def export(config: ExportConfig) -> list[Path]:
    """Write the files that a configuration asks for, and return their paths.

    Raises:
        ConfigError: if a setting is invalid, or the file has no such seed.
        InputError, ContractError: if the rollouts cannot be read.
        OutputError: if a file cannot be written.
    """
    validate(config)
    body, rollouts = read_footage(config.rollouts, [], config.seed)
    simulated = [_movement(body, rollout) for rollout in rollouts]
    nothing = Columns((), (), np.zeros((0, 0)))
    followed = [
        replace(move, coordinates=replace(move.coordinates, values=rollout.qpos_ref), velocities=nothing)
        for move, rollout in zip(simulated, rollouts, strict=True)
    ]
    folder = output_folder(config.out, "exported")
    reference = output_folder(str(folder / "reference"), "")
    written: list[Path] = []
    if "csv" in config.formats:
        written += [*write_tables(folder, simulated), *write_tables(reference, followed)]
    if "mot" in config.formats:
        for place, moves in ((folder, simulated), (reference, followed)):
            for move in moves:
                written.append(place / f"{move.name}.mot")
                write_motion(written[-1], move)
    if "sto" in config.formats:
        for move in simulated:
            written.append(folder / f"{move.name}.sto")
            write_states(written[-1], move)
    if "nwb" in config.formats:
        written.append(folder / "movement.nwb")
        write_nwb(written[-1], simulated, config.nwb, body.mjcf_xml, ())
    return written


def _movement(body: Body, rollout: Footage) -> Movement:
    model = compile_enclosed(body.mjcf_xml, body.assets)
    return Movement(
        rollout.clip,
        1 / float(rollout.time[1] - rollout.time[0]),
        Columns(qpos_labels(model), qpos_units(model, body.length_unit_m), rollout.qpos),
        Columns(qvel_labels(model), qvel_units(model, body.length_unit_m), rollout.qvel),
    )
