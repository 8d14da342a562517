"""The folder of small inputs on which earlier versions failed: shared/cases next to the checkout, or $MIMIC_CASES."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path(os.environ.get("MIMIC_CASES") or ROOT.parent / "shared" / "cases")
_START = """
import importlib, runpy, sys
for name, modules in {renamed!r}.items():
    made = type(sys)(name)
    for module in modules:
        made.__dict__.update(importlib.import_module(module).__dict__)
    sys.modules[name] = made
for module, names in {classes!r}.items():
    for name, new in names.items():
        setattr(sys.modules[module], name, getattr(sys.modules[module], new))
runpy.run_path({path!r}, run_name="__main__")
"""


def run_case(
    path: str,
    renamed: Mapping[str, tuple[str, ...]] | None = None,
    classes: Mapping[str, Mapping[str, str]] | None = None,
    cwd: Path = ROOT,
) -> subprocess.CompletedProcess[str]:
    """Run a script of the folder, as ``reach/01_p_value_rounding.py``; skip the test where it is absent.

    Args:
        path: the script, below the folder.
        renamed: modules that the script imports by a former name, and where their content is now.
        classes: former names in such modules, and the present ones.
        cwd: folder to run in.
    """
    script = FOLDER / path
    if not script.is_file():
        pytest.skip(f"no cases: {script} does not exist; set MIMIC_CASES to the folder")
    code = _START.format(renamed=dict(renamed or {}), classes=dict(classes or {}), path=str(script))
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=False)
