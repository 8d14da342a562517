"""Settings as text: every field of the dataclasses in `config` with its default and its help, and nearest names.

The help of a field is the docstring under it, so that a setting is described where it is defined, and only there.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache
from itertools import pairwise
from typing import Any, get_type_hints

from reach_analysis import config
from reach_analysis._common.errors import ConfigError, raise_all, unknown


@dataclass(frozen=True)
class Setting:
    """One setting: its dotted key, default, help, and whether it maps names to names."""

    key: str
    default: Any
    help: str
    maps_names: bool = False


@cache
def field_help(schema: type) -> dict[str, str]:
    """Docstrings under the fields of a dataclass."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(schema)))
    body = tree.body[0].body  # type: ignore[attr-defined]
    out = {}
    for here, after in pairwise(body):
        if not (isinstance(here, ast.AnnAssign) and isinstance(here.target, ast.Name)):
            continue
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            out[here.target.id] = " ".join(str(after.value.value).split())
    return out


def settings_of(schema: type, prefix: str = "") -> Iterator[Setting]:
    """All settings of a dataclass, nested ones with dotted keys."""
    hints, helps = get_type_hints(schema, dict(vars(config))), field_help(schema)
    for entry in fields(schema):
        kind = hints[entry.name]
        if isinstance(kind, type) and is_dataclass(kind):
            yield from settings_of(kind, f"{prefix}{entry.name}.")
        else:
            yield Setting(prefix + entry.name, _default(entry), helps.get(entry.name, ""), kind == dict[str, str])


def _default(entry: Field) -> Any:
    if entry.default_factory is not MISSING:
        return entry.default_factory()
    return entry.default


def configure(base: Any, changes: Mapping[str, Any], where: str) -> Any:
    """Return a copy of the settings `base` (a dataclass) with some changed; nested ones are given as mappings.

    Raises:
        ConfigError: when a setting does not exist (with the nearest names) or is of a wrong type; `where` comes first.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    raise_all(ConfigError, where, list(_unknown_settings(type(base), changes)))
    try:
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(base), OmegaConf.create(dict(changes))))
    except OmegaConfBaseException as error:
        key = f"{error.full_key}: " if error.full_key else ""
        raise ConfigError(f"{where}: {key}{str(error).splitlines()[0]}") from error


def _unknown_settings(schema: type, changes: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    hints = get_type_hints(schema, dict(vars(config)))
    names = [entry.name for entry in fields(schema)]
    for name, value in changes.items():
        if name not in names:
            yield unknown("setting", f"{prefix}{name}", [prefix + other for other in names])
        elif isinstance(value, Mapping) and is_dataclass(hints[name]):
            yield from _unknown_settings(hints[name], value, f"{prefix}{name}.")


def describe(schema: type, width: int = 100) -> str:
    """The settings as an indented list for ``--help``."""
    lines = []
    for setting in settings_of(schema):
        default = "" if setting.default in (None, [], {}, "") else f"  [{setting.default}]"
        lines.append(f"  {setting.key}{default}")
        lines += textwrap.wrap(setting.help, width, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines)
