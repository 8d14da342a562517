"""A process that reads damaged files under limits, one a line of its input, and says how each ended.

    python -m contract.fuzz_worker PACKAGE

Started by `fuzzing`, which notices when it dies or no longer answers. Address space is limited to what sound files take
plus `HEADROOM_BYTES`; warnings count as errors; arguments and results are checked for type and shape.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import logging
import resource
import signal
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

from jaxtyping import install_import_hook

HEADROOM_BYTES = 1 << 29
"""Memory a reader may take for a damaged file of a few hundred kilobytes."""

CPU_S = 10
"""Processor time a reader may take for one; more is a hang."""

MAX_MESSAGE = 6000
"""Longest message a person is asked to read."""


def limit_memory() -> None:
    """Allow little more than the process has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + HEADROOM_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_time() -> None:
    """Let the process be killed, with a traceback on standard error, when the next reading takes too long."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime) + 1 + CPU_S
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))


def our_frames(error: BaseException) -> str:
    """Where in our own code an error came from, and what it is."""
    ours = ("/packages/", "/tests/")
    frames = [f for f in traceback.extract_tb(error.__traceback__) if any(part in f.filename for part in ours)]
    places = [f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}" for frame in frames]
    return f"{' > '.join(places)}: {type(error).__name__}: {str(error)[:300]!r}"


def outcome(name: str, path: Path) -> dict[str, str]:
    """Read one file and say what came of it: accepted, refused, or what went wrong."""
    from contract.fuzzed_readers import READERS

    reader = READERS[name]
    try:
        reader.read(path)
    except reader.error as error:
        message = str(error)
        causes = [error.__cause__, error.__context__]
        if any(isinstance(cause, MemoryError) for cause in causes):
            return {"outcome": "memory", "text": message[:400]}
        if not message.strip() or len(message) > MAX_MESSAGE or not message.replace("\n", "").isprintable():
            return {"outcome": "message", "text": f"{len(message)} characters: {message[:600]!r}"}
        return {"outcome": "refused", "text": type(error).__name__}
    except BaseException as error:  # noqa: BLE001 - whatever else comes out of a reader is what is looked for
        return {"outcome": "other error", "text": our_frames(error)}
    return {"outcome": "accepted", "text": ""}


def main(package: str) -> None:
    """Answer requests until the input ends."""
    install_import_hook(["stac_mjx", "track_mjx", "reach_analysis"], "beartype.beartype")
    logging.disable(logging.CRITICAL)
    from contract.fuzzed_readers import readers_of, warm_up

    for name in readers_of(package):
        with tempfile.TemporaryDirectory() as folder:
            warm_up(name, Path(folder))
    warnings.simplefilter("error")
    gc.collect()
    limit_memory()
    faulthandler.enable(all_threads=False)
    faulthandler.register(signal.SIGXCPU, all_threads=False, chain=True)
    sys.stdout.write('{"ready": true}\n')
    sys.stdout.flush()
    for line in sys.stdin:
        request = json.loads(line)
        limit_time()
        sys.stdout.write(json.dumps(outcome(request["reader"], Path(request["path"]))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
