"""Masses and inertias of a body: those of its MJCF, or those of its shapes."""

from __future__ import annotations

import mujoco

from track_mjx._common.errors import ConfigError
from track_mjx._common.mjcf import quick_compile
from track_mjx.body.servos import moved_hinges
from track_mjx.config import ArenaConfig


def set_inertia(spec: mujoco.MjSpec, arena: ArenaConfig) -> None:
    """Recompute masses and inertias from the shapes of geoms, and give joints their armature, as configured.

    ``inertia=shapes`` is the compiler's ``inertiafromgeom="true"``. The inertials of the MJCF are dropped.
    """
    if arena.density is not None and arena.inertia != "shapes":
        raise ConfigError(f"arena.density={arena.density:g} needs arena.inertia=shapes")
    if arena.inertia == "shapes":
        from_shapes(spec, arena.density)
    if arena.armature > 0:
        moved = moved_hinges(quick_compile(spec))
        for joint in spec.joints:
            if joint.id in moved:  # a number of the compiled model
                joint.armature = max(joint.armature, arena.armature)


def from_shapes(spec: mujoco.MjSpec, density: float | None) -> None:
    """Take masses and inertias from the shapes of geoms, all of one density or (None) of their own."""
    spec.compiler.inertiafromgeom = int(mujoco.mjtInertiaFromGeom.mjINERTIAFROMGEOM_TRUE)
    for body in spec.bodies:
        body.explicitinertial = False
    for geom in spec.geoms if density is not None else ():
        geom.density, geom.mass = density, float("nan")
