"""MJX: MuJoCo in JAX on any device, and MJX-Warp on NVIDIA (on a CPU it is slow, but runs).

Pure functions of a batched `mjx.Data`: `step` and `reset` may be called inside compiled functions.
"""

from __future__ import annotations

import copy
import importlib
import logging
from collections.abc import Hashable, Mapping
from functools import cached_property, partial
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from mujoco import mjx

from track_mjx._common.errors import ConfigError
from track_mjx.compiled import ByContent, digest_of
from track_mjx.physics.fields import PhysicsState

_CONTACTS_PER_SIMULATION = 32
_ON_FIELDS = [int(getattr(mujoco.mjtGeom, f"mjGEOM_{name}")) for name in ("SPHERE", "CAPSULE", "BOX", "MESH", "PLANE")]
"""Types of geoms that MJX puts on a height field; planes never touch one."""
_SPLIT = (int(mujoco.mjtIntegrator.mjINT_EULER), int(mujoco.mjtIntegrator.mjINT_IMPLICITFAST))


class MjxEngine(ByContent):
    """Many simulations in one compiled program.

    Derived fields always belong to the state reached. With MJX-JAX a physics step therefore runs mj_step2, then
    mj_step1, which costs nothing extra. Warp has whole steps only, so a control step adds one forward pass.
    """

    traceable = True

    def __init__(self, model: mujoco.MjModel, n_substeps: int, *, warp: bool = False) -> None:
        self._warp = warp
        self.name = f"mujoco-mjx {mujoco.__version__} ({'warp' if warp else 'jax'})"
        self._n_substeps = n_substeps
        if warp and find_spec("warp"):
            # else it prints every kernel to standard output
            importlib.import_module("warp").config.log_level = logging.WARNING
            # Warp never restarts a simulation, and refuses the flag that disables this
            model = copy.copy(model)
            model.opt.disableflags &= ~int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
        self._native = model
        stage = np.repeat(model.sensor_needstage, model.sensor_dim)
        self._of_last_step = stage == int(mujoco.mjtStage.mjSTAGE_ACC)
        if not warp:
            _verify_fields(model)
        try:
            self._model = mjx.put_model(model, impl="warp" if warp else "jax")
        except (NotImplementedError, ValueError, RuntimeError) as error:
            text = " ".join(str(error).split())
            raise ConfigError(f"physics.engine: {self.name} cannot run this body: {text}; use engine=native") from error

    @cached_property
    def content(self) -> Hashable:
        """The model, and how it is stepped."""
        return digest_of(self._native), self._n_substeps, self._warp

    def init(self, n_envs: int) -> Any:
        """Return `n_envs` simulations at the model's reference pose."""
        if self._warp:
            return jax.jit(jax.vmap(self._forward))(self._blank(n_envs))
        data = mujoco.MjData(self._native)
        mujoco.mj_forward(self._native, data)
        return _repeated(mjx.put_data(self._native, data, impl="jax"), n_envs)

    def _blank(self, n_envs: int) -> Any:
        """Simulations at rest."""
        if not self._warp:
            return _repeated(mjx.make_data(self._model), n_envs)
        n_contacts, n_constraints = n_envs * _CONTACTS_PER_SIMULATION, 4 * _CONTACTS_PER_SIMULATION
        n_constraints = max(64, n_constraints + 2 * self._native.njnt)
        return _repeated(mjx.make_data(self._native, impl="warp", naconmax=n_contacts, njmax=n_constraints), n_envs)

    def step(self, state: Any, ctrl: Any, fields: Mapping[str, Any] = MappingProxyType({})) -> Any:
        """Advance all simulations by one control step; `fields` of the model, each (env, ...), differ between them."""
        advance = jax.vmap(lambda data, ctrl, own: self._with(own)._advance(data, ctrl))
        return advance(state, jnp.asarray(ctrl), dict(fields))

    def _with(self, fields: Mapping[str, Any]) -> MjxEngine:
        """Return this engine with other values of fields of its model."""
        engine = copy.copy(self)
        engine._model = self._model.replace(**fields)
        return engine

    def _advance(self, data: Any, ctrl: Any) -> Any:
        data = data.replace(ctrl=ctrl)
        step = (
            self._half_step
            if self._native.opt.integrator in _SPLIT and not self._warp
            else partial(mjx.step, self._model)
        )
        data = jax.lax.fori_loop(0, self._n_substeps, lambda _, d: step(d), data)
        return data if step == self._half_step else self._refresh(data)

    def _half_step(self, data: Any) -> Any:
        """Compute forces at a known state, integrate, and compute positions and velocities of the next state."""
        model = self._model
        data = mjx.fwd_acceleration(model, mjx.fwd_actuation(model, data))
        unconstrained = data._impl.efc_J.size == 0
        data = data.replace(qacc=data.qacc_smooth) if unconstrained else mjx.solve(model, data)
        data = mjx.sensor_acc(model, data)
        euler = self._native.opt.integrator == _SPLIT[0]
        data = mjx.euler(model, data) if euler else mjx.implicit(model, data)
        data = mjx.sensor_pos(model, mjx.fwd_position(model, data))
        return mjx.sensor_vel(model, mjx.fwd_velocity(model, data))

    def _refresh(self, data: Any) -> Any:
        """Bring derived fields to the state reached, but keep the forces of the last step."""
        forward = self._forward(data)
        kept = {name: _get(data, name) for name in ("actuator_force", "qfrc_actuator", "qacc_warmstart")}
        sensors = jnp.where(self._of_last_step, _get(data, "sensordata"), _get(forward, "sensordata"))
        return _replace(forward, {**kept, "sensordata": sensors})

    def _forward(self, data: Any) -> Any:
        return mjx.forward(self._model, data)

    def reset(
        self,
        state: Any,
        mask: Any,
        qpos: Any,
        qvel: Any,
        act: Any = None,
        fields: Mapping[str, Any] = MappingProxyType({}),
    ) -> Any:
        """Restart the simulations in `mask`; `fields` as in `step`."""
        mask = jnp.asarray(mask)
        fresh = self._blank(len(mask)).replace(qpos=jnp.asarray(qpos), qvel=jnp.asarray(qvel))
        fresh = fresh if act is None else fresh.replace(act=jnp.asarray(act))
        fresh = jax.vmap(lambda data, own: self._with(own)._forward(data))(fresh, dict(fields))
        return jax.tree.map(lambda new, old: _choose(mask, new, old), fresh, state)

    def push(self, state: Any, force: Any) -> Any:
        """Apply forces and torques to bodies from now on."""
        return state.replace(xfrc_applied=jnp.asarray(force, jnp.float32))

    def read(self, state: Any) -> PhysicsState:
        """Return what the task reads."""
        return PhysicsState(**{name: _get(state, name) for name in PhysicsState._fields})

    def save(self, state: Any) -> dict[str, np.ndarray]:
        """Return all arrays of the simulations."""
        return {f"{i:03d}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(state))}

    def load(self, state: Any, saved: dict[str, np.ndarray]) -> Any:
        """Replace these simulations by saved ones."""
        leaves, structure = jax.tree.flatten(state)
        return jax.tree.unflatten(structure, [jnp.asarray(saved[f"{i:03d}"]) for i in range(len(leaves))])


def _verify_fields(model: mujoco.MjModel) -> None:
    """Refuse geoms of shapes that MJX cannot put on a height field."""
    fields = np.flatnonzero(model.geom_type == mujoco.mjtGeom.mjGEOM_HFIELD)
    paired = {frozenset(pair) for pair in zip(model.pair_geom1.tolist(), model.pair_geom2.tolist(), strict=True)}
    types, affinities = model.geom_contype, model.geom_conaffinity
    for geom in np.flatnonzero(~np.isin(model.geom_type, _ON_FIELDS)).tolist():
        touches = (types[geom] & affinities[fields]) | (types[fields] & affinities[geom])
        if touches.any() or any(frozenset((geom, field)) in paired for field in fields.tolist()):
            shape = mujoco.mjtGeom(int(model.geom_type[geom])).name.removeprefix("mjGEOM_").lower()
            raise ConfigError(
                f"physics.engine=mjx: geom {model.geom(geom).name!r} is of type {shape}; on terrain MJX takes sphere, "
                "capsule, box and mesh; use engine=native, or geoms of these types"
            )


def _repeated(data: Any, n_envs: int) -> Any:
    return jax.vmap(lambda _: data)(jnp.arange(n_envs))


def _is_outer(data: Any, name: str) -> bool:
    """Whether MJX keeps a field in its Data itself, not in the part that belongs to an implementation."""
    return name in type(data).__dataclass_fields__


def _get(data: Any, name: str) -> Any:
    return getattr(data if _is_outer(data, name) else data._impl, name)


def _replace(data: Any, values: dict[str, Any]) -> Any:
    named = {name if _is_outer(data, name) else f"_impl.{name}": value for name, value in values.items()}
    return data.tree_replace(named)


def _choose(mask: Any, new: Any, old: Any) -> Any:
    if jnp.ndim(old) == 0 or jnp.shape(old)[0] != mask.shape[0]:
        return new
    return jnp.where(mask.reshape(-1, *[1] * (jnp.ndim(old) - 1)), new, old)
