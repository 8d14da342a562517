"""What every file says about itself: the body it belongs to, where it comes from and how it was made."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from stac_mjx._common.system import generator


@dataclass(frozen=True)
class Source:
    """One input file: where it lay and what it held (SHA-256 of its bytes)."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class FileInfo:
    """What a file of the contract says about itself; see docs/schema/README.md.

    Attributes:
        title: one line for a human reader.
        model_name: name of the body.
        mjcf_xml: the scaled body; compiles with `assets` alone.
        assets: the files the MJCF names, by bare name.
        length_unit_m: metres per length unit of the MJCF.
        rate_hz: frames per second; None only where an offsets file does not know it.
        source_files: the recordings read; only their names are written, not their folders.
        history: one line per program run; empty: the writer puts its own line.
        random_seed: seed of all random choices, None where there were none.
        root_body: body that stands for the animal's position.
        end_effectors: bodies that touch the world or carry the task.
        skeleton: pairs of keypoints joined by a line in plots.
        config_yaml: resolved settings of the run.
        environment_json: versions of programs; empty: those of this process.
        generator, created_utc: set by the writer; what a reader found.
    """

    title: str
    model_name: str
    mjcf_xml: str
    length_unit_m: float
    rate_hz: float | None
    assets: Mapping[str, bytes] = field(default_factory=dict)
    source_files: tuple[Source, ...] = ()
    history: str = ""
    random_seed: int | None = None
    subject_id: str | None = None
    session_id: str | None = None
    git_commit: str | None = None
    root_body: str | None = None
    end_effectors: tuple[str, ...] = ()
    skeleton: tuple[tuple[str, str], ...] = ()
    config_yaml: str = ""
    environment_json: str = ""
    generator: str = ""
    created_utc: str = ""

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


def environment_json() -> str:
    """Versions of the package, of Python and of the libraries that computed the results, as a JSON object."""
    found: dict[str, str] = {"python": platform.python_version(), "platform": platform.platform()}
    for name in ("stac-mjx", "numpy", "scipy", "jax", "jaxlib", "mujoco", "h5py", "hydra-core"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return json.dumps(found, indent=1)


def info_attributes(info: FileInfo, kind: str, version: str) -> dict[str, Any]:
    """Return the attributes a file of this kind gets; those that are unknown are left out."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    found: dict[str, Any] = {
        "Conventions": f"CF-1.11, mimic-{version}",
        "schema_name": kind,
        "schema_version": version,
        "title": info.title,
        "history": info.history or f"{now} {generator()}",
        "created_utc": now,
        "generator": generator(),
        "git_commit": info.git_commit,
        "model_name": info.model_name,
        "model_sha256": info.model_sha256,
        "length_unit_m": float(info.length_unit_m),
        "rate_hz": None if info.rate_hz is None else float(info.rate_hz),
        "source_files": json.dumps([{"name": s.path.name, "sha256": s.sha256} for s in info.source_files]),
        "random_seed": info.random_seed,
        "subject_id": info.subject_id,
        "session_id": info.session_id,
        "root_body": info.root_body,
        "end_effectors": json.dumps(list(info.end_effectors)) if info.end_effectors else None,
        "skeleton": json.dumps([list(pair) for pair in info.skeleton]) if info.skeleton else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def info_strings(info: FileInfo) -> dict[str, tuple[str, ...]]:
    """Return the texts a file carries under provenance/."""
    return {
        "provenance/mjcf_xml": (info.mjcf_xml,),
        "provenance/config_yaml": (info.config_yaml,),
        "provenance/environment_json": (info.environment_json or environment_json(),),
    }


def info_from(attributes: Mapping[str, Any], texts: Mapping[str, str], assets: Mapping[str, bytes]) -> FileInfo:
    """Build the record from a file's attributes, its texts by bare name, and its assets; the file has been checked."""
    plain = {
        entry.name: attributes[entry.name]
        for entry in fields(FileInfo)
        if entry.name in attributes and entry.name not in ("source_files", "end_effectors", "skeleton")
    }
    sources = json.loads(attributes["source_files"])
    return FileInfo(
        **{"rate_hz": None, **plain},
        mjcf_xml=texts["mjcf_xml"],
        config_yaml=texts["config_yaml"],
        environment_json=texts["environment_json"],
        assets=dict(assets),
        source_files=tuple(Source(Path(source["name"]), source["sha256"]) for source in sources),
        end_effectors=tuple(json.loads(attributes.get("end_effectors", "[]"))),
        skeleton=tuple((a, b) for a, b in json.loads(attributes.get("skeleton", "[]"))),
    )
