"""What every verb does with its study: progress bars, notes as warnings, results in a folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reach_analysis._common.progress import Stage
    from reach_analysis.studies.study import Study


def write_results(verb: str, config: Any, make: Callable[[Stage], Study], *further: Callable[[Stage], Study]) -> int:
    """Make a study, and `further` ones of the same verb, and write them where the settings say.

    Raises:
        UserError: when the folder cannot be written, or a study cannot be made.
    """
    from reach_analysis._common.files import output_folder
    from reach_analysis._common.progress import reporting
    from reach_analysis.studies.study import write_study

    folder = output_folder(config.out, f"reach_results/{verb}")
    with reporting() as (log, stage):
        found = make(stage)
        for note in found.notes:
            log.warning(note)
        write_study(found, folder, config)
        for other in further:
            write_study(other(stage), folder, config)
    return 0
