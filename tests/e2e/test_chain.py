"""From one recording to a controller evaluated on trials that neither fit nor training saw."""

import json
from pathlib import Path

from stac.bodies_for_tests import ARM_NAMES, QUICK
from stac.keypoint_files import write_sleap
from stac_mjx.cli import main as stac_mjx
from stac_mjx.synthetic.reaches import mouse_arm_reaches
from track_mjx.cli import main as track_mjx

SMALL = (
    "preset=mouse_arm_quick", "network.encoder=[8]", "network.decoder=[8]", "network.critic=[8]", "network.latent=2",
    "ppo.n_envs=16", "ppo.unroll=4", "ppo.minibatches=2", "run.steps=256", "run.evaluate_every_s=0",
)  # fmt: skip


def test_unseen_trials_are_fitted_with_offsets_alone_and_evaluated(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    truth = mouse_arm_reaches(seed=0)
    for name, first in (("seen", 0), ("unseen", 3)):
        frames = truth.keypoints.positions[60 * first : 60 * (first + 3), None]
        write_sleap(tmp_path / f"{name}.h5", frames, ARM_NAMES, units="m", fps=200.0)
    cut = "keypoints.clip_frames=60"
    assert stac_mjx(["fit", "keypoints.path=seen.h5", cut, "out=fit", *QUICK]) == 0
    # no body is named: it is the one in the offsets file, and training knows it again
    assert stac_mjx(["ik", "offsets=fit/offsets.h5", "keypoints.path=unseen.h5", cut, "out=ik", "report=false"]) == 0
    assert track_mjx(["train", "clips=fit/clips.h5", "out=run", *SMALL]) == 0
    assert track_mjx(["evaluate", "run=run", "clips=ik/clips.h5", "out=evaluated"]) == 0
    [summary] = tmp_path.glob("evaluated/summary.json")
    assert json.loads(summary.read_text())["sets"]["test"]["clips"] == 3
