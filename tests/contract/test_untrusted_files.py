"""No file executes code or leads out of itself: sources, settings of runs, and models."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import stac_mjx._common.errors
import stac_mjx._common.mjcf
from contract.readers import READERS
from reach_analysis._common.errors import InputError
from reach_analysis.behaviour.run_sweeps import read_run
from track_mjx._common.errors import RunError
from track_mjx.runs.run_folder import RunFolder

MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
WITHOUT_FILES = {("joblib", "Parallel"), ("joblib", "delayed")}
"""What reads no file: arguments go to our own processes."""
CALLS = {
    "eval", "exec", "compile", "np.load", "numpy.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "os.system",
    "OmegaConf.load", "hydra.utils.instantiate", "instantiate", "torch.load", "pd.read_pickle",
}  # fmt: skip


def _forbidden(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            if not {(node.module, name.name) for name in node.names} <= WITHOUT_FILES:
                yield str(node.module)
        elif isinstance(node, ast.Call):
            safe = "SafeLoader" in ast.unparse(node) or "allow_pickle=False" in ast.unparse(node)
            if ast.unparse(node.func) in CALLS and not safe:
                yield ast.unparse(node.func)
            values = {word.arg: ast.unparse(word.value) for word in node.keywords}
            yield from (name for name in ("allow_pickle", "shell") if values.get(name, "False") != "False")


def test_the_search_finds_what_it_looks_for() -> None:
    text = "import pickle\nfrom joblib import load\nfrom joblib import Parallel, delayed\n"
    text += "from joblib import Parallel, load\n"
    text += "np.load(f, allow_pickle=True)\nyaml.load(x)\neval('1')\nlen('eval')"
    text += "\nnp.load(f, allow_pickle=False)\nnp.load(f)"
    expected = ["pickle", "joblib", "joblib", "np.load", "allow_pickle", "yaml.load", "eval", "np.load"]
    assert list(_forbidden(ast.parse(text))) == expected


def test_no_package_unpickles_or_evaluates(repository: Path) -> None:
    sources = sorted((repository / "packages").glob("*/src/**/*.py"))
    assert len(sources) > 100
    hits = {str(path): list(_forbidden(ast.parse(path.read_text(encoding="utf-8")))) for path in sources}
    assert {path: calls for path, calls in hits.items() if calls} == {}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return READERS["track run folder"].write(tmp_path)[0]


YAML = {
    "object": "a: !!python/object/apply:os.system ['touch {canary}']",
    "module": "a: !!python/module:os",
    "name": "a: !!python/name:os.system",
    "bomb": "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in pairwise("abcdefghijkl")),
    "self": "a: &a [*a]",
    "single value": "---\n1.5",
}


@pytest.mark.parametrize("kind", YAML)
def test_settings_of_a_run_are_plain(run: Path, tmp_path: Path, kind: str) -> None:
    config, canary = run / "config.yaml", tmp_path / "canary"
    config.write_text((config.read_text() if kind != "single value" else "") + YAML[kind].format(canary=canary) + "\n")
    with pytest.raises(RunError, match=r"config\.yaml"):
        RunFolder.open(run)
    with pytest.raises(InputError, match=r"config\.yaml"):
        read_run(run)
    assert not canary.exists()


def test_targets_and_environment_variables_are_text(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = run / "config.yaml"
    monkeypatch.setenv("SECRET", "hidden")
    config.write_text(config.read_text().replace("out:", "_target_: os.system\nout: ${oc.env:SECRET} #"))
    with pytest.raises(RunError):
        RunFolder.open(run)
    settings = read_run(run).settings
    assert settings["_target_"] == "os.system"
    assert "hidden" not in str(settings)


def _mjcf(assets: str = "", extra: str = "", world: str = "") -> str:
    body = f'<worldbody><body><joint name="j"/><geom size="1"/></body>{world}</worldbody>'
    return f"<mujoco><asset>{assets}</asset>{body}{extra}</mujoco>"


MODELS: dict[str, tuple[str, str]] = {
    "include": (_mjcf(extra='<include file="/etc/passwd"/>'), "include"),
    "plugin": (_mjcf(extra='<extension><plugin plugin="mujoco.sdf.torus"/></extension>'), "plugin"),
    "plugin in a body": (_mjcf(world='<body><plugin plugin="x"/></body>'), "plugin"),
    "absolute": (_mjcf('<mesh name="m" file="/etc/passwd"/>'), "/etc/passwd"),
    "parent": (_mjcf('<mesh name="m" file="../../secret.stl"/>'), "secret.stl"),
    "home": (_mjcf('<texture name="t" type="2d" file="~/a.png"/>'), "a.png"),
    "cube": (_mjcf('<texture name="t" type="cube" fileright="/a.png"/>'), "a.png"),
    "provider": (_mjcf('<mesh name="m" file="http://x/a.stl"/>'), "a.stl"),
    "folder": (_mjcf().replace("<asset>", '<compiler meshdir="/etc"/><asset>'), "meshdir"),
    "model": (_mjcf('<model name="m" file="/a.xml"/>'), "a.xml"),
    "entity": ('<!DOCTYPE m [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + _mjcf(), "document type"),
    "other root": ("<robot/>", "robot"),
    "corrupt": (_mjcf()[:-20], r"\w"),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_that_lead_out_of_a_file_are_refused(name: str) -> None:
    xml, word = MODELS[name]
    with pytest.raises(stac_mjx._common.errors.BodyError, match=word):
        stac_mjx._common.mjcf.compile_enclosed(xml, {})


def test_the_model_of_these_variants_compiles() -> None:
    assert stac_mjx._common.mjcf.compile_enclosed(_mjcf(), {}).nq == 1
