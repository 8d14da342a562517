"""Every numbered example runs, at small scale."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from contract.kit import assert_conforms


@pytest.mark.slow
def test_reach_pipeline(repository: Path, tmp_path: Path) -> None:
    paths = [str(repository / "packages" / name / "src") for name in ("stac-mjx", "track-mjx", "reach-analysis")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")])}
    out = tmp_path / "results"
    example = repository / "examples" / "01_reach_pipeline.py"
    arguments = ["--out", str(out), "--steps", "20000", "--no-video"]
    done = subprocess.run(
        [sys.executable, str(example), *arguments], env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert_conforms(out / "registered" / "clips.h5")
    assert (out / "registered" / "report.html").exists()
    for controller in ("joint_only", "physics_aware"):
        assert_conforms(out / f"{controller}.h5")
        assert (out / controller / "evaluation" / "summary.json").exists()
    numbers = json.loads((out / "report" / "report.json").read_text())
    assert "physics_aware" in json.dumps(numbers)
    assert str(out / "report" / "report.html") in done.stdout.replace("\n", "")
