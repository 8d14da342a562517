"""Meaning of the columns of errors: bodies by region, and joints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import mujoco

from track_mjx._common.regions import regions_by_name
from track_mjx.body.anatomy import Anatomy


@dataclass(frozen=True)
class Parts:
    """Meaning of the columns of errors."""

    regions: Mapping[str, list[int]]
    """Region -> columns of ``body_error_m``."""
    bodies: tuple[str, ...]
    """Name of every such column."""
    joints: tuple[str, ...]
    """Name of every column of ``joint_error_rad``."""
    angles: list[int]
    """Columns of `joints` that are angles; the others are slides."""

    @property
    def reported(self) -> list[int]:
        """Columns of the bodies of all regions."""
        return sorted({column for group in self.regions.values() for column in group})


def parts_of(body: Anatomy, chosen_regions: Mapping[str, Sequence[str]]) -> Parts:
    """Return regions as configured, else by the names of bodies, and joints in the order of `joint_error`."""
    moving = body.moving_bodies
    names = tuple(body.bodies[i] for i in moving)
    regions = {
        region: [moving.index(i) for i in body.body_ids(list(chosen)) if i in moving]
        for region, chosen in chosen_regions.items()
    }
    regions = {region: columns for region, columns in regions.items() if columns}
    if not regions:
        regions = {region: [names.index(n) for n in members] for region, members in regions_by_name(names).items()}
    columns, _ = body.joint_columns(None)
    joint_at = {int(q): joint for joint, q in enumerate(body.model.jnt_qposadr)}
    simple = [joint_at[column] for column in columns]
    balls = [joint_at[q] for q, _ in body.balls]
    slide = int(mujoco.mjtJoint.mjJNT_SLIDE)
    angles = [i for i, joint in enumerate(simple) if int(body.model.jnt_type[joint]) != slide]
    labels = [body.model.joint(joint).name or f"joint_{joint}" for joint in (*simple, *balls)]
    joints = labels[: len(simple)] + [f"{name}_{axis}" for name in labels[len(simple) :] for axis in "xyz"]
    return Parts(
        regions=regions,
        bodies=names,
        joints=tuple(joints),
        angles=angles + list(range(len(simple), len(joints))),
    )
