"""Checking any file against docs/schema: all departures in one list, from files that need not be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from stac_mjx._common.errors import ContractError
from stac_mjx._common.hdf5.check import CONTENT_CHECKS, value_departures
from stac_mjx._common.hdf5.reading import kind_and_version, open_hdf5
from stac_mjx._common.hdf5.record import Departure, Record
from stac_mjx._common.hdf5.schema import load_schema
from stac_mjx._common.hdf5.structure import inspect
from stac_mjx._common.hdf5.writing import read_assets

__all__ = ["Departure", "check_file", "errors_in", "format_departures"]


def check_file(path: str | Path) -> list[Departure]:
    """Compare a file with its page in docs/schema.

    Returns:
        All departures: broken MUSTs (severity "error") first, then missing SHOULDs ("advice"). Empty: none.

    Raises:
        InputError: when it is no readable HDF5 file.
        ContractError: when it does not say which kind and version it is, or is of another major version.
    """
    with open_hdf5(Path(path)) as file:
        schema = load_schema(kind_and_version(file)[0])
        record, departures = inspect(file, schema)
        try:
            departures += _content(record, departures)
        except (OSError, RuntimeError) as error:
            departures.append(Departure("file", f"values cannot be read, the file is damaged: {error}"))
    return sorted(departures, key=lambda departure: departure.severity != "error")


def _content(record: Record, structural: Sequence[Departure]) -> list[Departure]:
    """Run the checks that look at values; of data sets whose shape is wrong already they see nothing."""
    wrong = {departure.where for departure in structural if departure.problem.startswith("expected shape")}
    sound = replace(
        record,
        strings={path: values for path, values in record.strings.items() if path not in wrong},
        numbers={path: values for path, values in record.numbers.items() if path not in wrong},
    )
    found = list(value_departures(sound))
    for name in record.schema.checks:
        if name in CONTENT_CHECKS:
            found += CONTENT_CHECKS[name](sound)
    # MuJoCo takes a while to import; files without a model to look at do not need it
    from stac_mjx._common.hdf5.model import model_departures

    try:
        return found + list(model_departures(sound, read_assets(sound)))
    except ContractError as error:
        return [*found, Departure("provenance/assets", str(error))]


def errors_in(departures: Sequence[Departure]) -> list[Departure]:
    """Return the departures that make a file wrong; without any, it conforms."""
    return [departure for departure in departures if departure.severity == "error"]


def format_departures(path: str | Path, departures: Sequence[Departure]) -> str:
    """Write a list of departures as text for a terminal."""
    errors = errors_in(departures)
    advice = [departure for departure in departures if departure.severity != "error"]
    if not errors:
        head = f"{path}: conforms to docs/schema"
    else:
        head = f"{path}: departs from docs/schema in {len(errors)} {'place' if len(errors) == 1 else 'places'}"
    lines = [head, *(f"  - {departure}" for departure in errors)]
    if advice:
        lines += ["  advice:", *(f"  - {departure}" for departure in advice)]
    return "\n".join(lines)
