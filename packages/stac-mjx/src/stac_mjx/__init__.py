"""Register 3D keypoints of any animal to its MuJoCo body: joint angles, marker offsets, errors in millimetres.

The public names are in `__all__`; each is imported when it is first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stac_mjx._common.errors import UserError as StacError
    from stac_mjx.api import fit, ik, load_body, load_keypoints
    from stac_mjx.body.presets import preset_names
    from stac_mjx.check import check_file
    from stac_mjx.keypoints.keypoints import Keypoints
    from stac_mjx.records import read_clips, read_offsets
    from stac_mjx.results import Registration

__all__ = [
    "Keypoints",
    "Registration",
    "StacError",
    "check_file",
    "fit",
    "ik",
    "load_body",
    "load_keypoints",
    "preset_names",
    "read_clips",
    "read_offsets",
]

_MODULES = {
    "Keypoints": "keypoints.keypoints",
    "Registration": "results",
    "StacError": "_common.errors",
    "check_file": "check",
    "preset_names": "body.presets",
    "read_clips": "records",
    "read_offsets": "records",
}


def __getattr__(name: str) -> Any:
    """Import a public name (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; there are: {', '.join(__all__)}")
    module = import_module(f"{__name__}.{_MODULES.get(name, 'api')}")
    value = getattr(module, "UserError" if name == "StacError" else name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, for completion."""
    return sorted([*globals(), *__all__])
