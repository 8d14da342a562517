"""The `stac-mjx` command: its verbs, and the driver of each."""

from __future__ import annotations

import os
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from stac_mjx._common.cli import App, Verb
from stac_mjx._common.errors import ConfigError, InputError, counted, unknown
from stac_mjx._common.settings import require, validate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stac_mjx.config import (
        BenchConfig,
        BodyConfig,
        CheckConfig,
        ConvertConfig,
        ExportConfig,
        FitConfig,
        RenderConfig,
        ReportConfig,
        StudioConfig,
    )
    from stac_mjx.records import Offsets

VERBS = {
    "fit": Verb(
        "find where the keypoints sit on the body, then the pose of every frame",
        config="config:FitConfig",
        run="cli:fit",
        preset="body=mouse_arm",
        examples="""\
            stac-mjx fit out=results                                   the reaches that come with the package
            stac-mjx fit body=rat body.mjcf=rodent.xml keypoints.path=rat.mat out=results
            stac-mjx fit keypoints.path='trials/*.h5' keypoints.unit=mm keypoints.rate_hz=200 out=results
            stac-mjx fit --multirun calibration.frames=100,250 out=sweep   one folder for each value
            stac-mjx fit body=rat --cfg job                            show the settings, do nothing""",
    ),
    "ik": Verb(
        "find the pose of every frame with the offsets of an earlier fit",
        config="config:FitConfig",
        run="cli:ik",
        preset="body=mouse_arm",
        examples="stac-mjx ik offsets=results/offsets.h5 keypoints.path=day2.mat out=day2",
    ),
    "studio": Verb(
        "pair, align, scale, fit and save a new body in the browser",
        config="config:StudioConfig",
        run="cli:studio",
        preset="body=",
        examples="""\
            stac-mjx studio                                            the reaches that come with the package
            stac-mjx studio body.mjcf=animal.xml keypoints.path=day1.h5 out=animal
            stac-mjx studio body=rat body.mjcf=rodent.xml keypoints.path=rat.mat
            stac-mjx studio clips=results/clips.h5                     look at a fit, and continue""",
    ),
    "check": Verb(
        "compare files with the contract in docs/schema and list every violation; describe recordings",
        config="config:CheckConfig",
        run="cli:check",
        files="file",
        examples="""\
            stac-mjx check results/clips.h5 results/offsets.h5
            stac-mjx check recording.csv                               its format, length, unit and all keypoints""",
    ),
    "report": Verb(
        "write a page of plots about a fit",
        config="config:ReportConfig",
        run="cli:report",
        examples="stac-mjx report clips=results/clips.h5",
    ),
    "render": Verb(
        "make a video of the body and the keypoints",
        config="config:RenderConfig",
        run="cli:render",
        examples="stac-mjx render clips=results/clips.h5 clip=0 speed=0.1",
    ),
    "export": Verb(
        "write clips for other programs: tables, OpenSim, TRC, NWB, web pages",
        config="config:ExportConfig",
        run="cli:export",
        examples="stac-mjx export clips=results/clips.h5 out=exported\n"
        "stac-mjx export clips=results/clips.h5 formats=[nwb] nwb.start=2026-11-02T14:05:00+01:00 nwb.subject_id=m36",
    ),
    "convert": Verb(
        "convert public stac-mjx output to the file contract and fix known defects",
        config="config:ConvertConfig",
        run="cli:convert",
        preset="body=mouse_arm",
        examples="stac-mjx convert path='old/*_ik.h5' body=mouse_arm body.mjcf=arm.xml rate_hz=200 out=converted",
    ),
    "bench": Verb(
        "measure the speed of registration on this machine",
        config="config:BenchConfig",
        run="cli:bench",
        examples="stac-mjx bench bodies=[mouse_arm,rat] out=bench",
    ),
}
REMOVED = (
    "solver.smoothing_passes",
    "solver.keyframe_stride",
    "solver.restart_factor",
    "solver.batch",
    "solver.threads",
    "calibration.anchor",
    "alignment.implausible_factor",
    "trajectory.segment",
    "trajectory.overlap",
    "scaling",
)
"""Settings of earlier versions that are constants now."""
MODEL_SETTINGS = {"", "name", "mjcf", "default_mjcf", "unit", "scale", "scale_inertia", "root"}
"""Settings of the body that change its model: given one of them, `ik` does not take the enclosed body."""
APP = App(
    "register 3D keypoints of an animal to its MuJoCo body",
    VERBS,
    about="Start with: stac-mjx fit out=results\n",
    renamed=dict.fromkeys(REMOVED, ""),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (default: those of the process) and return its exit code, 2 for a misuse."""
    return APP.main(arguments)


def fit(config: FitConfig) -> None:
    """Fit and write ``offsets.h5``, ``clips.h5``, ``fit_summary.json``, ``config.yaml``, ``fit.log`` and the report."""
    if config.offsets is not None:
        raise ConfigError("offsets: fit calibrates its own offsets; to use known ones: stac-mjx ik offsets=FILE ...")
    register_to_files(config)


def ik(config: FitConfig) -> None:
    """Solve all frames with known offsets and write ``clips.h5``, ``fit_summary.json`` and the report.

    The body is the one that the offsets file encloses, unless the command line gives another.
    """
    from stac_mjx.records import read_offsets

    register_to_files(config, read_offsets(require(config.offsets, "offsets", "results/offsets.h5")))


def register_to_files(config: FitConfig, offsets: Offsets | None = None) -> None:
    """Run `fit` or `ik`, from settings to files."""
    begin = time.perf_counter()
    validate(config)
    from stac_mjx._common.files import output_folder
    from stac_mjx._common.progress import reporting
    from stac_mjx._common.system import use_compilation_cache
    from stac_mjx.body.body import enclosed_body, load_body
    from stac_mjx.calibration.known_offsets import known_offsets
    from stac_mjx.inputs import load_inputs
    from stac_mjx.results import SAVE_STEPS, register

    given, known = _given_of_body(), None
    if offsets is None or given & MODEL_SETTINGS:
        _find_near_preset(config.body)
        body = load_body(config.body)
    else:
        body = enclosed_body(offsets, {name: getattr(config.body, name) for name in given})
        config.body = body.config or config.body
    inputs = load_inputs(body, config)
    if config.offsets is not None:
        known = known_offsets(
            config.offsets, body, config.alignment, inputs.T_keypoints_file, inputs.keypoints.clip_names
        )
        inputs = replace(inputs, warnings=(*inputs.warnings, *known.warnings))
    read_s = time.perf_counter() - begin
    # created only now, so that a mistake in the settings or the recording leaves nothing behind
    out = output_folder(config.out, "stac_results")
    with reporting(out / "fit.log") as (log, stage):
        use_compilation_cache()
        for note in inputs.keypoints.notes:
            log.info(note)
        for warning in inputs.warnings:
            log.warning(warning)
        registration = register(inputs, config, known=known, stage=stage)
        registration.timings["read_s"] = read_s
        registration.save(out, report=config.report, tick=stage("write", SAVE_STEPS))
        summary = registration.summary()
        for warning in summary["warnings"][len(inputs.warnings) :]:
            log.warning(warning)
        log.info(closing_line(summary, out))


def _given_of_body() -> set[str]:
    """Return the settings of the body that the command line gives; "" for the choice of a preset."""
    from hydra.core.hydra_config import HydraConfig

    if not HydraConfig.initialized():
        return {""}
    keys = [override.lstrip("+~").split("=", 1)[0] for override in HydraConfig.get().overrides.task]
    return {
        key.removeprefix("body").split(".")[1] if "." in key else "" for key in keys if re.match(r"body([.@]|$)", key)
    }


def _find_near_preset(body: BodyConfig) -> None:
    """Complete a relative path of a model that is not in the working folder: the preset's own folder, or its parent."""
    from hydra.core.hydra_config import HydraConfig

    if not body.mjcf or Path(body.mjcf).expanduser().is_file() or not HydraConfig.initialized():
        return
    runtime = HydraConfig.get().runtime
    for source in runtime.config_sources:
        preset = Path(source.path) / "body" / f"{runtime.choices.get('body')}.yaml"
        found = [path for path in (preset.parent / body.mjcf, Path(source.path) / body.mjcf) if path.is_file()]
        if source.schema == "file" and found:
            body.mjcf = str(found[0].resolve())
            return


def closing_line(summary: dict, out: Path) -> str:
    """Return one line with the result of a fit."""
    frames, keypoints = counted(summary["frames"], "frame"), counted(summary["keypoints"], "keypoint")
    empty = summary["solver_status"]["no_markers"]
    failed = f"{counted(summary['failed_frames'] - empty, 'frame')} failed"
    return (
        f"{frames}, {keypoints}: mean error {summary['mean_error_mm']:.3f} mm, rmse {summary['rmse_mm']:.3f} mm, "
        f"{failed}{f', {empty} without enough keypoints' if empty else ''}; {summary['wall_s']:.1f} s; results in {out}"
    )


def studio(config: StudioConfig) -> None:
    """Serve the page of the studio until the command is interrupted."""
    from stac_mjx._common.progress import reporting
    from stac_mjx._common.system import use_compilation_cache
    from stac_mjx.body.presets import body_preset
    from stac_mjx.studio.serve import serve

    use_compilation_cache()
    _find_near_preset(config.body)
    if not (config.body.mjcf or config.body.default_mjcf):
        config.body = body_preset("mouse_arm")
    with reporting() as (log, _stage):
        serve(config, Path(os.path.expandvars(config.out or "stac_studio")).expanduser(), log.info)


def check(config: CheckConfig) -> int:
    """Print all violations of each file, or what a recording holds; return 2 when a file has an error."""
    from stac_mjx.check import check_file, errors_in, format_violations

    files = require(config.file, "file", "results/clips.h5")
    wrong = False
    for path in map(Path, [files] if isinstance(files, str) else files):
        recording = _recording(path)
        violations = [] if recording else check_file(path)
        sys.stdout.write((recording or format_violations(path, violations)) + "\n")
        wrong |= bool(errors_in(violations))
    return 2 if wrong else 0


def _recording(path: Path) -> str:
    """Describe a recording; empty for files of the contract, output of the public stac-mjx, and other files."""
    from stac_mjx.keypoints.formats.detect import detect
    from stac_mjx.keypoints.loading import read_file

    try:
        kind = detect(path)
    except InputError:
        return ""
    if kind in ("clips", "stac"):
        return ""
    reading = read_file(path, kind)
    frames, number = len(reading.positions), reading.n_keypoints
    facts = [f"{counted(frames, 'frame')} of {counted(number, 'keypoint')}"]
    facts += [f"{reading.rate_hz:g} Hz" if reading.rate_hz else "frame rate not stated (keypoints.rate_hz)"]
    facts += [f"unit {reading.unit}" if reading.unit else "length unit not stated (keypoints.unit)"]
    lines = [f"{path}: a recording: {', '.join(facts)}", *(f"  {note}" for note in reading.notes)]
    names = ", ".join(reading.names) if reading.names else "without names (keypoints.names)"
    return "\n".join([*lines, f"  keypoints: {names}"])


def report(config: ReportConfig) -> None:
    """Write ``report.html`` and ``figures/`` from a clips file and the files next to it."""
    path = Path(require(config.clips, "clips", "results/clips.h5")).expanduser()
    from stac_mjx._common.files import output_folder
    from stac_mjx._common.progress import reporting

    with reporting() as (log, stage):
        tick = stage("read", 2)
        from stac_mjx.records import read_offsets, selected_clips
        from stac_mjx.report.page import matching_summary, write_report

        clips = selected_clips(path, config.select)
        default = path.parent / "offsets.h5"
        chosen = Path(config.offsets).expanduser() if config.offsets else default if default.exists() else None
        offsets = None if chosen is None else read_offsets(chosen)
        tick(1)
        page = write_report(clips, offsets, matching_summary(clips, path), output_folder(config.out, str(path.parent)))
        tick(1)
        log.info(f"{page}: open it in a browser")


def render(config: RenderConfig) -> None:
    """Write an mp4 of one clip."""
    require(config.clips, "clips", "results/clips.h5")
    from stac_mjx._common.render import import_mujoco

    import_mujoco()
    from stac_mjx._common.progress import counter, reporting
    from stac_mjx.render import render_clip

    with reporting() as (log, stage):
        path = render_clip(config, counter(stage, "render"))
        log.info(str(path))


def export(config: ExportConfig) -> None:
    """Write clips in the formats of other programs, and print where."""
    from stac_mjx.export import export

    require(config.clips, "clips", "results/clips.h5")
    sys.stdout.write("".join(f"{path}\n" for path in export(config)))


def convert(config: ConvertConfig) -> None:
    """Write ``clips.h5``, ``offsets.h5``, ``convert_summary.json``, ``config.yaml`` and ``convert.log``."""
    begin = time.perf_counter()
    require(config.path, "path", "'old/*_ik.h5'")
    from stac_mjx._common.files import output_folder, write_json, write_text
    from stac_mjx._common.progress import reporting
    from stac_mjx._common.system import use_compilation_cache
    from stac_mjx.convert.convert import conversion_summary, convert, report_lines
    from stac_mjx.records import write_clips, write_offsets
    from stac_mjx.registration import config_yaml

    use_compilation_cache()
    _find_near_preset(config.body)
    conversion = convert(config)
    summary = conversion_summary(conversion)
    out = output_folder(config.out, "stac_converted")
    with reporting(out / "convert.log") as (log, _stage):
        for note in conversion.registration.inputs.keypoints.notes:
            log.info(note)
        write_offsets(out / "offsets.h5", conversion.offsets)
        write_clips(out / "clips.h5", conversion.registration.clips)
        write_text(out / "config.yaml", config_yaml(config))
        summary["wall_s"] = round(time.perf_counter() - begin, 3)
        write_json(out / "convert_summary.json", summary)
        for warning in summary["warnings"]:
            log.warning(warning)
        for line in report_lines(summary):
            log.info(line)
        log.info(f"{counted(summary['frames'], 'frame')} in {counted(summary['clips'], 'clip')}; results in {out}")


def bench(config: BenchConfig) -> None:
    """Measure, print the table and write ``bench.json`` and ``bench.md``."""
    from stac_mjx._common.files import output_folder
    from stac_mjx._common.progress import reporting
    from stac_mjx._common.system import use_compilation_cache
    from stac_mjx.body.presets import preset_names

    for name in config.bodies:
        if name not in preset_names():
            raise ConfigError(f"bodies: {unknown('body', name, preset_names())}")
    validate(config, further=[] if config.bodies else ["bodies: expected at least one"])
    out = output_folder(config.out, "bench")
    data = data_folder(config.data)
    with reporting(out / "bench.log") as (log, stage):
        from stac_mjx.bench import run_bodies, write_bench

        use_compilation_cache()
        log.info("real recordings from %s", data) if data else log.info("no data folder: synthetic recordings")
        text = write_bench(run_bodies(config, data, log.info, stage("bodies", len(config.bodies))), out)
    sys.stdout.write(text)


def data_folder(given: str | None) -> Path | None:
    """Return the folder of real recordings: the one given, $MIMIC_DATA, or none."""
    if given is None:
        folder = Path(os.environ["MIMIC_DATA"]) if os.environ.get("MIMIC_DATA") else None
        return folder if folder is not None and folder.is_dir() else None
    folder = Path(os.path.expandvars(given)).expanduser()
    if not folder.is_dir():
        raise ConfigError(f"data: no folder {folder}")
    return folder
