"""A MuJoCo model as arrays: one node a degree of freedom, parents before children.

A hinge or slide joint is one node. A ball joint is three nodes in a row: the first carries the rotation, all three
carry one axis of its tangent space each. A free joint is three slides along the world axes followed by a ball. Bodies
hang on the node of their last joint by a constant transform, so welded bodies cost nothing.

Every transform here is ``node <- parent``; quaternions are wxyz; lengths are in metres. `Tree.from_model` and
`Tree.to_model` convert coordinates from and to the length unit of the MJCF.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import mujoco
import numpy as np

from stac_mjx._common.rotations import quat_to_mat

FREE, BALL, SLIDE, HINGE = (int(t) for t in (mujoco.mjtJoint.mjJNT_FREE, mujoco.mjtJoint.mjJNT_BALL,
                                             mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE))  # fmt: skip


@dataclass(frozen=True, eq=False)
class Tree:
    """The kinematic tree of a model. Hashed by identity, so it can be a static argument of a jitted function.

    Node 0 is the world; node ``i + 1`` is degree of freedom ``i`` of MuJoCo (`qvel` order). Sizes: ``n_dof`` = nv.
    """

    parent: np.ndarray
    """Node each node hangs on, (dof,)."""
    const_pos: np.ndarray
    """Fixed part of the transform from the parent node, (dof, 3)."""
    const_mat: np.ndarray
    """Its rotation, (dof, 3, 3)."""
    anchor: np.ndarray
    """Joint anchor in the node's own frame, (dof, 3)."""
    axis: np.ndarray
    """Joint axis in the node's own frame, (dof, 3)."""
    is_slide: np.ndarray
    """Whether the node translates along `axis` rather than rotates about it, (dof,) bool."""
    scalar_dof: np.ndarray
    """Hinge and slide degrees of freedom."""
    scalar_qadr: np.ndarray
    """Their place in qpos."""
    scalar_ref: np.ndarray
    """Their value in the reference pose of the model."""
    ball_dof: np.ndarray
    """First degree of freedom of each rotation joint."""
    ball_qadr: np.ndarray
    """Its first place in qpos."""
    ball_limit: np.ndarray
    """Its largest angle, rad, or inf."""
    lower: np.ndarray
    """Lower limits of scalar joints, -inf elsewhere, (dof,)."""
    upper: np.ndarray
    """Upper limits of scalar joints, inf elsewhere, (dof,)."""
    body_node: np.ndarray
    """Node each body hangs on, (body,)."""
    body_pos: np.ndarray
    """Its constant position in the frame of that node, (body, 3)."""
    body_mat: np.ndarray
    """Its constant rotation in the frame of that node, (body, 3, 3)."""
    root_dofs: np.ndarray
    """Degrees of freedom of the root of the animal."""
    qpos0: np.ndarray
    """Reference configuration, (nq,)."""
    ancestors: np.ndarray
    """Whether a degree of freedom moves a node, (dof + 1, dof) bool."""
    length_unit_m: float = 1.0
    """Length unit of the MJCF, metres."""

    @property
    def dof_unit(self) -> np.ndarray:
        """Metres (rotations: rad) per unit of each degree of freedom of the MJCF, (dof,)."""
        return np.where(self.is_slide, self.length_unit_m, 1.0)

    @property
    def qpos_unit(self) -> np.ndarray:
        """Metres (rotations: 1) per unit of each coordinate of the MJCF, (nq,)."""
        out = np.ones(self.n_qpos)
        out[self.scalar_qadr] = self.dof_unit[self.scalar_dof]
        return out

    def from_model(self, qpos: np.ndarray) -> np.ndarray:
        """Convert coordinates (frame, nq) from the length unit of the MJCF to metres."""
        return (qpos * self.qpos_unit).astype(qpos.dtype)

    def to_model(self, qpos: np.ndarray) -> np.ndarray:
        """Convert coordinates (frame, nq) from metres to the length unit of the MJCF."""
        return (qpos / self.qpos_unit).astype(qpos.dtype)

    def in_qpos(self, dofs: np.ndarray) -> np.ndarray:
        """Spread a mark of every degree of freedom, (dof,) bool, over the coordinates, (nq,)."""
        out = np.zeros(self.n_qpos, bool)
        out[self.scalar_qadr] = dofs[self.scalar_dof]
        for dof, qadr in zip(self.ball_dof, self.ball_qadr, strict=True):
            out[qadr : qadr + 4] = dofs[dof : dof + 3].any()
        return out

    @property
    def root_is_free(self) -> bool:
        """Whether the root has a free joint."""
        return len(self.root_dofs) == 6 and self.root_dofs[3] in self.ball_dof

    @property
    def n_dof(self) -> int:
        """Number of degrees of freedom (MuJoCo's nv)."""
        return len(self.parent)

    @property
    def n_qpos(self) -> int:
        """Number of configuration coordinates (MuJoCo's nq)."""
        return len(self.qpos0)


class _Node(NamedTuple):
    """A node: the fixed transform from the one it hangs on, and its joint."""

    pos: np.ndarray
    mat: np.ndarray
    anchor: np.ndarray
    axis: np.ndarray
    is_slide: bool


def _joint_nodes(model: mujoco.MjModel, joint: int, pos: np.ndarray, mat: np.ndarray) -> list[_Node]:
    """Return the nodes of one joint, in a row; `pos`, `mat` is the fixed transform to its body."""
    kind, anchor = int(model.jnt_type[joint]), model.jnt_pos[joint].copy()
    zero, eye = np.zeros(3), np.eye(3)
    if kind in (HINGE, SLIDE):
        return [_Node(pos, mat, anchor, model.jnt_axis[joint].copy(), kind == SLIDE)]
    if kind == BALL:
        return [_Node(pos, mat, anchor, eye[0], False), *(_Node(zero, eye, anchor, eye[k], False) for k in (1, 2))]
    # free: qpos holds the pose in the world, so body_pos, body_quat and the anchor play no part
    return [_Node(zero, eye, zero, eye[k], is_slide) for is_slide in (True, False) for k in range(3)]


def build_tree(model: mujoco.MjModel, length_unit_m: float = 1.0, root: int | None = None) -> Tree:
    """Read the kinematic tree of a compiled model whose length unit is `length_unit_m` metres.

    `root` is the id of the body that represents the animal; None: the first that moves.
    """
    tree = _tree_in_model_units(model, int(np.argmax(model.body_jntnum > 0)) if root is None else root)
    if length_unit_m == 1.0:
        return tree
    tree = replace(tree, length_unit_m=length_unit_m)
    lengths = {name: length_unit_m * getattr(tree, name) for name in ("const_pos", "anchor", "body_pos")}
    limits = {name: tree.dof_unit * getattr(tree, name) for name in ("lower", "upper")}
    reference = tree.dof_unit[tree.scalar_dof] * tree.scalar_ref
    return replace(tree, **lengths, **limits, scalar_ref=reference, qpos0=tree.from_model(tree.qpos0))


def _tree_in_model_units(model: mujoco.MjModel, root: int) -> Tree:
    nodes: list[_Node] = []
    parent: list[int] = []
    body_node = np.zeros(model.nbody, np.int32)
    body_pos, body_mat = np.zeros((model.nbody, 3)), np.tile(np.eye(3), (model.nbody, 1, 1))
    for body in range(1, model.nbody):
        up = model.body_parentid[body]
        node, pos, mat = int(body_node[up]), body_pos[up], body_mat[up]
        pos = pos + mat @ model.body_pos[body]
        mat = mat @ quat_to_mat(model.body_quat[body])
        first_joint = model.body_jntadr[body]
        for joint in range(first_joint, first_joint + model.body_jntnum[body]):
            for new in _joint_nodes(model, joint, pos, mat):
                parent.append(node)
                nodes.append(new)
                node = len(nodes)
            pos, mat = np.zeros(3), np.eye(3)
        body_node[body], body_pos[body], body_mat[body] = node, pos, mat

    def stacked(name: str, *shape: int) -> np.ndarray:
        return np.array([getattr(node, name) for node in nodes], np.float64).reshape(len(nodes), *shape)

    return Tree(
        parent=np.array(parent, np.int32),
        const_pos=stacked("pos", 3),
        const_mat=stacked("mat", 3, 3),
        anchor=stacked("anchor", 3),
        axis=stacked("axis", 3),
        is_slide=np.array([node.is_slide for node in nodes], bool),
        **_coordinates(model),  # type: ignore[arg-type]
        body_node=body_node,
        body_pos=body_pos,
        body_mat=body_mat,
        root_dofs=np.arange(model.body_dofnum[root], dtype=np.int32) + model.body_dofadr[root],
        qpos0=model.qpos0.copy(),
        ancestors=_ancestors(parent),
    )


def _coordinates(model: mujoco.MjModel) -> dict[str, np.ndarray]:
    """Return the places of scalar and ball coordinates and their limits, as fields of `Tree`."""
    scalar: list[tuple[int, int, float]] = []
    ball: list[tuple[int, int, float]] = []
    lower, upper = np.full(model.nv, -np.inf), np.full(model.nv, np.inf)
    for joint in range(model.njnt):
        dof, qadr, kind = int(model.jnt_dofadr[joint]), int(model.jnt_qposadr[joint]), int(model.jnt_type[joint])
        limited, span = bool(model.jnt_limited[joint]), model.jnt_range[joint]
        if kind in (HINGE, SLIDE):
            scalar.append((dof, qadr, model.qpos0[qadr]))
            if limited:
                lower[dof], upper[dof] = span
            continue
        if kind == FREE:
            scalar += [(dof + k, qadr + k, 0.0) for k in range(3)]
            dof, qadr = dof + 3, qadr + 3
        ball.append((dof, qadr, span[1] if limited and kind == BALL else np.inf))
    columns = {"scalar_dof": (scalar, 0), "scalar_qadr": (scalar, 1), "ball_dof": (ball, 0), "ball_qadr": (ball, 1)}
    return {
        **{name: np.array([row[k] for row in rows], np.int32) for name, (rows, k) in columns.items()},
        "scalar_ref": np.array([row[2] for row in scalar], np.float64),
        "ball_limit": np.array([row[2] for row in ball], np.float64),
        "lower": lower,
        "upper": upper,
    }


def _ancestors(parent: list[int]) -> np.ndarray:
    """Return whether a degree of freedom moves a node."""
    out = np.zeros((len(parent) + 1, len(parent)), bool)
    for dof, up in enumerate(parent):
        out[dof + 1] = out[up]
        out[dof + 1, dof] = True
    return out
