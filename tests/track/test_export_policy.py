"""An exported policy computes what the policy computes: in ONNX, in plain NumPy, and in plain MuJoCo."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from track import small_setups
from track_mjx._common.errors import InputError
from track_mjx.cli import main
from track_mjx.export.policy import write_body
from track_mjx.learning.setup import load_policy
from track_mjx.policy.policy import act
from track_mjx.runs.run_folder import RunFolder
from track_mjx.task.step import Observation

ort: Any = pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("mapping", ["affine", "tanh_clip"])
def test_onnx_and_numpy_give_the_actions_of_the_policy(repository: Path, tmp_path: Path, mapping: str) -> None:
    setup = small_setups.arm(tmp_path, {"action": mapping})
    run = small_setups.trained(setup).path
    out = tmp_path / "policy"
    assert main(["export", f"run={run}", f"out={out}"]) == 0
    _, policy = load_policy(RunFolder.open(str(run)), setup, "best")
    shape = setup.observation
    draws = np.random.default_rng(0)
    observation = Observation(*(draws.normal(0, 3, (40, part.shape[-1])).astype(np.float32) for part in shape))
    action, output = jax.tree.map(np.asarray, act(setup.networks, policy, observation))
    inputs = observation._asdict()
    got = dict(
        zip(("action", "latent", "ctrl"), ort.InferenceSession(out / "policy.onnx").run(None, inputs), strict=True)
    )
    np.testing.assert_allclose(got["action"], action, atol=1e-5)
    np.testing.assert_allclose(got["latent"], output.intention.latent, atol=1e-5)
    ctrl = setup.task.ctrl(setup.followed, setup.task.episode(40), action)
    np.testing.assert_allclose(got["ctrl"], ctrl, atol=1e-5)
    decoder = ort.InferenceSession(out / "decoder.onnx")
    given = {"latent": got["latent"], "proprioception": inputs["proprioception"]}
    np.testing.assert_allclose(decoder.run(["action"], given)[0], action, atol=1e-5)
    example = runpy.run_path(str(repository / "examples" / "07_plain_mujoco.py"))
    np.testing.assert_allclose(example["numpy_policy"](out)(*observation)[0], action, atol=1e-5)
    facts = json.loads((out / "policy.json").read_text())
    assert (
        json.loads(ort.InferenceSession(out / "policy.onnx").get_modelmeta().custom_metadata_map["track_mjx"]) == facts
    )
    assert facts["observations"]["proprioception"][0] == ["joints", setup.task.body.model.nq]
    assert facts["actuators"] == list(setup.task.body.actuators)


def test_plain_mujoco_moves_the_body_as_a_rollout_does(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = small_setups.trained(small_setups.arm(tmp_path)).path
    assert main(["rollout", f"run={run}", f"out={tmp_path / 'rollouts.h5'}"]) == 0
    assert main(["export", f"run={run}", f"out={tmp_path / 'policy'}"]) == 0
    example = runpy.run_path(str(repository / "examples" / "07_plain_mujoco.py"))
    example["main"](tmp_path / "policy", str(tmp_path / "clips.h5"), str(tmp_path / "rollouts.h5"))
    apart = [float(rad) for rad in re.findall(r"at most (\S+) rad", capsys.readouterr().out)]
    assert len(apart) == 2
    assert max(apart) < 1e-4


@pytest.mark.parametrize("name", ["../evil.obj", "..\\evil.obj", "/evil.obj", ".."])
def test_no_asset_is_written_outside_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="expected the name of a file"):
        write_body(tmp_path / "policy" / "body" / "body.xml", "<mujoco/>", {"mesh.obj": b"", name: b""})
    assert not list(tmp_path.iterdir())


def test_one_of_run_and_rollouts_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export"]) == 2
    assert "rollouts, run" in capsys.readouterr().err
