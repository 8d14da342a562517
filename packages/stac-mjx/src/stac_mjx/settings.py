"""Settings as text: every field of the dataclasses in `config` with its default and its help, and nearest names.

The help of a field is the docstring under it, so that a setting is described where it is defined, and only there.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache
from typing import Any, get_type_hints

from stac_mjx import config


@dataclass(frozen=True)
class Setting:
    """One setting: its dotted key, default and help."""

    key: str
    default: Any
    help: str


@cache
def field_help(schema: type) -> dict[str, str]:
    """Docstrings under the fields of a dataclass."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(schema)))
    body = tree.body[0].body  # type: ignore[attr-defined]
    out = {}
    for here, after in zip(body, body[1:]):
        if isinstance(here, ast.AnnAssign) and isinstance(here.target, ast.Name) and isinstance(after, ast.Expr):
            if isinstance(after.value, ast.Constant):
                out[here.target.id] = " ".join(str(after.value.value).split())
    return out


def settings_of(schema: type, prefix: str = "") -> Iterator[Setting]:
    """All settings of a dataclass, nested ones with dotted keys."""
    hints, helps = get_type_hints(schema, vars(config)), field_help(schema)
    for entry in fields(schema):
        kind = hints[entry.name]
        if isinstance(kind, type) and is_dataclass(kind):
            yield from settings_of(kind, f"{prefix}{entry.name}.")
        else:
            yield Setting(prefix + entry.name, _default(entry), helps.get(entry.name, ""))


def _default(entry: Field) -> Any:
    if entry.default_factory is not MISSING:
        return entry.default_factory()
    return entry.default


def describe(schema: type, width: int = 100) -> str:
    """The settings as an indented list for ``--help``."""
    lines = []
    for setting in settings_of(schema):
        default = "" if setting.default in (None, [], {}, "") else f"  [{setting.default}]"
        lines.append(f"  {setting.key}{default}")
        lines += textwrap.wrap(setting.help, width, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines)
