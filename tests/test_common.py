"""The code that the packages share: current copies, limits of settings, old names, plain YAML, selection of clips."""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from stac_mjx._common.errors import ConfigError
from stac_mjx._common.progress import log_lines
from stac_mjx._common.selection import select_clips
from stac_mjx._common.settings import configure, plain_yaml, setting, settings_of, validate


@dataclass
class Inner:
    """Settings of a part."""

    rate: float = setting(0.5, gt=0, le=1)
    """Rate of something."""
    sizes: list[int] = setting([8, 8], ge=1)
    """Sizes of things."""


@dataclass
class Base:
    """Settings that several verbs have."""

    seed: int = setting(0, ge=0)
    """Seed of random draws."""


@dataclass
class Outer(Base):
    """Settings of a verb."""

    kind: str | None = setting("auto", choices=("auto", "native"))
    """Kind of engine."""
    inner: Inner = field(default_factory=Inner)
    parts: dict[str, Inner] = field(default_factory=dict)
    """Parts by name."""


def test_copies_of_common_are_current(repository: Path) -> None:
    command = [sys.executable, str(repository / "scripts" / "sync_common.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_settings_have_keys_defaults_and_help_of_base_classes_too() -> None:
    assert {s.key: (s.default, s.help) for s in settings_of(Outer)} == {
        "seed": (0, "Seed of random draws."),
        "kind": ("auto", "Kind of engine."),
        "inner.rate": (0.5, "Rate of something."),
        "inner.sizes": ([8, 8], "Sizes of things."),
        "parts": ({}, "Parts by name."),
    }
    assert Outer().inner.sizes is not Outer().inner.sizes


def test_validate_collects_every_value_outside_its_limits() -> None:
    wrong = Outer(seed=-1, kind="nativ", inner=Inner(rate=float("nan"), sizes=[3, 0]), parts={"a": Inner(rate=2.0)})
    with pytest.raises(ConfigError) as caught:
        validate(wrong, "settings", ["one more"])
    expected = ("5 faults", "seed", "-1", "kind", "'native'", "inner.rate", "nan", "inner.sizes", "parts.a.rate", "2.0")
    assert [text for text in expected if text not in str(caught.value)] == ["5 faults"]
    assert "6 faults" in str(caught.value)
    validate(Outer(kind=None))


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"seeed": 1}, ["'seeed'", "'seed'"]),
        ({"inner": {"rat": 1}}, ["'inner.rat'", "'inner.rate'"]),
        ({"inner": {"rate": 3}}, ["inner.rate", "at most 1", "3"]),
        ({"seed": "many"}, ["seed", "many"]),
        ({"old": 1}, ["'old'", "'inner.rate'"]),
        ({"gone": 1}, ["'gone'", "removed"]),
    ],
)
def test_configure_refuses_and_names(changes: dict, names: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        configure(Outer(), changes, "here", renamed={"old": "inner.rate", "gone": ""})
    assert str(caught.value).startswith("here: ")
    assert [name for name in names if name not in str(caught.value)] == []


def test_configure_changes_a_copy() -> None:
    base = Outer()
    changed = configure(base, {"inner": {"rate": 1}, "parts": {"a": {"sizes": [2]}}}, "here")
    assert (changed.inner.rate, changed.parts["a"].sizes, base.inner.rate) == (1.0, [2], 0.5)


def test_plain_yaml_reads_values_and_runs_nothing() -> None:
    text = "a: [1, 2.5, x, null]\nb: {_target_: os.system, c: '${oc.env:HOME}'}"
    assert plain_yaml(text) == {"a": [1, 2.5, "x", None], "b": {"_target_": "os.system", "c": "${oc.env:HOME}"}}
    assert plain_yaml("") == {}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a: !!python/object/apply:os.getcwd []", "python/object"),
        ("[" * 2000 + "]" * 2000, "recursion"),
        ("a: [", "expected"),
        ("word", "'word'"),
    ],
)
def test_plain_yaml_refuses(text: str, names: str) -> None:
    with pytest.raises(ValueError, match=names) as caught:
        plain_yaml(text)
    assert "\n" not in str(caught.value)


NAMES = ("reach_1", "reach_2", "rest[0:9]", "walk")
LABELS = {"condition": ("fast", "slow", "fast", ""), "day": ("1", "1", "2", "2")}


@pytest.mark.parametrize(
    ("select", "chosen"),
    [
        ([], [0, 1, 2, 3]),
        ("", [0, 1, 2, 3]),
        ("reach*", [0, 1]),
        (["walk", "reach_2"], [1, 3]),
        ("rest[0:9]", [2]),
        ("condition:fast", [0, 2]),
        (["condition:fast", "condition:slow", "day:1"], [0, 1]),
        (["reach_?", "condition:f*"], [0]),
    ],
)
def test_clips_are_selected_by_name_and_label(select: str | list[str], chosen: list[int]) -> None:
    assert select_clips(select, NAMES, LABELS) == chosen


@pytest.mark.parametrize(
    ("select", "names"),
    [
        ("reech_1", ["select", "reach_1"]),
        ("condition:fst", ["condition", "fast"]),
        ("conditio:fast", ["condition:*"]),
        (["condition:slow", "day:2"], ["no clip", "condition:slow", "day:2"]),
    ],
)
def test_a_selection_without_clips_is_refused_with_the_nearest_names(select: str | list[str], names: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        select_clips(select, NAMES, LABELS)
    assert all(name in str(error.value) for name in names)


def test_progress_without_a_terminal_is_logged_at_intervals(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    log = logging.getLogger("test_progress")
    tick = log_lines(log, every_s=0.0)("training", 2_000_000)
    tick(1_500, "12 k/s")
    tick(500)
    log_lines(log)("reading", None)(1)  # a minute is not over
    assert caplog.messages == ["training: 1,500 of 2,000,000  12 k/s", "training: 2,000 of 2,000,000  12 k/s"]
