"""Settings of the documentation site: ``uv run --group docs sphinx-build -W --keep-going docs site``.

Warnings are errors. Neither the build nor a page needs a network: fonts are those of the system, equations are MathML
(`_ext/mathml.py`), and a page that loads anything from another host fails the build (`_ext/offline.py`).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PACKAGES = {"stac-mjx": "stac_mjx", "track-mjx": "track_mjx", "reach-analysis": "reach_analysis"}
sys.path[:0] = [str(HERE / "_ext"), *(str(HERE.parent / "packages" / name / "src") for name in PACKAGES)]
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# the Warp engine is documented without Warp
autodoc_mock_imports = ["warp", "mujoco.mjx.third_party.mujoco_warp"]

project = "MIMIC"
author = "MIMIC developers"
project_copyright = "MIMIC developers, BSD-3-Clause"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "mathml",
    "offline",
]
exclude_patterns = ["_build", "_ext"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
suppress_warnings = [
    "myst.header",  # the schema pages begin their tables at the third level
    "ref.python",  # the three packages have classes of the same name
]

default_role = "literal"
# Sphinx cannot format the signature of jax.Array, which modules import, on Python 3.13
autodoc_default_options = {"members": True, "member-order": "bysource", "exclude-members": "Array"}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = "MIMIC"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_show_sphinx = False
html_copy_source = False
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True


def escape_markup(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Escape ``|x|`` and ``*shape`` outside backticks, which are not markup in these docstrings."""
    literal = False
    for number, line in enumerate(lines):
        indented = line.startswith(" ") or not line.strip()
        literal = literal and indented
        if not literal:
            lines[number] = "`".join(_escaped(line.split("`")))
        literal = literal or line.rstrip().endswith("::")


def _escaped(parts: Sequence[str]) -> list[str]:
    outside = range(0, len(parts), 2) if len(parts) % 2 else range(0)  # pairs of backticks, single or double
    return [part.replace("|", r"\|").replace("*", r"\*") if i in outside else part for i, part in enumerate(parts)]


def leave_out_settings_of_tests(app: Any, name: str, source: list[str]) -> None:
    """Remove the settings that only shorten the tests of a page."""
    source[0] = re.sub(r"[ \t]+# in CI: .*$", "", source[0], flags=re.MULTILINE)


def setup(app: Any) -> None:
    """Connect the hooks; escape before Google sections are parsed."""
    app.connect("source-read", leave_out_settings_of_tests)
    app.connect("autodoc-process-docstring", escape_markup, priority=400)
