"""Frame rate and clip borders from time stamps or frame numbers.

Where time jumps, a clip ends: frames on both sides of a jump are no neighbours, so neither smoothing nor velocity may
join them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stac_mjx._common.errors import counted

JUMP = 0.5
"""An interval that departs from the median interval by more than this fraction is a jump."""
MAX_JUMPS = 0.1
"""With more than this fraction of jumps the frames are not evenly spaced at all."""


@dataclass(frozen=True)
class Timing:
    """Spacing of the frames of one file.

    Attributes:
        step: mean interval between neighbouring frames within clips, in the unit of the times; None for one frame.
        clip_lengths: frames between jumps; they add up to the number of times.
        notes: what was found, one sentence each.
    """

    step: float | None
    clip_lengths: tuple[int, ...]
    notes: tuple[str, ...] = ()


def spacing(times: np.ndarray, what: str) -> Timing:
    """Measure the spacing of `times` (frame,), split where they jump or turn back.

    Args:
        times: time or number of each frame, finite.
        what: what the times are, for messages ("timestamps").

    Raises:
        ValueError: when the times are not finite, do not grow, or are not evenly spaced apart from single jumps.
    """
    if not np.isfinite(times).all():
        raise ValueError(f"{what} hold NaN or infinite values")
    if len(times) < 2:
        return Timing(None, (len(times),))
    intervals = np.diff(times)
    typical = float(np.median(intervals))
    if typical <= 0:
        raise ValueError(f"{what} do not grow (median interval {typical:g})")
    jumps = np.abs(intervals - typical) > JUMP * typical
    if jumps.mean() > MAX_JUMPS and jumps.sum() > 1:
        raise ValueError(
            f"{what} are not evenly spaced: {jumps.mean():.0%} of the intervals depart from the median"
            f" {typical:g} by more than {JUMP:.0%}; resample the recording to a fixed rate first"
        )
    lengths = np.diff(np.concatenate([[0], np.flatnonzero(jumps) + 1, [len(times)]]))
    step = float(intervals[~jumps].mean())
    notes = ()
    if jumps.any():
        notes = (
            f"{what} jump at {counted(int(jumps.sum()), 'place')}; each stretch between jumps is a clip of its own",
        )
    return Timing(step, tuple(int(length) for length in lengths), notes)
