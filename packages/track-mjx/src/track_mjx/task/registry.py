"""Terms and kinds of tasks by name: one pure function a term, one class a task, their parameters in config.

A term is a function of a :class:`~track_mjx.task.step.Step` and keyword parameters, decorated with its kind::

    @reward
    def joint_position_exp(step: Step, *, sigma: float) -> Float[AnyArray, " env"]: ...

``task.rewards: {joint_position_exp: {weight: 5, sigma: 0.3}}`` enables it. It appears under its name in logs, in
evaluation and in rollout files. ``{elbow: {term: body_position_exp, ...}}`` uses a function under another name.
"""

from __future__ import annotations

import collections.abc
import inspect
import math
import traceback
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from track_mjx._common.errors import ConfigError, raise_all, unknown
from track_mjx.body.anatomy import Anatomy
from track_mjx.config import TaskConfig
from track_mjx.renamed import TERMS
from track_mjx.task.step import Step

Function = TypeVar("Function", bound=Callable[..., Any])
Class = TypeVar("Class", bound=type)

TASKS = ("bowl", "imitation", "reach", "velocity")
"""Modules with a kind of task."""
KINDS = ("observation", "reward", "cost", "termination")
_terms: dict[str, dict[str, Callable[..., Any]]] = {kind: {} for kind in KINDS}
_tasks: dict[str, type] = {}


def _register(kind: str) -> Callable[[Function], Function]:
    def add(function: Function) -> Function:
        _terms[kind][function.__name__] = function
        return function

    return add


def task(kind: str) -> Callable[[Class], Class]:
    """Register a subclass of `track_mjx.task.task.Task` as ``task.kind=kind``; its keyword fields are parameters."""

    def add(cls: Class) -> Class:
        _tasks[kind] = cls
        return cls

    return add


observation = _register("observation")
"""Register a function that returns an input of the policy: (env, ...)."""
reward = _register("reward")
"""Register a function that returns how well the reference is followed: (env,), 0 to 1."""
cost = _register("cost")
"""Register a function that returns what is subtracted from the reward: (env,), at least 0."""
termination = _register("termination")
"""Register a function that returns whether the episode must end: (env,) truth values."""


def terms_of(kind: str) -> dict[str, Callable[..., Any]]:
    """Return all terms of a kind, by name."""
    for module in ("terms.observations", "terms.rewards", "terms.costs", "terms.terminations", *TASKS):
        import_module(f"track_mjx.task.{module}")
    return dict(_terms[kind])


def make_task(body: Anatomy, config: TaskConfig) -> Any:
    """Build the task of a config for a body, a `track_mjx.task.task.Task`.

    Raises:
        ConfigError: for an unknown kind of task, and unknown, missing or invalid parameters, terms and values.
    """
    for module in TASKS:
        import_module(f"track_mjx.task.{module}")
    if config.kind not in _tasks:
        raise ConfigError(f"task.kind: {unknown('kind of task', config.kind, sorted(_tasks))}")
    made = _tasks[config.kind]
    problems = _parameter_problems(made, config.parameters)
    raise_all(ConfigError, f"task.kind={config.kind}", [f"task.parameters{problem}" for problem in problems])
    return made(body, config, **_as_declared(made, config.parameters))


@dataclass(frozen=True)
class Term:
    """A term in use."""

    name: str
    """Its name in config, logs and files."""
    function: Callable[..., Any]
    weight: float = 1.0
    """Its weight in the reward; 1 for observations and terminations."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    where: str = ""
    """Its key in the config."""
    kind: str = ""

    def __call__(self, step: Step) -> Any:
        """Return the value of the term; errors name its key in the config, and the line of a user's own function."""
        where = self.where or self.name
        try:
            value = self.function(step, **self.parameters)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error
        except Exception as error:
            if self.function.__module__.startswith("track_mjx."):
                raise
            raise ConfigError(f"{where}: {_line_of(self.function, error)}: {_first_line(error)}") from error
        shape, n_envs = np.shape(value), len(step.now.qpos)
        if shape[:1] != (n_envs,) or (self.kind != "observation" and len(shape) > 1):
            expected = "(env, ...)" if self.kind == "observation" else "(env,)"
            raise ConfigError(f"{where}: expected an array of shape {expected} for env={n_envs}, got {shape}")
        if self.kind == "termination" and value.dtype != bool:
            raise ConfigError(f"{where}: expected truth values, got {value.dtype}")
        return value

    @property
    def window(self) -> int:
        """Control steps of history that the term reads, the present one included."""
        default = inspect.signature(self.function).parameters.get("window")
        return int(self.parameters.get("window", default.default if default else 1) or 1)


def _line_of(function: Callable[..., Any], error: Exception) -> str:
    """File and line of a function at which it failed."""
    name = inspect.unwrap(function).__code__.co_filename
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == name]
    return f"{Path(name).name}, line {lines[-1] if lines else 0}"


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def resolve(kind: str, config: Mapping[str, Any], where: str) -> tuple[Term, ...]:
    """Turn the config of terms into terms, in the order of the config.

    Raises:
        ConfigError: for unknown or renamed terms and parameters and for missing or invalid values; all at once.
    """
    available = terms_of(kind)
    problems: list[str] = []
    terms = []
    for name, raw in config.items():
        if raw is None:
            continue
        if not isinstance(raw, Mapping):
            problems.append(f"{where}.{name}: expected parameters by name, as {{weight: 1}}, got {raw!r}")
            continue
        parameters = dict(raw)
        wanted = str(parameters.pop("term", name))
        function = available.get(wanted)
        if function is None:
            renamed = TERMS.get(kind, {}).get(wanted)
            message = (
                f"{wanted!r} is now {renamed!r}" if renamed else unknown(f"{kind} term", wanted, sorted(available))
            )
            problems.append(f"{where}: {message}")
            continue
        weighted = kind in ("reward", "cost")
        weight = parameters.pop("weight", None) if weighted else 1.0
        if weighted and (isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight)):
            problems.append(f"{where}.{name}.weight: expected a number, got {weight!r}")
            continue
        wrong = _parameter_problems(function, parameters)
        problems += [f"{where}.{name}{problem}" for problem in wrong]
        if weight != 0 and not wrong:
            given = _as_declared(function, parameters)
            terms.append(Term(name, function, float(weight), given, f"{where}.{name}", kind))
    raise_all(ConfigError, "terms", problems)
    return tuple(terms)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Types of the parameters of a term; nothing for names that exist only for type checkers."""
    try:
        return typing.get_type_hints(function)
    except NameError:
        return {}


def _as_declared(function: Callable[..., Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Turn whole numbers of YAML into floats where the term takes floats."""
    hints = _hints(function)
    floats = {name for name, hint in hints.items() if float in _options(hint) and int not in _options(hint)}
    whole = {name for name, value in parameters.items() if isinstance(value, int) and not isinstance(value, bool)}
    return {name: float(value) if name in whole & floats else value for name, value in parameters.items()}


def _parameter_problems(function: Callable[..., Any], parameters: Mapping[str, Any]) -> list[str]:
    known = {n: p for n, p in inspect.signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY}
    problems = [f": {unknown('parameter', n, list(known) or ['(none)'])}" for n in parameters if n not in known]
    missing = [n for n, p in known.items() if p.default is p.empty and n not in parameters]
    problems += [f": parameter {name!r} is missing" for name in missing]
    hints = _hints(function)
    wrong = {name: _type_problem(hints.get(name, Any), value) for name, value in parameters.items() if name in known}
    window = parameters.get("window", 1)
    if isinstance(window, int) and window < 1:
        wrong["window"] = f"expected at least 1 control step, got {window}"
    return problems + [f".{name}: {problem}" for name, problem in wrong.items() if problem]


def _options(hint: Any) -> tuple[Any, ...]:
    """Return the alternatives of a union, else the type itself."""
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


_TYPES: dict[Any, tuple[Any, str]] = {
    float: ((int, float), "a number"),
    int: (int, "a whole number"),
    str: (str, "a name"),
    list: ((list, tuple), "a list"),
    collections.abc.Sequence: ((list, tuple), "a list"),
    collections.abc.Mapping: (Mapping, "values by name"),
}
"""Type of a parameter: types of YAML it accepts, and their description."""


def _type_problem(hint: Any, value: Any) -> str:
    """Say what is wrong with the type of a value; empty where nothing is, or where the type is not in `_TYPES`."""
    options = _options(hint)
    rows = [_TYPES.get(typing.get_origin(option) or option) for option in options if option is not types.NoneType]
    accepted = tuple(row for row in rows if row)
    if len(accepted) < len(rows) or (value is None and types.NoneType in options):
        return ""
    if isinstance(value, float) and math.isnan(value):
        return "expected a number, got nan"
    if not isinstance(value, bool) and any(isinstance(value, row[0]) for row in accepted):
        return ""
    return f"expected {' or '.join(row[1] for row in accepted)}, got {value!r}"
