"""Checks of the messages that a user sees."""

from __future__ import annotations

from collections.abc import Sequence


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
