"""The `track-mjx` command: which verb is meant, and its help. The verbs themselves are in `commands`."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from importlib import import_module

VERBS = {
    "train": "train a controller that follows reference clips in physics",
    "resume": "go on with a training exactly where its last checkpoint was made",
    "evaluate": "measure how well a controller follows train and held-out clips",
    "rollout": "write what body and network did into a mimic.rollouts file",
    "render": "film body and reference of a rollouts file (mp4)",
    "check": "say whether a clips file can be trained on, and with what",
    "compare": "tell what runs of a sweep came to: mean and interval over seeds, learning curves",
    "bench": "measure how fast this machine simulates and learns",
}
EXAMPLES = {
    "train": """\
  track-mjx train preset=mouse_arm_quick clips=results/clips.h5 out=run
  track-mjx train preset=rat clips=rat/clips.h5 out=rat_run run.steps=100_000_000
  track-mjx train --multirun seed=0,1,2,3,4 preset=mouse_arm_quick clips=results/clips.h5 out=seeds
  track-mjx train --multirun hydra/launcher=submitit_slurm seed=0,1,2 ppo.learning_rate=1e-4,1e-3 \\
      preset=rat clips=rat/clips.h5 out=sweep         one Slurm job each, then a table over seeds
  track-mjx train preset=fly --cfg job                      show the settings, do nothing""",
    "resume": "  track-mjx resume run=run\n  track-mjx resume run=run steps=50_000_000",
    "evaluate": "  track-mjx evaluate run=run\n  track-mjx evaluate run=run clips=other/clips.h5",
    "rollout": """\
  track-mjx rollout run=run out=rollouts.h5
  track-mjx rollout run=run deterministic=false seeds=[0,1,2]""",
    "render": """\
  track-mjx render rollouts=run/rollouts.h5 clip=3
  track-mjx render rollouts=run/rollouts.h5 clip=all speed=0.1 out=reaches.mp4""",
    "check": "  track-mjx check clips=results/clips.h5",
    "compare": "  track-mjx compare runs=sweep\n  track-mjx compare runs='sweep/*,lr=0.001*' out=comparison",
    "bench": """\
  track-mjx bench preset=mouse_arm_quick clips=results/clips.h5
  track-mjx bench preset=rat clips=rat/clips.h5 engines=[native] n_envs=[256,1024] max_minutes=5""",
}


def overview() -> str:
    """The text of ``track-mjx --help``."""
    verbs = "\n".join(f"  {verb:<9}{text}" for verb, text in VERBS.items())
    return f"""\
track-mjx: train controllers that reproduce recorded movement of an animal in MuJoCo physics.

usage: track-mjx VERB [setting=value ...]

verbs:
{verbs}

It reads clips.h5 files (mimic.reference_clips), which `stac-mjx fit` writes.
Help on a verb and all its settings: track-mjx VERB --help.   Version: track-mjx --version.
"""


def verb_help(verb: str) -> str:
    """The text of ``track-mjx VERB --help``."""
    from track_mjx._common.cli import SCHEMAS
    from track_mjx._common.settings import describe
    from track_mjx.presets import preset_names

    presets = textwrap.fill(f"presets (preset=NAME): {', '.join(preset_names())}", 100, subsequent_indent="  ")
    group = f"\n{presets}\n" if verb in ("train", "bench") else ""
    return f"""\
track-mjx {verb}: {VERBS[verb]}.

usage: track-mjx {verb} [setting=value ...] [--multirun] [--cfg job] [--config-dir DIR]

examples:
{EXAMPLES[verb]}
{group}
settings, with their defaults:
{describe(SCHEMAS[verb])}

--cfg job shows the settings and does nothing; --multirun runs every combination of comma-separated values;
--config-dir DIR adds your own presets (DIR/preset/NAME.yaml); Hydra's own options: --hydra-help.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (default: those of the process) and return its exit code, 2 for a misuse."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments in ([], ["-h"], ["--help"], ["help"]):
        print(overview(), end="")
        return 0
    if arguments == ["--version"]:
        from track_mjx._common.system import generator

        print(generator())
        return 0
    if arguments[0] in ("-sc", "--shell-completion"):
        from track_mjx._common.completion import complete

        return complete(arguments[1:])
    verb, rest = arguments[0], arguments[1:]
    if verb not in VERBS:
        from track_mjx._common.errors import unknown

        sys.stderr.write(f"track-mjx: {unknown('verb', verb, list(VERBS))}; track-mjx --help tells more\n")
        return 2
    if "-h" in rest or "--help" in rest:
        print(verb_help(verb), end="")
        return 0
    from track_mjx._common.cli import run

    command = import_module(f"track_mjx.commands.{verb}")
    return run(verb, rest, command.run)
