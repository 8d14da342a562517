"""Scripts of the folder of failed cases that run as they are: presets of one's own, and the help."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from cases import FOLDER, ROOT, run_case


def test_a_preset_without_its_header_is_told_what_it_lacks(monkeypatch: pytest.MonkeyPatch, programs: Path) -> None:
    monkeypatch.setenv("T", str(programs / "track-mjx"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FOLDER / "track"), os.environ.get("PYTHONPATH", "")]))
    done = run_case("track/33_own_preset.py")
    assert "preset=nohead: the file of the preset lacks its first line: # @package _global_" in done.stdout, done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_the_help_has_the_values_of_the_preset_that_is_used(programs: Path) -> None:
    script = FOLDER / "track" / "39_help_defaults.sh"
    if not script.is_file():
        pytest.skip(f"no cases: {script} does not exist; set MIMIC_CASES to the folder")
    environment = {**os.environ, "T": str(programs / "track-mjx")}
    done = subprocess.run(["bash", str(script)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    helped, _, used = done.stdout.partition("--- in fact")
    for name in ("n_envs", "latent", "sim_dt_s", "minibatches", "kl_weight", "steps"):
        shown = next(line for line in helped.splitlines() if f".{name} " in line).partition("[")[2].rstrip("]")
        # several sections may have a setting of that name
        values = [line.partition(": ")[2] for line in used.splitlines() if line.strip().startswith(f"{name}:")]
        assert float(shown) in map(float, values), name
