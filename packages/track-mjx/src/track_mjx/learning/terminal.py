"""A training at the terminal: its metrics on the progress bar, and signals that stop it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

from track_mjx._common.progress import Stage


def training_bar(stage: Stage, total: int, done: int) -> Callable[[Mapping[str, float | int]], None]:
    """Return a function that shows a line of metrics: steps, speed, reward, errors, time left."""
    tick = stage("training", total)
    tick(done, "compiling")
    errors = ""

    def show(line: Mapping[str, float | int]) -> None:
        nonlocal errors, done
        for group in ("test", "train"):
            if f"eval/{group}/mean_body_error_mm" in line:
                errors = (
                    f"  {group}: {line[f'eval/{group}/mean_body_error_mm']:.2f} mm "
                    f"{line[f'eval/{group}/mean_joint_error_deg']:.2f} deg"
                )
                break
        steps = int(line["steps"])
        tick(steps - done, f"{line['control_steps_per_s'] / 1e3:.1f} k/s  reward {line['reward']:.3f}{errors}")
        done = steps

    return show


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], str]]:
    """Yield a function that names the SIGTERM or SIGINT received since, if any; a second one stops at once."""
    received: list[str] = []

    def handle(number: int, frame: FrameType | None) -> None:
        received.append(signal.Signals(number).name)
        if len(received) > 1:
            raise KeyboardInterrupt

    old = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: received[0] if received else ""
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
