"""Rollouts of a controller: names and lengths are read at once, every array only when it is needed.

Everything is looked up by name. A trial is named by the file's ``trial_id`` where it has them, else by ``clip_name``;
times count from the start of the reference clip, so that recordings of the same trial line up. Nothing is returned
after the end of a rollout: trials are shorter.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Float, Int

from reach_analysis._common.errors import ContractError, DataError, shorten, unknown
from reach_analysis._common.hdf5.reading import (
    attribute,
    find,
    link_problem,
    open_contract,
    read_numbers,
    read_strings,
    require,
)
from reach_analysis._common.hdf5.schema import load_schema
from reach_analysis._common.survival import Episodes, episodes_of
from reach_analysis.data.levels import Levels, found_in, levels_of
from reach_analysis.data.series import TrialSeries, index_of, over_steps

KIND = "mimic.rollouts"
JOINTS, SPEED = "joints", "speed"


@dataclass(frozen=True)
class Rollouts:
    """What a rollouts file holds; arrays are read when they are needed."""

    path: Path
    attributes: dict[str, Any]
    rate_hz: float
    """Control steps per second."""
    reference_rate_hz: float
    """Frames per second of the reference clips."""
    trials: tuple[str, ...]
    """Name of each clip, as it is joined with recordings."""
    clip_names: tuple[str, ...]
    """Name of each clip in its clips file."""
    n_steps: Int[np.ndarray, " trial"]
    """Steps taken in each clip before it ended."""
    clip_start_s: Float[np.ndarray, " trial"]
    """Time in the reference clip at each rollout's first state, s."""
    names: dict[str, tuple[str, ...]]
    """Labels of each dimension that has names: names_qpos, actuator, metric, ..."""
    layers: tuple[str, ...]
    """Hidden layers, as "encoder/layer_0", in the order of the network."""
    contacts: tuple[str, ...]
    """Geoms or bodies whose contact is stored."""
    ended: tuple[str | None, ...]
    """Why each rollout ended; None where the clip's end was reached."""
    endings: tuple[str, ...] = ()
    """Every reason that the file knows, except the clip's end."""
    sets: tuple[str, ...] = ()
    """Whether each clip was trained on ("train") or held out ("test"); empty where the file does not say."""
    seeds: tuple[int, ...] = ()
    """Seeds of the repeats in the file; empty where there are none."""
    seed: int = 0
    """Number of the repeat that is read, where there are several."""
    levels: Levels = field(default_factory=Levels)
    """Sessions, animals, ... that the trials belong to."""

    def has(self, path: str) -> bool:
        """Return whether the file holds this data set."""
        with open_contract(self.path, KIND) as file:
            return isinstance(find(file, path), h5py.Dataset)

    def series(self, path: str) -> TrialSeries:
        """One data set as trials x time x channel: ``act``, ``ctrl``, ``qpos``, ``latent_mean``, ``metrics``, ...

        Raises:
            ContractError: when the file does not have it, or it violates docs/schema.
        """
        rule = load_schema(KIND).dataset(path)
        if rule is None or len(rule.dims) < 2 or rule.dims[1] not in ("state_time", "step_time"):
            raise ContractError(f"{path} is not a data set of clips over time in {KIND}")
        with open_contract(self.path, KIND) as file:
            array = _of_repeat(file, path, self.seed if self.seeds else None).astype(float)
            unit = attribute(require(file, path), "units")
        if array.ndim != len(rule.dims):
            raise ContractError(f"{self.path}: {path}: expected the axes {rule.dims}, got shape {array.shape}")
        extra = 1 if rule.dims[1] == "state_time" else 0
        channels = self._channels(path, rule.dims[2:], array.shape[2:])
        if array.shape[0] != len(self.trials) or array.shape[1] < self.n_steps.max(initial=0) + extra:
            raise ContractError(
                f"{self.path}: {path}: shape {array.shape} does not fit the clips and steps of the file"
            )
        flat = array.reshape(*array.shape[:2], -1)
        values = tuple(rows[: count + extra] for rows, count in zip(flat, self.n_steps, strict=True))
        unit = unit if isinstance(unit, str) and unit else "1"
        return TrialSeries(path, unit, self.rate_hz, self.trials, channels, values, self.clip_start_s)

    def layer(self, name: str) -> TrialSeries:
        """Activations of one hidden layer, as "decoder/layer_2".

        Raises:
            DataError: for a layer that the file does not have, with the nearest names.
        """
        index_of("layer", name, self.layers, str(self.path))
        return self.series(f"activations/{name}")

    def representation(self, name: str) -> TrialSeries:
        """A latent, as "latent_mean", a hidden layer, as "decoder/layer_2", or the "joints": all angles, by step.

        Raises:
            UserError: as for :meth:`series` and :meth:`layer`.
        """
        if name == JOINTS:
            pose, units = self.series("qpos"), self.column_units("qpos")
            angles = [channel for channel, unit in zip(pose.channels, units, strict=True) if unit == "rad"]
            return replace(over_steps(pose.select(angles)), name=JOINTS)
        return self.series(name) if name.startswith("latent") else self.layer(name)

    def speed(self) -> TrialSeries:
        """Mean speed of the root over the ground in each trial, m/s, at every state."""
        root = str(self.attributes.get("root_body") or self.names["names_xpos"][1])
        place = self.series("xpos").select([f"{root}/x", f"{root}/y"])
        values = []
        for rows in place.values:
            steps = np.linalg.norm(np.diff(rows, axis=0), axis=1)
            values.append(np.full((len(rows), 1), steps.mean() * self.rate_hz if len(steps) else 0.0))
        return replace(place, name="speed", unit="m s-1", channels=(SPEED,), values=tuple(values))

    def contact(self, name: str) -> TrialSeries:
        """Contact of one geom or body with the world, 0 or 1 a step.

        Raises:
            DataError: when its contact is not stored, with the nearest names.
        """
        index_of("contact", name, self.contacts, str(self.path))
        return self.series(f"contact/{name}")

    def column_units(self, path: str) -> tuple[str, ...]:
        """Unit of each column of a data set whose units differ by column.

        Raises:
            ContractError: when it has none.
        """
        with open_contract(self.path, KIND) as file:
            units = attribute(require(file, path), "column_units")
        units = (units,) if isinstance(units, str) else units
        if not isinstance(units, tuple):
            raise ContractError(f"{self.path}: {path}@column_units is missing")
        return units

    def until(self, steps: Mapping[str, int]) -> Rollouts:
        """The rollouts as if each had ended after so many steps; by trial, others as they are."""
        counts = [
            min(int(count), steps.get(name, int(count))) for name, count in zip(self.trials, self.n_steps, strict=True)
        ]
        return replace(self, n_steps=np.array(counts, dtype=int))

    def with_levels(self, patterns: Any) -> Rollouts:
        """Find the animal, session, ... of each trial in the clip names (:func:`levels_of`)."""
        return replace(self, levels=levels_of(patterns, self.trials, self.clip_names, str(self.path)))

    def episodes(self, *, every_repeat: bool = True) -> tuple[Episodes, tuple[str | None, ...]]:
        """Return the episodes of all repeats, or of the one that is read, and why each ended early (None: it did not).

        Where rollouts follow clips to their end (``ended_by``), a clip has several.
        """
        own = self.seed if self.seeds else None
        with open_contract(self.path, KIND) as file:
            parts = [_episodes(file, own, self.n_steps, self.ended)]
            for repeat in set(range(len(self.seeds)) if every_repeat else ()) - {own}:
                n_steps = (_of_repeat(file, "valid", repeat) == 1).sum(axis=1)
                parts.append(_episodes(file, repeat, n_steps, _ends(file, repeat)[0]))
        together = Episodes(*map(np.concatenate, zip(*(episodes for episodes, _ in parts), strict=True)))
        return together, tuple(reason for _, reasons in parts for reason in reasons)

    @property
    def reached_end(self) -> float:
        """Fraction of episodes that reached the end of their clip."""
        return float(np.mean([reason is None for reason in self.ended]))

    @property
    def unread_seeds(self) -> str:
        """A note where the file holds repeats under several seeds, of which one is read; else empty."""
        if len(self.seeds) < 2:
            return ""
        return (
            f"{self.path.name} holds {len(self.seeds)} repeats of every clip; this is about the one of seed "
            f"{self.seeds[self.seed]} (choose with rollouts_seed)."
        )

    def renamed(self, pattern: str) -> Rollouts:
        """Name trials by what `pattern` (a regular expression with one group) finds in the clip names.

        Numbers lose their leading zeros, so that ``trial07`` and a table's 7 are the same trial.

        Raises:
            DataError: when the pattern is invalid, finds nothing in a name, or names two clips alike.
        """
        names = tuple(map(plain_number, found_in(pattern, self.clip_names, str(self.path), "clip pattern")))
        if len(set(names)) < len(names):
            raise DataError(f"{self.path}: clip pattern {pattern!r} names several clips alike: {shorten(names)}")
        return replace(self, trials=names)

    def _channels(self, path: str, dims: tuple[str, ...], shape: tuple[int, ...]) -> tuple[str, ...]:
        """Names of the columns: the labels of the dimensions, joined by "/" where there are two."""
        if not dims:
            return (path.rsplit("/", 1)[-1],)
        labels = [
            self.names.get(dim) or tuple(str(i) for i in range(size)) for dim, size in zip(dims, shape, strict=True)
        ]
        sizes = tuple(len(names) for names in labels)
        if sizes != tuple(shape):
            raise ContractError(f"{self.path}: {path}: {shape} columns, but {sizes} names")
        return labels[0] if len(labels) == 1 else tuple(f"{one}/{two}" for one in labels[0] for two in labels[1])


def read_rollouts(path: str | Path, seed: int | None = None) -> Rollouts:
    """Open a rollouts file: names, lengths and ends are read, arrays later.

    Args:
        path: the file.
        seed: which of several repeats to read, by its seed; None: the first.

    Raises:
        InputError: when it is not a readable HDF5 file.
        ContractError: when it is of another kind or major version, or lacks what every such file must have.
        DataError: for a seed that the file does not have.
    """
    path = Path(path)
    with open_contract(path, KIND) as file:
        return _read(path, file, seed)


def _read(path: Path, file: h5py.File, seed: int | None) -> Rollouts:
    attributes = {name: attribute(file, name) for name in file.attrs}
    rates = [attributes.get(name) for name in ("rate_hz", "reference_rate_hz")]
    if not all(isinstance(rate, int | float) and rate > 0 for rate in rates):
        raise ContractError(f"{path}: rate_hz and reference_rate_hz must be positive numbers, got {rates}")
    seeds, chosen = _seeds(file, seed)
    repeat = chosen if seeds else None
    valid, starts = (_of_repeat(file, name, repeat) for name in ("valid", "clip_start_time"))
    clip_names = read_strings(require(file, "clip_name"))
    if valid.shape[:1] != (len(clip_names),) or starts.shape != (len(clip_names),):
        raise ContractError(f"{path}: clip_name, valid and clip_start_time disagree about the number of clips")
    ended, endings = _ends(file, repeat)
    return Rollouts(
        path=path,
        attributes=attributes,
        rate_hz=float(attributes["rate_hz"]),
        reference_rate_hz=float(attributes["reference_rate_hz"]),
        trials=_trial_names(file, clip_names),
        clip_names=clip_names,
        n_steps=(valid == 1).sum(axis=1),
        clip_start_s=starts.astype(float),
        names=_labels(file),
        layers=_layers(file),
        contacts=_members(file, "contact"),
        ended=ended,
        endings=endings,
        sets=_sets(file, len(clip_names)),
        seeds=seeds,
        seed=chosen,
    )


def plain_number(text: str) -> str:
    """A trial's name; whole numbers lose leading zeros and ".0"."""
    text = text.strip()
    return str(int(float(text))) if re.fullmatch(r"\d+(\.0+)?", text) else text


def file_sha256(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _seeds(file: h5py.File, seed: int | None) -> tuple[tuple[int, ...], int]:
    scale = find(file, "seed")
    if not isinstance(scale, h5py.Dataset):
        if seed is not None and seed != attribute(file, "random_seed"):
            raise DataError(f"{file.filename}: holds no repeats under several seeds; leave rollouts_seed empty")
        return (), 0
    seeds = tuple(int(value) for value in read_numbers(scale, (None,)))
    if len(set(seeds)) < len(seeds):
        raise DataError(
            f"{file.filename}: seed: several repeats have the same seed: {shorten([str(s) for s in seeds])}"
        )
    if seed is not None and seed not in seeds:
        raise DataError(
            f"{file.filename}: rollouts_seed: {unknown('seed', str(seed), [str(value) for value in seeds])}"
        )
    return seeds, seeds.index(seed) if seed is not None else 0


def _trial_names(file: h5py.File, clip_names: tuple[str, ...]) -> tuple[str, ...]:
    stored = find(file, "trial_id")
    names = tuple(map(plain_number, read_strings(stored))) if isinstance(stored, h5py.Dataset) else ()
    if len(names) != len(clip_names) or "" in names:
        return clip_names
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(f"{file.filename}: trial_id: several clips have the same trial: {shorten(repeated)}")
    return names


def _labels(file: h5py.File) -> dict[str, tuple[str, ...]]:
    out = {}
    for name in ("names_qpos", "names_qvel", "names_xpos", "actuator", "metric", "space", "quat"):
        scale = find(file, name)
        if isinstance(scale, h5py.Dataset):
            out[name] = read_strings(scale)
    return out


def _members(file: h5py.File, path: str) -> tuple[str, ...]:
    """Names of the data sets in a group, links aside."""
    group: Any = find(file, path)
    if not isinstance(group, h5py.Group):
        return ()
    return tuple(
        name for name in map(str, group) if link_problem(group, name) is None and isinstance(group[name], h5py.Dataset)
    )


def _layers(file: h5py.File) -> tuple[str, ...]:
    """Layers by part; encoder first, then decoder, then others, each by number."""
    parts: Any = find(file, "activations")
    if not isinstance(parts, h5py.Group):
        return ()
    layers = [
        (part, int(number[1]), name)
        for part in map(str, parts)
        if link_problem(parts, part) is None and isinstance(parts[part], h5py.Group)
        for name in _members(file, f"activations/{part}")
        if (number := re.fullmatch(r"layer_(\d+)", name))
    ]
    order = {"encoder": 0, "decoder": 1}
    layers.sort(key=lambda layer: (order.get(layer[0], 2), layer[0], layer[1]))
    return tuple(f"{part}/{name}" for part, _, name in layers)


def _of_repeat(file: h5py.File, path: str, repeat: int | None) -> np.ndarray:
    """Read a data set, or what belongs to one repeat where repeats are its first axis and clips its second."""
    dataset = require(file, path)
    if repeat is None:
        return read_numbers(dataset)
    if dataset.ndim < 2 or len(dataset) <= repeat:
        raise ContractError(f"{file.filename}: {path}: shape {dataset.shape} has no repeat {repeat}")
    return read_numbers(dataset, index=repeat)


def _ends(file: h5py.File, repeat: int | None) -> tuple[tuple[str | None, ...], tuple[str, ...]]:
    """Why each rollout ended, and the reasons there are."""
    dataset, codes = require(file, "termination_reason"), _of_repeat(file, "termination_reason", repeat)
    if codes.ndim != 1:
        raise ContractError(f"{file.filename}: termination_reason: expected one value a clip, got {dataset.shape}")
    meaning = _meanings(dataset)
    ended = tuple(_reason(code, meaning) for code in codes.tolist())
    return ended, tuple(word for code, word in meaning.items() if code != 0)


def _meanings(dataset: h5py.Dataset) -> dict[int, str]:
    """Meaning of each value of an enumeration."""
    values, words = attribute(dataset, "flag_values"), attribute(dataset, "flag_meanings")
    listed = [int(v) for v in np.atleast_1d(values)] if isinstance(values, int | np.ndarray) else []
    return dict(zip(listed, words.split() if isinstance(words, str) else [], strict=False))


def _reason(code: int, meaning: Mapping[int, str]) -> str | None:
    return None if code == 0 else meaning.get(code, f"reason {code}")


def _episodes(
    file: h5py.File, repeat: int | None, n_steps: Int[np.ndarray, " trial"], last: Sequence[str | None]
) -> tuple[Episodes, list[str | None]]:
    """Episodes of one repeat, and why each ended early; the last of a clip ends as its rollout did."""
    within, meaning = np.zeros((len(n_steps), n_steps.max(initial=0)), np.uint8), {}
    if isinstance(find(file, "ended_by"), h5py.Dataset):
        within, meaning = _of_repeat(file, "ended_by", repeat), _meanings(require(file, "ended_by"))
    episodes, reasons = episodes_of(within > 0, n_steps), []
    end = 0
    for row, (clip, steps) in enumerate(zip(episodes.clip.tolist(), episodes.steps.tolist(), strict=True)):
        end = steps if row == 0 or episodes.clip[row - 1] != clip else end + steps
        reason = _reason(int(within[clip, end - 1]), meaning) if steps else None
        reasons.append(reason or (last[clip] if end == n_steps[clip] else None))
    return episodes._replace(ended=np.array([reason is not None for reason in reasons])), reasons


SETS = ("train", "test")


def _sets(file: h5py.File, n_clips: int) -> tuple[str, ...]:
    """Set of each clip; empty where the file does not say it of every clip."""
    stored = find(file, "clip_set")
    names = read_strings(stored) if isinstance(stored, h5py.Dataset) else ()
    return names if len(names) == n_clips and set(names) <= set(SETS) else ()
