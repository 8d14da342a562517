"""Analyse rollouts of trained controllers next to recordings of the animal.

The public names are in `__all__`; each is imported when it is first used, so that importing the package costs nothing.
"""

from typing import TYPE_CHECKING

from reach_analysis._common.public import public_names

if TYPE_CHECKING:
    from reach_analysis._common.errors import UserError as ReachError
    from reach_analysis.api import analyse, write_report
    from reach_analysis.data.rollouts import Rollouts, read_rollouts
    from reach_analysis.studies.study import Study

__all__ = ["ReachError", "Rollouts", "Study", "analyse", "read_rollouts", "write_report"]

__getattr__, __dir__ = public_names(
    __name__,
    {
        "ReachError": "_common.errors:UserError",
        "Rollouts": "data.rollouts",
        "Study": "studies.study",
        "analyse": "api",
        "read_rollouts": "data.rollouts",
        "write_report": "api",
    },
)
