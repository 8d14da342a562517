"""Which engine suits a machine, and which can be divided among devices."""

from __future__ import annotations

import pytest
from track_mjx._common.errors import ConfigError
from track_mjx.physics.engine import best_engine, verify_division


@pytest.mark.parametrize(
    ("platform", "warp", "best"),
    [
        ("cpu", True, "native"),
        ("cuda", True, "warp"),
        ("cuda", False, "mjx"),
        ("rocm", True, "mjx"),
        ("tpu", True, "mjx"),
    ],
)
def test_the_engine_suits_the_machine(platform: str, warp: bool, best: str) -> None:
    assert best_engine(platform, warp=warp) == best


def test_warp_is_refused_on_several_devices() -> None:
    verify_division("warp", 1)
    verify_division("mjx", 4)
    with pytest.raises(ConfigError, match=r"divided among 4 devices; use physics\.engine=mjx"):
        verify_division("warp", 4)
