"""The picture of the front page can be drawn again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from contract import examples
from PIL import Image
from track_mjx.render.footage import read_footage


@pytest.mark.usefixtures("canvas_here")
def test_the_script_draws_three_moments(repository: Path, tmp_path: Path) -> None:
    examples.write_rollouts(tmp_path / "rollouts.h5")
    clip = read_footage(tmp_path / "rollouts.h5", [], None)[1][0].clip
    given = ["--rollouts", str(tmp_path / "rollouts.h5"), "--clip", clip, "--out", str(tmp_path / "picture.png")]
    script = str(repository / "scripts" / "front_picture.py")
    done = subprocess.run([sys.executable, script, *given], capture_output=True, text=True, check=True)
    assert done.stdout.count(" mm") == 3
    with Image.open(tmp_path / "picture.png") as drawn, Image.open(repository / "docs/_static/reach.png") as shown:
        assert drawn.size == shown.size
        assert len(set(drawn.convert("L").tobytes())) > 10
