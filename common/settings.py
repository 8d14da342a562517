"""Settings as dataclasses: help from the string under each field, limits from its metadata, names checked.

A setting is declared once, as a field: ``batch: int = setting(0, ge=0)`` with its help as a string on the next line.
"""

from __future__ import annotations

import ast
import copy
import inspect
import math
import operator
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from functools import cache
from itertools import pairwise
from typing import Any, get_args, get_origin, get_type_hints

from .errors import ConfigError, raise_all, unknown

_LIMITS = {
    "ge": (operator.ge, "at least"),
    "gt": (operator.gt, "more than"),
    "le": (operator.le, "at most"),
    "lt": (operator.lt, "less than"),
}


def setting(default: Any, *, choices: Sequence[Any] = (), **limits: float) -> Any:
    """Return a dataclass field with a default and limits (``ge``, ``gt``, ``le``, ``lt``) or `choices`.

    Limits hold for the value, or for each item of a list; an empty setting (None) is always accepted.
    """
    metadata = {
        **{name: limits[name] for name in _LIMITS if name in limits},
        **({"choices": choices} if choices else {}),
    }
    if isinstance(default, list | dict):
        return field(default_factory=lambda: copy.deepcopy(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Setting:
    """A setting with its dotted key."""

    key: str
    default: Any
    help: str
    limits: Mapping[str, Any]
    kind: Any
    """Its type."""

    @property
    def is_map(self) -> bool:
        """Whether users may add names to it."""
        return get_origin(self.kind) is dict

    @property
    def maps_records(self) -> bool:
        """Whether the values of the map are settings themselves."""
        return self.is_map and is_dataclass(get_args(self.kind)[1])


@cache
def field_help(schema: type) -> dict[str, str]:
    """Strings under the fields of a dataclass and of the dataclasses it derives from."""
    out: dict[str, str] = {}
    for base in (each for each in reversed(schema.__mro__) if is_dataclass(each)):
        tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        for here, after in pairwise(tree.body[0].body):  # type: ignore[attr-defined]
            if not (isinstance(here, ast.AnnAssign) and isinstance(here.target, ast.Name)):
                continue
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                out[here.target.id] = " ".join(str(after.value.value).split())
    return out


def settings_of(schema: type, prefix: str = "") -> Iterator[Setting]:
    """All settings of a dataclass, nested ones with dotted keys."""
    hints, helps = get_type_hints(schema), field_help(schema)
    for entry in fields(schema):
        kind = hints[entry.name]
        if isinstance(kind, type) and is_dataclass(kind):
            yield from settings_of(kind, f"{prefix}{entry.name}.")
        else:
            key, text = prefix + entry.name, helps.get(entry.name, "")
            yield Setting(key, _default(entry), text, entry.metadata, kind)


def _default(entry: Field) -> Any:
    return entry.default if entry.default_factory is MISSING else entry.default_factory()


def describe(schema: type, width: int = 100, preset: Mapping[str, Any] | None = None) -> str:
    """The settings as an indented list for ``--help``, with their defaults or the values of a preset."""
    lines = []
    for one in settings_of(schema):
        value = _value_in(preset or {}, one.key, one.default)
        shown = ", ".join(map(str, value)) if isinstance(value, Mapping) else str(value)
        shown = textwrap.shorten(shown, width - len(one.key), placeholder=" ...")
        default = "" if value in (None, [], {}, "") else f"  [{shown}]"
        lines.append(f"  {one.key}{default}")
        lines += textwrap.wrap(one.help, width, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines)


def _value_in(tree: Mapping[str, Any], key: str, default: Any) -> Any:
    """Look up a dotted key in nested mappings."""
    here: Any = tree
    for part in key.split("."):
        if not isinstance(here, Mapping) or part not in here:
            return default
        here = here[part]
    return here


def validate(config: Any, where: str = "settings", further: Sequence[str] = ()) -> None:
    """Raise one ConfigError of `where` with all values beyond their limits or choices, and the `further` faults."""
    raise_all(ConfigError, where, [*limit_faults(config), *further])


def limit_faults(config: Any, prefix: str = "") -> Iterator[str]:
    """One sentence for each value of a dataclass that is outside its limits."""
    for entry in fields(config):
        key, value = prefix + entry.name, getattr(config, entry.name)
        if is_dataclass(value):
            yield from limit_faults(value, f"{key}.")
        elif isinstance(value, dict):
            for name, item in value.items():
                yield from limit_faults(item, f"{key}.{name}.") if is_dataclass(item) else ()
        else:
            for item in value if isinstance(value, list | tuple) else (value,):
                problem = _problem(item, entry.metadata) if entry.metadata else _not_finite(item)
                yield from [f"{key}: {problem}"] if problem else []


def _not_finite(value: Any) -> str:
    return f"expected a number, got {value}" if isinstance(value, float) and not math.isfinite(value) else ""


def _problem(value: Any, limits: Mapping[str, Any]) -> str:
    if value is None or value in limits.get("choices", ()):
        return ""
    if "choices" in limits:
        return unknown("value", str(value), [str(choice) for choice in limits["choices"]])
    number = value if isinstance(value, int | float) else math.nan
    if math.isfinite(number) and all(_LIMITS[name][0](number, limit) for name, limit in limits.items()):
        return ""
    return f"expected {' and '.join(f'{_LIMITS[name][1]} {limit:g}' for name, limit in limits.items())}, got {value}"


def require(value: Any, key: str, example: str) -> Any:
    """Return a setting; raise a ConfigError where it is empty."""
    if value in (None, "", []):
        raise ConfigError(f"{key} is not set; for example {key}={example}")
    return value


def configure(base: Any, changes: Mapping[str, Any], where: str, renamed: Mapping[str, str] | None = None) -> Any:
    """Return a copy of the settings `base` (a dataclass) with `changes`; nested ones are given as mappings.

    Names, types and values that are wrong raise a ConfigError that begins with `where`.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    known = list(settings_of(type(base)))
    keys = _keys(changes, [one.key for one in known if one.kind is Any])
    raise_all(ConfigError, where, list(key_faults(keys, known, renamed or {})))
    try:
        changed = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(base), OmegaConf.create(dict(changes))))
    except OmegaConfBaseException as error:
        key = f"{error.full_key}: " if error.full_key else ""
        raise ConfigError(f"{where}: {key}{str(error).splitlines()[0]}") from error
    validate(changed, where)
    return changed


def _keys(changes: Mapping[str, Any], whole: Sequence[str], prefix: str = "") -> Iterator[str]:
    """Dotted keys of nested mappings, but for those that are the value of one of the `whole` settings."""
    for name, value in changes.items():
        key = f"{prefix}{name}"
        if value and isinstance(value, Mapping) and key not in whole:
            yield from _keys(value, whole, f"{key}.")
        else:
            yield key


def key_faults(keys: Iterable[str], settings: Sequence[Setting], renamed: Mapping[str, str]) -> Iterator[str]:
    """One sentence for each key that names nothing in `settings`; `renamed` maps old names to new ones, or to ""."""
    for key in keys:
        exists = any(key == one.key or one.key.startswith(f"{key}.") for one in settings)
        if exists or any(key.startswith(f"{one.key}.") for one in settings if one.is_map):
            continue
        old = next((old for old in renamed if key == old or key.startswith(f"{old}.")), None)
        if old is None:
            yield unknown("setting", key, [one.key for one in settings])
        elif renamed[old]:
            yield f"setting {old!r} is now called {renamed[old]!r}"
        else:
            yield f"setting {old!r} was removed; leave it out"


def plain_yaml(text: str) -> Any:
    """Read maps, lists, numbers and strings from YAML that came with a file: no tags, aliases or interpolation.

    Raises:
        ValueError: saying on one line why the text cannot be read.
    """
    import yaml

    try:
        if any(
            isinstance(event, yaml.AliasEvent)
            for event in yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        ):
            raise ValueError("holds aliases (*name)")
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())[:400]) from error
    if value is not None and not isinstance(value, dict | list):
        raise ValueError(f"holds the single value {str(value)[:40]!r}, neither a map nor a list")
    return {} if value is None else value
