"""What can be wrong with the settings of a fit, all of it at once, before any file is read.

Types are checked by Hydra; names of bodies, joints and keypoints by `body_checks`, against the model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from stac_mjx._common.errors import ConfigError, raise_all, unknown
from stac_mjx.config import ConvertConfig, FitConfig

ALIGNMENT_MODES = ("none", "rigid", "similarity")
UP_AXES = ("x", "-x", "y", "-y", "z", "-z")
ROBUST_LOSSES = ("none", "huber", "cauchy")

Rule = Callable[[Any], str | None]
"""What is wrong with a value, or None."""


def check_fit(config: FitConfig) -> None:
    """Refuse impossible settings of `fit` and `ik`.

    Raises:
        ConfigError: listing all of them.
    """
    raise_all(ConfigError, "settings", fit_faults(config))


def check_convert(config: ConvertConfig) -> None:
    """Refuse impossible settings of `convert`.

    Raises:
        ConfigError: listing all of them.
    """
    raise_all(ConfigError, "settings", list(_broken(config, _CONVERT)))


def fit_faults(config: FitConfig) -> list[str]:
    """Return every fault of the settings that can be told without reading a file, one sentence each."""
    from stac_mjx.keypoints.loading import settings_faults

    return [*settings_faults(config.keypoints), *_broken(config, _FIT)]


def at_least(low: float, value: Any) -> str | None:
    """Expect a finite number of at least `low`; an empty setting passes."""
    return None if _holds(value, lambda v: v >= low) else f"expected at least {low:g}, got {value}"


def above(low: float, value: Any) -> str | None:
    """Expect a finite number above `low`; an empty setting passes."""
    return None if _holds(value, lambda v: v > low) else f"expected a number above {low:g}, got {value}"


def one_of(kind: str, choices: Sequence[str], value: Any) -> str | None:
    """Expect one of some words; an empty setting passes."""
    return None if value is None or value in choices else unknown(kind, str(value), choices)


def _holds(value: Any, condition: Callable[[float], bool]) -> bool:
    return value is None or (math.isfinite(value) and condition(value))


def _broken(config: Any, rules: dict[str, Rule]) -> Iterable[str]:
    for key, rule in rules.items():
        value = config
        for name in key.split("."):
            value = getattr(value, name)
        problem = rule(value)
        if problem:
            yield f"{key}: {problem}"


_positive, _not_negative, _counts = partial(above, 0.0), partial(at_least, 0.0), partial(at_least, 1.0)

_FIT: dict[str, Rule] = {
    "alignment.mode": partial(one_of, "mode", ALIGNMENT_MODES),
    "alignment.up": partial(one_of, "axis", UP_AXES),
    "alignment.scale": _positive,
    "alignment.implausible_factor": partial(above, 1.0),
    "solver.max_iterations": _counts,
    "solver.tolerance_mm": _positive,
    "solver.robust": partial(one_of, "loss", ROBUST_LOSSES),
    "solver.robust_mm": _positive,
    "solver.pose_prior_mm": _not_negative,
    "solver.smoothness_mm": _not_negative,
    "solver.smoothing_passes": _counts,
    "solver.keyframe_stride": _counts,
    "solver.restart_factor": _positive,
    "solver.batch": _not_negative,
    "solver.threads": _not_negative,
    "calibration.frames": _counts,
    "calibration.max_rounds": _counts,
    "calibration.tolerance": _not_negative,
    "calibration.iterations": _counts,
    "calibration.regularization": _not_negative,
    "calibration.anchor": _not_negative,
    "trajectory.segment": partial(at_least, 2.0),
    "trajectory.overlap": _not_negative,
    "trajectory.rate_hz": _positive,
    "seed": _not_negative,
}
_CONVERT: dict[str, Rule] = {"rate_hz": _positive, "clip_frames": _counts}
