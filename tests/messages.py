"""Checks of the messages that a user sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest


def assert_one_message(err: str, command: str, words: Sequence[str]) -> None:
    """Nothing but one message, of one line or of a heading with a list under it, that holds all words.

    `command` is program and verb, as "stac-mjx fit".
    """
    lines = err.strip().splitlines()
    assert lines, "nothing was said"
    assert lines[0].startswith(f"{command}: "), err
    assert all(line.startswith("  - ") for line in lines[1:]), err
    assert "Traceback" not in err
    missing = [word for word in words if word not in err]
    assert not missing, f"{missing} not in: {err}"


def assert_refused(
    main: Callable[[list[str]], int],
    command: str,
    arguments: Sequence[str],
    words: Sequence[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Run `command`, as "stac-mjx fit": it ends with code 2, one message that holds all words, and no output."""
    capsys.readouterr()
    assert main([command.split()[1], *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert_one_message(err, command, words)
