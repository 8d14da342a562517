"""The decoder of another run: whitening, what is frozen, what is refused, and decisions that are held."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from track.clip_files import write_clips
from track.small_setups import command
from track_mjx.cli import main
from track_mjx.clips import read_clips
from track_mjx.config import NetworkConfig
from track_mjx.learning.collect import Collector
from track_mjx.learning.decoder import open_source, pretrained
from track_mjx.learning.ppo import Transition
from track_mjx.learning.setup import build, load_policy, open_setup
from track_mjx.policy.networks import Decoder, Networks
from track_mjx.policy.policy import act
from track_mjx.policy.pretrained import read_pretrained, whitened
from track_mjx.runs.run_folder import DECODER, RunFolder
from track_mjx.task.step import Observation


@pytest.fixture(scope="module")
def imitation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose decoder is used, after two updates."""
    folder = tmp_path_factory.mktemp("imitation")
    write_clips(folder / "clips.h5")
    assert main(command(folder, "run.steps=128")[3:]) == 0
    return folder / "run"


def arguments(run: Path, out: Path, *more: str) -> list[str]:
    """The command that trains a reach with the decoder of a run."""
    return [
        "train", "preset=reach", f"decoder.run={run}", f"out={out}", "task.episode_s=0.05",
        "network.encoder=[8]", "network.critic=[8]", "ppo.n_envs=16", "ppo.unroll=2", "ppo.minibatches=2",
        "run.log_every=1", "run.checkpoint_every=1", "run.evaluate_every_s=0", "decoder.hold_s=0.01", *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def frozen(imitation: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Runs with its decoder, by what the policy puts out; resumed after the run of the decoder had vanished."""

    @cache
    def run(policy: str) -> Path:
        folder = tmp_path_factory.mktemp(policy)
        source = folder / "source"
        source.symlink_to(imitation)
        assert main(arguments(source, folder / "run", "run.steps=128", f"decoder.policy={policy}")) == 0
        source.unlink()
        assert main(["resume", f"run={folder / 'run'}", "steps=256"]) == 0
        return folder / "run"

    return run


@pytest.mark.parametrize("hidden", [(7, 5), ()])
def test_whitened_latents_give_the_same_action(hidden: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    decoder, mean, deviation = Decoder(hidden, 2, True, 1.0), rng.normal(size=3), rng.uniform(0.5, 4, 3)
    latent, senses = rng.normal(size=(6, 3)), rng.normal(size=(6, 4))
    x = jnp.asarray(np.concatenate([mean + deviation * latent, senses], -1))
    parameters = decoder.init(jax.random.key(0), x)
    plain = decoder.apply(parameters, x)[0]
    changed = decoder.apply(whitened(parameters, mean, deviation), jnp.asarray(np.concatenate([latent, senses], -1)))[0]
    assert np.asarray(changed) == pytest.approx(np.asarray(plain), abs=1e-5)


@pytest.mark.parametrize("policy", ["latent", "action"])
def test_a_frozen_decoder_stays_bit_for_bit(imitation: Path, frozen: Callable[[str], Path], policy: str) -> None:
    folder = RunFolder.open(frozen(policy))
    given = read_pretrained(folder.path / DECODER)
    record = folder.record().decoder
    assert record is not None
    assert record["sha256"] == given.sha256
    assert folder.config().physics.ctrl_dt_s == RunFolder.open(imitation).config().physics.ctrl_dt_s
    first, last = (folder.checkpoints.load(step)[1] for step in (folder.checkpoints.steps()[0], "last"))
    for name in given.statistics._fields:
        kept = last[f"learner/statistics/proprioception/{name}"]
        assert np.array_equal(kept, np.asarray(getattr(given.statistics, name)))
        assert np.array_equal(kept, RunFolder.open(imitation).checkpoints.load("best")[1][
            f"learner/statistics/proprioception/{name}"])  # fmt: skip
    kernels = {name: leaf for name, leaf in last.items() if name.startswith("learner/parameters/") and "kernel" in name}
    changed = {name for name, leaf in kernels.items() if not np.array_equal(leaf, first[name])}
    fixed = {name for name in kernels if policy == "action" and "/decoder/" in name}
    assert changed == set(kernels) - fixed, "all that is not the pretrained decoder learns"
    for name in fixed:
        layer = given.parameters
        for part in name.removeprefix("learner/parameters/decoder/").split("/"):
            layer = layer[part]
        assert np.array_equal(kernels[name], np.asarray(layer))


def test_a_latent_is_held_and_decoded_at_every_control_step(frozen: Callable[[str], Path], tmp_path: Path) -> None:
    """A rollout of the frozen decoder: its actions follow from its activations, by the last layer's own arithmetic."""
    run = frozen("latent")
    assert main(["rollout", f"run={run}", f"out={tmp_path / 'rollouts.h5'}"]) == 0
    with h5py.File(tmp_path / "rollouts.h5") as file:
        stored = {name: np.asarray(file[name]) for name in ("latent", "action")}
        layer = np.asarray(file["activations/decoder/layer_0"])
        assert "activations/policy/layer_0" in file
    latent = stored["latent"].reshape(len(stored["latent"]), -1, 2, stored["latent"].shape[-1])  # two steps a decision
    assert np.array_equal(latent[:, :, 0], latent[:, :, 1])
    assert np.abs(np.diff(latent[:, :, 0], axis=1)).max() > 0
    assert np.abs(np.diff(stored["action"], axis=1)).min(-1).max() > 0, "the decoder acts on what is felt now"
    last = read_pretrained(run / DECODER).parameters["params"]["action"]
    out = layer @ np.asarray(last["kernel"]) + np.asarray(last["bias"])
    assert stored["action"] == pytest.approx(np.tanh(out[..., : stored["action"].shape[-1]]), abs=1e-5)


def test_sampled_rollouts_hold_the_noise_of_the_latent(frozen: Callable[[str], Path], tmp_path: Path) -> None:
    """Where the decoder is part of the policy, actions are new in every control step, and the noise in every second."""
    out = tmp_path / "rollouts.h5"
    assert main(["rollout", f"run={frozen('action')}", "deterministic=false", f"out={out}"]) == 0
    with h5py.File(out) as file:
        latent, mean, logvar = (np.asarray(file[name]) for name in ("latent", "latent_mean", "latent_logvar"))
    noise = (latent - mean) / np.exp(0.5 * logvar)
    noise = noise.reshape(len(noise), -1, 2, noise.shape[-1])
    assert noise[:, :, 0] == pytest.approx(noise[:, :, 1], abs=1e-4)
    assert np.abs(np.diff(noise[:, :, 0], axis=1)).min(-1).max() > 0.01


def test_an_exported_policy_has_the_decoder_in_it(frozen: Callable[[str], Path], tmp_path: Path) -> None:
    onnxruntime: Any = pytest.importorskip("onnxruntime")
    run = frozen("latent")
    assert main(["export", f"run={run}", f"out={tmp_path}", "checkpoint=last"]) == 0
    folder = RunFolder.open(run)
    setup = open_setup(folder, folder.config())[0]
    draws = np.random.default_rng(0)
    seen = Observation(*(draws.normal(0, 3, (9, part.shape[-1])).astype(np.float32) for part in setup.observation))
    action, output = act(setup.networks, load_policy(folder, setup, "last")[1], seen)
    got = onnxruntime.InferenceSession(tmp_path / "policy.onnx").run(["action", "latent"], seen._asdict())
    np.testing.assert_allclose(got[0], action, atol=1e-5)
    np.testing.assert_allclose(got[1], setup.networks.described(output)[0].mean, atol=1e-5)
    assert json.loads((tmp_path / "policy.json").read_text())["hold_steps"] == 2


def test_modes_differ_in_what_they_take(imitation: Path) -> None:
    config = RunFolder.open(imitation).config()
    config.decoder.run, config.decoder.whiten = str(imitation), False
    theirs = RunFolder.open(imitation).checkpoints.load("best")[1]["learner/parameters/decoder/params/action/kernel"]
    for mode in ("learnable", "random", "none"):
        config.decoder.mode = mode
        source = open_source(config)
        setup = build(config, read_clips(config.clips), pretrained(config, source))
        parameters, statistics = setup.initial_policy(jax.random.key(5))
        kernel = np.asarray(parameters["decoder"]["params"]["action"]["kernel"])
        assert np.array_equal(kernel, theirs) == (mode == "learnable")
        assert (float(statistics.proprioception.count) > 0) == (mode != "none")
        assert ("encoder" in parameters) == (mode != "none"), "the policy drives the actuators itself"
        assert not setup.networks.fixed


def test_settings_that_do_not_suit_the_decoder_are_refused_with_both_values(
    imitation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = {
        "physics.ctrl_dt_s=0.02": ["physics.ctrl_dt_s: 0.02", "0.005", str(imitation)],
        "network.latent=5": ["network.latent: 5", "2"],
        "task.proprioception.touch={}": ["task.proprioception", "touch", "joints"],
        "decoder.hold_s=0.007": ["decoder.hold_s", "0.005"],
        "decoder.mode=learnable decoder.policy=latent": ["decoder.mode=learnable needs policy=action"],
        "decoder.mode=frosen": ["decoder.mode", "frozen"],
        f"decoder.run={tmp_path}": ["not the folder of a run"],
    }
    for given, said in wrong.items():
        assert main(arguments(imitation, tmp_path / "run", *given.split())) == 2, given
        message = capsys.readouterr().err
        assert all(text in message for text in said), message
    assert not (tmp_path / "run").exists()


def test_clips_of_the_decoders_run_that_were_moved_are_found_where_they_are_named(
    imitation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, moved = tmp_path / "source", tmp_path / "moved.h5"
    shutil.copytree(imitation, run)
    record = json.loads((run / "run.json").read_text())
    shutil.copy(record["clips"], moved)
    (run / "run.json").write_text(json.dumps({**record, "clips": str(tmp_path / "gone.h5")}))
    assert main(arguments(run, tmp_path / "run", "run.steps=32")) == 2
    assert "gone.h5: no such file; if the clips of the run were moved, clips=FILE" in capsys.readouterr().err
    assert main(arguments(run, tmp_path / "run", "run.steps=32", f"clips={moved}")) == 0


def test_a_decision_is_rewarded_until_the_episode_ends() -> None:
    """Two decisions of three steps: the first is cut by an end, after which another episode runs on."""
    networks = Networks(NetworkConfig(latent=0), 1)
    collector = Collector.__new__(Collector)
    collector.networks, collector.unroll, collector.per_decision = networks, 2, 3
    steps = np.arange(6.0, dtype=np.float32)[:, None]
    off = np.zeros((6, 1), bool)
    ended = off.copy()
    ended[1] = True
    made = collector._decisions(Transition(steps, steps, steps, steps, steps, off, steps, ended, off))  # type: ignore[arg-type]
    assert np.asarray(made.raw)[:, 0].tolist() == [0, 3], "what was decided first"
    assert np.asarray(made.reward)[:, 0] == pytest.approx([(0 + 1) / 3, (3 + 4 + 5) / 3])
    assert np.asarray(made.terminated)[:, 0].tolist() == [True, False]
