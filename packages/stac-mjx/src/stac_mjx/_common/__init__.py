"""Code that the three packages share. This folder is generated: change common/, then run scripts/sync_common.py."""

PACKAGE = __name__.partition(".")[0]
"""Name of the package in Python, such as ``stac_mjx``."""
PROGRAM = PACKAGE.replace("_", "-")
"""Name of the distribution and of its command, such as ``stac-mjx``."""
