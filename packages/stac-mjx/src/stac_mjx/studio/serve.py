"""Start the studio, and stop it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from stac_mjx._common.errors import ConfigError, InputError
from stac_mjx._common.files import output_folder
from stac_mjx._common.render.page import announce, listen
from stac_mjx.body.body import enclosed_body
from stac_mjx.config import BodyConfig, FitConfig, KeypointsConfig, StudioConfig
from stac_mjx.keypoints import load_keypoints
from stac_mjx.records import Offsets, read_clips, read_offsets
from stac_mjx.studio.app import AUTOSAVE, Studio
from stac_mjx.studio.panels import Panels
from stac_mjx.studio.presets import opened
from stac_mjx.studio.session import Session, begin
from stac_mjx.studio.worker import Solved, warm_up

TITLE = "stac-mjx studio"


def open_studio(config: StudioConfig, out: Path) -> tuple[Studio, str, list[str]]:
    """Open the page that a configuration describes; return the studio, its address and notes.

    Raises:
        UserError: where the model, the recording or a file of settings cannot be read, or no port is free.
    """
    solved, notes = None, []
    if config.clips:
        session, solved = from_clips(Path(config.clips).expanduser())
    else:
        session = begin(config)
    if config.open:
        path = Path(config.open).expanduser()
        if not path.is_file():
            raise ConfigError(f"open: no file {str(path)!r}")
        session, notes = opened(session, path.read_text(encoding="utf-8", errors="replace"), str(path))
    kept = out / AUTOSAVE
    if config.studio.resume and not config.open and kept.is_file():
        before, _ = opened(session, kept.read_text(encoding="utf-8"), str(kept))
        if _work_of(before) == _work_of(session):
            session, solved = before, None
            notes.append(f"continued from {kept} (studio.resume=false: begin again)")
    output_folder(str(out), "")
    server, address = listen(config.studio, TITLE)
    studio = Studio(server, session, out, solved)
    Panels(studio)
    return studio, address, notes


def from_clips(path: Path) -> tuple[Session, Solved]:
    """Return the session of an earlier fit, and its poses."""
    clips, stored = read_clips(path), path.with_name("offsets.h5")
    if clips.kp_body is None or clips.offsets is None:
        raise InputError(f"{path}: kp_body and offsets: are missing; fit again to look at it here")
    held = np.zeros(len(clips.kp_names), np.uint8)
    own = Offsets(clips.info, clips.kp_names, clips.kp_body, clips.offsets, clips.offsets, held, 1.0, 1.0, np.empty(0))
    offsets = read_offsets(stored) if stored.is_file() else own
    body = enclosed_body(offsets, {})
    config = FitConfig(body=body.config or BodyConfig(), keypoints=KeypointsConfig(path=str(path), format="clips"))
    recording = load_keypoints(config.keypoints, body.keypoint_order)
    return Session(config, body, recording), Solved(np.arange(clips.n_frames), clips, clips.offsets)


def _work_of(session: Session) -> tuple:
    """Return what must be the same to continue earlier work: the files of the recording, and the model."""
    path, body = session.config.keypoints.path, session.config.body
    paths = [path] if isinstance(path, str) else list(path or [])
    return (
        [Path(one).expanduser().absolute() for one in paths],
        body.mjcf and Path(body.mjcf).absolute(),
        body.default_mjcf,
    )


def serve(config: StudioConfig, out: Path, say: Callable[[str], None]) -> None:
    """Open the page, and serve it until the command is interrupted."""
    studio, address, notes = open_studio(config, out)
    for note in notes:
        say(note)
    threading.Thread(target=warm_up, args=(studio.session,), daemon=True).start()
    announce(config.studio, address, say)
    try:
        studio.run()
    except KeyboardInterrupt:
        say(f"stopped; the work is kept in {studio.out}")
    finally:
        studio.keep()
        studio.server.stop()
