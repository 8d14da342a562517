"""The `track-mjx` command: its verbs, and the driver of each."""

from __future__ import annotations

import sys
from copy import deepcopy
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from track_mjx._common.cli import App, Verb
from track_mjx._common.errors import ConfigError, InputError, RunError, counted, shorten
from track_mjx._common.settings import require
from track_mjx.renamed import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from track_mjx import config as settings
    from track_mjx.body.anatomy import Anatomy
    from track_mjx.clips import Clips

VERBS = {
    "train": Verb(
        "train a controller that follows reference clips in physics",
        config="config:TrainConfig",
        run="cli:train",
        preset="preset=mouse_arm_quick",
        examples="""\
            track-mjx train preset=mouse_arm_quick clips=results/clips.h5 out=run
            track-mjx train preset=rat clips=rat/clips.h5 out=rat_run run.steps=100_000_000
            track-mjx train --multirun seed=0,1,2,3,4 preset=mouse_arm_quick clips=results/clips.h5 out=seeds
            track-mjx train --multirun hydra/launcher=submitit_slurm seed=0,1,2 ppo.learning_rate=1e-4,1e-3 \\
                preset=rat clips=rat/clips.h5 out=sweep         one Slurm job each, then a table over seeds
            track-mjx train preset=fly --cfg job                      show the settings, do nothing""",
    ),
    "resume": Verb(
        "continue a training exactly from its last checkpoint",
        config="config:ResumeConfig",
        run="cli:resume",
        examples="track-mjx resume run=run\ntrack-mjx resume run=run steps=50_000_000 clips=moved/clips.h5",
    ),
    "evaluate": Verb(
        "measure how well a controller follows train and held-out clips",
        config="config:EvaluateConfig",
        run="cli:evaluate",
        examples="track-mjx evaluate run=run\ntrack-mjx evaluate run=run clips=other/clips.h5\n"
        "track-mjx evaluate run=run select=condition:fast",
    ),
    "rollout": Verb(
        "write what body and network did into a mimic.rollouts file",
        config="config:RolloutConfig",
        run="cli:rollout",
        examples="track-mjx rollout run=run out=rollouts.h5\n"
        "track-mjx rollout run=run deterministic=false seeds=[0,1,2]\n"
        "track-mjx rollout run=run whole=true deviation_mm=5 select='walk*'",
    ),
    "replay": Verb(
        "play the control step of a training that was not finite again",
        config="config:ReplayConfig",
        run="cli:replay",
        examples="track-mjx replay dump=run/non_finite_state.json",
    ),
    "render": Verb(
        "film body and reference of a rollouts file (mp4)",
        config="config:RenderConfig",
        run="cli:render",
        examples="track-mjx render rollouts=run/rollouts.h5 clip=3\n"
        "track-mjx render rollouts=run/rollouts.h5 clip=all speed=0.1 out=reaches.mp4",
    ),
    "studio": Verb(
        "play rollouts over their reference in the browser, with plots, and follow a training",
        config="config:StudioConfig",
        run="cli:studio",
        examples="track-mjx studio rollouts=run/rollouts.h5 clip=[0,1]\n"
        "track-mjx studio rollouts=[a/rollouts.h5,b/rollouts.h5] clip=3\n"
        "track-mjx studio run=run",
    ),
    "export": Verb(
        "write rollouts for other programs (tables, OpenSim, NWB, web pages), or a policy (ONNX, NumPy)",
        config="config:ExportConfig",
        run="cli:export",
        examples="track-mjx export rollouts=run/rollouts.h5 out=exported\ntrack-mjx export run=run out=policy",
    ),
    "check": Verb(
        "check whether clips files can be trained on, and describe them",
        config="config:CheckConfig",
        run="cli:check",
        files="clips",
        preset="preset=",
        examples="track-mjx check results/clips.h5\ntrack-mjx check rat/clips.h5 preset=rat arena.actuators=torque",
    ),
    "compare": Verb(
        "summarise the runs of a sweep: mean and interval over seeds, learning curves",
        config="config:CompareConfig",
        run="cli:compare",
        examples="track-mjx compare runs=sweep\ntrack-mjx compare runs='sweep/*_lr-0.001*' out=comparison",
    ),
    "bench": Verb(
        "measure how fast this machine simulates and learns",
        config="config:BenchConfig",
        run="cli:bench",
        preset="preset=mouse_arm_quick",
        examples="track-mjx bench preset=mouse_arm_quick clips=results/clips.h5\n"
        "track-mjx bench preset=rat clips=rat/clips.h5 engines=[native] n_envs=[256,1024] max_minutes=5",
    ),
}
APP = App(
    "train controllers that reproduce recorded movement of an animal in MuJoCo physics",
    VERBS,
    about="It reads clips.h5 files (mimic.reference_clips), which `stac-mjx fit` writes.\n",
    after_multirun="cli:compare_sweep",
    renamed=SETTINGS,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (default: those of the process) and return its exit code, 2 for a misuse."""
    return APP.main(arguments)


def in_memory(run: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Turn a lack of memory in a driver into a message."""

    @wraps(run)
    def guarded(config: Any) -> Any:
        try:
            return run(config)
        except Exception as error:
            text = " ".join(str(error).split())[:200]
            if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text or "bad_alloc" in text:
                cure = "fewer simulations (ppo.n_envs), steps (ppo.unroll) or clips need less"
                raise RunError(f"out of memory: {cure} ({text or 'no memory is left'})") from error
            raise

    return guarded


@in_memory
def train(config: settings.TrainConfig) -> None:
    """Train in a new run folder, or continue a run with the same settings."""
    from track_mjx.api import begin_training

    begin_training(config)


@in_memory
def resume(config: settings.ResumeConfig) -> None:
    """Continue from the last checkpoint of a run."""
    from track_mjx.api import continue_training

    continue_training(config)


@in_memory
def evaluate(config: settings.EvaluateConfig) -> None:
    """Play train and held-out clips on the policy's means, write summary, tables and figures, and print the summary."""
    from track_mjx.api import evaluate
    from track_mjx.evaluation.tables import summary_text

    target, summary = evaluate(config)
    sys.stdout.write(f"{summary_text(summary)}\n\n{target}: summary.json, tables (csv) and figures (png, svg)\n")


@in_memory
def rollout(config: settings.RolloutConfig) -> None:
    """Play the clips, once for each seed, and write a mimic.rollouts file."""
    from track_mjx._common.progress import reporting
    from track_mjx.api import write_rollouts

    with reporting() as (_, stage):
        path, n_clips = write_rollouts(config, stage)
    sys.stdout.write(f"{path}: {counted(n_clips, 'clip')}\n")


def replay(config: settings.ReplayConfig) -> None:
    """Describe the physics steps and terms of that control step."""
    from track_mjx.learning.replay import replay

    path = Path(require(config.dump, "dump", "run/non_finite_state.json")).expanduser()
    sys.stdout.write("\n  ".join(replay(path)) + "\n")


def studio(config: settings.StudioConfig) -> None:
    """Serve the page of rollouts until the command is interrupted."""
    from track_mjx._common.progress import reporting
    from track_mjx.studio.page import serve

    with reporting() as (log, _stage):
        serve(config, log.info)


def render(config: settings.RenderConfig) -> None:
    """Write an mp4 of rollouts."""
    require(config.rollouts, "rollouts", "run/rollouts.h5")
    from track_mjx._common.render import import_mujoco

    import_mujoco()
    from track_mjx._common.progress import counter, reporting
    from track_mjx.render.render import render

    with reporting() as (log, stage):
        path = render(config, counter(stage, "render"))
        log.info("%s", path)


def export(config: settings.ExportConfig) -> None:
    """Write rollouts or a policy in the formats of other programs, and print where."""
    from track_mjx.api import opened
    from track_mjx.export.movement import export_movement
    from track_mjx.export.policy import export_run

    if bool(config.rollouts) == bool(config.run):
        raise ConfigError("rollouts, run: one of them is needed; for example rollouts=run/rollouts.h5")
    written = export_run(opened(config.run), config) if config.run else export_movement(config)
    sys.stdout.write("".join(f"{path}\n" for path in written))


def check(config: settings.CheckConfig) -> None:
    """Read each file, build its arena, with a preset also its task, and print a description."""
    from track_mjx.clips import read_clips
    from track_mjx.learning.setup import build

    files = require(config.clips, "clips", "results/clips.h5")
    for path in [files] if isinstance(files, str) else list(files):
        clips = read_clips(path)
        if config.task.rewards:
            build(deepcopy(config), clips)
        sys.stdout.write("\n  ".join(description(clips, config)) + "\n")


def description(clips: Clips, config: settings.TrainConfig) -> list[str]:
    """Lines about the body and the clips of a file that can be trained on."""
    from track_mjx._common.mjcf import actuator_labels
    from track_mjx.body.anatomy import Anatomy
    from track_mjx.body.arena import build_arena
    from track_mjx.body.units import unit_lines

    arena = build_arena(clips, config.arena, config.physics)
    model = arena.model
    if model.nu == 0:
        raise InputError(f"{clips.path}: the body has no actuators; it cannot be controlled")
    lengths = clips.clip_length / clips.rate_hz
    spread = " to ".join(dict.fromkeys(f"{length:.3g}" for length in (lengths.min(), lengths.max())))
    body = Anatomy(arena, clips.length_unit_m, config.physics.ctrl_dt_s)
    off = f"; contacts switched off: {shorten(arena.switched_off, 6)}" if arena.switched_off else ""
    return [
        f"{clips.path}: can be trained on",
        f"body {clips.model_name}, {model.nv} degrees of freedom, "
        f"{model.nu} actuators ({shorten(actuator_labels(model), 6)})",
        f"{counted(len(lengths), 'clip')} of {spread} s at {clips.rate_hz:g} Hz",
        f"root {arena.root_body}, end effectors {shorten(arena.end_effectors) or 'none'}, "
        f"floor {arena.floor or 'none'}",
        *([f"arena.contacts={config.arena.contacts}{off}"] if off else []),
        *unit_lines(clips),
        *strength_lines(body, clips),
        *tendon_lines(body),
    ]


def tendon_lines(body: Anatomy) -> list[str]:
    """Warn of tendons that pull a hinge the other way where they wrap a geom, and name the nearest case.

    Other muscles of many joints may well change their side, as those of an arm do.
    """
    from math import degrees

    from track_mjx.body.tendons import reversals, wrapped_hinges

    wrapped = wrapped_hinges(body.model)
    found = [case for case in reversals(body.model) if (case.actuator, case.joint) in wrapped] if wrapped else []
    if not found:
        return []
    nearest = min(found, key=lambda case: abs(case.angle))
    return [
        f"warning: {counted(len({case.actuator for case in found}), 'actuator')} of tendons pull the other way within "
        f"the range of a hinge, {nearest.actuator} at {nearest.joint} beyond {degrees(nearest.angle):.0f} deg: "
        "train with arena.tendons=around_hinges"
    ]


def strength_lines(body: Anatomy, clips: Clips) -> list[str]:
    """How far the actuators are strong enough for the movement."""
    import numpy as np

    from track_mjx.body.strength import LACKING, can_be_judged, strength_of_clips

    if not can_be_judged(body):
        return ["strength not judged: some joints have no actuator, or the body is free and pushes against the world"]
    holding, moving = strength_of_clips(body, clips)
    held, made = (float(np.mean(part.lacking < LACKING)) for part in (holding, moving))
    lines = [f"strength: actuators can hold the pose in {held:.0%} of the frames, make the movement in {made:.0%}"]
    if held < 0.9:
        full = (holding.effort[holding.lacking >= LACKING] > 0.99).mean(0)
        strained = [f"{body.actuators[i]} {full[i]:.0%}" for i in np.argsort(-full)[:3] if full[i] > 0]
        lines.append(
            f"WARNING: no controller can hold {1 - held:.0%} of the poses "
            f"(at full force there: {', '.join(strained) or 'none'}): are muscles stretched far beyond their optimum, "
            "too weak, or the body too heavy?"
        )
    return lines


def compare(config: settings.CompareConfig) -> None:
    """Write table, JSON and learning curves of runs, and print the table."""
    from track_mjx.runs.compare import compare, find_runs

    runs = require(config.runs, "runs", "'sweep/*'")
    parents = {folder.parent for folder in find_runs(runs)}
    default = parents.pop() if len(parents) == 1 else Path("comparison")
    sys.stdout.write(compare(runs, config.out or str(default)))


def compare_sweep(verb: str, folder: Path) -> None:
    """Compare the runs of a training after a multirun."""
    from track_mjx.runs.compare import compare, has_runs

    if verb == "train" and has_runs(folder):
        sys.stdout.write(compare(folder, str(folder)))


@in_memory
def bench(config: settings.BenchConfig) -> None:
    """Measure, write ``bench.json`` and print the table."""
    from track_mjx._common.files import output_folder
    from track_mjx._common.progress import reporting
    from track_mjx._common.system import use_compilation_cache
    from track_mjx.bench.measure import run_bench, write_bench
    from track_mjx.clips import read_clips
    from track_mjx.learning.decoder import open_source, pretrained
    from track_mjx.learning.setup import build, verify

    given = pretrained(config, open_source(config))
    clips = read_clips(require(config.clips, "clips", "results/clips.h5"))
    verify(build(config, clips, given))
    out = output_folder(config.out, "bench")
    use_compilation_cache()
    with reporting(out / "bench.log") as (log, _):
        text = write_bench(config, clips, run_bench(config, clips, log.info, given), out)
    sys.stdout.write(text)
