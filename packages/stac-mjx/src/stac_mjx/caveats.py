"""What a fit leaves open: joints no keypoint observes, turns that the alignment can make too, broken constraints."""

from __future__ import annotations

import copy

import mujoco
import numpy as np
from jaxtyping import Bool, Float

from stac_mjx._common.errors import counted, shorten
from stac_mjx.body.body import Body
from stac_mjx.inverse_kinematics.pose_solver import PoseSolver
from stac_mjx.records import thinned

OPEN_TURN_DEG = 20.0
"""A turn of the root whose standard error exceeds that of the best frames by this much is open."""
CLIPPED_ERROR = 0.5
"""A joint is often at its limits where its usual standard error exceeds this part of half its range."""
_FRAMES = 60


def fit_warnings(
    solver: PoseSolver, observed: Bool[np.ndarray, " dof"], mode: str, qpos: Float[np.ndarray, "frame nq"]
) -> list[str]:
    """Return what the user should know about poses `qpos` (units of the MJCF) solved with `mode` of alignment."""
    warnings = _equality_warnings(solver.body, qpos)
    unseen = [name for name, seen in _by_joint(solver.body, observed) if not seen]
    if unseen:
        warnings.append(
            f"no keypoint observes joints {shorten(unseen)}: their angles stay near the neutral pose "
            "(attribute column_observed of qpos in clips.h5)"
        )
    tree = solver.tree
    node = tree.body_node[solver.body.marker_body]
    first = (tree.parent == 0) & tree.ancestors[node].all(axis=0)
    same = [name for name, is_first in _by_joint(solver.body, first) if is_first]
    if mode != "none" and same:
        warnings.append(
            f"alignment.mode={mode}: a constant value of joint {shorten(same)} moves the animal as the transform of "
            "the recording does, so its mean is not determined; its movement is"
        )
    return warnings


def open_turns(solver: PoseSolver, stderr: Float[np.ndarray, "frame dof"]) -> list[str]:
    """Name the frames in which a turn of the root is far less certain than in the best frames."""
    root = solver.tree.root_dofs
    variance = stderr[:, root[~solver.tree.is_slide[root]]] ** 2
    if not np.isfinite(variance).any():
        return []
    excess = np.nan_to_num(variance - np.nanmin(variance, axis=0)).max(axis=1)
    loose = np.flatnonzero(excess > np.radians(OPEN_TURN_DEG) ** 2)
    if not len(loose):
        return []
    runs = np.split(loose, np.flatnonzero(np.diff(loose) > 1) + 1)
    return [
        f"the keypoints of {counted(len(loose), 'frame')} leave a turn of the body open by more than "
        f"{OPEN_TURN_DEG:g} degrees: {shorten([f'{run[0]} to {run[-1]}' for run in runs])}. Leave them out "
        "(keypoints.start, keypoints.stop, keypoints.trials)"
    ]


def clipped_errors(
    solver: PoseSolver, stderr: Float[np.ndarray, "frame dof"], observed: Bool[np.ndarray, " dof"]
) -> list[str]:
    """Name the joints that noise drives to their limits, so that their intervals are not those of a normal."""
    half_range = (solver.tree.upper - solver.tree.lower) / 2
    some = stderr[np.isfinite(stderr).all(axis=1)]
    if not len(some):
        return []
    wide = observed & np.isfinite(half_range) & (np.median(some, axis=0) > CLIPPED_ERROR * half_range)
    names = [name for name, is_wide in _by_joint(solver.body, wide) if is_wide]
    if not names:
        return []
    return [
        f"noise drives joints {shorten(names)} to their limits: errors of these, and of joints next to them, are not "
        "normal. One standard error (qpos_stderr) holds about half of them, not 68 %; 1.96 hold about 90 %, not 95 %"
    ]


def _by_joint(body: Body, dofs: Bool[np.ndarray, " dof"]) -> list[tuple[str, bool]]:
    """Return whether any degree of freedom of each joint is marked."""
    stops = [*body.model.jnt_dofadr[1:].tolist(), body.model.nv]
    spans = zip(body.joint_names, body.model.jnt_dofadr.tolist(), stops, strict=True)
    return [(name, bool(dofs[start:stop].any())) for name, start, stop in spans]


def _equality_warnings(body: Body, qpos: np.ndarray) -> list[str]:
    """Say how far poses break the active equality constraints of the model, which play no part in the fit."""
    model = copy.copy(body.model)
    active = np.flatnonzero(model.eq_active0)
    if not len(active) or model.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_EQUALITY:
        return []
    model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONTACT)
    data, broken = mujoco.MjData(model), np.zeros(model.neq)
    for frame in thinned(len(qpos), _FRAMES):
        data.qpos[:] = qpos[frame]
        mujoco.mj_fwdPosition(model, data)
        rows = np.flatnonzero(data.efc_type == int(mujoco.mjtConstraint.mjCNSTR_EQUALITY))
        np.maximum.at(broken, data.efc_id[rows], np.abs(data.efc_pos[rows]))
    worst = int(np.argmax(broken))
    name, amount = _described(body, worst, float(broken[worst]))
    many = counted(len(active), "active equality constraint")
    return [
        f"{many} of the model: no part of the fit; the poses break {name} by up to {amount}. In physics "
        "they force the body out of these poses: remove from the MJCF what the animal does not have"
    ]


def _described(body: Body, constraint: int, broken: float) -> tuple[str, str]:
    """Return the name of an equality constraint, and by how much it is broken, in degrees or mm."""
    model, kind = body.model, int(body.model.eq_type[constraint])
    ends = [end for end in (model.eq_obj1id[constraint], model.eq_obj2id[constraint]) if end >= 0]
    known = {int(mujoco.mjtEq.mjEQ_JOINT): body.joint_names}
    known |= dict.fromkeys((int(mujoco.mjtEq.mjEQ_CONNECT), int(mujoco.mjtEq.mjEQ_WELD)), body.body_names)
    names = [known[kind][end] for end in ends] if kind in known else []
    joints = np.array(ends) if kind == int(mujoco.mjtEq.mjEQ_JOINT) else _joints_of_tendon(body, kind, ends)
    turns = len(joints) and (model.jnt_type[joints] == int(mujoco.mjtJoint.mjJNT_HINGE)).all()
    amount = f"{np.degrees(broken):.3g} degrees" if turns else f"{1000 * body.length_unit_m * broken:.3g} mm"
    return model.equality(constraint).name or f"that of {' and '.join(names) or f'number {constraint}'}", amount


def _joints_of_tendon(body: Body, kind: int, ends: list[int]) -> np.ndarray:
    """Return the joints that the first fixed tendon of a constraint sums; of another constraint: none."""
    model = body.model
    if kind != int(mujoco.mjtEq.mjEQ_TENDON):
        return np.zeros(0, int)
    first = int(model.tendon_adr[ends[0]])
    wraps = np.arange(first, first + int(model.tendon_num[ends[0]]))
    return model.wrap_objid[wraps[model.wrap_type[wraps] == int(mujoco.mjtWrap.mjWRAP_JOINT)]]
