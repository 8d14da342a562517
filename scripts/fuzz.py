"""Hand damaged files to every reader and print the counts: ``python scripts/fuzz.py`` (Linux; some minutes).

``--files N`` files a reader (500), ``--reader NAME`` only those whose name holds NAME, ``--first SEED`` other files.
Exits with 1 when a reader crashed, hung, took too much memory, or raised anything but its package's own error.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))


def main() -> int:
    """Fuzz, and print a table in Markdown."""
    from contract.fuzzed_readers import READERS
    from contract.fuzzing import ALLOWED, Worker, fuzz

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--reader", default="")
    options = parser.parse_args()
    chosen = {name: reader for name, reader in READERS.items() if options.reader in name}
    faults: list[str] = []
    print("| reader | files | accepted | refused | faults |\n| --- | --- | --- | --- | --- |", flush=True)
    for package in dict.fromkeys(reader.package for reader in chosen.values()):
        with Worker(package) as worker:
            for name in [name for name, reader in chosen.items() if reader.package == package]:
                with tempfile.TemporaryDirectory() as folder:
                    seeds = range(options.first, options.first + options.files)
                    tally = fuzz(worker, name, Path(folder), seeds)
                faults += tally.faults
                odd = {kind: n for kind, n in tally.counts.items() if kind not in ALLOWED}
                counts = " | ".join(str(tally.counts[kind]) for kind in ALLOWED)
                print(f"| {name} | {tally.total} | {counts} | {odd or 0} |", flush=True)
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
