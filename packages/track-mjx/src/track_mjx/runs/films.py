"""Films of a held-out clip while a run is trained, drawn by another process: the training never waits for them."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)
FILMS = "films"
_DRAW = "import sys; from track_mjx.api import load; load(sys.argv[1]).film(sys.argv[2], sys.argv[3])"


class Films:
    """Starts a film of the last checkpoint when one is due, and hands out those that are ready.

    Args:
        run: folder of the run.
        clip: name of the clip.
        every_s: wall time between the starts of films.
        draw: Python program that draws, with the folder, the film and the clip as arguments.
    """

    def __init__(self, run: Path, clip: str, every_s: float, draw: str = _DRAW) -> None:
        self._run, self._clip, self._every_s, self._draw = run, clip, every_s, draw
        self._process: subprocess.Popen[bytes] | None = None
        self._path, self._started_at = Path(), time.monotonic()

    def at(self, line: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a line of metrics together with the film that was drawn since the one before, if any."""
        ready = {}
        if self._process is not None and self._process.poll() is not None:
            if self._process.returncode == 0 and self._path.is_file():
                ready = {"film/test": self._path}
            else:
                _log.warning("%s could not be drawn; %s says why", self._path, self._path.with_suffix(".log"))
            self._process = None
        if self._process is None and time.monotonic() - self._started_at >= self._every_s:
            self._start(int(line["steps"]))
        return {**line, **ready}

    def _start(self, steps: int) -> None:
        self._path, self._started_at = self._run / FILMS / f"{steps:015d}.mp4", time.monotonic()
        self._path.parent.mkdir(exist_ok=True)
        with self._path.with_suffix(".log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", self._draw, str(self._run), str(self._path), self._clip],
                env={**os.environ, "JAX_PLATFORMS": "cpu"}, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def close(self) -> None:
        """End the film that is being drawn."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
