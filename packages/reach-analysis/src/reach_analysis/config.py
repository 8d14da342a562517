"""Every setting of the package: one documented field each, filled by Hydra from defaults and the command line.

The docstring under a field is its help text. Nothing heavy is imported here, so that ``--help`` answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class CheckConfig:
    """What `reach-analysis check` can be told."""

    file: Any = None
    """A mimic.rollouts file, or a list of files."""
