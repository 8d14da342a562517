"""Shell completion: verbs by us, settings and presets by Hydra: ``eval "$(reach-analysis -sc install=bash)"``.

Hydra's script for the shell calls ``reach-analysis -sc query=SHELL`` with the line typed so far in ``COMP_LINE``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

SHELLS = ("bash", "fish", "zsh")


def complete(request: Sequence[str]) -> int:
    """Answer ``install=SHELL``, ``uninstall=SHELL`` or ``query=SHELL``; return the exit code."""
    from reach_analysis.cli import VERBS

    action, _, shell = request[0].partition("=") if len(request) == 1 else ("", "", "")
    if action not in ("install", "uninstall", "query") or shell not in SHELLS:
        sys.stderr.write(
            f"reach-analysis: -sc: expected install=SHELL or uninstall=SHELL, SHELL one of {', '.join(SHELLS)}\n"
        )
        return 2
    if action != "query":
        return _ask_hydra(next(iter(VERBS)), request[0])
    line = os.environ.get("COMP_LINE", "")
    words = line.split(None, 2)
    if len(words) < 2 or (len(words) == 2 and not line.endswith(" ")):
        typed = words[1] if len(words) == 2 else ""
        sys.stdout.write(("\n" if shell == "fish" else " ").join(v for v in VERBS if v.startswith(typed)) + "\n")
        return 0
    if words[1] not in VERBS:
        return 0
    os.environ["COMP_LINE"] = f"{words[0]} {words[2] if len(words) == 3 else ''}"
    return _ask_hydra(words[1], request[0])


def _ask_hydra(verb: str, request: str) -> int:
    """Have Hydra print its script, or what the settings of `verb` offer."""
    import hydra
    from hydra.core.config_store import ConfigStore

    from reach_analysis._common.cli import SCHEMAS

    ConfigStore.instance().store(name=f"{verb}_schema", node=SCHEMAS[verb])
    old = sys.argv
    try:
        sys.argv = ["reach-analysis", "-sc", request]
        hydra.main(version_base="1.3", config_path="pkg://reach_analysis.conf", config_name=verb)(lambda _: None)()
    finally:
        sys.argv = old
    return 0
