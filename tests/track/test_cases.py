"""Cases on which earlier versions failed: presets of one's own, and the help."""

from __future__ import annotations

from pathlib import Path

import pytest
from documentation import run_here
from messages import assert_one_message

OWN = {
    "nohead": ("physics: {sim_dt_s: 0.0025}\n", ["the file of the preset lacks its first line: # @package _global_"]),
    "typo": (
        "# @package _global_\nphysics: {ctrldt_s: 0.005}\n",
        ["preset=typo", "'physics.ctrldt_s'", "'physics.ctrl_dt_s'"],
    ),
    "wrong": ("# @package _global_\nphysics: {ctrl_dt_s: fast}\n", ["preset=wrong", "physics.ctrl_dt_s", "'fast'"]),
    "tab": ("# @package _global_\nrun:\n\tsteps: 64\n", ["tab.yaml"]),
    "nowhere": (None, ["'nowhere'", "mouse_arm_quick"]),
}
"""Name of a preset -> its file, and what the message names."""


@pytest.mark.parametrize("name", OWN)
def test_a_preset_that_is_wrong_is_refused(name: str, tmp_path: Path) -> None:
    text, words = OWN[name]
    (tmp_path / "preset").mkdir()
    if text is not None:
        (tmp_path / "preset" / f"{name}.yaml").write_text(text)
    command = ["track-mjx", "train", "--config-dir", str(tmp_path), f"preset={name}", "clips=clips.h5", "out=run"]
    code, said = run_here(command)
    assert code == 2
    assert_one_message(said, "track-mjx train", words)


def test_a_preset_inherits_from_another(tmp_path: Path) -> None:
    (tmp_path / "preset").mkdir()
    inherited = (
        "# @package _global_\ndefaults:\n  - mouse_arm_quick\n  - _self_\ntask:\n  rewards: {body_position_exp: null}\n"
    )
    (tmp_path / "preset" / "own.yaml").write_text(inherited)
    code, shown = run_here(["track-mjx", "train", "--config-dir", str(tmp_path), "preset=own", "--cfg", "job"])
    assert code == 0
    assert "body_position_exp: null" in shown
    assert "n_envs: 512" in shown


def test_the_help_has_the_values_of_the_preset_that_is_used() -> None:
    helped = run_here(["track-mjx", "train", "--help"])[1]
    used = run_here(["track-mjx", "train", "clips=x.h5", "out=y", "--cfg", "job"])[1]
    for name in ("n_envs", "latent", "sim_dt_s", "minibatches", "kl_weight", "steps"):
        shown = next(line for line in helped.splitlines() if f".{name} " in line).partition("[")[2].rstrip("]")
        # several sections may have a setting of that name
        values = [line.partition(": ")[2] for line in used.splitlines() if line.strip().startswith(f"{name}:")]
        assert float(shown) in map(float, values), name
