"""Measure the packages on the accelerator of this machine, without a network: ``python scripts/gpu_check.py``.

    python scripts/gpu_check.py --out gpu_check [--data shared/data] [--minutes 8] [--small]

Each measurement is a command of the packages in a process of its own, so that one that fails or runs out of memory
stops no other. They share the time given; those for which no time is left are named. ``--small`` keeps everything tiny,
to try the script itself on a CPU. It writes OUT/gpu_check.json and prints the tables for BENCHMARKS.md.

Any JAX from 0.10 is used as it is found. With --data, models and recordings are read from there (rat: the file that
`stac-mjx fit body=rat` takes); without, the embedded arm is measured alone.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PACKAGES = ("jax", "jaxlib", "mujoco", "mujoco-mjx", "warp-lang", "flax", "optax", "stac-mjx", "track-mjx")
PLATFORM = "import jax, json; print(json.dumps([[d.platform, d.device_kind] for d in jax.devices()]))"


@dataclass
class Check:
    """The measurements of one call, and the time they may take."""

    out: Path
    deadline: float
    done: list[dict[str, Any]] = field(default_factory=list)

    def run(self, name: str, seconds: float, command: Sequence[str], result: str = "") -> Any:
        """Run `command` within `seconds`, and return the JSON file `result` below OUT, or None where it failed."""
        left = min(seconds, self.deadline - time.monotonic())
        entry: dict[str, Any] = {"name": name, "command": " ".join(command)}
        self.done.append(entry)
        if left < 5:
            entry["left_out"] = "no time is left"
            return None
        start, log = time.monotonic(), self.out / f"{name}.log"
        with log.open("w") as text:
            try:
                code = subprocess.run(
                    [sys.executable, "-m", *command], stdout=text, stderr=subprocess.STDOUT, timeout=left, check=False
                ).returncode
            except subprocess.TimeoutExpired:
                code = 124
        entry |= {"seconds": round(time.monotonic() - start, 1), "exit_code": code}
        print(f"{name}: exit code {code} after {entry['seconds']} s", flush=True)
        if code:
            entry["last_lines"] = log.read_text(errors="replace").splitlines()[-5:]
        path = self.out / result
        return json.loads(path.read_text()) if result and path.is_file() else None


def machine() -> dict[str, Any]:
    """Accelerators, versions and processor."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    devices = subprocess.run([sys.executable, "-c", PLATFORM], capture_output=True, text=True, check=True).stdout
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    gpu = shutil.which("nvidia-smi") and subprocess.run(query, capture_output=True, text=True, check=False).stdout
    return {
        "python": sys.version.split()[0],
        "versions": found,
        "devices": json.loads(devices.splitlines()[-1]),
        "gpu": (gpu or "").strip(),
        "cores": os.cpu_count(),
    }


def registration(check: Check, data: Path | None, small: bool) -> list[dict[str, Any]]:
    """Frames per second of the pose solver, by body and batch size."""
    bodies = ["mouse_arm", *(["rat"] if data else [])]
    rows = []
    for frames in (64,) if small else (8192, 180_000):
        name = f"ik_{frames}"
        command = ["stac_mjx", "bench", f"bodies=[{','.join(bodies)}]", f"frames={frames}", "repeats=2"]
        command += [f"out={check.out / name}", *([f"data={data}"] if data else [])]
        record = check.run(name, 90, command, f"{name}/bench.json") or {}
        rows += record.get("bodies", [])
    return rows


def training(check: Check, clips: dict[str, Path], engines: Sequence[str], small: bool) -> list[dict[str, Any]]:
    """Control steps per second of physics, task, policy and learning, by engine and number of simulations."""
    counts = [8] if small else [512, 2048, 8192, 16_384]
    rows = []
    for preset, path in clips.items():
        for engine in engines:
            name = f"bench_{preset}_{engine}"
            tiny = ["network.encoder=[8]", "network.decoder=[8]", "network.critic=[8]"] if small else []
            command = [
                "track_mjx",
                "bench",
                f"preset={preset}",
                f"clips={path}",
                f"engines=[{engine}]",
                "parts=[physics,learning]",
            ]
            command += [f"n_envs=[{','.join(map(str, counts))}]", f"steps={2 if small else 20}", "max_minutes=1.5"]
            command += [f"out={check.out / name}", *tiny]
            record = check.run(name, 110, command, f"{name}/bench.json") or {}
            rows += [
                {"preset": preset, **row, "peak_device_mb": record.get("peak_device_mb")}
                for row in record.get("rows", [])
            ]
    return rows


def curve(check: Check, clips: Path, engine: str, small: bool) -> list[dict[str, Any]]:
    """Reward and held-out error of a short training of the embedded arm."""
    settings = (
        ["ppo.n_envs=16", "run.steps=640", "run.log_every=1"] if small else ["run.max_minutes=1", "ppo.n_envs=4096"]
    )
    out = check.out / "curve"
    command = ["track_mjx", "train", "preset=mouse_arm_quick", f"clips={clips}", f"out={out}"]
    check.run("curve", 120, [*command, f"physics.engine={engine}", *settings])
    path, keys = (
        out / "metrics.jsonl",
        ("steps", "seconds", "control_steps_per_s", "reward", "eval/test/mean_body_error_mm"),
    )
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    return [{key: line[key] for key in keys if key in line} for line in lines]


def rat_settings(data: Path) -> list[str]:
    """Settings of the registration of the rat."""
    recording, model = (data / "rat" / name for name in ("recordings/test_rodent_mocap_1000_frames.mat", "rodent.xml"))
    return ["body=rat", f"body.mjcf={model}", f"keypoints.path={recording}"]


def table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    """Rows as a Markdown table."""
    cells = [columns, ["---"] * len(columns)]
    cells += [
        [f"{row.get(c, ''):.4g}" if isinstance(row.get(c), float) else str(row.get(c, "")) for c in columns]
        for row in rows
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def main() -> None:
    """Measure, write the record, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("gpu_check"))
    parser.add_argument("--data", type=Path, help="folder with models and recordings, one folder a species")
    parser.add_argument("--clips", type=Path, help="clips of the embedded arm, if it is registered already")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--small", action="store_true")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    check = Check(given.out, time.monotonic() + 60 * given.minutes)
    record: dict[str, Any] = {"machine": machine()}
    on_gpu = record["machine"]["devices"][0][0] == "gpu"
    warp = on_gpu and record["machine"]["versions"]["warp-lang"] is not None
    engines = ["native"] if given.small else ["mjx", *(["warp"] if warp else [])]
    clips = {"mouse_arm_quick": given.clips or check.out / "arm" / "clips.h5"}
    if not given.clips:
        check.run("arm", 90, ["stac_mjx", "fit", f"out={check.out / 'arm'}", "report=false"])
    if given.data and not given.small:
        clips["rat"] = check.out / "rat" / "clips.h5"
        check.run("rat", 90, ["stac_mjx", "fit", *rat_settings(given.data), f"out={check.out / 'rat'}", "report=false"])
    record["registration"] = registration(check, given.data, given.small)
    clips = {preset: path for preset, path in clips.items() if path.is_file()}
    if clips:
        record["curve"] = curve(check, clips["mouse_arm_quick"], engines[-1], given.small)
    record["training"] = training(check, clips, engines, given.small)
    record["measurements"] = check.done
    (given.out / "gpu_check.json").write_text(json.dumps(record, indent=2) + "\n")
    print(table(record["registration"], ("case", "frames", "frames_per_s", "compile_s", "rmse_mm")))
    print(table(record["training"], ("preset", "engine", "part", "n_envs", "control_steps_per_s", "peak_device_mb")))
    print(given.out / "gpu_check.json")


if __name__ == "__main__":
    main()
