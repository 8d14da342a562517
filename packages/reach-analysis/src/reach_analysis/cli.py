"""The `reach-analysis` command: which verb is meant, and its help. The verbs themselves are in `commands`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

VERBS = {
    "emg": "turn raw EMG into envelopes and compare simulated muscles with them",
    "pca": "find the principal components of the intention and of every layer",
    "forecast": "forecast muscles and EMG by simplex projection, beside nulls, baselines and ceilings",
    "similarity": "compare intention, layers, muscles, joints and EMG by CKA and RSA",
    "synergies": "find muscle synergies and how many there are",
    "topology": "look for loops and voids in latents and layers, beside matched nulls (extra `topology`)",
    "spectra": "measure the power of actions within a band of frequencies",
    "errors": "measure how far joints and keypoints are from what they follow, by region",
    "survival": "estimate how long rollouts last before they end early",
    "gait": "find gait cycles, footfalls, duty factors and phase lags from contacts",
    "sweep": "put the runs of a sweep side by side: reward, high-frequency power, EMG error, the knee",
    "report": "put all of it on one page: figures, tables, nulls, and what the papers print beside it",
    "check": "compare rollouts files with the contract in docs/schema and list every departure",
    "bench": "measure speed beside pyEDM, and whether tests hold their level",
}
EXAMPLES = {
    "emg": """\
  reach-analysis emg rollouts=rollouts.h5 'emg={biceps:biceps.csv,triceps:triceps.csv}' trials=trials.csv
  reach-analysis emg 'rollouts={joint_only:a.h5,physics_aware:b.h5}' emg=synthetic:physics_aware""",
    "pca": """\
  reach-analysis pca rollouts=rollouts.h5 colour_by=elbow out=results
  reach-analysis pca rollouts=fly.h5 layers=[latent_mean] window_frames=31""",
    "forecast": """\
  reach-analysis forecast rollouts=rollouts.h5 out=results
  reach-analysis forecast rollouts=rollouts.h5 E=[3] tau=[-1] engine=pyedm""",
    "similarity": "  reach-analysis similarity rollouts=rollouts.h5 draws=1000",
    "synergies": "  reach-analysis synergies rollouts=rollouts.h5 largest=6",
    "topology": "  reach-analysis topology rollouts=rollouts.h5 layers=[latent_mean,decoder/layer_2]",
    "spectra": "  reach-analysis spectra 'rollouts={joint_only:a.h5,physics_aware:b.h5}' low_hz=20",
    "errors": "  reach-analysis errors rollouts=rollouts.h5 clips=clips.h5",
    "survival": "  reach-analysis survival 'rollouts=[seed_0.h5,seed_1.h5]' times_s=[30,120]",
    "gait": "  reach-analysis gait rollouts=rat.h5 lead=hand_L min_speed=0.05",
    "sweep": "  reach-analysis sweep runs='sweep/*' parameter=task.costs.control.weight",
    "report": """\
  reach-analysis report rollouts=rollouts.h5 clips=clips.h5 out=report
  reach-analysis report 'rollouts={joint_only:a.h5,physics_aware:b.h5}' clips=clips.h5 \\
      'emg={biceps:b.csv,triceps:t.csv}' trials=trials.csv runs='sweep/*' out=report
  reach-analysis report rollouts=rat.h5 studies.gait.lead=hand_L studies.forecast.permutations=5000""",
    "check": "  reach-analysis check rollouts.h5",
    "bench": "  reach-analysis bench truths=true out=results",
}


def overview() -> str:
    """The text of ``reach-analysis --help``."""
    verbs = "\n".join(f"  {verb:<12}{text}" for verb, text in VERBS.items())
    return f"""\
reach-analysis: analyse rollouts of trained controllers next to recordings of the animal.

It reads rollouts files (mimic.rollouts, as track-mjx writes them) and raw EMG with a table of trials.

usage: reach-analysis VERB [setting=value ...]

verbs:
{verbs}

Help on a verb and all its settings: reach-analysis VERB --help.   Version: reach-analysis --version.
"""


def verb_help(verb: str) -> str:
    """The text of ``reach-analysis VERB --help``."""
    from reach_analysis._common.cli import SCHEMAS
    from reach_analysis._common.settings import describe

    return f"""\
reach-analysis {verb}: {VERBS[verb]}.

usage: reach-analysis {verb} [setting=value ...] [--multirun] [--cfg job] [--config-dir DIR]

examples:
{EXAMPLES[verb]}

settings, with their defaults:
{describe(SCHEMAS[verb])}

--cfg job shows the settings and does nothing; --multirun runs every combination of comma-separated values;
Hydra's own options: --hydra-help.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (default: those of the process) and return its exit code, 2 for a misuse."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments in ([], ["-h"], ["--help"], ["help"]):
        print(overview(), end="")
        return 0
    if arguments == ["--version"]:
        from reach_analysis._common.system import generator

        print(generator())
        return 0
    if arguments[0] in ("-sc", "--shell-completion"):
        from reach_analysis._common.completion import complete

        return complete(arguments[1:])
    verb, rest = arguments[0], arguments[1:]
    if verb not in VERBS:
        from reach_analysis._common.errors import unknown

        sys.stderr.write(f"reach-analysis: {unknown('verb', verb, list(VERBS))}; reach-analysis --help tells more\n")
        return 2
    if "-h" in rest or "--help" in rest:
        print(verb_help(verb), end="")
        return 0
    from reach_analysis._common.cli import run

    command = import_module(f"reach_analysis.commands.{verb}")
    return run(verb, _with_positional(verb, rest), command.run)


def _with_positional(verb: str, rest: list[str]) -> list[str]:
    """Let ``check`` take its files as they are: ``check a.h5 b.h5``."""
    values = {rest[i + 1] for i, option in enumerate(rest[:-1]) if option in ("--cfg", "-c", "--info", "--config-dir")}
    files = [a for a in rest if "=" not in a and not a.startswith("-") and a not in values]
    if verb != "check" or not files:
        return rest
    quoted = ",".join("'" + name.replace("\\", "\\\\").replace("'", "\\'") + "'" for name in files)
    return [a for a in rest if a not in files] + [f"file=[{quoted}]"]
