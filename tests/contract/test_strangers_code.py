"""No file from a stranger runs code: no unpickling, no building of objects, no plugins, nothing outside the file."""

from __future__ import annotations

import ast
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import reach_analysis.behaviour.run_sweeps
import stac_mjx._common.errors
import stac_mjx._common.mjcf
import track_mjx._common.errors
import track_mjx._common.mjcf
from contract.fuzzed_readers import READERS
from reach_analysis._common.errors import InputError
from track_mjx._common.errors import RunError
from track_mjx.runs.run_folder import RunFolder

MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
CALLS = {
    "eval", "exec", "compile", "np.load", "numpy.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "os.system",
    "OmegaConf.load", "hydra.utils.instantiate", "instantiate", "torch.load", "pd.read_pickle",
}  # fmt: skip


def _forbidden(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            yield str(node.module)
        elif isinstance(node, ast.Call):
            if ast.unparse(node.func) in CALLS:
                yield ast.unparse(node.func)
            yield from (
                f"{word.arg}={ast.unparse(word.value)}"
                for word in node.keywords
                if word.arg in ("allow_pickle", "shell") and ast.unparse(word.value) != "False"
            )


def test_the_search_finds_what_it_looks_for() -> None:
    text = "import pickle\nfrom joblib import load\nnp.load(f, allow_pickle=True)\nyaml.load(x)\neval('1')\nlen('eval')"
    assert list(_forbidden(ast.parse(text))) == [
        "pickle",
        "joblib",
        "np.load",
        "allow_pickle=True",
        "yaml.load",
        "eval",
    ]


def test_no_package_unpickles_or_evaluates(repository: Path) -> None:
    sources = sorted((repository / "packages").glob("*/src/**/*.py"))
    assert len(sources) > 100
    found = {path: list(_forbidden(ast.parse(path.read_text(encoding="utf-8")))) for path in sources}
    assert {str(path.relative_to(repository)): what for path, what in found.items() if what} == {}


EVENTS = ("pickle.find_class", "os.system", "subprocess.Popen", "os.posix_spawn", "marshal.loads", "ctypes.dlopen")
_seen: list[str] = []
_watching = [False]


def _watch(event: str, _: Any) -> None:
    if _watching[0] and event in EVENTS:
        _seen.append(event)


@contextmanager
def watched() -> Iterator[list[str]]:
    """Collect what the interpreter is asked to do that no reader has a need for; hooks cannot be taken off again."""
    if not hasattr(sys, "_mimic_watch"):
        sys.addaudithook(_watch)
        sys._mimic_watch = True  # pyright: ignore[reportAttributeAccessIssue]
    _seen.clear()
    _watching[0] = True
    try:
        yield _seen
    finally:
        _watching[0] = False


@pytest.mark.parametrize("name", READERS)
def test_reading_unpickles_nothing_and_starts_nothing(name: str, tmp_path: Path) -> None:
    files = READERS[name].sound(tmp_path)
    READERS[name].read(files[0])  # modules may be loaded the first time
    with watched() as seen:
        READERS[name].read(files[0])
    assert seen == []


def test_watching_notices_a_pickle() -> None:
    import pickle

    with watched() as seen:
        pickle.loads(pickle.dumps(Path))
    assert "pickle.find_class" in seen


# settings


YAML = {
    "object": "a: !!python/object/apply:os.system ['touch {canary}']",
    "module": "a: !!python/module:os",
    "name": "a: !!python/name:os.system",
    "bomb": "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in pairwise("abcdefghijkl")),
    "deep": "a: " + "[" * 3000,
    "self": "a: &a [*a]",
}


@pytest.mark.parametrize("kind", YAML)
def test_settings_of_a_run_build_no_objects(tmp_path: Path, kind: str) -> None:
    (run,) = READERS["track run folder"].sound(tmp_path)
    config, canary = run / "config.yaml", tmp_path / "canary"
    config.write_text(config.read_text() + YAML[kind].format(canary=canary) + "\n")
    with pytest.raises(RunError, match="the settings cannot be read"):
        RunFolder.open(run)
    with pytest.raises(InputError, match="the settings cannot be read"):
        reach_analysis.behaviour.run_sweeps.read_run(run)
    assert not canary.exists()


@pytest.mark.parametrize("text", ["1.5", "true", "text", "2001-01-01", "---\n~"])
def test_settings_are_not_a_single_value(tmp_path: Path, text: str) -> None:
    (run,) = READERS["track run folder"].sound(tmp_path)
    (run / "config.yaml").write_text(text)
    with pytest.raises(RunError, match="single value"):
        RunFolder.open(run)
    with pytest.raises(InputError, match="single value"):
        reach_analysis.behaviour.run_sweeps.read_run(run)


def test_targets_and_lookups_are_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run,) = READERS["track run folder"].sound(tmp_path)
    config, canary = run / "config.yaml", tmp_path / "canary"
    monkeypatch.setenv("SECRET", "do not tell")
    sound = config.read_text()
    config.write_text(f"{sound}\n_target_: os.system\ncommand: touch {canary}\n")
    with pytest.raises(RunError, match="the settings cannot be read"):
        RunFolder.open(run)
    found = reach_analysis.behaviour.run_sweeps.read_run(run)
    assert found.settings["_target_"] == "os.system"
    config.write_text(sound.replace("out:", "out: ${oc.env:SECRET} #"))
    with pytest.raises(RunError, match="without"):
        RunFolder.open(run)
    assert "do not tell" not in str(reach_analysis.behaviour.run_sweeps.read_run(run).settings)
    assert not canary.exists()


# models


def _mjcf(assets: str = "", extra: str = "", world: str = "") -> str:
    body = f'<worldbody><body><joint name="j"/><geom size="1"/></body>{world}</worldbody>'
    return f"<mujoco><asset>{assets}</asset>{body}{extra}</mujoco>"


MODELS: dict[str, tuple[str, dict[str, bytes], str]] = {
    "include": (_mjcf(extra='<include file="/etc/passwd"/>'), {}, "brings in another file"),
    "plugin": (_mjcf(extra='<extension><plugin plugin="mujoco.sdf.torus"/></extension>'), {}, "plugins"),
    "plugin in a body": (_mjcf(world='<body><plugin plugin="x"/></body>'), {}, "plugins"),
    "absolute": (_mjcf('<mesh name="m" file="/etc/passwd"/>'), {}, "names no file"),
    "parent": (_mjcf('<mesh name="m" file="../../secret.stl"/>'), {}, "names no file"),
    "home": (_mjcf('<texture name="t" type="2d" file="~/a.png"/>'), {}, "names no file"),
    "cube": (_mjcf('<texture name="t" type="cube" fileright="/a.png"/>'), {}, "names no file"),
    "provider": (_mjcf('<mesh name="m" file="http://x/a.stl"/>'), {}, "names no file"),
    "folder": (_mjcf().replace("<asset>", '<compiler meshdir="/etc"/><asset>'), {}, "names a folder"),
    "model": (_mjcf('<model name="m" file="/a.xml"/>'), {}, "brings in another file"),
    "entities": ('<!DOCTYPE m [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;">]>' + _mjcf(), {}, "document type"),
    "outer entity": ('<!DOCTYPE m [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + _mjcf(), {}, "document type"),
    "mesh file": (
        _mjcf('<mesh name="m" file="a.stl"/>'), {"a.stl": bytes(80) + struct.pack("<I", 2**32 - 1) + bytes(50)},
        "does not compile",
    ),
    "deep": ("<mujoco><worldbody>" + "<body>" * 5000 + "</body>" * 5000 + "</worldbody></mujoco>", {}, "compile"),
    "other root": ("<robot/>", {}, "root element"),
    "namespace": (_mjcf().replace("<mujoco>", '<mujoco xmlns="x">'), {}, "namespace|root element"),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("compiled", "error"),
    [
        (stac_mjx._common.mjcf.compile_enclosed, stac_mjx._common.errors.BodyError),
        (track_mjx._common.mjcf.compile_enclosed, track_mjx._common.errors.BodyError),
    ],
    ids=["stac", "track"],
)
def test_hostile_models_are_refused(compiled: Callable, error: type[Exception], name: str) -> None:
    xml, assets, message = MODELS[name]
    with pytest.raises(error, match=message):
        compiled(xml, assets)


def test_the_model_that_the_hostile_ones_are_made_from_compiles() -> None:
    assert stac_mjx._common.mjcf.compile_enclosed(_mjcf(), {}).nq == 1
