"""Every kind of mistake through the real command: one clear message, exit code 2, and nothing left behind."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from messages import assert_one_message, assert_refused
from track.clip_files import ARM, WALKER, write_clips
from track.small_setups import arm, trained
from track_mjx.cli import main

JOINTS, BODIES = "task.rewards.joint_position_exp", "task.rewards.body_position_exp"
COST = "task.costs.joint_position_exp"
SETTINGS: dict[str, list[str]] = {
    "ppo.n_env=4": ["unknown setting 'ppo.n_env'", "'ppo.n_envs'"],
    "seeds=1 clip=x": ["2 faults", "'seeds'", "'clip'"],
    "run.steps=0 ppo.discount=2": ["2 faults", "run.steps", "ppo.discount"],
    "ppo.n_envs=abc": ["ppo.n_envs", "abc"],
    "network.encoder=[wide]": ["network.encoder"],
    "network.encoder=[8,0]": ["network.encoder", "at least 1", "0"],
    "fast": ["'fast'", "name=value"],
    "physics.engine=nativ": ["physics.engine", "'nativ'", "'native'"],
    "physics.integrator=eul": ["physics.integrator", "'eul'", "'euler'"],
    "physics.sim_dt_s=0.003": ["physics.ctrl_dt_s=0.005", "whole multiple", "physics.sim_dt_s=0.003"],
    "physics.solver=newtn": ["physics.solver", "'newtn'", "'newton'"],
    "physics.sim_dt_s=0.01": ["physics.ctrl_dt_s=0.005", "physics.sim_dt_s=0.01"],
    "physics.sim_dt_s=-1": ["physics.sim_dt_s", "-1"],
    "arena.floor='yes'": ["arena.floor", "'yes'", "auto"],
    "arena.actuators=sevro": ["arena.actuators", "'sevro'", "servo"],
    "arena.root_body=pelvis": ["root_body", "'pelvis'"],
    "arena.end_effectors=[hnd]": ["arena.end_effectors", "'hnd'", "'hand'"],
    "task.rewards.joint.weight=1": ["task.rewards", "unknown reward term 'joint'", "joint_position_exp"],
    "task.rewards.joints.weight=1": ["task.rewards", "'joints' is now 'joint_position_exp'"],
    f"{BODIES}.bodys=[] {JOINTS}.weight=null task.rewards.joint.weight=1": ["'bodies'", f"{JOINTS}.weight", "'joint'"],
    f"{JOINTS}.sgma=1": [JOINTS, "unknown parameter 'sgma'", "'sigma'"],
    f"{JOINTS}.sigma=-0.3": [JOINTS, "positive", "-0.3"],
    f"{JOINTS}.exp_scale=1": [JOINTS, "either sigma or exp_scale"],
    f"{JOINTS}.sigma=wide": [f"{JOINTS}.sigma", "expected a number", "'wide'"],
    f"{JOINTS}.weight=much": [f"{JOINTS}.weight", "expected a number", "'much'"],
    f"{JOINTS}.joints=[elbw]": [JOINTS, "'elbw'", "'elbow'"],
    f"{BODIES}.bodies=[]": [BODIES, "the list is empty"],
    f"{BODIES}.bodies=hand": [f"{BODIES}.bodies", "list", "'hand'"],
    f"{BODIES}.bodies=[hnd]": [BODIES, "unknown body 'hnd'", "'hand'"],
    "task.terminations.too_far={}": ["task.terminations.too_far", "'limit_m' is missing"],
    "task.costs.variance.weight=1 task.costs.variance.window=0": ["task.costs.variance.window", "0"],
    "task.costs.jerk.weight=1 task.costs.jerk.window=2": ["task.costs.jerk", "window", "3"],
    f"{JOINTS}=null {BODIES}=null": ["task.rewards", "nothing to learn"],
    "task.regions.paw=[hnd]": ["task.regions", "'hnd'", "'hand'"],
    "task.action=afine": ["task.action", "'afine'", "'affine'"],
    "task.window=[-1]": ["task.window", "-1"],
    "task.clip_s=0.001": ["task.clip_s", "two frames"],
    "task.action_range.flexr=[0,1]": ["task.action_range", "'flexor'"],
    "task.action_range.flexor=[1,0]": ["task.action_range", "flexor"],
    "task.action_range.flexor=[0]": ["task.action_range", "flexor"],
    f"{COST}.term=energy {COST}.weight=1": ["joint_position_exp", "same name"],
    "task.pose_noise=-1": ["task.pose_noise", "-1"],
    "task.window=[]": ["task.window"],
    "ppo.minibatches=100": ["ppo.minibatches", "100"],
    "run.checkpoint_every=3 run.log_every=2": ["run.checkpoint_every", "run.log_every=2"],
    "run.devices=2": ["run.devices", "1", "2"],
    "run.distributed.on=true run.distributed.coordinator=127.0.0.1:1": ["run.distributed.processes", "not set"],
    "run.test_fraction=1": ["run.test_fraction", "1"],
}
"""Settings of a training, and the words of their message."""
TASK = ("task.rewards.body_position_exp.bodies=[hand]", "task.regions={elbow: [fore], wrist: [hand]}")
"""What the default preset needs to fit the small arm."""
SMALL = (
    "network.encoder=[8]", "network.decoder=[8]", "network.critic=[8]", "network.latent=2", "ppo.n_envs=8",
    "ppo.unroll=2", "ppo.minibatches=2", "physics.sim_dt_s=0.0025", "physics.ctrl_dt_s=0.005", "run.steps=16",
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where a case finds and leaves its files: an empty folder, sound clips, a run and rollouts (not to be changed)."""

    folder: Path
    clips: Path
    run: Path
    rollouts: Path

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def text(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def written(self, **options: Any) -> str:
        """Write clips and return the setting that names them."""
        return f"clips={write_clips(self.folder / 'bad.h5', **options)}"

    def changed(self, change: Callable[[Any], object]) -> str:
        """Copy the sound clips, change them, and return the setting that names them."""
        path = Path(shutil.copy(self.clips, self.folder / "bad.h5"))
        with h5py.File(path, "r+") as file:
            change(file)
        return f"clips={path}"

    def copied_run(self, change: Callable[[Path], object]) -> str:
        """Copy the run, change the copy, and return the setting that names it."""
        path = Path(shutil.copytree(self.run, self.folder / "run"))
        change(path)
        return f"run={path}"


Case = tuple[str, Callable[[Place], list[str]], list[str]]


def clips(*words: str, given: Callable[[Place], str], more: tuple[str, ...] = ()) -> Case:
    """A training on clips that are wrong."""
    return "train", lambda place: [given(place), f"out={place.out}", *TASK, *SMALL, *more], list(words)


def settings(*words: str, given: list[str]) -> Case:
    """A training on sound clips with settings that are wrong."""
    return "train", lambda place: [f"clips={place.clips}", f"out={place.out}", *TASK, *SMALL, *given], list(words)


def preset(*words: str, given: list[str]) -> Case:
    """The same with nothing set but what is given."""
    return "train", lambda place: [f"clips={place.clips}", f"out={place.out}", *given], list(words)


def of_run(verb: str, *words: str, given: Callable[[Place], list[str]]) -> Case:
    """A verb that needs a run; `given` may name another one."""

    def arguments(place: Place) -> list[str]:
        more = given(place)
        named = [] if any(text.startswith("run=") for text in more) or verb == "render" else [f"run={place.run}"]
        out = [] if verb == "resume" or any(text.startswith("out=") for text in more) else [f"out={place.out}"]
        return [*named, *out, *more]

    return verb, arguments, list(words)


def put(name: str, values: Any) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file[name]
        file[name] = values

    return change


def attribute(name: str, value: Any) -> Callable[[Any], None]:
    return lambda file: file.attrs.__setitem__(name, value)


def not_a_number(file: Any) -> None:
    file["qpos"][:, 0] = np.nan


def every_other(file: Any) -> None:
    file["valid"][::2] = 0


def foreign(place: Place) -> str:
    with h5py.File(place.folder / "foreign.h5", "w") as file:
        file["temperature"] = np.zeros(3)
    return f"clips={place.folder / 'foreign.h5'}"


def edit_json(name: str, **changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


def empty_weights(folder: Path) -> None:
    """Cut a file of the last checkpoint short."""
    checkpoint = max((folder / "checkpoints").glob("0*"))
    data = max((path for path in checkpoint.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])


ELSEWHERE = h5py.ExternalLink("other.h5", "/qvel")
HOSTILE = ARM.replace("<worldbody>", '<asset><mesh name="m" file="/etc/passwd"/></asset><worldbody>')
MOTORLESS = ARM[: ARM.index("<actuator>")] + "</mujoco>"

CASES: dict[str, Case] = {
    # clips
    "no clips": ("train", lambda p: [f"out={p.out}", *TASK], ["clips is not set", "clips="]),
    "missing file": clips("clps.h5", "no such file", given=lambda p: f"clips={p.folder / 'clps.h5'}"),
    "a folder without clips": clips("no such file", given=lambda p: f"clips={p.folder}"),
    "empty file": clips("bad.h5", "empty", given=lambda p: f"clips={p.text('bad.h5', '')}"),
    "no HDF5": clips("bad.h5", "not a complete HDF5 file", given=lambda p: f"clips={p.text('bad.h5', 'time,angle')}"),
    "cut short": clips(
        "bad.h5", "truncated", given=lambda p: f"clips={p.text('bad.h5', p.clips.read_bytes()[:5000])}"
    ),
    "foreign file": clips("foreign.h5", "schema_name", "stac-mjx convert", given=foreign),
    "rollouts given as clips": clips(
        "rollouts.h5", "expected a mimic.reference_clips file", "mimic.rollouts", given=lambda p: f"clips={p.rollouts}"
    ),
    "newer schema": clips(
        "bad.h5", "2.0", "1.x", "update", given=lambda p: p.changed(attribute("schema_version", "2.0"))
    ),
    "no version": clips("schema_version", "'new'", given=lambda p: p.changed(attribute("schema_version", "new"))),
    "data set missing": clips("bad.h5", "qvel", "missing", given=lambda p: p.written(change={"qvel": None})),
    "data set of another shape": clips("qpos", "shape", given=lambda p: p.written(change={"qpos": np.zeros((160, 3))})),
    "unknown joint": clips("knee", given=lambda p: p.written(change={"names_qpos": ["shoulder", "knee"]})),
    "too few flags": clips("valid", "frames", given=lambda p: p.written(change={"valid": np.ones(10, np.uint8)})),
    "data set elsewhere": clips("qvel", "another file", given=lambda p: p.changed(put("qvel", ELSEWHERE))),
    "body that names a file": clips(
        "bad.h5", "/etc/passwd", given=lambda p: p.written(change={"provenance/mjcf_xml": HOSTILE})
    ),
    "altered body": clips(
        "bad.h5", "model_sha256", given=lambda p: p.changed(put("provenance/mjcf_xml", ARM.replace("0.05", "0.06")))
    ),
    "body that does not compile": clips(
        "bad.h5", "screw", given=lambda p: p.written(change={"provenance/mjcf_xml": ARM.replace("capsule", "screw")})
    ),
    "body without actuators": clips("bad.h5", "no actuators", given=lambda p: p.written(xml=MOTORLESS)),
    "end effector that is not a body": clips(
        "bad.h5", "unknown body 'hnad'", "'hand'", given=lambda p: p.written(end_effectors=("hnad",))
    ),
    "unknown root": clips("bad.h5", "unknown body 'uper'", "'upper'", given=lambda p: p.written(root="uper")),
    "end effectors that are no list": clips(
        "end_effectors", "JSON", given=lambda p: p.changed(attribute("end_effectors", "hand"))
    ),
    "rate zero": clips("rate_hz", "0", given=lambda p: p.changed(attribute("rate_hz", 0.0))),
    "NaN in every pose": clips("bad.h5", "no clip has two usable frames", given=lambda p: p.changed(not_a_number)),
    "no two frames in a row": clips("no clip has two usable frames", given=lambda p: p.changed(every_other)),
    "clips of one frame": clips(
        "bad.h5", "'clip_0'", "less than a control step", given=lambda p: p.written(lengths=(1, 1))
    ),
    "clips shorter than a control step": clips(
        "bad.h5", "'clip_0'", "control step", given=lambda p: p.written(lengths=(3, 3), rate_hz=2000.0)
    ),
    "clips that overlap": clips(
        "clip_start", "end to end", given=lambda p: p.changed(put("clip_start", np.array([0, 10, 20, 30])))
    ),
    "clips that are missing end effectors a term needs": clips(
        "arena.end_effectors", "task.rewards.end_effector_position_exp", given=lambda p: p.written(end_effectors=()),
        more=("task.rewards.end_effector_position_exp.weight=1", "task.rewards.end_effector_position_exp.sigma=0.01"),
    ),
    # presets and settings
    "unknown preset": preset("unknown preset 'mouse_am'", "'mouse_arm'", given=["preset=mouse_am"]),
    "unknown preset key": preset(
        "unknown setting 'task.smothing_s'", "'task.smoothing_s'", given=["preset=mouse_arm", "task.smothing_s=1"]
    ),
    "preset of another animal": preset("unknown body", "'ulna'", given=["preset=mouse_arm_quick"]),
    **{texts: settings(*words, given=texts.split(" ")) for texts, words in SETTINGS.items()},
    # the run folder
    "out missing": ("train", lambda p: [f"clips={p.clips}", *TASK], ["out is not set", "out="]),
    "out is a file": (
        "train", lambda p: [f"clips={p.clips}", f"out={p.text('taken', 'keep')}", *TASK, *SMALL], ["taken", "is a file"]
    ),
    "out holds a run": (
        "train", lambda p: [f"clips={p.clips}", f"out={p.run}", *TASK, *SMALL, "seed=7"],
        ["there is a run already", "resume run="],
    ),
    # what needs a run
    **{
        f"{verb}: no run": of_run(verb, "run is not set", "run=", given=lambda p: ["run=''"])
        for verb in ("resume", "evaluate", "rollout")
    },
    **{
        f"{verb}: not a run": of_run(verb, "not the folder of a run", given=lambda p: [f"run={p.folder}"])
        for verb in ("resume", "evaluate", "rollout")
    },
    **{
        f"{verb}: no checkpoint": of_run(
            verb, "no complete checkpoint", given=lambda p: [p.copied_run(lambda f: shutil.rmtree(f / "checkpoints"))]
        )
        for verb in ("evaluate", "rollout")
    },
    "settings of a run that do not parse": of_run(
        "evaluate", "config.yaml", given=lambda p: [p.copied_run(lambda f: (f / "config.yaml").write_text("a: ["))]
    ),
    "settings of a run of another program": of_run(
        "evaluate", "config.yaml", "spede",
        given=lambda p: [p.copied_run(lambda f: (f / "config.yaml").write_text("spede: 3"))],
    ),
    "record of a run cut short": of_run(
        "evaluate", "run.json", given=lambda p: [p.copied_run(lambda f: (f / "run.json").write_text('{"clips":'))]
    ),
    "clips of a run gone": of_run(
        "evaluate", "gone.h5", "no such file", given=lambda p: [p.copied_run(edit_json("run.json", clips="gone.h5"))]
    ),
    "clip of a run missing": of_run(
        "evaluate", "clip 'clip_9' of the run is missing",
        given=lambda p: [p.copied_run(edit_json("run.json", train=["clip_9"]))],
    ),
    "checkpoint damaged": of_run(
        "evaluate", "checkpoints", "damaged", given=lambda p: [p.copied_run(empty_weights), "checkpoint=last"]
    ),
    "unknown checkpoint": of_run("evaluate", "best, last or one of", "'first'", given=lambda p: ["checkpoint=first"]),
    "checkpoint of another network": of_run(
        "evaluate", "checkpoints", "another body, network or task",
        given=lambda p: [
            p.copied_run(lambda f: (f / "config.yaml").write_text(wider((f / "config.yaml").read_text())))
        ],
    ),
    "clips of another body": of_run(
        "evaluate", "bad.h5", "not the one the run was trained with",
        given=lambda p: [p.written(xml=WALKER, end_effectors=("foot_L",), root="trunk")],
    ),
    "clips of another scale": of_run(
        "rollout", "bad.h5", "another scale", given=lambda p: [p.written(xml=ARM.replace("0.05", "0.06"))]
    ),
    "unknown set": of_run("evaluate", "clip_set", "'tset'", "'test'", given=lambda p: ["clip_set=tset"]),
    "unknown set to roll out": of_run("rollout", "clip_set", "'tran'", "'train'", given=lambda p: ["clip_set=tran"]),
    "empty set": of_run(
        "evaluate", "clip_set=test", "empty", "clip_set=train",
        given=lambda p: [p.copied_run(edit_json("run.json", test=[]))],
    ),
    "negative deviation": of_run("evaluate", "deviation_mm", "-1", given=lambda p: ["deviation_mm=-1"]),
    "evaluation into a file": of_run(
        "evaluate", "taken", "is a file", given=lambda p: [f"out={p.text('taken', 'keep')}"]
    ),
    "rollouts into a folder": of_run("rollout", "is a folder", given=lambda p: [f"out={p.folder}"]),
    "rollouts below a file": of_run(
        "rollout", "taken", given=lambda p: [f"out={p.text('taken', 'keep') / 'rollouts.h5'}"]
    ),
    "no seeds": of_run("rollout", "seeds", given=lambda p: ["seeds=[]"]),
    "a seed twice": of_run("rollout", "seeds", "3", given=lambda p: ["seeds=[3,3]", "deterministic=false"]),
    "seeds that change nothing": of_run("rollout", "deterministic=false", given=lambda p: ["seeds=[0,1]"]),
    "another engine": of_run("evaluate", "'mujoco'", "native", given=lambda p: ["engine=mujoco"]),
    "fewer steps than done": of_run("resume", "steps", "-5", given=lambda p: ["steps=-5"]),
    # other verbs
    "check: missing": ("check", lambda p: [f"clips={p.folder / 'none.h5'}"], ["none.h5", "no such file"]),
    "check: rollouts": ("check", lambda p: [f"clips={p.rollouts}"], ["mimic.rollouts"]),
    "render: clips": of_run(
        "render", "mimic.rollouts", given=lambda p: [f"rollouts={p.clips}", f"out={p.folder / 'film.mp4'}"]
    ),
    "render: missing": of_run(
        "render", "none.h5", "no such file", given=lambda p: [f"rollouts={p.folder / 'none.h5'}", "out=film.mp4"]
    ),
    "render: no rollouts": ("render", lambda p: ["out=film.mp4"], ["rollouts is not set"]),
    "compare: no runs": ("compare", lambda p: [], ["runs"]),
    "compare: no run there": ("compare", lambda p: [f"runs={p.folder}"], ["no run folder"]),
    "bench: no clips": ("bench", lambda p: [], ["clips is not set"]),
    "bench: settings": (
        "bench",
        lambda p: [
            f"clips={p.clips}", f"out={p.out}", "engines=[nativ]", "parts=[fysics]", "n_envs=[0]", "steps=0",
            "max_minutes=0",
        ],
        ["'native'", "'physics'", "n_envs", "steps", "max_minutes"],
    ),
    "bench: missing": ("bench", lambda p: [f"clips={p.folder / 'none.h5'}", f"out={p.out}"], ["none.h5"]),
}  # fmt: skip


def wider(text: str) -> str:
    """A config with one more unit in the encoder."""
    assert "- 16\n  decoder" in text
    return text.replace("- 16\n  decoder", "- 17\n  decoder")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    folder = tmp_path_factory.mktemp("arm")
    found = trained(arm(folder), steps=80).path
    assert main(["rollout", f"run={found}", f"out={folder / 'rollouts.h5'}"]) == 0
    return {"clips": folder / "clips.h5", "run": found, "rollouts": folder / "rollouts.h5"}


@pytest.fixture
def place(tmp_path: Path, run: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path, **run)


def contents(*folders: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("case", CASES)
def test_one_message_and_nothing_left(case: str, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    verb, arguments, words = CASES[case]
    given = arguments(place)
    before = contents(place.folder, place.run)
    assert_refused(main, f"track-mjx {verb}", given, words, capsys)
    assert contents(place.folder, place.run) == before
    assert not place.out.exists()


@pytest.mark.slow
def test_the_process_ends_with_code_2_and_no_traceback(place: Place) -> None:
    arguments = ["train", f"clips={place.folder / 'none.h5'}", f"out={place.out}", *TASK]
    ended = subprocess.run([sys.executable, "-m", "track_mjx", *arguments], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert_one_message(ended.stderr, "track-mjx train", ["none.h5", "no such file"])
    assert not place.out.exists()
