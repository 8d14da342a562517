"""Checking a file against docs/schema: all violations in one list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from ..errors import ContractError, counted, raise_all
from .content import CONTENT_CHECKS, content_violations
from .reading import LIBRARY_ERRORS, kind_of, open_contract, open_hdf5, read_numbers, reason
from .record import Record, Violation
from .schema import load_schema
from .structure import inspect

ModelCheck = Callable[[Record, Mapping[str, bytes]], Iterable[Violation]]

# cheap, and what every use of the file relies on
_ON_LOADING = ("clip_names_unique", "clips_contiguous")


def check_file(path: Path, model_check: ModelCheck | None = None) -> list[Violation]:
    """Return all violations of docs/schema: broken MUSTs (severity "error") first, then missing SHOULDs ("advice").

    `model_check` compares a record with the MJCF it encloses; without MuJoCo it is None. An InputError or ContractError
    says why a file cannot be checked: it is damaged, or does not name a kind and version that are known here.
    """
    with open_hdf5(path) as file:
        record, violations = inspect(file, load_schema(kind_of(file)))
        # axes of another length than their scale would stop the checks that relate data sets
        wrong = {violation.where for violation in violations if violation.problem.startswith("expected shape")}
        sound = replace(
            record,
            strings={name: values for name, values in record.strings.items() if name not in wrong},
            numbers={name: values for name, values in record.numbers.items() if name not in wrong},
        )
        try:
            with np.errstate(all="ignore"):
                violations += content_violations(sound)
                violations += model_check(sound, sound.assets()) if model_check is not None else ()
        except (ContractError, *LIBRARY_ERRORS) as error:
            violations.append(Violation("file", f"values cannot be read, the file is damaged: {reason(error)}"))
    return sorted(violations, key=lambda violation: violation.severity != "error")


def errors_in(violations: Sequence[Violation]) -> list[Violation]:
    """Return the violations that make a file wrong; without any, it conforms."""
    return [violation for violation in violations if violation.severity == "error"]


def format_violations(path: Path, violations: Sequence[Violation]) -> str:
    """Format a list of violations for a terminal."""
    errors = errors_in(violations)
    advice = [violation for violation in violations if violation not in errors]
    head = f"violates docs/schema in {counted(len(errors), 'place')}" if errors else "conforms to docs/schema"
    lines = [f"{path}: {head}", *(f"  - {violation}" for violation in errors)]
    return "\n".join(lines + (["  advice:", *(f"  - {violation}" for violation in advice)] if advice else []))


def load_record(path: Path, kind: str, rows: Mapping[str, Sequence[tuple[int, int]]] | None = None) -> Record:
    """Read a file of a kind into memory; of data sets along the dimensions in `rows`, only (start, stop) stretches.

    Structure and borders of clips are checked (ContractError), other values are not.
    """
    with open_contract(path, kind) as file:
        record, violations = inspect(file, load_schema(kind))
        problems = [str(violation) for violation in errors_in(violations)]
        if not problems:
            checks = [CONTENT_CHECKS[name] for name in _ON_LOADING if name in record.schema.checks]
            problems = [str(violation) for check in checks for violation in check(record)]
        hint = ["`stac-mjx check` lists everything that is wrong"] if len(problems) > 1 else []
        raise_all(ContractError, str(path), problems[:20] + hint)
        numbers = {}
        for name, data in record.numbers.items():
            assert isinstance(data, h5py.Dataset), name
            parts = [slice(*part) for part in (rows or {}).get(next(iter(record.dims[name]), ""), [])]
            read = [read_numbers(data, index=part) for part in parts or [()]]
            numbers[name] = np.concatenate(read) if parts else read[0]
    return replace(record, numbers=numbers)
