"""Settings of the simulated world: body in its arena, physics, bodies that vary."""

from __future__ import annotations

from dataclasses import dataclass, field

from track_mjx._common.settings import setting

MASS_UNITS = {"kg": 1.0, "g": 1e-3, "mg": 1e-6, "ug": 1e-9}
"""Size in kg of the mass units that a body may use."""


@dataclass
class TerrainConfig:
    """Ground that is not level, in the place of the floor: a Gaussian bowl with noise (paper B, section 4.5.2)."""

    kind: str = setting("none", choices=("none", "bowl"))
    """none (the floor stays) or bowl, its centre at the origin of the world."""
    half_width_m: float = setting(2.0, gt=0)
    """Half of the width of the square that it covers, m."""
    height_m: float = setting(0.2, ge=0)
    """Height of its highest point above its lowest, m."""
    sigma: float = setting(1.25, gt=0)
    """Width of the Gaussian, as a part of the half width."""
    noise: float = setting(0.5, ge=0)
    """Amplitude of the Perlin noise; the Gaussian has 10."""
    periods: int = setting(8, ge=1)
    """Periods of the noise along an edge."""
    cells: int = setting(127, ge=1)
    """Cells along an edge; a cell longer than a foot lets it sink in."""
    seed: int = setting(0, ge=0)
    """Seed of the noise."""


@dataclass
class ArenaConfig:
    """The world around the body."""

    floor: str = setting("auto", choices=("auto", "on", "off"))
    """auto (where the root moves and the body brings no floor), on or off."""
    floor_height_m: float | None = None
    """Height of the floor, m; empty: the level of the end effectors in the clips."""
    terrain: TerrainConfig = field(default_factory=TerrainConfig)
    """Ground that is not level."""
    actuators: str = setting("keep", choices=("keep", "torque", "servo"))
    """keep the actuators of the body; torque: position servos become motors with the range of their forces; servo: one
    position servo for every hinge that an actuator moves, in the place of motors and muscles."""
    servo_hz: float = setting(10.0, gt=0)
    """Natural frequency of these servos: they follow movements slower than that."""
    inertia: str = setting("keep", choices=("keep", "shapes"))
    """keep the masses and inertias of the body, or compute them from the shapes of its geoms."""
    density: float | None = setting(None, gt=0)
    """Density of all geoms for inertia=shapes, in the MJCF's units (water: 1000 in m and kg); empty: as in the MJCF."""
    gravity: float | None = setting(None, ge=0)
    """Gravity, m s-2, downwards (earth: 9.81); empty: that of the MJCF."""
    mass_unit: str = setting("kg", choices=tuple(MASS_UNITS))
    """Mass unit of the MJCF, for the units of forces in files: kg, g, mg or ug; `check` names it."""
    armature: float = setting(0.0, ge=0)
    """Least armature of every hinge that an actuator moves, in the MJCF's units (kg m2 in m and kg): inertia of the
    drive, which steadies light segments and adds no mass."""
    tendons: str = setting("keep", choices=("keep", "around_hinges"))
    """keep the paths of tendons, or lead those that wrap a geom at a hinge over a cylinder on its axis (around_hinges),
    so that a muscle pulls the same way over the whole range of the hinge."""
    contacts: str = setting("end_effectors", choices=("end_effectors", "all", "none"))
    """What may touch the floor: end_effectors (with all that hangs on them), all (as the MJCF says) or none."""
    friction: list[float] = setting([], ge=0)
    """Coefficients of sliding friction with the floor along and across the segments of end effectors, as [0.2, 2.0];
    empty: as the body says."""
    end_effectors: list[str] = field(default_factory=list)
    """Bodies that touch the floor and that rewards follow; empty: those named in the clips file."""
    root_body: str = ""
    """Body whose position is that of the animal; empty: the one named in the clips file."""
    sensors: list[str] = field(default_factory=list)
    """Sensors kept, by name or pattern; velocimeter, accelerometer and gyro are added at the root, force and
    torque at every end effector, if the body has none of that name. The observation term `sensors` reads them."""
    drop_actuators: list[str] = field(default_factory=list)
    """Actuators left out, by name or pattern."""
    lock_joints: list[str] = field(default_factory=list)
    """Joints held at the model's reference angle, by name or pattern; what moves them is left out."""


@dataclass
class PhysicsConfig:
    """The simulation."""

    engine: str = setting("auto", choices=("auto", "native", "mjx", "warp"))
    """native (MuJoCo on CPU threads), mjx (MJX-JAX), warp (MJX-Warp) or auto (native on a CPU, warp on NVIDIA where
    installed, else mjx)."""
    sim_dt_s: float = setting(0.002, gt=0)
    """One physics step."""
    ctrl_dt_s: float = setting(0.01, gt=0)
    """One control step: a whole number of physics steps."""
    solver: str = setting("cg", choices=("cg", "newton", "pgs"))
    """cg, newton or pgs."""
    iterations: int = setting(6, ge=1)
    """Solver iterations."""
    ls_iterations: int = setting(6, ge=1)
    """Iterations of the solver's line search."""
    integrator: str = setting("euler", choices=("euler", "implicitfast", "implicit", "rk4"))
    """euler, implicitfast, implicit or rk4."""
    threads: int = setting(0, ge=0)
    """Threads of the native engine; 0: one for each core this process may use."""


@dataclass
class RandomizeConfig:
    """Bodies that differ from simulation to simulation in training (domain randomisation).

    A factor is drawn for each simulation whenever it restarts, uniformly between two numbers; empty: none.
    """

    mass: list[float] = setting([], gt=0)
    """Factor of all masses and inertias, as [0.8, 1.2]."""
    friction: list[float] = setting([], ge=0)
    """Factor of the friction of contacts."""
    armature: list[float] = setting([], ge=0)
    """Factor of the armature of joints."""
    strength: list[float] = setting([], ge=0)
    """Factor of the forces of actuators."""
    delay: list[int] = setting([], ge=0)
    """Control steps by which controls act late, as [0, 2]."""
