"""What the tests of the commands share."""

from __future__ import annotations

ARM_NAMES = ("Shoulder", "Elbow", "Wrist")
"""Keypoints of the embedded arm."""
QUICK = ("calibration.frames=10", "calibration.max_rounds=2", "report=false")
"""Settings that make a fit a matter of a second."""
