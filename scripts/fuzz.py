"""Read mutated files with every reader and print the counts: ``python scripts/fuzz.py`` (Linux; some minutes).

``--files N`` files a reader (300), ``--reader NAME`` readers whose name contains NAME, ``--first SEED`` other files.
Readers of a package run in one process, with limits on memory and time. Allowed outcomes are "accepted" and "refused"
(one message of the package's own error). Exits with 1 when a reader raised another error, used too much
memory, or refused without a printable message. Crashes and hangs are listed; they are usually those of libhdf5.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import traceback
import warnings
import zlib
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from contract.readers import READERS

HEADROOM_BYTES = 1 << 29
LIMIT_S = 30
MAX_MESSAGE = 6000


def outcome(name: str, path: Path) -> tuple[str, str]:
    """Read one file; return what happened, and a text about it."""
    try:
        READERS[name].read(path)
    except READERS[name].error as error:
        message = str(error)
        if isinstance(error.__cause__ or error.__context__, MemoryError):
            return "memory", message[:400]
        fine = message.strip() and len(message) <= MAX_MESSAGE and message.replace("\n", "").isprintable()
        return ("refused", "") if fine else ("message", repr(message[:400]))
    except Exception:  # noqa: BLE001 - any other error is a fault
        return "other error", traceback.format_exc(limit=-4)
    return "accepted", ""


def work(package: str) -> None:
    """Answer requests, one a line. Valid files are read first: that imports everything before memory is limited."""
    for reader in READERS.values():
        if reader.package == package:
            with tempfile.TemporaryDirectory() as folder:
                for path in reader.write(Path(folder)):
                    reader.read(path)
    warnings.simplefilter("error")
    logging.disable()
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + HEADROOM_BYTES, resource.RLIM_INFINITY))
    for line in sys.stdin:
        name, path = json.loads(line)
        print(json.dumps(outcome(name, Path(path))), flush=True)


class Worker:
    """A process that reads files of one package; it starts again after a crash or a hang."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.process: subprocess.Popen[str] | None = None

    def read(self, name: str, path: Path) -> tuple[str, str]:
        """Outcome and text of one reading."""
        starts = self.process is None
        if self.process is None:
            command = [sys.executable, __file__, "--worker", self.package]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([name, str(path)]) + "\n")
        self.process.stdin.flush()
        answers = select.select([self.process.stdout], [], [], LIMIT_S + 300 * starts)[0]
        line = self.process.stdout.readline() if answers else ""
        if line:
            return tuple(json.loads(line))
        self.process.kill()
        status, self.process = self.process.wait(), None
        return ("crash" if answers else "hang"), f"exit status {status}"


def fuzz(worker: Worker, name: str, folder: Path, seeds: range) -> tuple[Counter[str], list[str]]:
    """Read one mutated file for each seed; return counts of outcomes, and a line for each that is not allowed."""
    reader, counts, faults = READERS[name], Counter[str](), []
    (folder / "valid").mkdir()
    files = reader.write(folder / "valid")
    for seed in seeds:
        original = files[seed % len(files)]
        target = folder / f"{seed}{original.suffix}"
        (shutil.copytree if original.is_dir() else shutil.copyfile)(original, target)
        reader.mutate(np.random.default_rng([seed, zlib.crc32(name.encode())]), target)
        kind, text = worker.read(name, target)
        counts[kind] += 1
        if kind not in ("accepted", "refused"):
            faults.append(f"{name}, seed {seed}: {kind}: {text}")
    return counts, faults


def main() -> int:
    """Fuzz, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--reader", default="")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker)
        return 0
    workers = {reader.package: Worker(reader.package) for reader in READERS.values()}
    totals, faults = Counter[str](), []
    print("| reader | accepted | refused | others |\n| --- | --- | --- | --- |", flush=True)
    for name in (name for name in READERS if options.reader in name):
        with tempfile.TemporaryDirectory() as folder:
            seeds = range(options.first, options.first + options.files)
            counts, lines = fuzz(workers[READERS[name].package], name, Path(folder), seeds)
        totals, faults = totals + counts, faults + lines
        others = {kind: n for kind, n in counts.items() if kind not in ("accepted", "refused")}
        print(f"| {name} | {counts['accepted']} | {counts['refused']} | {others or 0} |", flush=True)
    print("\n".join(faults))
    return int(any(totals[kind] for kind in ("other error", "memory", "message")))


if __name__ == "__main__":
    raise SystemExit(main())
