"""Rollouts in files of other programs: what the body did, and the reference it followed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from track_mjx._common.files import file_names, output_folder
from track_mjx._common.mjcf import compile_enclosed, qpos_labels, qpos_units, qvel_labels, qvel_units
from track_mjx._common.motion_files import Columns, Movement, write_files
from track_mjx._common.nwb import require_nwb, write_nwb
from track_mjx._common.settings import validate
from track_mjx.config import ExportConfig
from track_mjx.render.footage import Body, Footage, read_footage


def export_movement(config: ExportConfig) -> list[Path]:
    """Write the files that a configuration asks for, and return their paths.

    Raises:
        ConfigError: if a setting is invalid, or the file has no such seed.
        InputError, ContractError: if the rollouts cannot be read.
        OutputError: if a file cannot be written.
    """
    validate(config)
    if "nwb" in config.formats:
        require_nwb(config.nwb)  # before anything is written
    body, rollouts = read_footage(config.rollouts, [], config.seed)
    simulated = _movements(body, rollouts)
    nothing = Columns((), (), np.zeros((0, 0)))
    followed = [
        replace(move, coordinates=replace(move.coordinates, values=rollout.qpos_ref), velocities=nothing)
        for move, rollout in zip(simulated, rollouts, strict=True)
    ]
    folder = output_folder(config.out, "exported")
    reference = output_folder(str(folder / "reference"), "")
    shared = [kind for kind in config.formats if kind != "sto"]  # the reference has no velocities
    written = [*write_files(folder, simulated, config.formats), *write_files(reference, followed, shared)]
    if "nwb" in config.formats:
        written.append(folder / "movement.nwb")
        write_nwb(written[-1], simulated, config.nwb, body.mjcf_xml, ())
    if "html" in config.formats:
        from track_mjx.render.replay import write_rollout_page

        for take, name in zip(rollouts, file_names([take.clip for take in rollouts]), strict=True):
            written.append(folder / f"{name}.html")
            write_rollout_page(written[-1], body, take)
    return written


def _movements(body: Body, rollouts: Sequence[Footage]) -> list[Movement]:
    model, unit = compile_enclosed(body.mjcf_xml, body.assets), body.length_unit_m
    return [
        Movement(
            rollout.clip,
            1 / float(rollout.time[1] - rollout.time[0]),
            Columns(qpos_labels(model), qpos_units(model, unit), rollout.qpos),
            Columns(qvel_labels(model), qvel_units(model, unit), rollout.qvel),
        )
        for rollout in rollouts
    ]
