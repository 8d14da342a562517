"""The `stac-mjx` command: which verb is meant, and its help. The verbs themselves are in `commands`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

VERBS = {
    "fit": "find where the keypoints sit on the body, then the pose of every frame",
    "ik": "find the pose of every frame with the offsets of an earlier fit",
    "check": "compare files with the contract in docs/schema and list every departure",
    "report": "write a page of plots about a fit",
    "render": "make a video of the body and the keypoints",
    "convert": "bring output of the public stac-mjx to the contract, and mend what is wrong in it",
    "bench": "measure the speed of registration on this machine",
}
EXAMPLES = {
    "fit": """\
  stac-mjx fit out=results                                   the reaches that come with the package
  stac-mjx fit body=rat body.mjcf=rodent.xml keypoints.path=rat.mat out=results
  stac-mjx fit keypoints.path='trials/*.h5' keypoints.unit=mm keypoints.rate_hz=200 out=results
  stac-mjx fit --multirun seed=0,1,2 out=results             one folder a seed
  stac-mjx fit body=rat --cfg job                            show the settings, do nothing""",
    "ik": "  stac-mjx ik offsets=results/offsets.h5 body=rat body.mjcf=rodent.xml keypoints.path=day2.mat out=day2",
    "check": "  stac-mjx check results/clips.h5 results/offsets.h5",
    "report": "  stac-mjx report clips=results/clips.h5",
    "render": "  stac-mjx render clips=results/clips.h5 clip=0 speed=0.1",
    "convert": "  stac-mjx convert path='old/*_ik.h5' body=mouse_arm body.mjcf=arm.xml rate_hz=200 out=converted",
    "bench": "  stac-mjx bench bodies=[mouse_arm,rat] out=bench",
}


def overview() -> str:
    """The text of ``stac-mjx --help``."""
    verbs = "\n".join(f"  {verb:<9}{text}" for verb, text in VERBS.items())
    return f"""\
stac-mjx: register 3D keypoints of an animal to its MuJoCo body.

usage: stac-mjx VERB [setting=value ...]

verbs:
{verbs}

Help on a verb and all its settings: stac-mjx VERB --help.   Version: stac-mjx --version.
Start here: stac-mjx fit out=results
"""


def verb_help(verb: str) -> str:
    """The text of ``stac-mjx VERB --help``."""
    from stac_mjx._common.cli import SCHEMAS
    from stac_mjx._common.settings import describe
    from stac_mjx.body.presets import preset_names

    group = f"\nbody presets (body=NAME): {', '.join(preset_names())}\n" if verb in ("fit", "ik", "convert") else ""
    return f"""\
stac-mjx {verb}: {VERBS[verb]}.

usage: stac-mjx {verb} [setting=value ...] [--multirun] [--cfg job] [--config-dir DIR]

examples:
{EXAMPLES[verb]}
{group}
settings, with their defaults:
{describe(SCHEMAS[verb])}

--cfg job shows the settings and does nothing; --multirun runs every combination of comma-separated values;
--config-dir DIR adds your own presets (DIR/body/NAME.yaml); Hydra's own options: --hydra-help.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (default: those of the process) and return its exit code, 2 for a misuse."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments in ([], ["-h"], ["--help"], ["help"]):
        print(overview(), end="")
        return 0
    if arguments == ["--version"]:
        from stac_mjx._common.system import generator

        print(generator())
        return 0
    if arguments[0] in ("-sc", "--shell-completion"):
        from stac_mjx._common.completion import complete

        return complete(arguments[1:])
    verb, rest = arguments[0], arguments[1:]
    if verb not in VERBS:
        from stac_mjx._common.errors import unknown

        sys.stderr.write(f"stac-mjx: {unknown('verb', verb, list(VERBS))}; stac-mjx --help tells more\n")
        return 2
    if "-h" in rest or "--help" in rest:
        print(verb_help(verb), end="")
        return 0
    from stac_mjx._common.cli import run

    command = import_module(f"stac_mjx.commands.{verb}")
    return run(verb, _with_positional(verb, rest), command.run)


def _with_positional(verb: str, rest: list[str]) -> list[str]:
    """Let ``check`` take its files as they are: ``check a.h5 b.h5``."""
    files = [a for a in rest if "=" not in a and not a.startswith("-")]
    if verb != "check" or not files:
        return rest
    quoted = ",".join("'" + name.replace("\\", "\\\\").replace("'", "\\'") + "'" for name in files)
    return [a for a in rest if a not in files] + [f"file=[{quoted}]"]
