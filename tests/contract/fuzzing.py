"""Fuzzing: mutated files are handed to a worker process; counts of how each reader took them.

Allowed are "accepted" (with content that keeps its promises) and "refused" (the package's own error, in one printable
message). Everything else is a fault: "other error", "message", "memory", "crash" (the process died), "hang".
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import numpy as np
from contract.fuzzed_readers import READERS
from contract.mutations import Rng, mutate_folder, mutate_mat5, mutate_text
from contract.mutations_hdf5 import mutate_hdf5

WAYS: dict[str, Callable[[Rng, Path], None]] = {
    "hdf5": mutate_hdf5, "mat5": mutate_mat5, "text": mutate_text, "folder": mutate_folder,
}  # fmt: skip
"""How a sound file or folder is changed in its place."""

ALLOWED = ("accepted", "refused")
LIMIT_S = 120
"""A reader that has not answered by then hangs, though it may have used little processor time."""


@dataclass
class Tally:
    """How one reader took its files: counts by outcome, and what is to be mended, with the seed that shows it."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Files read."""
        return sum(self.counts.values())


class Worker:
    """A process that reads files of one package; started again after it died. Use it as a context manager."""

    def __init__(self, package: str) -> None:
        self._package = package
        self._process: subprocess.Popen[str] | None = None
        self._words = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the worker

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        self._words.close()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            with self._process:
                self._process.communicate()
            self._process = None

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._words.truncate(0)
            self._words.seek(0)
            tests = str(Path(__file__).resolve().parents[1])
            paths = os.pathsep.join([tests, *(p for p in sys.path if p)])
            # glibc reserves address space for every thread that allocates; the limit is on address space
            environment = {**os.environ, "PYTHONPATH": paths, "MALLOC_ARENA_MAX": "2", "PYTHONUNBUFFERED": "1"}
            self._process = subprocess.Popen(
                [sys.executable, "-m", "contract.fuzz_worker", self._package],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._words, text=True, env=environment,
            )  # fmt: skip
            if self._answer(4 * LIMIT_S) != {"ready": True}:
                raise RuntimeError(f"the worker for {self._package} does not start: {self._said()}")
        return self._process

    def _answer(self, limit_s: int) -> dict | None:
        """The next line of JSON; None when the process ended; an empty dict when time is up."""
        process = self._process
        assert process is not None
        assert process.stdout is not None
        waited = 0
        while waited < limit_s:
            if select.select([process.stdout], [], [], 1.0)[0]:
                line = process.stdout.readline()
                return json.loads(line) if line else None
            # a process that was stopped does not hang
            waited += Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "T"
        return {}

    def _said(self) -> str:
        self._words.seek(0)
        return self._words.read(1500)

    def read(self, reader: str, path: Path) -> tuple[str, str]:
        """Outcome and text of one reading."""
        process = self._started()
        assert process.stdin is not None
        process.stdin.write(json.dumps({"reader": reader, "path": str(path)}) + "\n")
        process.stdin.flush()
        answer = self._answer(LIMIT_S)
        if answer:
            return answer["outcome"], answer["text"]
        status = process.wait() if answer is None else None
        text = f"exit status {status}: {self._said()}"
        self.stop()
        return ("hang" if status in (None, -signal.SIGXCPU) else "crash"), text


def fuzz(worker: Worker, name: str, folder: Path, seeds: range) -> Tally:
    """Let a reader read one mutated file for each seed.

    Args:
        worker: of the reader's package.
        name: of the reader.
        folder: an empty folder; files of faults stay in it.
        seeds: a file and its outcome follow from name and seed.
    """
    reader, tally = READERS[name], Tally()
    sound = folder / "sound"
    sound.mkdir()
    files = reader.sound(sound)
    for seed in seeds:
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        original = files[seed % len(files)]
        target = folder / f"{seed}{original.suffix}"
        (shutil.copytree if original.is_dir() else shutil.copyfile)(original, target)
        WAYS[reader.way](rng, target)
        kind, text = worker.read(name, target)
        tally.counts[kind] += 1
        if kind not in ALLOWED:
            tally.faults.append(f"{name}, seed {seed}: {kind}: {text}")
        elif target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink()
    return tally
