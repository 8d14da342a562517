"""``python -m stac_mjx``: the same as the `stac-mjx` command."""

from stac_mjx.cli import main

raise SystemExit(main())
