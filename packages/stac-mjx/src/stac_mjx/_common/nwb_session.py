"""Settings: what NWB wants to know of a recording that our files do not say."""

from __future__ import annotations

from dataclasses import dataclass, field

from .settings import setting


@dataclass
class NwbSession:
    """A session of recording."""

    start: str | None = None
    """Time at which it began, ISO 8601 with a zone: 2026-11-30T14:05:00+01:00. NWB needs it."""
    description: str = "movement registered to a body model"
    """What was done in it."""
    experiment: str = "kinematics of movement"
    """What it is part of."""
    experimenter: list[str] = field(default_factory=list)
    """Names, as "Family, Given"."""
    institution: str | None = None
    """Where."""
    subject_id: str | None = None
    """Empty: the one in the file."""
    subject: str = "an animal of the study"
    """Description of the subject."""
    species: str = "Mus musculus"
    """Latin binomial."""
    sex: str = setting("U", choices=("M", "F", "U", "O"))
    """M, F, U (unknown) or O (other)."""
    age: str = "P0D/"
    """ISO 8601 duration such as P90D, or a range P60D/P90D; P0D/ is any age."""
