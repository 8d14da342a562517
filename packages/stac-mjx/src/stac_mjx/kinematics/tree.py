"""A MuJoCo model as arrays: one node a degree of freedom, parents before children.

A hinge or slide joint is one node. A ball joint is three nodes in a row: the first carries the rotation, all three
carry one axis of its tangent space each. A free joint is three slides along the world axes followed by a ball. Bodies
hang on the node of their last joint by a constant transform, so welded bodies cost nothing.

Every transform here is ``node <- parent``; quaternions are wxyz; lengths are in the model's own unit.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from stac_mjx._common.rotations import quat_to_mat

FREE, BALL, SLIDE, HINGE = (int(t) for t in (mujoco.mjtJoint.mjJNT_FREE, mujoco.mjtJoint.mjJNT_BALL,
                                             mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE))  # fmt: skip


@dataclass(frozen=True, eq=False)
class Tree:
    """The kinematic tree of a model. Hashed by identity, so it can be a static argument of a jitted function.

    Node 0 is the world; node ``i + 1`` is degree of freedom ``i`` of MuJoCo (`qvel` order). Sizes: ``n_dof`` = nv.

    Attributes:
        parent: (dof,) node each node hangs on.
        depth: (dof,) number of degrees of freedom up to and including this one.
        const_pos, const_mat: (dof, 3), (dof, 3, 3) fixed part of the transform from the parent node.
        anchor, axis: (dof, 3) joint anchor and axis in the node's own frame.
        is_slide: (dof,) bool; a translation along `axis`, otherwise a rotation about it.
        scalar_dof, scalar_qadr, scalar_ref: hinge and slide degrees of freedom, their place in qpos, their qpos0.
        ball_dof, ball_qadr, ball_limit: first dof and first qpos place of each rotation joint; largest angle
            (rad, or inf).
        lower, upper: (dof,) limits of `qpos` for scalar joints, -inf/inf elsewhere.
        body_node, body_pos, body_mat: node each body hangs on and its constant pose in that node's frame.
        root_dofs: degrees of freedom of the first moving body.
        qpos0: (nq,) reference configuration.
        ancestors: (dof + 1, dof) bool; whether a degree of freedom moves a node.
    """

    parent: np.ndarray
    depth: np.ndarray
    const_pos: np.ndarray
    const_mat: np.ndarray
    anchor: np.ndarray
    axis: np.ndarray
    is_slide: np.ndarray
    scalar_dof: np.ndarray
    scalar_qadr: np.ndarray
    scalar_ref: np.ndarray
    ball_dof: np.ndarray
    ball_qadr: np.ndarray
    ball_limit: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    body_node: np.ndarray
    body_pos: np.ndarray
    body_mat: np.ndarray
    root_dofs: np.ndarray
    qpos0: np.ndarray
    ancestors: np.ndarray

    @property
    def n_dof(self) -> int:
        """Number of degrees of freedom (MuJoCo's nv)."""
        return len(self.parent)

    @property
    def n_qpos(self) -> int:
        """Number of configuration coordinates (MuJoCo's nq)."""
        return len(self.qpos0)


@dataclass
class _Node:
    parent: int
    pos: np.ndarray
    mat: np.ndarray
    anchor: np.ndarray
    axis: np.ndarray
    is_slide: bool


def _joint_nodes(model: mujoco.MjModel, joint: int, parent: int, pos: np.ndarray, mat: np.ndarray) -> list[_Node]:
    """Nodes of one joint; `pos`, `mat` is the fixed transform that leads to its body from node `parent`."""
    kind = int(model.jnt_type[joint])
    anchor = model.jnt_pos[joint].copy()
    zero, eye = np.zeros(3), np.eye(3)
    if kind in (HINGE, SLIDE):
        return [_Node(parent, pos, mat, anchor, model.jnt_axis[joint].copy(), kind == SLIDE)]
    nodes = []
    if kind == FREE:  # qpos holds the pose in the world, so body_pos, body_quat and the anchor play no part
        for k in range(3):
            nodes.append(_Node(parent if k == 0 else -1, zero, eye, zero, eye[k], True))
        pos, mat, anchor = zero, eye, zero
    for k in range(3):
        first = k == 0
        nodes.append(
            _Node(-1 if nodes else parent, pos if first else zero, mat if first else eye, anchor, eye[k], False)
        )
    return nodes


def build_tree(model: mujoco.MjModel) -> Tree:
    """Read the kinematic tree of a compiled model."""
    nodes: list[_Node] = []
    body_node = np.zeros(model.nbody, np.int32)
    body_pos, body_mat = np.zeros((model.nbody, 3)), np.tile(np.eye(3), (model.nbody, 1, 1))
    scalar, ball, root_dofs = [], [], []
    lower, upper = np.full(model.nv, -np.inf), np.full(model.nv, np.inf)
    for body in range(1, model.nbody):
        up = model.body_parentid[body]
        node, pos, mat = int(body_node[up]), body_pos[up], body_mat[up]
        pos = pos + mat @ model.body_pos[body]
        mat = mat @ quat_to_mat(model.body_quat[body])
        first_joint = model.body_jntadr[body]
        for joint in range(first_joint, first_joint + model.body_jntnum[body]):
            dof, qadr, kind = int(model.jnt_dofadr[joint]), int(model.jnt_qposadr[joint]), int(model.jnt_type[joint])
            limited, span = bool(model.jnt_limited[joint]), model.jnt_range[joint]
            for new in _joint_nodes(model, joint, node, pos, mat):
                new.parent = len(nodes) if new.parent < 0 else new.parent
                nodes.append(new)
            if kind in (HINGE, SLIDE):
                scalar.append((dof, qadr, model.qpos0[qadr]))
                if limited:
                    lower[dof], upper[dof] = span
            else:
                if kind == FREE:
                    scalar += [(dof + k, qadr + k, 0.0) for k in range(3)]
                    dof, qadr = dof + 3, qadr + 3
                ball.append((dof, qadr, span[1] if limited and kind == BALL else np.inf))
            node, pos, mat = len(nodes), np.zeros(3), np.eye(3)
        if model.body_jntnum[body] and not root_dofs:
            root_dofs = list(range(model.body_dofadr[body], model.body_dofadr[body] + model.body_dofnum[body]))
        body_node[body], body_pos[body], body_mat[body] = node, pos, mat
    return _pack(model, nodes, (body_node, body_pos, body_mat), (scalar, ball, root_dofs), (lower, upper))


def _pack(model: mujoco.MjModel, nodes: list[_Node], bodies: tuple, dofs: tuple, limits: tuple) -> Tree:
    scalar, ball, root_dofs = dofs
    parent = np.array([node.parent for node in nodes], np.int32)
    ancestors = np.zeros((len(nodes) + 1, len(nodes)), bool)
    for i, up in enumerate(parent):
        ancestors[i + 1] = ancestors[up]
        ancestors[i + 1, i] = True

    def column(rows: list[tuple], k: int, dtype: type) -> np.ndarray:
        return np.array([row[k] for row in rows], dtype)

    def stacked(name: str, *shape: int) -> np.ndarray:
        return np.array([getattr(node, name) for node in nodes], np.float64).reshape(len(nodes), *shape)

    return Tree(
        parent=parent,
        depth=ancestors[1:].sum(axis=1),
        const_pos=stacked("pos", 3),
        const_mat=stacked("mat", 3, 3),
        anchor=stacked("anchor", 3),
        axis=stacked("axis", 3),
        is_slide=np.array([node.is_slide for node in nodes], bool),
        scalar_dof=column(scalar, 0, np.int32),
        scalar_qadr=column(scalar, 1, np.int32),
        scalar_ref=column(scalar, 2, np.float64),
        ball_dof=column(ball, 0, np.int32),
        ball_qadr=column(ball, 1, np.int32),
        ball_limit=column(ball, 2, np.float64),
        lower=limits[0],
        upper=limits[1],
        body_node=bodies[0],
        body_pos=bodies[1],
        body_mat=bodies[2],
        root_dofs=np.array(root_dofs, np.int32),
        qpos0=model.qpos0.copy(),
        ancestors=ancestors,
    )
