"""``python -m reach_analysis``: the same as the `reach-analysis` command."""

from reach_analysis.cli import main

raise SystemExit(main())
