"""``python -m track_mjx`` is the `track-mjx` command."""

from __future__ import annotations

import sys

from track_mjx.cli import main

sys.exit(main())
