"""The folder of small inputs on which earlier versions failed: shared/cases next to the checkout, or $MIMIC_CASES."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path
from types import ModuleType

import pytest
from reach_analysis._common.errors import UserError

FOLDER = Path(os.environ.get("MIMIC_CASES") or Path(__file__).resolve().parents[2] / "shared" / "cases")


def run_case(
    path: str, renamed: Mapping[str, tuple[str, ...]], classes: Mapping[str, Mapping[str, str]] | None = None
) -> str:
    """Run a script of the folder in this process; return what it prints, and its error.

    Without the script the test is skipped.

    Args:
        path: the script, below the folder.
        renamed: modules that the script imports by a former name, and where their content is now.
        classes: former names in such modules, and the present ones.
    """
    script = FOLDER / path
    if not script.is_file():
        pytest.skip(f"no cases: {script} does not exist; set MIMIC_CASES to the folder")
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as out:
        for name, modules in renamed.items():
            made = ModuleType(name)
            for module in modules:
                vars(made).update(vars(import_module(module)))
            for former, present in (classes or {}).get(name, {}).items():
                setattr(made, former, getattr(made, present))
            patch.setitem(sys.modules, name, made)
        try:
            runpy.run_path(str(script), run_name="__main__")
        except UserError as error:
            out.write(f"{type(error).__name__}: {error}")
    return out.getvalue()
