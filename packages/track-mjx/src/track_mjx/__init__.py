"""Train controllers that reproduce recorded movement of an animal in MuJoCo physics.

The public names are in `__all__`; each is imported when it is first used, so that importing the package costs nothing.
"""

from typing import TYPE_CHECKING

from track_mjx._common.public import public_names

if TYPE_CHECKING:
    from track_mjx._common.errors import UserError as TrackError
    from track_mjx.api import Run, load, train
    from track_mjx.clips import Clips, read_clips

__all__ = ["Clips", "Run", "TrackError", "load", "read_clips", "train"]

__getattr__, __dir__ = public_names(
    __name__,
    {
        "Clips": "clips",
        "Run": "api",
        "TrackError": "_common.errors:UserError",
        "load": "api",
        "read_clips": "clips",
        "train": "api",
    },
)
