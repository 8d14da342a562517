"""Write the report of a fit: ``report.html`` without scripts or links, and its pictures also in ``figures/``.

The template escapes everything that comes from files.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import mujoco
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from stac_mjx._common.errors import ContractError, output_error, shorten
from stac_mjx._common.figures import drawing, encode
from stac_mjx._common.files import write_bytes, write_text
from stac_mjx._common.mjcf import compile_enclosed
from stac_mjx._common.render.shapes import body_shapes
from stac_mjx.records import Offsets, ReferenceClips, thinned
from stac_mjx.report import body_plots, joint_plots
from stac_mjx.report import error_plots as plots
from stac_mjx.report.accuracy import figures_of, figures_per_clip, marker_warnings, three_digits
from stac_mjx.report.joint_plots import JointRanges

SAME_ERROR = 1e-3
"""Relative tolerance of the mean error by which a summary is matched to its clips."""
MOST_CLIPS = 30
"""Rows of the table of clips."""
MOST_WARNINGS = 40


class Section(NamedTuple):
    """A part of the page: what to look for, and pictures (file name, PNG)."""

    title: str
    text: str
    pictures: tuple[tuple[str, bytes], ...]


def write_report(clips: ReferenceClips, offsets: Offsets | None, summary: dict[str, Any] | None, out: Path) -> Path:
    """Write the page and its pictures to folder `out`, which exists, and return the path of the page.

    Without `offsets`, those in the clips are drawn; without `summary` (of ``fit_summary.json``), it is computed.

    Raises:
        BodyError: when the enclosed MJCF does not compile.
        ContractError: when it is not the body of the clips.
        OutputError: when a file cannot be written.
    """
    model = enclosed_model(clips)
    figures = figures_of(clips)
    if summary is None:
        figures["warnings"] = _warnings(clips)
    else:
        figures |= summary
    ranges = joint_plots.ranges_used(clips, model)
    if ranges is not None:
        figures |= {"joints": len(ranges.names) + len(ranges.still), "joints_at_limit": ranges.held}
    with drawing():
        sections = tuple(s for s in _sections(clips, offsets, model, ranges) if s.pictures)
    page = _html(clips, figures, sections, "the fit" if summary else "the clips file alone")
    _write_pictures(sections, out / "figures")
    write_text(out / "report.html", page)
    return out / "report.html"


def enclosed_model(clips: ReferenceClips) -> mujoco.MjModel:
    """Compile the MJCF that clips carry."""
    model = compile_enclosed(clips.info.mjcf_xml, clips.info.assets)
    if (model.nq, model.nv, model.nbody) != (len(clips.names_qpos), len(clips.names_qvel), len(clips.names_xpos)):
        raise ContractError(
            f"the enclosed MJCF has {model.nq} coordinates, {model.nv} velocities and {model.nbody} bodies; the clips "
            f"have {len(clips.names_qpos)}, {len(clips.names_qvel)} and {len(clips.names_xpos)}"
        )
    return model


def matching_summary(clips: ReferenceClips, path: Path) -> dict[str, Any] | None:
    """Return what ``fit_summary.json`` next to `path` adds to the clips; None where it is of another fit."""
    try:
        summary = json.loads((path.parent / "fit_summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    figures = figures_of(clips)
    if not isinstance(summary, dict) or any(
        summary.get(key) != figures[key] for key in ("frames", "clips", "keypoints")
    ):
        return None
    mean, stated = figures["mean_error_mm"], summary.get("mean_error_mm")
    if not isinstance(stated, float) or mean is None or abs(stated - mean) > SAME_ERROR * mean:
        return None
    kinds = {"warnings": list, "notes": list, "wall_s": float, "frames_per_s": float}
    return {key: summary[key] for key, kind in kinds.items() if isinstance(summary.get(key), kind)}


def _warnings(clips: ReferenceClips) -> list[str]:
    """Return a warning for each marker that does not fit the body."""
    if clips.offsets is None:
        return []
    sites = clips.marker_sites[thinned(clips.n_frames, 50)]
    size = np.linalg.norm(sites[:, :, None] - sites[:, None], axis=-1).max(axis=(1, 2))
    return marker_warnings(clips.kp_names, clips.error_mm, clips.offsets, float(np.nanmedian(size)))


def _subtitle(clips: ReferenceClips) -> str:
    info = clips.info
    sources = [source.path.name for source in info.source_files]
    named = ", ".join(sources[:3]) + (f" and {len(sources) - 3} more" if len(sources) > 3 else "")
    length = f"{clips.n_frames / float(info.rate_hz or 1.0):,.4g} s at {info.rate_hz:g} Hz"
    return " · ".join(part for part in (length, named, info.subject_id, info.session_id, info.created_utc) if part)


def _sections(
    clips: ReferenceClips, offsets: Offsets | None, model: mujoco.MjModel, ranges: JointRanges | None
) -> Iterator[Section]:
    shapes = body_shapes(model, clips.info.length_unit_m)
    yield _section(
        "Error of each keypoint",
        "Distance from the recorded keypoint to its site on the body. A keypoint far worse than the rest is tied to "
        "the wrong body, misnamed, or badly tracked.",
        keypoint_errors=plots.keypoint_errors(clips),
    )
    yield _section(
        "Error over time",
        "Peaks are moments that camera or body model do not follow. A slow rise means that the rig moved.",
        errors_over_time=plots.errors_over_time(clips),
    )
    if len(clips.clip_name) > 1:
        figure = plots.errors_per_clip(clips, figures_per_clip(clips))
        yield _section(
            "Error of each clip",
            "A clip with other errors may belong to another animal or session.",
            errors_per_clip=figure,
        )
    yield _section(
        "Worst frames",
        "Wrong keypoints point to the recording, a wrong pose of the body to the fit.",
        worst_frames=body_plots.worst_frames(clips, shapes),
    )
    yield _section(
        "Offsets on the body",
        "Blue dots are the keypoints on the body. They should be where they are on the animal.",
        offsets_on_body=body_plots.offsets_on_body(clips, offsets, model, shapes),
    )
    pages = joint_plots.joint_ranges(ranges) if ranges else []
    still = f" Joints that no keypoint moves: {shorten(ranges.still)}." if ranges and ranges.still else ""
    yield _section(
        "Joint ranges",
        "Joints that stay at a limit (red) need wider limits, another scale of the body, or other offsets." + still,
        **{f"joint_ranges_{k + 1}" if k else "joint_ranges": figure for k, figure in enumerate(pages)},
    )
    yield _section(
        "Standard errors of joints",
        "Errors to expect under noise as large as the residuals, errors of the offsets included (qpos_stderr).",
        joint_errors=joint_plots.joint_errors(clips),
    )
    if offsets is not None and len(offsets.loss_history):
        text = "Poses and offsets are fitted in rounds until the error stops falling."
        yield _section("Calibration", text, calibration_history=plots.calibration_history(offsets))
    text = "Poses of frames with few keypoints depend on the neutral pose and on neighbouring frames."
    yield _section("Missing keypoints", text, missing_keypoints=plots.missing_keypoints(clips))


def _section(title: str, text: str, **figures: Figure | None) -> Section:
    return Section(title, text, tuple((name, encode(figure)) for name, figure in figures.items() if figure is not None))


def _write_pictures(sections: tuple[Section, ...], folder: Path) -> None:
    """Write the pictures and remove those of an earlier report that this one does not have."""
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise output_error(folder, error) from error
    written = {f"{name}.png": data for section in sections for name, data in section.pictures}
    for name, data in written.items():
        write_bytes(folder / name, data)
    not_always = ("errors_per_clip", "missing_keypoints", "calibration_history", "joint_errors")
    for name in (*not_always, *(f"joint_ranges_{k}" for k in range(2, joint_plots.MOST_FIGURES + 1))):
        if f"{name}.png" not in written:
            (folder / f"{name}.png").unlink(missing_ok=True)


def _html(clips: ReferenceClips, figures: dict[str, Any], sections: tuple[Section, ...], source: str) -> str:
    """Return the page as text; `figures` are numbers under the names of ``fit_summary.json``."""
    environment = Environment(loader=PackageLoader("stac_mjx.report"), autoescape=True, undefined=StrictUndefined)
    environment.filters |= {"digits": three_digits, "whole": _whole, "base64": lambda d: base64.b64encode(d).decode()}
    status = {str(name): int(count) for name, count in (figures.get("solver_status") or {}).items()}
    per_clip, title, info = figures_per_clip(clips), "Clips", clips.info
    if len(per_clip) > MOST_CLIPS:
        title = f"The {MOST_CLIPS} of {len(per_clip)} clips with the largest mean error"
        means = [-np.inf if clip["mean_error_mm"] is None else -clip["mean_error_mm"] for clip in per_clip]
        per_clip = [per_clip[k] for k in np.argsort(means, kind="stable")[:MOST_CLIPS]]
    notes = "\n".join(str(note) for note in figures.get("notes", ()))
    return environment.get_template("report.html.jinja").render(
        title=info.title or f"{info.model_name}: fit report",
        subtitle=_subtitle(clips),
        tiles=_tiles(figures),
        warnings=[str(text) for text in figures.get("warnings", ())],
        most_warnings=MOST_WARNINGS,
        sections=sections,
        clips=per_clip if len(per_clip) > 1 else [],
        clips_title=title,
        status=status,
        n_frames=max(sum(status.values()), 1),
        details=(("Settings of the run", info.config_yaml), ("Notes", notes)),
        footer=f"Written by stac-mjx from {source}. {info.generator}".strip(),
    )


def _tiles(figures: dict[str, Any]) -> list[tuple[str, str]]:
    """Return name and value of the numbers at the top."""
    errors = {"mean_error_mm": "mean error", "median_error_mm": "median error", "rmse_mm": "root mean square"}
    errors["p95_mm"] = "95 % are below"
    counts = {
        "frames": "frames" if figures.get("clips") == 1 else f"frames in {_whole(figures.get('clips'))} clips",
        "keypoints": "keypoints",
        "degrees_of_freedom": "degrees of freedom",
        "failed_frames": "failed frames",
        "joints_at_limit": f"of {_whole(figures.get('joints'))} joints often at a limit",
    }
    tiles = [(name, f"{three_digits(figures.get(key))} mm") for key, name in errors.items()]
    tiles += [(name, _whole(figures.get(key))) for key, name in counts.items()]
    if figures.get("wall_s") is not None:
        rate = f"{_whole(figures.get('frames_per_s'))} frames a second in the solver"
        tiles.append((rate, f"{figures['wall_s']:.3g} s"))
    return tiles


def _whole(value: float | int | None) -> str:
    return "-" if value is None else f"{value:,.0f}"
