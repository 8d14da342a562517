"""What a term is given: the physics after a step, the reference it should match, and what was done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from track_mjx.body.anatomy import Anatomy
from track_mjx.physics.fields import Arrayish, Fields


class Poses(NamedTuple):
    """Reference poses; leading axes (env,) or, for the window of future ones, (env, ahead)."""

    qpos: Arrayish
    qvel: Arrayish
    xpos: Arrayish
    xquat: Arrayish


class History(NamedTuple):
    """The last control steps of every simulation, newest last; what lies before a reset repeats the first value.

    Attributes:
        action: (env, step, actuator) policy outputs, the present one included.
        qvel: (env, step, dof) velocities, the present ones included.
        age: (env,) control steps since the reset, the present one included.
    """

    action: Arrayish
    qvel: Arrayish
    age: Arrayish


@dataclass(frozen=True, eq=False)
class Scene:
    """One control step of all simulations, batch first, in the MJCF's units.

    Attributes:
        body: names and places of bodies, joints and actuators.
        now: the physics after the step.
        target: reference at the same time as `now`.
        window: reference at the times ahead that the encoder sees.
        action: the policy's output in this step, in [-1, 1].
        previous_action: that of the step before; zero after a reset.
        history: the last steps, as far back as any term asked for.
        time_s: (env,) seconds since the start of the clip.
    """

    body: Anatomy
    now: Fields
    target: Poses
    window: Poses
    action: Arrayish
    previous_action: Arrayish
    history: History
    time_s: Arrayish
