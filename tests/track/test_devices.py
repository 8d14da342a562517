"""Several devices: a training divided among them is the training of one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from track_mjx.config import PpoConfig
from track_mjx.devices import Devices, devices_for
from track_mjx.errors import ConfigError

TESTS = Path(__file__).resolve().parents[1]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["native", "mjx"])
def test_four_devices_train_as_one_does(tmp_path: Path, engine: str) -> None:
    """After three iterations all numbers agree to 1e-3 of their size, or 1e-4: sums are taken in another order."""
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    environment["PYTHONPATH"] = os.pathsep.join([str(TESTS), environment.get("PYTHONPATH", "")])
    script = Path(__file__).with_name("devices_script.py")
    command = [sys.executable, "-W", "error", str(script), str(tmp_path), engine]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["devices"] == found["batch_on"] == found["parameters_on"] == 4
    assert found["state_on"] == (0 if engine == "native" else 4)
    for part in ("learner", "episode", "physics"):
        assert found[part]["differ"] == [], part
    assert found["learner"]["largest"] > 0.0, "sums are taken in another order; equality would mean one device"


def test_more_devices_than_there_are_and_unequal_shares_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"run\.devices: expected 1 to 1.*got 2"):
        devices_for(2, PpoConfig())
    assert devices_for(None, PpoConfig()).mesh is None
    assert Devices(jax.devices()).count == 1
