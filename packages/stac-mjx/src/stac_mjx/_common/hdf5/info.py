"""What every file says about itself: the body it belongs to, where it comes from and how it was made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..system import environment, generator, now
from .record import Record
from .schema import load_schema

_AS_THEY_ARE = (
    "title", "git_commit", "model_name", "model_sha256", "random_seed", "synthetic", "subject_id", "session_id",
    "root_body",
)  # fmt: skip
"""Attributes of a file that are fields of its `FileInfo`."""


@dataclass(frozen=True)
class Source:
    """One input file."""

    path: Path
    """Its path; only the name is written to files."""
    sha256: str
    """SHA-256 of its bytes."""


@dataclass(frozen=True)
class FileInfo:
    """What a file of the contract says about itself; see docs/schema/README.md."""

    title: str
    """One line for a human reader."""
    model_name: str
    """Name of the body."""
    mjcf_xml: str
    """The scaled body; compiles with `assets` alone."""
    length_unit_m: float
    """Metres per length unit of the MJCF."""
    rate_hz: float | None
    """Frames per second; None only where an offsets file does not know it."""
    assets: Mapping[str, bytes] = field(default_factory=dict)
    """The files that the MJCF names, by bare name."""
    source_files: tuple[Source, ...] = ()
    """The files read."""
    history: str = ""
    """One line per program run; empty: one line of this program is written."""
    random_seed: int | None = None
    """Seed of all random choices, None where there were none."""
    synthetic: int | None = None
    """1 where the movement was computed, not recorded."""
    subject_id: str | None = None
    session_id: str | None = None
    git_commit: str | None = None
    root_body: str | None = None
    """Body that represents the animal's position."""
    end_effectors: tuple[str, ...] = ()
    """Bodies that touch the world or carry the task."""
    skeleton: tuple[tuple[str, str], ...] = ()
    """Pairs of keypoints joined by a line in plots."""
    config_yaml: str = ""
    """Resolved settings of the run."""
    environment_json: str = ""
    """Versions of programs; empty: those of this process are written."""
    generator: str = ""
    """Program that wrote the file; set by the writer."""
    created_utc: str = ""
    """Time of writing; set by the writer."""

    @property
    def model_sha256(self) -> str:
        """Hash of the MJCF and its assets."""
        return model_sha256(self.mjcf_xml, self.assets)


def model_sha256(mjcf_xml: str, assets: Mapping[str, bytes]) -> str:
    """SHA-256 of the XML and, in the order of their names, of each asset's name, a zero byte and its own SHA-256."""
    digest = hashlib.sha256(mjcf_xml.encode())
    for name in sorted(assets):
        digest.update(name.encode() + b"\0" + hashlib.sha256(assets[name]).digest())
    return digest.hexdigest()


def info_attributes(info: FileInfo, kind: str) -> dict[str, Any]:
    """Return the attributes a file of this kind gets; None: to be left out."""
    version = load_schema(kind).version
    return {
        "Conventions": f"CF-1.11, mimic-{version}",
        "schema_name": kind,
        "schema_version": version,
        "history": info.history or f"{now()} {generator()}",
        "created_utc": now(),
        "generator": generator(),
        **{name: getattr(info, name) for name in _AS_THEY_ARE},
        "length_unit_m": float(info.length_unit_m),
        "rate_hz": None if info.rate_hz is None else float(info.rate_hz),
        "source_files": json.dumps([{"name": s.path.name, "sha256": s.sha256} for s in info.source_files]),
        "end_effectors": json.dumps(info.end_effectors) if info.end_effectors else None,
        "skeleton": json.dumps(info.skeleton) if info.skeleton else None,
    }


def info_values(info: FileInfo) -> dict[str, Any]:
    """Return the data sets under provenance/: texts, and the files the MJCF names."""
    texts = {
        "provenance/mjcf_xml": info.mjcf_xml,
        "provenance/config_yaml": info.config_yaml,
        "provenance/environment_json": info.environment_json or json.dumps(environment(), indent=1),
    }
    return texts | {f"provenance/assets/{name}": np.frombuffer(data, np.uint8) for name, data in info.assets.items()}


def info_from(record: Record) -> FileInfo:
    """Return what a file that has been checked says about itself."""
    attributes = record.attributes
    plain: dict[str, Any] = {"rate_hz": None} | {
        entry.name: attributes[entry.name]
        for entry in fields(FileInfo)
        if entry.name in attributes and entry.name not in ("source_files", "end_effectors", "skeleton")
    }
    for name in ("mjcf_xml", "config_yaml", "environment_json"):
        plain[name] = record.strings[f"provenance/{name}"][0]
    sources = json.loads(attributes["source_files"])
    return FileInfo(
        **plain,
        assets=record.assets(),
        source_files=tuple(Source(Path(source["name"]), source["sha256"]) for source in sources),
        end_effectors=tuple(json.loads(attributes.get("end_effectors", "[]"))),
        skeleton=tuple((a, b) for a, b in json.loads(attributes.get("skeleton", "[]"))),
    )
