"""Terms by name: one pure function each, its parameters in config.

A term is a function of a :class:`Step` and keyword parameters, decorated with its kind::

    @reward
    def joints(step: Step, *, sigma: float) -> Float[AnyArray, " env"]: ...

``task.rewards: {joints: {weight: 5, sigma: 0.3}}`` then puts it to use, and it appears under its name in logs, in
evaluation and in rollout files. ``{elbow: {term: bodies, ...}}`` uses a function under another name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, TypeVar

from track_mjx._common.errors import ConfigError, raise_all, unknown

Function = TypeVar("Function", bound=Callable[..., Any])

KINDS = ("observation", "reward", "cost", "termination")
_terms: dict[str, dict[str, Callable[..., Any]]] = {kind: {} for kind in KINDS}


def _register(kind: str) -> Callable[[Function], Function]:
    def add(function: Function) -> Function:
        _terms[kind][function.__name__] = function
        return function

    return add


observation = _register("observation")
"""Mark a function that returns what the policy sees: (env, ...)."""
reward = _register("reward")
"""Mark a function that returns how well the reference is met: (env,), 0 to 1."""
cost = _register("cost")
"""Mark a function that returns what is charged: (env,), at least 0."""
termination = _register("termination")
"""Mark a function that returns whether the episode must end: (env,) truth values."""


def terms_of(kind: str) -> dict[str, Callable[..., Any]]:
    """All terms of a kind, by name."""
    for module in ("observations", "rewards", "costs", "terminations"):
        import_module(f"track_mjx.task.terms.{module}")
    return dict(_terms[kind])


@dataclass(frozen=True)
class Term:
    """A term put to use.

    Attributes:
        name: its name in config, logs and files.
        function: what computes it.
        weight: its weight in the reward; 1 for observations and terminations.
        parameters: its other parameters.
        where: its key in the config.
    """

    name: str
    function: Callable[..., Any]
    weight: float = 1.0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    where: str = ""

    def __call__(self, step: Any) -> Any:
        """The term's value for a step.

        Raises:
            ConfigError: when a parameter cannot be used.
        """
        try:
            return self.function(step, **self.parameters)
        except ConfigError as error:  # a term does not know under which name it is used
            raise ConfigError(f"{self.where or self.name}: {error}") from error

    @property
    def window(self) -> int:
        """Control steps of history the term looks at, the present one included."""
        default = inspect.signature(self.function).parameters.get("window")
        return int(self.parameters.get("window", default.default if default else 1) or 1)


def resolve(kind: str, config: Mapping[str, Any], where: str) -> tuple[Term, ...]:
    """Turn the config of terms into terms, in the order of the config.

    Raises:
        ConfigError: when a term or a parameter does not exist, or a value is missing; all faults at once.
    """
    available = terms_of(kind)
    faults: list[str] = []
    terms = []
    for name, raw in config.items():
        if raw is None:
            continue
        if not isinstance(raw, Mapping):
            faults.append(f"{where}.{name}: expected parameters by name, as {{weight: 1}}, got {raw!r}")
            continue
        parameters = dict(raw)
        function = available.get(parameters.pop("term", name))
        if function is None:
            faults.append(f"{where}: {unknown(f'{kind} term', str(raw.get('term', name)), sorted(available))}")
            continue
        weighted = kind in ("reward", "cost")
        weight = parameters.pop("weight", None) if weighted else 1.0
        if weighted and (isinstance(weight, bool) or not isinstance(weight, int | float)):
            faults.append(f"{where}.{name}.weight: expected a number, got {weight!r}")
            continue
        problems = _parameter_faults(function, parameters)
        faults += [f"{where}.{name}{problem}" for problem in problems]
        if weight != 0 and not problems:
            terms.append(Term(name, function, float(weight), _as_declared(function, parameters), f"{where}.{name}"))
    raise_all(ConfigError, "terms", faults)
    return tuple(terms)


def _as_declared(function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Whole numbers of YAML become floats where the term wants floats."""
    wanted = {name: str(p.annotation) for name, p in inspect.signature(function).parameters.items()}
    whole = {name for name, value in given.items() if isinstance(value, int) and not isinstance(value, bool)}
    return {n: float(v) if n in whole and "float" in wanted[n] else v for n, v in given.items()}


def _parameter_faults(function: Callable[..., Any], given: Mapping[str, Any]) -> list[str]:
    known = {n: p for n, p in inspect.signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY}
    faults = [f": {unknown('parameter', name, list(known) or ['(none)'])}" for name in given if name not in known]
    missing = [name for name, p in known.items() if p.default is p.empty and name not in given]
    faults += [f": parameter {name!r} is missing" for name in missing]
    wrong = {n: _type_fault(str(known[n].annotation), value) for n, value in given.items() if n in known}
    window = given.get("window", 1)
    if isinstance(window, int) and window < 1:
        wrong["window"] = f"expected at least 1 control step, got {window}"
    return faults + [f".{name}: {fault}" for name, fault in wrong.items() if fault]


_TYPES: tuple[tuple[str, type | tuple[type, ...], str], ...] = (
    ("Mapping", Mapping, "values by name"),
    ("Sequence[str]", (list, tuple), "a list of names"),
    ("Sequence", (list, tuple), "a list"),
    ("float", (int, float), "a number"),
    ("int", int, "a whole number"),
    ("str", str, "a name"),
)
"""How the annotation of a parameter begins, what it takes, and how that is called."""


def _type_fault(annotation: str, value: Any) -> str:
    """What is wrong with the type of a parameter; empty where nothing is, or where any type will do."""
    if value is None and "None" in annotation:
        return ""
    found = next(((types, words) for start, types, words in _TYPES if annotation.startswith(start)), None)
    if found is None or (isinstance(value, found[0]) and not isinstance(value, bool)):
        return ""
    return f"expected {found[1]}, got {value!r}"
