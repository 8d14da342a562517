"""Earlier names of terms and settings: refused on the command line with today's name, read in old run folders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TERMS: Mapping[str, Mapping[str, str]] = {
    "observation": {
        "root_ahead": "root_ahead_b",
        "orientation_ahead": "orientation_ahead_b",
        "bodies_ahead": "bodies_ahead_b",
        "end_effectors": "end_effectors_b",
        "velocities": "velocities_b",
        "up_direction": "up_direction_b",
    },
    "reward": {
        "position": "root_position_exp",
        "quaternion": "root_orientation_exp",
        "joints": "joint_position_exp",
        "joint_velocities": "joint_velocity_exp",
        "bodies": "body_position_exp",
        "end_effectors": "end_effector_position_exp",
    },
}
"""Kind -> earlier name of a term -> its name today."""
SETTINGS: Mapping[str, str] = dict.fromkeys(("slow_parts", "slow_n_envs", "slow_steps", "blocks", "seconds"), "")
"""Earlier name of a setting -> its name today; empty: removed."""
_SECTIONS = {"reference": "observation", "proprioception": "observation", "rewards": "reward"}


def with_present_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the saved settings of a run, possibly of an earlier version, with today's names.

    A term keeps its name in logs and files. Names of solvers and integrators were accepted in upper case.
    """
    out = {key: dict(value) if isinstance(value, Mapping) else value for key, value in settings.items()}
    for section, kind in _SECTIONS.items():
        terms = out.get("task", {}).get(section)
        if isinstance(terms, Mapping):
            known = TERMS[kind]
            out["task"][section] = {name: _present(name, parameters, known) for name, parameters in terms.items()}
    for name in {"solver", "integrator"} & out.get("physics", {}).keys():
        out["physics"][name] = str(out["physics"][name]).lower()
    return out


def _present(name: str, parameters: Any, known: Mapping[str, str]) -> Any:
    if not isinstance(parameters, Mapping):
        return parameters
    wanted = parameters.get("term", name)
    return {**parameters, "term": known[wanted]} if wanted in known else parameters
