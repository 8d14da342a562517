"""Settings that all films share. Imports nothing heavy, so that ``--help`` answers at once."""

from __future__ import annotations

from dataclasses import dataclass

from ..settings import setting


@dataclass
class PageConfig:
    """A page that is served to the browser."""

    host: str = "127.0.0.1"
    """Address the page is served at; 0.0.0.0: to other machines too, which then need the token of the address."""
    port: int = setting(8090, ge=0, le=65535)
    """Port of the page; another one is taken, and printed, where it is in use. 0: any."""
    browser: bool = True
    """Open the page in the default browser."""


@dataclass
class FilmConfig:
    """How a film is drawn."""

    out: str | None = None
    """The film (mp4); empty: next to its source."""
    start_s: float = setting(0.0, ge=0)
    """Time in the clip at which the film starts, s."""
    duration_s: float | None = setting(None, gt=0)
    """Length of the stretch shown, s; empty: to the end, at most 20 s."""
    fps: int = setting(30, ge=1, le=240)
    """Pictures per second of the film."""
    width: int = setting(960, ge=64, le=8192)
    """Width of the picture, pixels; even."""
    height: int = setting(720, ge=64, le=8192)
    """Height of the picture, pixels; even."""
    camera: str | None = None
    """Camera of the model; empty: one that follows the animal."""
    azimuth: float = 120.0
    """Direction of the following camera, degrees."""
    elevation: float = -20.0
    """Height angle of the following camera, degrees."""
