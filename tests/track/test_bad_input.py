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
    "task={regions:{paw:[hnd]}}": ["task.regions", "'hnd'", "'hand'"],
    "task={regoins:{paw:[hand]}}": ["regoins"],
    f"{COST}.term=energy {COST}.weight=1": ["joint_position_exp", "same name"],
    "task.pose_noise=-1": ["task.pose_noise", "-1"],
    "task.window=[]": ["task.window"],
    "arena.floor_height_m=nan": ["arena.floor_height_m", "expected a number, got nan"],
    f"{JOINTS}.sigma=inf": [JOINTS, "positive", "inf"],
    f"{JOINTS}.joints=[elbow,elbow]": [JOINTS, "'elbow' is named twice"],
    "arena.end_effectors=[hand,hand]": ["arena.end_effectors", "'hand' is named twice"],
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
Given = Callable[[Place], str]


def training(given: Callable[[Place], list[str]], words: list[str]) -> Case:
    """A training of the small arm with further arguments."""
    return "train", lambda place: [f"out={place.out}", *TASK, *SMALL, *given(place)], words


def of_run(verb: str, given: Callable[[Place], list[str]], words: list[str]) -> Case:
    """A verb that needs a run; `given` may name another one."""

    def arguments(place: Place) -> list[str]:
        more = given(place)
        named = [] if any(text.startswith("run=") for text in more) or verb == "render" else [f"run={place.run}"]
        out = [] if verb == "resume" or any(text.startswith("out=") for text in more) else [f"out={place.out}"]
        return [*named, *out, *more]

    return verb, arguments, words


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

EFFECTORS = "task.rewards.end_effector_position_exp"
WRITTEN: dict[str, tuple[dict[str, Any], list[str]]] = {
    "data set missing": ({"change": {"qvel": None}}, ["bad.h5", "qvel", "missing"]),
    "data set of another shape": ({"change": {"qpos": np.zeros((160, 3))}}, ["qpos", "shape"]),
    "unknown joint": ({"change": {"names_qpos": ["shoulder", "knee"]}}, ["knee"]),
    "too few flags": ({"change": {"valid": np.ones(10, np.uint8)}}, ["valid", "frames"]),
    "body that names a file": ({"change": {"provenance/mjcf_xml": HOSTILE}}, ["bad.h5", "/etc/passwd"]),
    "body that does not compile": (
        {"change": {"provenance/mjcf_xml": ARM.replace("capsule", "screw")}}, ["bad.h5", "screw"]
    ),
    "body without actuators": ({"xml": MOTORLESS}, ["bad.h5", "no actuators"]),
    "end effector that is not a body": ({"end_effectors": ["hnad"]}, ["bad.h5", "unknown body 'hnad'", "'hand'"]),
    "unknown root": ({"root": "uper"}, ["bad.h5", "unknown body 'uper'", "'upper'"]),
    "clips of one frame": ({"lengths": (1, 1)}, ["bad.h5", "'clip_0'", "less than a control step"]),
    "clips shorter than a control step": (
        {"lengths": (3, 3), "rate_hz": 2000.0}, ["bad.h5", "'clip_0'", "control step"]
    ),
}  # fmt: skip
"""Options of clips that are wrong, and the words of their message."""
CHANGED: dict[str, tuple[Callable[[Any], object], list[str]]] = {
    "newer schema": (attribute("schema_version", "2.0"), ["bad.h5", "2.0", "1.x", "update"]),
    "no version": (attribute("schema_version", "new"), ["schema_version", "'new'"]),
    "data set elsewhere": (put("qvel", ELSEWHERE), ["qvel", "another file"]),
    "altered body": (put("provenance/mjcf_xml", ARM.replace("0.05", "0.06")), ["bad.h5", "model_sha256"]),
    "end effectors that are no list": (attribute("end_effectors", "hand"), ["end_effectors", "JSON"]),
    "rate zero": (attribute("rate_hz", 0.0), ["rate_hz", "0"]),
    "NaN in every pose": (not_a_number, ["bad.h5", "no clip has two usable frames"]),
    "no two frames in a row": (every_other, ["no clip has two usable frames"]),
    "clips of one name": (put("clip_name", ["a", "b", "a", "c"]), ["bad.h5", "clip_name", "unique", "'a'"]),
    "a clip without a name": (put("clip_name", ["a", "b", "", "c"]), ["bad.h5", "clip_name", "not empty"]),
    "clips that overlap": (put("clip_start", np.array([0, 10, 20, 30])), ["clip_start", "end to end"]),
}
"""Changes of sound clips, and the words of their message."""
FILES: dict[str, tuple[Given, list[str]]] = {
    "missing file": (lambda p: f"clips={p.folder / 'clps.h5'}", ["clps.h5", "no such file"]),
    "a folder without clips": (lambda p: f"clips={p.folder}", ["no such file"]),
    "empty file": (lambda p: f"clips={p.text('bad.h5', '')}", ["bad.h5", "empty"]),
    "no HDF5": (lambda p: f"clips={p.text('bad.h5', 'time,angle')}", ["bad.h5", "not an HDF5 file"]),
    "cut short": (lambda p: f"clips={p.text('bad.h5', p.clips.read_bytes()[:5000])}", ["bad.h5", "truncated"]),
    "foreign file": (foreign, ["foreign.h5", "schema_name", "stac-mjx convert"]),
    "rollouts given as clips": (
        lambda p: f"clips={p.rollouts}", ["rollouts.h5", "expected a mimic.reference_clips file", "mimic.rollouts"]
    ),
    "out is a file": (lambda p: f"clips={p.clips} out={p.text('taken', 'keep')}", ["taken", "is a file"]),
    "out holds a run": (lambda p: f"clips={p.clips} out={p.run} seed=7", ["there is a run already", "resume run="]),
    "no end effectors for a term": (
        lambda p: f"{p.written(end_effectors=())} {EFFECTORS}.weight=1 {EFFECTORS}.sigma=0.01",
        ["arena.end_effectors", EFFECTORS],
    ),
}  # fmt: skip
"""Arguments of a training, and the words of their message."""
BARE = {
    "preset=mouse_am": ["unknown preset 'mouse_am'", "'mouse_arm'"],
    "preset=mouse_arm task.smothing_s=1": ["unknown setting 'task.smothing_s'", "'task.smoothing_s'"],
    "preset=mouse_arm_quick": ["unknown body", "'ulna'"],
}
"""The same, with nothing else set."""
RUNS: dict[str, tuple[str, Callable[[Path], object], list[str]]] = {
    "settings that do not parse": ("", lambda f: (f / "config.yaml").write_text("a: ["), ["config.yaml"]),
    "settings of another program": (
        "", lambda f: (f / "config.yaml").write_text("spede: 3"), ["config.yaml", "spede"]
    ),
    "record cut short": ("", lambda f: (f / "run.json").write_text('{"clips":'), ["run.json"]),
    "clips gone": ("", edit_json("run.json", clips="gone.h5"), ["gone.h5", "no such file"]),
    "clip missing": ("", edit_json("run.json", train=["clip_9"]), ["clip 'clip_9' of the run is missing"]),
    "checkpoint damaged": ("checkpoint=last", empty_weights, ["checkpoints", "damaged"]),
    "checkpoint of another network": (
        "", lambda f: (f / "config.yaml").write_text(wider((f / "config.yaml").read_text())),
        ["checkpoints", "another body, network or task"],
    ),
    "empty set": ("", edit_json("run.json", test=[]), ["clip_set=test", "empty", "clip_set=train"]),
}  # fmt: skip
"""Arguments of an evaluation, changes of its run, and the words of the message."""
PLAYED = {
    "evaluate checkpoint=first": ["best, last or one of", "'first'"],
    "evaluate clip_set=tset": ["clip_set", "'tset'", "'test'"],
    "rollout clip_set=tran": ["clip_set", "'tran'", "'train'"],
    "evaluate deviation_mm=-1": ["deviation_mm", "-1"],
    "rollout seeds=[]": ["seeds"],
    "rollout seeds=[3,3] deterministic=false": ["seeds", "3"],
    "rollout seeds=[0,1]": ["deterministic=false"],
    "evaluate engine=mujoco": ["'mujoco'", "native"],
    "resume steps=-5": ["steps", "-5"],
    "render out=film.mp4 rollouts=none.h5": ["none.h5", "no such file"],
    **{f"{verb} run=''": ["run is not set", "run="] for verb in ("resume", "evaluate", "rollout")},
    **{f"{verb} run=.": ["not the folder of a run"] for verb in ("resume", "evaluate", "rollout")},
}
"""Verbs that need a run with settings that are wrong, and the words of their message."""
CASES: dict[str, Case] = {
    "no clips": ("train", lambda p: [f"out={p.out}", *TASK], ["clips is not set", "clips="]),
    "out missing": ("train", lambda p: [f"clips={p.clips}", *TASK], ["out is not set", "out="]),
    **{name: training(lambda p, o=o: [p.written(**o)], words) for name, (o, words) in WRITTEN.items()},
    **{name: training(lambda p, c=c: [p.changed(c)], words) for name, (c, words) in CHANGED.items()},
    **{name: training(lambda p, g=g: g(p).split(" "), words) for name, (g, words) in FILES.items()},
    **{text: training(lambda p, t=text: [f"clips={p.clips}", *t.split(" ")], w) for text, w in SETTINGS.items()},
    **{
        text: ("train", lambda p, t=text: [f"clips={p.clips}", f"out={p.out}", *t.split(" ")], words)
        for text, words in BARE.items()
    },
    **{
        name: of_run("evaluate", lambda p, t=text, c=change: [p.copied_run(c), *t.split()], words)
        for name, (text, change, words) in RUNS.items()
    },
    **{
        text: of_run(text.split(" ")[0], lambda p, t=text: t.split(" ")[1:], words) for text, words in PLAYED.items()
    },
    **{
        f"{verb}: no checkpoint": of_run(
            verb, lambda p: [p.copied_run(lambda f: shutil.rmtree(f / "checkpoints"))], ["no complete checkpoint"]
        )
        for verb in ("evaluate", "rollout")
    },
    "clips of another body": of_run(
        "evaluate", lambda p: [p.written(xml=WALKER, end_effectors=("foot_L",), root="trunk")],
        ["bad.h5", "not the one the run was trained with"],
    ),
    "clips of another scale": of_run(
        "rollout", lambda p: [p.written(xml=ARM.replace("0.05", "0.06"))], ["bad.h5", "another scale"]
    ),
    "evaluation into a file": of_run("evaluate", lambda p: [f"out={p.text('taken', 'keep')}"], ["taken", "is a file"]),
    "rollouts into a folder": of_run("rollout", lambda p: [f"out={p.folder}"], ["is a folder"]),
    "rollouts below a file": of_run("rollout", lambda p: [f"out={p.text('taken', 'keep') / 'a.h5'}"], ["taken"]),
    "check: missing": ("check", lambda p: [f"clips={p.folder / 'none.h5'}"], ["none.h5", "no such file"]),
    "check: rollouts": ("check", lambda p: [f"clips={p.rollouts}"], ["mimic.rollouts"]),
    "render: clips": ("render", lambda p: [f"rollouts={p.clips}", f"out={p.folder / 'a.mp4'}"], ["mimic.rollouts"]),
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
