"""Arguments of a verb, sorted and checked for Hydra, and the errors of Hydra in one sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from .errors import ConfigError, raise_all, unknown
from .settings import Setting, key_faults

_WITH_VALUE = ("--cfg", "--config-dir", "--info", "--package", "-c", "-cd", "-p")
OPTIONS = (*_WITH_VALUE, "--multirun", "--resolve", "--hydra-help", "--shell-completion", "-m", "-sc")
"""Hydra's options; after some of them a value follows."""

_READABLE = re.compile(r"[\w./\-\\+%*@?:|$~ ]*", re.ASCII)
"""Texts that Hydra reads without quotes."""
_QUOTED_NAME = re.compile(r"""(["'])([^"']+)\1(?=\s*:)""")
_GRAMMAR = re.compile(r"""['"{}\[\]]|^\w+\(.*\)$""")
"""Signs that are grammar rather than text."""


@dataclass(frozen=True)
class Arguments:
    """Arguments sorted: options with their values, and settings as Hydra reads them."""

    options: list[str]
    overrides: list[str]

    @property
    def multirun(self) -> bool:
        """Whether every combination of the settings is run."""
        return bool({"-m", "--multirun"} & set(self.options))

    def value(self, key: str) -> str | None:
        """The value given to a setting."""
        values = [o.split("=", 1)[1] for o in self.overrides if o.lstrip("+").startswith(f"{key}=")]
        return values[-1].strip("'\"") if values else None


def sort_arguments(
    arguments: Sequence[str], settings: Sequence[Setting], *, files_key: str, group: str, renamed: Mapping[str, str]
) -> Arguments:
    """Separate options from settings, because Hydra cannot read settings on both sides of an option.

    Arguments without ``=`` fill the setting `files_key`. `group` is that of the presets, such as ``body`` in
    ``body=rat``. `renamed` maps old names of settings to new ones; empty: removed.
    """
    options: list[str] = []
    others: list[str] = []
    waiting = False
    for argument in arguments:
        if waiting or argument.startswith("-"):
            name = argument.split("=", 1)[0]
            if not waiting and name not in OPTIONS:
                raise ConfigError(f"{unknown('option', name, OPTIONS)}; settings are given as name=value")
            waiting = not waiting and name in _WITH_VALUE and "=" not in argument
            options.append(argument)
        else:
            others.append(argument)
    files = [argument for argument in others if files_key and "=" not in argument and not argument.startswith("~")]
    overrides = [argument for argument in others if argument not in files]
    groups = [*_own_groups(options), group]
    faults = [fault for override in overrides for fault in _key_faults(override, settings, renamed, groups)]
    raise_all(ConfigError, "settings", faults)
    overrides = [_addable(_readable(override), settings) for override in overrides]
    return Arguments(options, overrides + ([f"{files_key}={_quoted(files)}"] if files else []))


def _quoted(files: Sequence[str]) -> str:
    names = ["'" + name.replace("\\", "\\\\").replace("'", "\\'") + "'" for name in files]
    return names[0] if len(names) == 1 else f"[{','.join(names)}]"


def _readable(override: str) -> str:
    """Quote the texts of a value that Hydra's grammar cannot read, such as names with letters other than a to z.

    Quotes, maps, nested lists, interpolations and sweeps such as ``range(1,5)`` are left to Hydra, but quoted names in
    a map, which it takes only with backslashes.
    """
    key, equals, value = override.partition("=")
    if value.startswith("{"):
        return f"{key}={_QUOTED_NAME.sub(_with_backslashes, value)}"
    inner = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    if not equals or _READABLE.fullmatch(value) or _GRAMMAR.search(inner):
        return override
    parts = [part if _READABLE.fullmatch(part) else _quoted([part.strip()]) for part in inner.split(",")]
    return f"{key}={'[' if inner is not value else ''}{','.join(parts)}{']' if inner is not value else ''}"


def _with_backslashes(quoted: re.Match[str]) -> str:
    return re.sub(r"([][{}():=,])", r"\\\1", quoted[2])


def _own_groups(options: Sequence[str]) -> list[str]:
    """Groups of settings in the user's folders: ``--config-dir DIR +study=x`` reads ``DIR/study/x.yaml``."""
    given = [after for here, after in pairwise(options) if here in ("--config-dir", "-cd")]
    given += [option.split("=", 1)[1] for option in options if option.startswith("--config-dir=")]
    folders = [Path(folder) for folder in given]
    return [str(path.relative_to(folder)) for folder in folders for path in folder.rglob("*") if path.is_dir()]


def _key_faults(
    override: str, settings: Sequence[Setting], renamed: Mapping[str, str], groups: Sequence[str]
) -> list[str]:
    """Check the name of a setting; Hydra would accept any name after a plus."""
    if "=" not in override and not override.startswith("~"):
        return [f"{override!r}: settings are given as name=value"]
    name = override.lstrip("+~").split("=", 1)[0]
    own = name.split("@")[0] in groups or re.match(r"hydra[./]", name)
    return [] if own else list(key_faults([name], settings, renamed))


def _addable(override: str, settings: Sequence[Setting]) -> str:
    """Let ``keypoints.rename={a:b}`` and ``+body.markers.NAME.body=BODY`` add names, which Hydra alone refuses."""
    key, _, value = override.lstrip("+").partition("=")
    for one in settings:
        inside = key.startswith(f"{one.key}.")
        around = one.key.startswith(f"{key}.") and value.startswith("{")  # values of a whole section
        if not one.is_map or override.startswith("~") or not (inside or around or key == one.key):
            continue
        if not one.maps_records:
            return f"++{key}={value}"
        if inside and override.startswith("+"):
            name, _, field = key.removeprefix(f"{one.key}.").partition(".")
            return f"++{one.key}={{{name}: {f'{{{field}: {value}}}' if field else value}}}"
    return override


def explain(error: Exception, settings: Sequence[Setting] = ()) -> str:
    """Say in one sentence what Hydra rejects; `settings` are those of the verb."""
    text = str(error)
    launcher = re.search(r"Could not find 'hydra/launcher/(\w+)'", text)
    if launcher:
        return f"hydra/launcher={launcher[1]} is not installed; pip install hydra-{launcher[1].split('_')[0]}-launcher"
    group = re.search(r"Could not find '(\w+)/([^']+)'", text)
    if group:
        available = re.search(rf"Available options in '{group[1]}':\n((?:\t.*\n?)*)", text)
        return f"{group[1]}: {unknown('preset', group[2], available[1].split() if available else [])}"
    headless = re.search(r"In '(\w+)/([^']+)': .*Key '\1' not in", text, re.DOTALL)
    if headless:
        return f"{headless[1]}={headless[2]}: the file of the preset lacks its first line: # @package _global_"
    inside = re.search(r"In '(\w+)/([^']+)': [^\n]*\n(.*)\n +full_key: (\S+)", text)
    if inside:
        group, preset, fault, key = inside.groups()
        known = [setting.key for setting in settings]
        return f"{group}={preset}: {unknown('setting', key, known) if fault.startswith('Key ') else f'{key}: {fault}'}"
    override = getattr(error, "override", None)
    if override and not re.fullmatch(r"[\w.@/+~:-]*", override.split("=", 1)[0], re.ASCII):
        return (
            f"{override}: a name with spaces or letters other than a to z cannot be set on the command line; "
            "write it in a YAML file (DIR/GROUP/NAME.yaml) and add --config-dir DIR"
        )
    if override:
        return (
            f"{override}: cannot be read ({_first_sentence(text)}); put values with brackets, commas, spaces or equals "
            "signs into two pairs of quotes: \"name='value'\""
        )
    # the wrapped error says more than the wrapping one
    cause = error.__cause__
    reason = f": {_first_sentence(str(cause))}" if cause is not None and "Error merging override" in text else ""
    return (_first_sentence(text).replace("Error merging override ", "") + reason).removeprefix("++")


def _first_sentence(text: str) -> str:
    return re.split(r"\s+(?:full_key:|See https|reference_type|object_type)", " ".join(text.split()))[0].strip()
