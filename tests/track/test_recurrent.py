"""A decoder with a gated recurrent unit: its arithmetic, its replay in learning, and every command on a run of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from track.clip_files import write_clips
from track.small_setups import ARM_TASK, command, config, untrained
from track_mjx.cli import main
from track_mjx.clips import read_clips
from track_mjx.compiled import compiled
from track_mjx.config import NetworkConfig
from track_mjx.devices import Devices
from track_mjx.learning import ppo
from track_mjx.learning.collect import Collector, LearningStep
from track_mjx.learning.setup import build
from track_mjx.policy.networks import CELL_STAGE, Networks
from track_mjx.runs.run_folder import RunFolder
from track_mjx.task.step import Observation

GRU = ("network.decoder_cell=gru", "ppo.shuffle=unrolls", "ppo.final_learning_rate=null")


def test_actions_follow_from_the_equations_of_the_unit() -> None:
    """Cho et al. 2014, as in Flax: the reset gate acts on the recurrent part of the candidate, after its bias."""
    shape = NetworkConfig(encoder=[], decoder=[3], critic=[], latent=0, layer_norm=False, decoder_cell="gru")
    networks, draws = Networks(shape, 1), np.random.default_rng(0)
    seen = Observation(*(jnp.asarray(draws.normal(size=(4, 2, 2)), jnp.float32) for _ in range(2)))
    parameters = networks.init(jax.random.key(0), jax.tree.map(lambda x: x[0], seen))
    parameters = jax.tree.map(lambda x: jnp.asarray(draws.normal(size=x.shape), jnp.float32), parameters)
    first = np.zeros((4, 2), bool)
    first[2, 1] = True  # the second simulation restarts
    begun = draws.normal(size=(2, 3)).astype(np.float32)
    location = networks.replayed(parameters, seen, np.zeros((4, 2, 0)), begun, first).location

    layers = jax.tree.map(np.asarray, parameters["decoder"]["params"])
    cell, h = layers["cell"], begun
    for step in range(4):
        h = np.where(first[step][:, None], 0.0, h)
        x = np.concatenate([part[step] for part in seen], -1) @ layers["hidden"]["dense_0"]["kernel"]
        x = x + layers["hidden"]["dense_0"]["bias"]
        x = x / (1 + np.exp(-x))
        gate = {g: x @ cell[f"i{g}"]["kernel"] + cell[f"i{g}"]["bias"] for g in "rzn"}
        r, z = (1 / (1 + np.exp(-(gate[g] + h @ cell[f"h{g}"]["kernel"]))) for g in "rz")
        candidate = np.tanh(gate["n"] + r * (h @ cell["hn"]["kernel"] + cell["hn"]["bias"]))
        h = (1 - z) * candidate + z * h
        out = h @ layers["action"]["kernel"] + layers["action"]["bias"]
        assert np.asarray(location[step]) == pytest.approx(out[:, :1], abs=1e-5)


def test_learning_replays_the_hidden_state_that_acted(tmp_path: Path) -> None:
    clips = write_clips(tmp_path / "clips.h5")
    settings = config(clips, {**ARM_TASK, "episode_s": 0.015}, shuffle="unrolls")
    settings.network.decoder_cell = "gru"
    setup = build(settings, read_clips(clips))
    networks, policy = setup.networks, untrained(setup)
    learner = ppo.Learner(
        policy.parameters, ppo.optimizer(settings.ppo, networks).init(policy.parameters), policy.statistics
    )
    collector, reference = (
        Collector(LearningStep(setup.task, networks, setup.engine()), 5),
        setup.on_device(setup.followed),
    )
    state, carry = collector.begin(reference, jax.random.key(1), 16)
    for i in (2, 3):
        state, carry, batch, _ = collector.collect(policy, reference, state, carry, jax.random.key(i))
    steps = batch[0]
    assert steps.hidden is not None
    hidden, first = np.asarray(steps.hidden), np.asarray(steps.first)
    assert 0 < first[1:].sum() < first[1:].size, "episodes end within the unroll"
    assert not hidden[first].any()
    assert (np.abs(hidden[~first]).max(-1) > 0).all()
    inputs = (jnp.float32(1e-3), jnp.float32(0.1), ppo.shuffled_rows(settings.ppo, 0, 0), jax.random.key(3))

    update = compiled(ppo.update, networks, replace(settings.ppo), Devices())

    def ratio_error(transition: ppo.Transition) -> float:
        _, losses = update(learner, (transition, batch[1]), inputs)
        return float(losses["first_ratio_error"])

    assert ratio_error(steps) < 1e-4, "rounding alone"
    assert ratio_error(steps._replace(hidden=steps.hidden + 1.0)) > 1e-3
    assert ratio_error(steps._replace(first=steps.first | True)) > 1e-3, "a mask too many gives other probabilities"


def test_every_command_takes_a_run_with_a_recurrent_decoder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    write_clips(tmp_path / "clips.h5")
    arguments = command(tmp_path, *GRU)[3:]
    assert main([*arguments, "ppo.shuffle=steps"]) == 2
    assert "set ppo.shuffle=unrolls" in capsys.readouterr().err
    assert main([*arguments, "run.steps=512", f"out={tmp_path / 'whole'}"]) == 0
    assert main([*arguments, "run.steps=256"]) == 0
    assert main(["resume", f"run={run}", "steps=512"]) == 0
    whole, resumed = (RunFolder.open(tmp_path / name).checkpoints.load("last")[1] for name in ("whole", "run"))
    assert np.abs(whole["carry/hidden"]).max() > 0
    for name, leaf in whole.items():
        if name != "seconds":
            assert np.array_equal(leaf, resumed[name]), name
    assert main(["rollout", f"run={run}"]) == 0
    with h5py.File(run / "rollouts.h5") as file:
        assert file["activations/decoder/layer_1"].attrs["stage"] == CELL_STAGE
        assert file["activations/decoder/layer_0"].attrs["stage"] != CELL_STAGE
    assert main(["evaluate", f"run={run}"]) == 0
    assert main(["rollout", f"run={run}", "perturb.units={layer_0: [0]}"]) == 2
    reach = ["task.episode_s=0.05", "network.encoder=[8]", "network.critic=[8]", "ppo.n_envs=16", "ppo.unroll=2"]
    settings = [f"decoder.run={run}", f"out={tmp_path / 'reach'}", *reach, "decoder.hold_s=0.01", "run.steps=64"]
    assert main(["train", "preset=reach", *settings, "run.evaluate_every_s=0"]) == 0
    moved = RunFolder.open(tmp_path / "reach").checkpoints.load("last")[1]["carry/hidden"]
    assert np.abs(moved).max() > 0, "the frozen decoder has its state, and the policy that learns has none"
    pytest.importorskip("onnx")
    for folder in (run, tmp_path / "reach"):
        assert main(["export", f"run={folder}", f"out={tmp_path / 'exported'}"]) == 2
        assert "network.decoder_cell=gru" in capsys.readouterr().err
    assert not (tmp_path / "exported").exists()
