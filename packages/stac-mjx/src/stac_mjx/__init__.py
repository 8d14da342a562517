"""Register 3D keypoints of any animal to its MuJoCo body: joint angles, marker offsets, errors in millimetres.

The public names are in `__all__`; each is imported when it is first used, so that importing the package costs nothing.
"""

from typing import TYPE_CHECKING

from stac_mjx._common.public import public_names

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

__getattr__, __dir__ = public_names(
    __name__,
    {
        "Keypoints": "keypoints.keypoints",
        "Registration": "results",
        "StacError": "_common.errors:UserError",
        "check_file": "check",
        "fit": "api",
        "ik": "api",
        "load_body": "api",
        "load_keypoints": "api",
        "preset_names": "body.presets",
        "read_clips": "records",
        "read_offsets": "records",
    },
)
