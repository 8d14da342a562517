"""The unit system of a body. MuJoCo has no units: length and mass units are those of the MJCF, time is in seconds.

The clips file says the length unit. The mass unit is a setting; it shows in the density of the body, which is about
that of water in every animal.
"""

from __future__ import annotations

from collections.abc import Iterator

import mujoco
import numpy as np

from track_mjx._common.mjcf import unit_name
from track_mjx.body.inertia import from_shapes
from track_mjx.clips import Clips
from track_mjx.config import MASS_UNITS

EARTH = 9.81
"""Gravity, m s-2."""
WATER = 1000.0
"""Density, kg m-3."""
_FAR = 4.0
"""Largest factor between the density of shapes and that of water at which they show the mass unit."""


def unit_lines(clips: Clips) -> Iterator[str]:
    """Describe gravity and masses of the body of a clips file in SI, with what does not fit."""
    unit, density = unit_name(clips.length_unit_m), shape_density(clips)
    gravity = float(np.linalg.norm(clips.model().opt.gravity)) * clips.length_unit_m
    mass = mass_unit(density, clips.length_unit_m)
    masses = f"{mass} (shapes: {density:.3g} {mass} {unit}-3)" if mass else "a unit that the shapes do not show"
    yield f"lengths in {unit}, masses in {masses}, gravity {gravity:.3g} m s-2"
    if gravity > 0 and abs(gravity / EARTH - 1) > 0.05:
        yield f"WARNING: gravity is {gravity / EARTH:.3g} times that of the earth, which is arena.gravity={EARTH}"
    if mass not in ("", "kg"):
        yield f"forces are in {mass} {unit} s-2: train with arena.mass_unit={mass}, or files name them in kg {unit} s-2"


def mass_unit(density: float, length_unit_m: float) -> str:
    """Return the mass unit that brings a density nearest to that of water; empty: none brings it near."""
    ratios = {name: density * kilograms / length_unit_m**3 / WATER for name, kilograms in MASS_UNITS.items()}
    name = min(ratios, key=lambda name: abs(np.log(ratios[name]))) if density > 0 else ""
    return name if name and 1 / _FAR < ratios[name] < _FAR else ""


def shape_density(clips: Clips) -> float:
    """Return mass by volume of the bodies that have geoms, in the MJCF's units; 0 where MuJoCo finds no volume."""
    model = clips.model()
    spec = mujoco.MjSpec.from_string(clips.mjcf_xml, assets=dict(clips.assets))
    from_shapes(spec, 1.0)
    spec.compiler.boundmass = spec.compiler.boundinertia = 1e-12  # bodies without geoms
    try:
        volume = spec.compile().body_mass
    except ValueError:  # a mesh without a volume
        return 0.0
    solid = (model.body_geomnum > 0) & (model.body_weldid > 0)
    return float(model.body_mass[solid].sum() / volume[solid].sum()) if solid.any() else 0.0
