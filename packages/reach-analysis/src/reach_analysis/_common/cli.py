"""A command with verbs: overview, help, completion, and drivers that run on settings composed by Hydra.

A user's mistake ends in one message on standard error and exit code 2.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module, resources
from pathlib import Path
from typing import Any

from . import PACKAGE, PROGRAM
from .errors import UserError, unknown

RESULTS = f"{PACKAGE.partition('_')[0]}_results"
"""Folder of the jobs of a multirun where none is given."""
SHELLS = ("bash", "fish", "zsh")
_QUIET = (
    "hydra.run.dir=.",
    "hydra.output_subdir=null",
    "hydra.sweep.subdir=.",
    "hydra/job_logging=none",
    "hydra/hydra_logging=none",
)
_FAILED = "failed"
"""Folder below that of a multirun, with a text file for each job that failed; jobs may run on other machines."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verb:
    """A verb of the command. Settings and driver are given by name, so that ``--help`` imports neither."""

    summary: str
    """What the verb does, for the overview."""
    config: str | type
    """Dataclass of its settings, or ``module:Class`` in the package."""
    run: str | Callable[[Any], int | None]
    """Its driver, or ``module:function``: takes the settings and returns None or an exit code."""
    examples: str
    """Command lines for the help."""
    files: str = ""
    """Setting that arguments without ``=`` fill, as in ``check a.h5 b.h5``."""
    preset: str = ""
    """Group and name of the preset it starts from, as ``body=mouse_arm``; ``body=`` for none but those named."""


def load(name: Any) -> Any:
    """Import ``module:name`` of this package; anything but a string is returned as it is."""
    if not isinstance(name, str):
        return name
    module, _, attribute = name.partition(":")
    return getattr(import_module(f"{PACKAGE}.{module}"), attribute)


def preset_names(group: str) -> list[str]:
    """Names of the presets of a group that come with the package, sorted."""
    folder = resources.files(PACKAGE) / "conf" / group
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def preset_values(group: str, name: str) -> dict[str, Any]:
    """Settings of a preset that comes with the package, with those of the presets it starts from."""
    import yaml

    text = (resources.files(PACKAGE) / "conf" / group / f"{name}.yaml").read_text(encoding="utf-8")
    own: dict[str, Any] = yaml.safe_load(text) or {}
    values: dict[str, Any] = {}
    for base in own.pop("defaults", []):
        if base != "_self_":
            _merge(values, preset_values(group, base))
    _merge(values, own)
    return values


def _merge(values: dict[str, Any], further: Mapping[str, Any]) -> None:
    for key, value in further.items():
        if isinstance(value, Mapping) and isinstance(values.get(key), dict):
            _merge(values[key], value)
        else:
            values[key] = value


@dataclass(frozen=True)
class App:
    """A command and its verbs."""

    title: str
    """What the package does, in one line."""
    verbs: Mapping[str, Verb]
    about: str = ""
    """Further lines of the overview."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Old name of a setting -> its new name; empty: it was removed."""
    after_multirun: str = ""
    """``module:function`` that is called with the verb and the folder after all jobs."""

    def main(self, arguments: Sequence[str] | None = None) -> int:
        """Run the command with `arguments` (default: those of the process); return its exit code, 2 for a misuse."""
        arguments = list(sys.argv[1:] if arguments is None else arguments)
        if arguments in ([], ["-h"], ["--help"], ["help"]):
            sys.stdout.write(self.overview())
        elif arguments == ["--version"]:
            from .system import generator

            sys.stdout.write(f"{generator()}\n")
        elif arguments[0] in ("-sc", "--shell-completion"):
            return self._complete(arguments[1:])
        elif arguments[0] not in self.verbs:
            problem = unknown("verb", arguments[0], list(self.verbs))
            sys.stderr.write(f"{PROGRAM}: {problem}; see {PROGRAM} --help\n")
            return 2
        elif {"-h", "--help"} & set(arguments):
            sys.stdout.write(self.help(arguments[0]))
        else:
            return self._run(arguments[0], arguments[1:])
        return 0

    def overview(self) -> str:
        """The text of ``--help``."""
        width = max(map(len, self.verbs)) + 2
        verbs = "\n".join(f"  {name:<{width}}{verb.summary}" for name, verb in self.verbs.items())
        return (
            f"{PROGRAM}: {self.title}.\n\nusage: {PROGRAM} VERB [setting=value ...]\n\nverbs:\n{verbs}\n\n{self.about}"
            f"Help on a verb and all its settings: {PROGRAM} VERB --help.   Version: {PROGRAM} --version.\n"
        )

    def help(self, name: str) -> str:
        """The text of ``VERB --help``."""
        from .settings import describe

        verb = self.verbs[name]
        group = verb.preset.partition("=")[0]
        own = f"--config-dir DIR adds your own presets (DIR/{group or 'GROUP'}/NAME.yaml)"
        given = "[FILE ...] [setting=value ...]" if verb.files else "[setting=value ...]"
        start = verb.preset.partition("=")[2]
        values = preset_values(group, start) if start else {}
        usual = f"; {start} where none is named" if start else ""
        presets = f"presets ({group}=NAME{usual}): {', '.join(preset_names(group))}" if group else ""
        parts = [
            f"{PROGRAM} {name}: {verb.summary}.",
            f"usage: {PROGRAM} {name} {given} [--multirun] [--cfg job] [--config-dir DIR]",
            "examples:\n" + textwrap.indent(textwrap.dedent(verb.examples).strip(), "  "),
            textwrap.fill(presets, 100, subsequent_indent="  "),
            f"settings, with their defaults:\n{describe(load(verb.config), preset=values)}",
            "--cfg job shows the settings and does nothing; --multirun runs every combination of comma-separated "
            f"values;\n{own}; Hydra's own options: --hydra-help.\n",
        ]
        return "\n\n".join(part for part in parts if part)

    def _run(self, name: str, arguments: Sequence[str]) -> int:
        """Compose the settings of a verb and run its driver: once, or with ``--multirun`` for every combination."""
        from hydra.errors import HydraException
        from omegaconf.errors import OmegaConfBaseException
        from yaml import YAMLError

        from .arguments import explain, sort_arguments
        from .settings import settings_of

        verb, codes, settings = self.verbs[name], [], []
        try:
            settings += settings_of(load(verb.config))
            group = verb.preset.partition("=")[0]
            given = sort_arguments(arguments, settings, files_key=verb.files, group=group, renamed=self.renamed)
            folder = Path(given.value("hydra.sweep.dir") or given.value("out") or RESULTS).expanduser()
            if given.multirun:
                shutil.rmtree(folder / _FAILED, ignore_errors=True)
            sweep = [f"hydra.sweep.dir={given.value('out') or RESULTS}"] if given.multirun else []
            self._hydra(
                name, [*given.options, *_QUIET, *sweep, *given.overrides], self._job(name, given.overrides, codes)
            )
            if given.multirun:
                codes.append(self._after_multirun(name, folder))
        except UserError as error:
            return _complain(name, str(error))
        except (HydraException, OmegaConfBaseException, YAMLError) as error:
            return _complain(name, explain(error, settings))
        except KeyboardInterrupt:
            return _complain(name, "interrupted; all files written so far are complete", 130)
        return max(codes, default=0)

    def _job(self, name: str, overrides: Sequence[str], codes: list[int]) -> Callable[[Any], None]:
        """What Hydra calls with the composed settings: here, or for each job of a multirun elsewhere."""
        run = load(self.verbs[name].run)

        def job(composed: Any) -> None:
            from omegaconf import OmegaConf

            from .settings import validate

            settings = OmegaConf.to_object(composed)
            label = _own_folder(settings, overrides)
            try:
                validate(settings)
                codes.append(run(settings) or 0)
            except UserError as error:  # caught here, because Hydra would report it in its own words
                codes.append(_complain(name, str(error)))
                if label is not None:
                    _note_failure(label, str(error))

        return job

    def _after_multirun(self, name: str, folder: Path) -> int:
        """Summarise the jobs and list those that failed."""
        if self.after_multirun:
            load(self.after_multirun)(name, folder)
        failed = sorted((folder / _FAILED).glob("*.txt"))
        for path in failed:
            _complain(name, f"job {path.stem} failed: {path.read_text(encoding='utf-8')}")
        return 2 if failed else 0

    def _hydra(self, name: str, arguments: Sequence[str], job: Callable[[Any], None]) -> None:
        """Call Hydra as a program of its own."""
        import hydra

        self.register(name)
        path = f"pkg://{PACKAGE}.conf" if self.verbs[name].preset else None
        with _process([f"{PROGRAM} {name}", *arguments]):
            hydra.main(version_base="1.3", config_path=path, config_name=name)(job)()

    def register(self, name: str) -> None:
        """Tell Hydra the settings of a verb, and the preset they start from."""
        from hydra.core.config_store import ConfigStore

        group, _, preset = self.verbs[name].preset.partition("=")
        defaults = [f"{name}_schema", *([{group: preset or None}] if group else []), "_self_"]
        ConfigStore.instance().store(name=f"{name}_schema", node=load(self.verbs[name].config))
        ConfigStore.instance().store(name=name, node={"defaults": defaults})

    def _complete(self, request: Sequence[str]) -> int:
        """Answer ``install=SHELL``, ``uninstall=SHELL`` or ``query=SHELL``: verbs by us, settings by Hydra.

        Hydra's script for the shell calls ``PROGRAM -sc query=SHELL`` with the line typed so far in ``COMP_LINE``.
        """
        action, _, shell = request[0].partition("=") if len(request) == 1 else ("", "", "")
        if action not in ("install", "uninstall", "query") or shell not in SHELLS:
            expected = f"install=SHELL or uninstall=SHELL, SHELL one of {', '.join(SHELLS)}"
            sys.stderr.write(f"{PROGRAM}: -sc: expected {expected}\n")
            return 2
        line = os.environ.get("COMP_LINE", "")
        words = line.split(None, 2)
        if action == "query" and (len(words) < 2 or (len(words) == 2 and not line.endswith(" "))):
            typed = words[1] if len(words) == 2 else ""
            offered = [verb for verb in self.verbs if verb.startswith(typed)]
            sys.stdout.write(("\n" if shell == "fish" else " ").join(offered) + "\n")
        elif action != "query":
            self._hydra(next(iter(self.verbs)), ["-sc", request[0]], lambda _: None)
        elif words[1] in self.verbs:
            os.environ["COMP_LINE"] = f"{words[0]} {words[2] if len(words) == 3 else ''}"
            self._hydra(words[1], ["-sc", request[0]], lambda _: None)
        return 0


@contextmanager
def _process(argv: list[str]) -> Iterator[None]:
    """Set ``sys.argv``, and have Hydra raise its errors instead of printing them, for a while."""
    old, name = sys.argv, "HYDRA_FULL_ERROR"
    before = os.environ.get(name)
    sys.argv, os.environ[name] = argv, "1"
    try:
        yield
    finally:
        sys.argv = old
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def _complain(name: str, message: str, code: int = 2) -> int:
    _log.debug("failed", exc_info=True)
    sys.stderr.write(f"{PROGRAM} {name}: {message}\n")
    return code


def _own_folder(settings: Any, overrides: Sequence[str]) -> str | None:
    """Give a job of a multirun a folder named after what distinguishes it; return its name, None for a single run."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.types import RunMode

    current = HydraConfig.get()
    if current.mode != RunMode.MULTIRUN:
        return None
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    swept = {override.key_or_group for override in parsed if override.is_sweep_override()}
    swept |= {str(key).lstrip("+") for key in current.sweeper.get("params") or {}}  # named in a study's file
    given = [item.lstrip("+") for item in current.overrides.task]
    differing = ",".join(item for item in given if item.split("=", 1)[0] in swept)
    # neither = nor commas, which would need quotes where the folder is given as a setting
    distinct = re.sub(r"[^\w.+-]+", "_", differing.replace("=", "-"))[:120]
    label = f"{current.job.num:03d}_{distinct or 'job'}"
    if hasattr(settings, "out"):
        settings.out = str(Path(settings.out or RESULTS) / label)
    return label


def _note_failure(label: str, message: str) -> None:
    """Leave the message of a failed job where the process that started it looks."""
    from hydra.core.hydra_config import HydraConfig

    folder = Path(HydraConfig.get().sweep.dir) / _FAILED
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{label}.txt").write_text(message, encoding="utf-8")
