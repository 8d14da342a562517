"""What several test files of reach-analysis share: commands that must be refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from reach_analysis.cli import main


@pytest.fixture
def refuses(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that must be refused, and return its message: exit code 2, no traceback, nothing on stdout."""

    def run(*arguments: str) -> str:
        code = main(list(arguments))
        out, err = capsys.readouterr()
        assert code == 2, f"exit code {code}: {out}{err}"
        assert out == ""
        assert "Traceback" not in err
        assert err.startswith(f"reach-analysis {arguments[0]}: "), err
        assert err.count("reach-analysis ") == 1, "one message"
        return err

    return run
