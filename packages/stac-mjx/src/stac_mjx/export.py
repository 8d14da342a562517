"""Registered clips in files of other programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import to_rgb

from stac_mjx._common.figures import ON_BODY, RECORDED
from stac_mjx._common.files import file_names, output_folder
from stac_mjx._common.mjcf import compile_enclosed, travels
from stac_mjx._common.motion_files import Columns, Movement, write_files
from stac_mjx._common.nwb import require_nwb, write_nwb
from stac_mjx._common.settings import validate
from stac_mjx.config import ExportConfig
from stac_mjx.records import ReferenceClips, selected_clips

if TYPE_CHECKING:
    from stac_mjx._common.render.web import Server


def export(config: ExportConfig) -> list[Path]:
    """Write the files that a configuration asks for, and return their paths.

    Raises:
        ConfigError: if a setting is invalid, or selects no clip.
        InputError, ContractError: if the clips cannot be read.
        OutputError: if a file cannot be written.
    """
    validate(config)
    clips = selected_clips(Path(config.clips).expanduser(), config.select)
    session = replace(config.nwb, subject_id=config.nwb.subject_id or clips.info.subject_id)
    if "nwb" in config.formats:
        require_nwb(session)  # before anything is written
    movements, folder = movements_of(clips), output_folder(config.out, "exported")
    written = write_files(folder, movements, config.formats)
    if "nwb" in config.formats:
        written.append(folder / "movement.nwb")
        write_nwb(written[-1], movements, session, clips.info.mjcf_xml, clips.info.skeleton)
    return [*written, *(_write_pages(folder, clips) if "html" in config.formats else ())]


def _write_pages(folder: Path, clips: ReferenceClips) -> list[Path]:
    """Write a page of each clip that plays it without a server."""
    from stac_mjx._common.render import web

    written = []
    for index, name in enumerate(file_names(clips.clip_name)):
        rows, server = clips.frames(index), web.Server()
        written.append(folder / f"{name}.html")
        rate_hz = float(clips.info.rate_hz or web.PAGE_FPS)
        web.write_page(written[-1], server, _drawn(server, clips, rows), rows.stop - rows.start, rate_hz)
        server.stop()
    return written


def _drawn(server: Server, clips: ReferenceClips, rows: slice) -> Callable[[int], None]:
    """Draw body, recorded keypoints and markers; what is returned shows a frame, counted from the first of `rows`."""
    from stac_mjx._common.render import web

    model, n_keypoints = compile_enclosed(clips.info.mjcf_xml, clips.info.assets), len(clips.kp_names)
    centre = np.tile(clips.xpos[rows, 1:].mean(axis=(0, 1)), (rows.stop - rows.start, 1))
    if travels(model):
        centre[:, :2] = clips.xpos[rows, 1:, :2].mean(axis=1)
    per_m = 1 / max(float(np.linalg.norm(np.ptp(clips.xpos[rows.start, 1:], axis=0))), 1e-6)
    body = web.BodyView(server, "/body", web.body_copies(model), clips.info.length_unit_m * per_m, opacity=0.6)
    recorded = web.Balls(server, "/recorded", n_keypoints, 0.014, to_rgb(RECORDED))
    sites = web.Balls(server, "/markers", n_keypoints, 0.009, to_rgb(ON_BODY))
    web.look_from(server, np.zeros(3), 0.9)

    def draw(frame: int) -> None:
        row, origin = rows.start + frame, centre[frame]
        body.pose((clips.xpos[row] - origin) * per_m, clips.xquat[row])
        recorded.show((clips.kp_data[row] - origin) * per_m)
        sites.show((clips.marker_sites[row] - origin) * per_m)

    return draw


def movements_of(clips: ReferenceClips) -> list[Movement]:
    """Return every clip on its own."""
    rate = float(clips.info.rate_hz or np.nan)
    errors = {"standard_errors": (clips.dof_units, clips.qpos_stderr)}
    errors |= {"resolutions": (("1",) * len(clips.names_qvel), clips.qpos_resolution)}

    labels = {"trial_id": clips.trial_id, "label": clips.clip_label, **clips.labels}
    events = {f"event_{name}": times for name, times in clips.events.items()}

    def movement(index: int) -> Movement:
        rows = clips.frames(index)
        return Movement(
            clips.clip_name[index], rate, Columns(clips.names_qpos, clips.qpos_units, clips.qpos[rows]),
            Columns(clips.names_qvel, clips.qvel_units, clips.qvel[rows]), clips.kp_names, clips.kp_data[rows],
            {k: Columns(clips.names_qvel, u, values[rows]) for k, (u, values) in errors.items() if values is not None},
            {name: texts[index] for name, texts in labels.items() if texts}
            | {name: float(times[index]) for name, times in events.items()},
        )  # fmt: skip

    return [movement(index) for index in range(len(clips.clip_name))]
