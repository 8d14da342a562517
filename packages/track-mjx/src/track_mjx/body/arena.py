"""The arena: the body of a clips file in a world with floor, contacts and simulation options, as one MjModel.

Bodies keep their names but not their ids, so everything is looked up by name. For speed, only end effectors touch the
floor (paper B, section 4.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float

from track_mjx._common.errors import BodyError, ConfigError, raise_all, unknown
from track_mjx._common.mjcf import exact_xml, one_line, quick_compile, travels
from track_mjx.body.friction import set_friction
from track_mjx.body.ground import Ground, find_ground, is_level_plane
from track_mjx.body.inertia import set_inertia
from track_mjx.body.parts import drop_actuators
from track_mjx.body.sensors import add_contact_sensors, set_sensors
from track_mjx.body.servos import set_actuators
from track_mjx.body.tendons import lead_around_hinges
from track_mjx.body.terrain import set_terrain, use_older_collision
from track_mjx.clips import Clips
from track_mjx.config import ArenaConfig, PhysicsConfig

_FLOOR = "arena_floor"
_GROUND_FRAMES = 400
"""Most frames used to find the height of the ground, spread over the recording."""
_GROUND_PERCENTILE = 10.0
"""The ground is this percentile of the lowest point per frame: in nearly all frames some foot is on it."""


@dataclass(frozen=True, eq=False)
class Arena:
    """A body in its world, ready to be simulated."""

    model: mujoco.MjModel
    mjcf_xml: str
    """The same model as XML; compiles with the assets of the clips."""
    root_body: str
    """Body whose position is that of the animal."""
    end_effectors: tuple[str, ...]
    """Bodies that touch the world or carry the task."""
    floor: str
    """Geom of the ground; empty if there is none."""
    contact_geoms: dict[str, tuple[str, ...]]
    """Geoms that may touch the floor, by end effector."""
    n_substeps: int
    """Physics steps in a control step."""
    others: tuple[str, ...] = ()
    """Further geoms of the scene that end effectors may touch."""
    switched_off: tuple[str, ...] = ()
    """Geoms that collide in the MJCF but not here (``arena.contacts``)."""


def build_arena(clips: Clips, arena: ArenaConfig, physics: PhysicsConfig) -> Arena:
    """Put the body of the clips into a world.

    Raises:
        ConfigError: if a control step is not a whole number of physics steps.
        BodyError: if a named body does not exist, or MuJoCo rejects the model.
    """
    n_substeps = substeps(physics)
    original = clips.model()  # rejects an MJCF that leads out of the file
    spec = mujoco.MjSpec.from_string(clips.mjcf_xml, assets=dict(clips.assets))
    _name_geoms(spec)
    names = [original.body(i).name for i in range(1, original.nbody)]
    end_effectors = tuple(arena.end_effectors) or clips.end_effectors
    root = arena.root_body or clips.root_body or next((name for name in names if name), "")
    problems = [f"arena.end_effectors: {unknown('body', name, names)}" for name in end_effectors if name not in names]
    problems += [f"arena.end_effectors: {n!r} is named twice" for n in set(end_effectors) if end_effectors.count(n) > 1]
    if root not in names:
        problems.append(f"arena.root_body: {unknown('body', root, names)}")
    raise_all(BodyError, str(clips.path), problems)
    collided = {geom.name for geom in spec.geoms if geom.contype or geom.conaffinity}
    ground = _ground(spec, arena, clips, root)
    floor = ground.floor
    set_inertia(spec, arena)
    if arena.tendons == "around_hinges":
        lead_around_hinges(spec)
    contact_geoms = _contacts(spec, arena.contacts, ground, end_effectors)
    contact_geoms = set_friction(spec, floor, contact_geoms, arena.friction)
    off = collided - {geom.name for geom in spec.geoms if geom.contype or geom.conaffinity}
    _set_floor_height(spec, ground, contact_geoms, arena.floor_height_m, clips)
    set_terrain(spec, arena, floor, clips.length_unit_m)
    set_sensors(spec, arena.sensors, root, end_effectors)
    add_contact_sensors(spec, [name for name in (floor, *ground.others) if name], contact_geoms)
    drop_actuators(spec, arena.drop_actuators)
    set_actuators(spec, arena.actuators, arena.servo_hz, end_effectors)
    _set_options(spec, physics)
    use_older_collision(spec)
    if arena.gravity is not None:
        spec.option.gravity = [0.0, 0.0, -arena.gravity / clips.length_unit_m]
    try:
        quick_compile(spec)
        xml = exact_xml(spec)
        model = mujoco.MjModel.from_xml_string(xml, dict(clips.assets))
    except (ValueError, mujoco.FatalError) as error:
        raise BodyError(f"{clips.path}: MuJoCo rejects the body in its arena: {one_line(error)}") from error
    return Arena(model, xml, root, end_effectors, floor, contact_geoms, n_substeps, ground.others, tuple(sorted(off)))


def substeps(physics: PhysicsConfig) -> int:
    """Return the number of physics steps in a control step."""
    ratio = physics.ctrl_dt_s / physics.sim_dt_s
    if round(ratio) < 1 or abs(ratio - round(ratio)) > 1e-6:
        raise ConfigError(
            f"physics.ctrl_dt_s={physics.ctrl_dt_s} must be a whole multiple of physics.sim_dt_s={physics.sim_dt_s}; "
            f"it is {ratio:.6g} times as long"
        )
    return round(ratio)


def _name_geoms(spec: mujoco.MjSpec) -> None:
    """Give unnamed geoms names, so that contact pairs can name them."""
    taken = {geom.name for geom in spec.geoms}
    for i, geom in enumerate(spec.geoms):
        if not geom.name:
            name = f"geom_{i}"
            while name in taken:
                name += "_"
            geom.name = name
            taken.add(name)


def _ground(spec: mujoco.MjSpec, arena: ArenaConfig, clips: Clips, root: str) -> Ground:
    """Return what the animal may stand on, adding a floor if it is needed."""
    if arena.floor == "off":
        for geom in [geom for geom in spec.geoms if geom.type == mujoco.mjtGeom.mjGEOM_PLANE]:
            spec.delete(geom)
    model = quick_compile(spec)
    found = find_ground(model, root, clips.qpos[0])
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    level = bool(found.floor) and is_level_plane(model, data, model.geom(found.floor).id)
    if level or arena.floor == "off" or (arena.floor == "auto" and (found.floor or not travels(model))):
        return found
    spec.worldbody.add_geom(
        name=_FLOOR, type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1], rgba=[0.75, 0.78, 0.8, 1], contype=1,
        conaffinity=1,
    )  # fmt: skip
    return Ground(_FLOOR, (*found.others, *([found.floor] if found.floor else [])))


def _set_floor_height(
    spec: mujoco.MjSpec, ground: Ground, contact_geoms: dict[str, tuple[str, ...]], height_m: float | None, clips: Clips
) -> None:
    """Put the floor at the configured height, else at that of the end effectors in the clips; its scene goes along."""
    floor = ground.floor
    geoms = list(dict.fromkeys(geom for group in contact_geoms.values() for geom in group))
    if not floor or (height_m is None and not geoms):
        return
    model = quick_compile(spec)
    geom, data = model.geom(floor), mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    if not is_level_plane(model, data, geom.id) or model.body_weldid[geom.bodyid[0]]:
        if height_m is not None:
            raise ConfigError(f"arena.floor_height_m: the ground {floor!r} of the body is not a level plane at rest")
        return  # ground of another shape, a slope, and ground that moves keep their places
    height = ground_height(model, geoms, clips.qpos) if height_m is None else height_m / clips.length_unit_m
    rise = np.array([0.0, 0.0, height - data.geom_xpos[model.geom(floor).id, 2]])
    resting = () if floor == _FLOOR else [n for n in ground.others if model.geom(n).bodyid[0] == 0]
    for geom in spec.geoms:
        if geom.name == floor or geom.name in resting:
            geom.pos = geom.pos + rise


def ground_height(model: mujoco.MjModel, geoms: Sequence[str], qpos: Float[np.ndarray, "frame qpos"]) -> float:
    """Return the height of the ground on which these geoms stand, in the model's unit."""
    ids = [model.geom(name).id for name in geoms]
    data = mujoco.MjData(model)
    lowest = []
    for frame in np.unique(np.linspace(0, len(qpos) - 1, _GROUND_FRAMES).astype(np.int64)):
        data.qpos[:] = qpos[frame]
        mujoco.mj_kinematics(model, data)
        lowest.append(min(lowest_point(model, data, geom) for geom in ids))
    return float(np.percentile(lowest, _GROUND_PERCENTILE))


def lowest_point(model: mujoco.MjModel, data: mujoco.MjData, geom: int) -> float:
    """Return the lowest height of a geom's surface; of its bounding sphere for shapes without a formula."""
    height = float(data.geom_xpos[geom, 2])
    up = data.geom_xmat[geom].reshape(3, 3)[2]
    size = model.geom_size[geom]
    kind = mujoco.mjtGeom(int(model.geom_type[geom]))
    if kind == mujoco.mjtGeom.mjGEOM_SPHERE:
        return height - float(size[0])
    if kind == mujoco.mjtGeom.mjGEOM_CAPSULE:
        return height - float(size[0] + abs(up[2]) * size[1])
    if kind == mujoco.mjtGeom.mjGEOM_CYLINDER:
        return height - float(np.sqrt(max(0.0, 1 - up[2] ** 2)) * size[0] + abs(up[2]) * size[1])
    if kind == mujoco.mjtGeom.mjGEOM_ELLIPSOID:
        return height - float(np.linalg.norm(up * size))
    if kind == mujoco.mjtGeom.mjGEOM_BOX:
        return height - float(np.abs(up) @ size)
    if kind == mujoco.mjtGeom.mjGEOM_MESH:
        mesh = int(model.geom_dataid[geom])
        first, n = int(model.mesh_vertadr[mesh]), int(model.mesh_vertnum[mesh])
        return height + float((model.mesh_vert[first : first + n] @ up).min())
    return height - float(model.geom_rbound[geom])


def _contacts(
    spec: mujoco.MjSpec, mode: str, ground: Ground, end_effectors: Iterable[str]
) -> dict[str, tuple[str, ...]]:
    """Keep only the configured contacts; return the geoms of each end effector that may touch the ground."""
    geoms = {name: tuple(_colliding_geoms(spec.body(name), set(end_effectors))) for name in end_effectors}
    if mode == "all":
        return geoms
    grounds = {ground.floor, *ground.others} - {""}
    wanted = {geom for group in geoms.values() for geom in group} if mode == "end_effectors" and grounds else set()
    for pair in list(spec.pairs):
        both = {pair.geomname1, pair.geomname2}
        if not both & grounds or not both - grounds <= wanted:
            spec.delete(pair)
    paired = {name for pair in spec.pairs for name in (pair.geomname1, pair.geomname2)}
    model = quick_compile(spec)
    for geom in spec.geoms:
        # bits: the ground has type 1, feet have affinity 1, and objects that move both; the rest collides with nothing
        moves = bool(model.body_weldid[model.geom(geom.name).bodyid[0]])
        geom.contype = int(geom.name in grounds and bool(wanted))
        geom.conaffinity = int(geom.name in wanted and geom.name not in paired) or int(geom.contype and moves)
    return geoms if wanted else {}


def _colliding_geoms(body: mujoco.MjsBody, end_effectors: set[str]) -> list[str]:
    """Return the names of the colliding geoms of a body and of its descendants, such as toes.

    Descendants do not count if another end effector is among them (the segments of a worm). If no geom collides, all
    of them are returned, because a foot must be able to stand.
    """
    below = body.find_all(mujoco.mjtObj.mjOBJ_BODY)
    bodies = [body] if any(child.name in end_effectors for child in below) else [body, *below]
    geoms = [geom for part in bodies for geom in part.geoms]
    colliding = [geom.name for geom in geoms if geom.contype or geom.conaffinity]
    return colliding or [geom.name for geom in geoms]


def _set_options(spec: mujoco.MjSpec, physics: PhysicsConfig) -> None:
    spec.option.solver = getattr(mujoco.mjtSolver, f"mjSOL_{physics.solver.upper()}")
    spec.option.integrator = getattr(mujoco.mjtIntegrator, f"mjINT_{physics.integrator.upper()}")
    spec.option.timestep = physics.sim_dt_s
    spec.option.iterations = physics.iterations
    spec.option.ls_iterations = physics.ls_iterations
    # Disable autoreset: MuJoCo would silently restart a diverged simulation.
    spec.option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
    spec.memory = spec.nconmax = spec.njmax = -1  # what is needed, whatever the MJCF says
