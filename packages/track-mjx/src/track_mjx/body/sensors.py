"""Sensors of a body in its arena: contact with the floor, and those that a task observes (paper B, section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco

from track_mjx.body.parts import matching

CONTACT_SENSOR = "contact_with_floor_"
"""Prefix of the names of the sensors for contact between a geom and the ground."""
_ON = "_on_"

_AT_ROOT = {
    "velocimeter": mujoco.mjtSensor.mjSENS_VELOCIMETER,
    "accelerometer": mujoco.mjtSensor.mjSENS_ACCELEROMETER,
    "gyro": mujoco.mjtSensor.mjSENS_GYRO,
}
_AT_END_EFFECTORS = {"force": mujoco.mjtSensor.mjSENS_FORCE, "torque": mujoco.mjtSensor.mjSENS_TORQUE}


def set_sensors(spec: mujoco.MjSpec, wanted: Sequence[str], root: str, end_effectors: Sequence[str]) -> None:
    """Keep the sensors whose names match, add those of the kinds the body lacks, and delete the others: they cost time.

    Args:
        spec: the body.
        wanted: patterns of names; ``velocimeter``, ``accelerometer`` and ``gyro`` are added at the root if the body
            has no sensor of that name, ``force`` and ``torque`` at every end effector (``force_NAME``).
        root: body of the added inertial sensors.
        end_effectors: bodies whose force and torque on the rest of the body are measured.
    """
    names = [sensor.name for sensor in spec.sensors]
    added = [kind for kind in (*_AT_ROOT, *_AT_END_EFFECTORS) if kind in wanted and kind not in names]
    own = [pattern for pattern in wanted if pattern not in added]
    kept = matching("arena.sensors", "sensor", own, [*names, *_AT_ROOT, *_AT_END_EFFECTORS])
    for sensor in [sensor for sensor in spec.sensors if sensor.name not in kept]:
        spec.delete(sensor)
    for kind in added:
        places = {kind: root} if kind in _AT_ROOT else {f"{kind}_{body}": body for body in end_effectors}
        for name, body in places.items():
            site = spec.body(body).add_site(name=f"sensor_{name}")
            spec.add_sensor(
                name=name, type={**_AT_ROOT, **_AT_END_EFFECTORS}[kind], objtype=mujoco.mjtObj.mjOBJ_SITE,
                objname=site.name,
            )  # fmt: skip


def add_contact_sensors(spec: mujoco.MjSpec, grounds: Sequence[str], contact_geoms: dict[str, tuple[str, ...]]) -> None:
    """Add one sensor for contact of each contact geom with each geom of the ground.

    Geom against geom is the only form of contact sensor that all engines support.
    """
    for geom in dict.fromkeys(geom for group in contact_geoms.values() for geom in group):
        for ground in grounds:
            spec.add_sensor(
                name=f"{CONTACT_SENSOR}{geom}" + ("" if ground == grounds[0] else f"{_ON}{ground}"),
                type=mujoco.mjtSensor.mjSENS_CONTACT, objtype=mujoco.mjtObj.mjOBJ_GEOM, objname=geom,
                reftype=mujoco.mjtObj.mjOBJ_GEOM, refname=ground,
                intprm=[1 << int(mujoco.mjtConDataField.mjCONDATA_FOUND), 0, 1],
            )  # fmt: skip


def is_contact_of(sensor: str, geom: str) -> bool:
    """Say whether a sensor measures contact of a geom with the ground."""
    return sensor == f"{CONTACT_SENSOR}{geom}" or sensor.startswith(f"{CONTACT_SENSOR}{geom}{_ON}")
