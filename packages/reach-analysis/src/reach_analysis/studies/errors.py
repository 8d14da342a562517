"""How far rollouts are from what they follow, by region of the body (paper A, Fig. 1D; paper B, Fig. 2b)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from reach_analysis._common.errors import ConfigError, unknown
from reach_analysis._common.progress import Stage, silent
from reach_analysis.behaviour.tracking_errors import (
    RECORDED,
    Deviation,
    assign_regions,
    body_deviation,
    joint_deviation,
    keypoint_deviation,
    registration_deviation,
    trial_means,
)
from reach_analysis.config import ErrorsConfig
from reach_analysis.data.clips import Clips, read_clips
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.figures.behaviour import angles_over_reference, errors_by_region
from reach_analysis.statistics.estimates import Resampling, mean_of
from reach_analysis.studies.section import Column, Fact, Section, fact, interval_column, number, table
from reach_analysis.studies.study import Study, StudyFigure

TITLE = "Tracking errors by region"
QUESTION = (
    "How far is the simulated animal from the movement that it imitates, and which part of the body is worst? "
    "Registration is the distance of the keypoints of the clips from the body fitted to them. Tracking is the distance "
    "of the controlled body from that fit, overall its distance from the recorded keypoints."
)


TOTAL = "total"
QUANTILES = {"median": 50, "q25": 25, "q75": 75, "q95": 95, "largest": 100}


def run(rollouts: Rollouts, config: ErrorsConfig, stage: Stage = silent) -> Study:
    """Joint errors and, with the clips, registration and tracking errors of keypoints."""
    tick = stage("errors", 3)
    joints = joint_deviation(rollouts)
    clips = read_clips(Path(config.clips).expanduser()) if config.clips else None
    tick(1)
    kinds, notes = _keypoints(rollouts, clips)
    tick(1)
    rows, figures = [], []
    for unit in dict.fromkeys(joints.units):
        result = {"joints": joints.in_unit(unit)}
        rows += _rows(result, unit, config, rollouts)
        figures.append(_figure(f"joint_errors_{unit}", result, unit, config, f"joints against the reference, {unit}"))
    figures += _angles(rollouts, joints, config.clip)
    if kinds:
        rows += _rows(kinds, "mm", config, rollouts)
        figures.append(_figure("keypoint_errors", kinds, "mm", config, "keypoints, mm"))
    tick(1)
    return Study(
        name="errors",
        results=rows,
        inputs=(rollouts.path, *([clips.path] if clips else [])),
        tables={"errors": rows},
        figures=tuple(figures),
        notes=tuple(notes),
    )


def _keypoints(rollouts: Rollouts, clips: Clips | None) -> tuple[dict[str, Deviation], list[str]]:
    if clips is None:
        return {}, ["No clips file was given (clips=clips.h5), so keypoints could not be compared, only joints."]
    kinds = {"registration": registration_deviation(clips, rollouts.clip_names)}
    if clips.offsets is not None and clips.keypoint_bodies and rollouts.has("xquat"):
        tracking = {
            "tracking": keypoint_deviation(rollouts, clips),
            "overall": keypoint_deviation(rollouts, clips, RECORDED),
        }
        return kinds | tracking, []
    why = "Orientations (xquat) or offsets are not stored, so tracking is measured at the origins of bodies."
    return kinds | {"tracking (bodies)": body_deviation(rollouts, clips)}, [why]


def _regions(deviation: Deviation, config: ErrorsConfig) -> dict[str, list[str]]:
    names = deviation.distance.channels
    if config.regions is not None and not isinstance(config.regions, Mapping):
        raise ConfigError(f"regions: expected a map from region to names, got {config.regions!r}")
    if not config.regions:
        return assign_regions(names)
    chosen = {
        str(region): [patterns] if isinstance(patterns, str) else [str(pattern) for pattern in patterns]
        for region, patterns in config.regions.items()
    }
    return assign_regions(names, chosen)


UNSEEN, SEEN, EVERY = "unseen", "trained on", "all"
"""Clips that rows are about, in the order they are shown."""


def clips_by_set(rollouts: Rollouts) -> dict[str, np.ndarray]:
    """Which trials are of unseen clips, and of clips trained on, where the file says so; all of them otherwise."""
    sets = np.array(rollouts.sets)
    named = {UNSEEN: sets == "test", SEEN: sets == "train"}
    known = {name: mask for name, mask in named.items() if mask.any()}
    return known or {EVERY: np.ones(len(rollouts.trials), dtype=bool)}


def _rows(kinds: Mapping[str, Deviation], unit: str, config: ErrorsConfig, rollouts: Rollouts) -> list[dict[str, Any]]:
    """One row a set of clips, kind and region, and one a joint or keypoint."""
    resampling = Resampling(config.resamples, seed=config.seed).of(rollouts.levels, rollouts.trials)
    finished = np.array([reason is None for reason in rollouts.ended])
    rows = []
    for (clips, chosen), (kind, deviation) in product(clips_by_set(rollouts).items(), kinds.items()):
        regions = _regions(deviation, config)
        groups = {**regions, TOTAL: [name for names in regions.values() for name in names]}
        single = {name: [name] for name in deviation.distance.channels}
        for level, members in (("region", groups), ("single", single)):
            for name, names in members.items():
                series = deviation.distance.select(names).values
                values = np.concatenate([rows.ravel() for rows, own in zip(series, chosen, strict=True) if own])
                known = values[np.isfinite(values)]
                if not len(known):
                    continue
                mean = mean_of(np.where(chosen, trial_means(deviation, names), np.nan), unit, resampling, least=0.0)
                rows.append({
                    "clips": clips, "error": kind, "level": level, "name": name, "unit": unit, "trials": mean.n,
                    "samples": len(known), "reached_end": float(finished[chosen].mean()), **mean.row("mean"),
                    **{key: float(np.percentile(known, at)) for key, at in QUANTILES.items()},
                })  # fmt: skip
    return rows


MOST_NAMES = 8
"""Joints or keypoints of a single region that are drawn one by one."""


def _figure(name: str, kinds: Mapping[str, Deviation], unit: str, config: ErrorsConfig, title: str) -> StudyFigure:
    groups: dict[str, dict[str, np.ndarray]] = {}
    for kind, deviation in kinds.items():
        regions = _regions(deviation, config)
        groups[kind] = {}
        full = [name for names in regions.values() for name in names]
        if len(regions) == 1 and len(full) <= MOST_NAMES:
            regions = {name: [name] for name in full}
        for region, names in ({**regions, TOTAL: full} if len(regions) > 1 else regions).items():
            values = np.concatenate([rows.ravel() for rows in deviation.distance.select(names).values])
            if np.isfinite(values).any():
                groups[kind][region] = values[np.isfinite(values)]
    first = next(iter(kinds.values()))
    caption = (
        f"Distances over all frames of {len(first.distance.trials)} trials: median, quartiles, 5th and 95th "
        "percentile. Registration: keypoint of the clip to the site registered to it; tracking: the site in the "
        "rollout to that site; overall: the site in the rollout to the keypoint of the clip."
        if len(kinds) > 1
        else f"Absolute differences between rollout and reference over all states of {len(first.distance.trials)} "
        "trials: median, quartiles, 5th and 95th percentile; angles the short way round."
    )
    return StudyFigure(name, errors_by_region(groups, unit, title), caption)


DRAWN_JOINTS = 6


def _angles(rollouts: Rollouts, joints: Deviation, clip: str | None) -> list[StudyFigure]:
    """The angles of one clip over its reference: the joints that move most (paper B, Figs 2a and 3)."""
    reference, simulated = rollouts.series("qpos_ref"), rollouts.series("qpos")
    units = dict(zip(reference.channels, rollouts.column_units("qpos"), strict=True))
    hinges = (
        [name for name in joints.in_unit("deg").distance.channels if units.get(name) == "rad"]
        if "deg" in joints.units
        else []
    )
    if not hinges:
        return []
    if clip is not None and clip not in rollouts.trials:
        raise ConfigError(f"clip: {unknown('clip', clip, rollouts.trials)}")
    drawn = rollouts.trials.index(clip) if clip is not None else _typical(rollouts, joints)
    names = reference.select(hinges).most_varying(DRAWN_JOINTS)
    why = "the one of median error" if clip is None else "chosen"
    wanted, made = (np.degrees(series.select(names).values[drawn]) for series in (reference, simulated))
    mean = float(np.nanmean(np.abs(wanted - made)))
    of = f"{why}; n = 1 of {len(rollouts.trials)}"
    caption = (
        f"Joint angles of clip {rollouts.trials[drawn]} ({of}): reference, controller, and their difference shaded; "
        f"mean {number(mean)}° over these {len(names)} of {len(hinges)} hinges, the ones that move most."
    )
    return [StudyFigure("joint_angles", angles_over_reference(simulated.times(drawn), wanted, made, names), caption)]


def _typical(rollouts: Rollouts, joints: Deviation) -> int:
    """The trial of median joint error; of unseen clips, where there are any."""
    means = trial_means(joints, joints.in_unit("deg").distance.channels)
    mask = next(iter(clips_by_set(rollouts).values())) & np.isfinite(means)
    order = sorted(np.flatnonzero(mask if mask.any() else np.isfinite(means)), key=lambda trial: means[trial])
    return int(order[len(order) // 2])


def facts(study: Study) -> dict[str, Fact]:
    """Mean and median of each joint or keypoint, and of all of them; of unseen clips where there are any."""
    out = {}
    for row in reversed(study.results):  # so that those of unseen clips count where there are any
        if row["level"] == "single" or row["name"] == TOTAL:
            where = f"{row['error'].split(' ')[0]}/{row['name'].lower()}/{row['unit']}"
            out |= {f"{where}/mean": fact(row, "mean"), f"{where}/median": fact(row, "median")}
    return out


def section(study: Study) -> Section:
    """Errors by region, unseen clips first; the findings are about keypoints, or about joints without clips."""
    rows = [row for row in study.results if row["level"] == "region"]
    kinds = [(row["clips"], row["error"], row["unit"]) for row in rows]
    # the total of a single region repeats it
    shown = [row for row, kind in zip(rows, kinds, strict=True) if row["name"] != TOTAL or kinds.count(kind) != 2]
    columns = (
        Column("clips", "clips"), Column("what", "error"), Column("region", "name"), Column("unit", "unit"),
        interval_column("mean [95 %]", "mean"), Column("median", "median"), Column("95 % below", "q95"),
        Column("largest", "largest"), Column("reached the end, %", "reached_end", scale=100.0),
        Column("trials", "trials"), Column("values", "samples"),
    )  # fmt: skip
    totals = {(row["error"], row["unit"], row["clips"]): row for row in rows if row["name"] == TOTAL}
    findings: list[str] = []
    for kind, what, unit in ((("tracking", "mm"), "keypoints", "mm"), (("joints", "deg"), "joints", "°")):
        about = [row for key, row in totals.items() if key[:2] == kind]
        findings = findings or [_sentence(row, what, unit) for row in about]
    title = "Distances by region: mean of trial means with its interval, and quantiles over all frames"
    return Section((table(title, columns, shown),), tuple(findings), opening=True)


def _sentence(row: dict[str, Any], what: str, unit: str) -> str:
    """The mean error of a set of clips, and how much of it was seen."""
    of = {UNSEEN: " of clips that were not trained on", SEEN: " of clips that were trained on"}.get(row["clips"], "")
    lost = 1 - row["reached_end"]
    until = f"; {number(100 * lost, 2)} % of the episodes ended early and count until then" if lost else ""
    mean = fact(row, "mean")
    trials = f"95 % interval over {row['trials']} trials" if mean.has_interval else f"{row['trials']} trials"
    return f"On average {what}{of} were {mean.text()} {unit} from the reference ({trials}{until})."
