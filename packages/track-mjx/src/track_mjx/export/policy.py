"""A trained policy without JAX: ONNX graphs and NumPy arrays, with the body they move.

The files of a folder::

    policy.onnx   reference, proprioception -> action, latent, and ctrl where it follows from the action
    decoder.onnx  latent, proprioception -> action, ctrl
    policy.npz    the same parameters as arrays, by name (``decoder/dense_0/kernel``)
    policy.json   names and order of observations and actions, rates, hash of the body
    body/         MJCF of the body in its arena, with its assets

Observations are raw: the graphs contain the normaliser. The latent and the action are means. All of it is float32 of
any number of rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from track_mjx._common.errors import ConfigError, InputError
from track_mjx._common.files import output_folder, replace_file, write_bytes, write_json, write_text
from track_mjx._common.system import generator
from track_mjx.config import ExportConfig
from track_mjx.learning.setup import Setup, open_setup, policy_of
from track_mjx.policy.policy import CLIP, Policy, Statistics, scale_of
from track_mjx.runs.checkpoints import policy_sha256
from track_mjx.runs.run_folder import RunFolder
from track_mjx.task.actions import to_ctrl

_OPSET, _IR_VERSION = 17, 8
_EPSILON = 1e-6
"""Of the layer normalisation of Flax."""
Arrays = dict[str, np.ndarray]


def export_run(folder: RunFolder, config: ExportConfig) -> list[Path]:
    """Write the policy of a run and its body, and return the paths.

    Raises:
        ConfigError: when the package onnx is not installed, and for a recurrent decoder.
        RunError, InputError: when run, checkpoint and clips do not fit.
        OutputError: when a file cannot be written.
    """
    onnx = _import_onnx()
    setup, _, _ = open_setup(folder, folder.config())
    if setup.networks.memory().size:
        cell = setup.config.network.decoder_cell
        raise ConfigError(f"{folder.path}: network.decoder_cell={cell}: a recurrent decoder is not exported")
    step, leaves = folder.checkpoints.load(config.checkpoint)
    policy = policy_of(setup, leaves, str(folder.checkpoints.path(step)))
    arrays = policy_arrays(setup, policy)
    facts = {**_facts(setup), "checkpoint_step": step, "checkpoint_sha256": policy_sha256(leaves)}
    out = output_folder(config.out, "exported")
    written = [out / "body" / "body.xml", out / "policy.json", out / "policy.npz"]
    write_body(written[0], setup.task.body.arena.mjcf_xml, setup.clips.assets)
    write_json(written[1], facts)
    with replace_file(written[2]) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    for part in ("policy", "decoder") if facts["latent"] else ("policy",):
        written.append(out / f"{part}.onnx")
        write_bytes(written[-1], onnx_model(onnx, part, arrays, facts).SerializeToString())
    return written


def write_body(path: Path, mjcf_xml: str, assets: Mapping[str, bytes]) -> None:
    """Write an MJCF with its assets next to it."""
    for name in assets:
        if PureWindowsPath(name).name != name or name in (".", ".."):
            raise InputError(f"asset {name!r} of the body: expected the name of a file, without a folder")
    folder = output_folder(str(path.parent), "")
    for name, data in assets.items():
        write_bytes(folder / name, data)
    write_text(path, mjcf_xml)


def policy_arrays(setup: Setup, policy: Policy) -> Arrays:
    """Parameters of encoder and decoder, and mean and scale of the observations, by name.

    Where a policy puts out latents for a decoder of another run, its own layers are those of ``policy``.
    """
    arrays: Arrays = {}
    for part in ("reference", "proprioception"):
        statistics: Statistics = getattr(policy.statistics, part)
        arrays |= {f"{part}/mean": np.asarray(statistics.mean), f"{part}/scale": np.asarray(scale_of(statistics))}
    parts = {name: policy.parameters.get(name, {}) for name in ("encoder", "decoder")}
    if setup.networks.use.acts == "latent":
        parts = {"policy": parts["decoder"], "decoder": setup.networks.given}
    for part, tree in parts.items():
        layers = dict(tree.get("params", {}))
        hidden = layers.pop("hidden", {})
        for name, layer in {**hidden, **layers}.items():
            arrays |= {f"{part}/{name}/{kind}": np.asarray(values) for kind, values in layer.items()}
    return arrays


def _facts(setup: Setup) -> dict[str, Any]:
    """What a program needs to use the policy."""
    task, body, use = setup.task, setup.task.body, setup.networks.use
    mapping, ends = task.config.action, np.array([[-1.0], [1.0]], np.float32) * np.ones(body.model.nu, np.float32)
    ranged = mapping in ("affine", "reference")
    low, high = np.asarray(to_ctrl(body, ends, mapping, task.config.action_range)) if ranged else body.ctrl_range
    observed = {
        part: [[term, len(list(of))] for term, of in groupby(task.observed_by(setup.followed, part))]
        for part in ("reference", "proprioception")
    }
    return {
        "generator": generator(),
        "model_name": setup.clips.model_name,
        "body_sha256": hashlib.sha256(body.arena.mjcf_xml.encode()).hexdigest(),
        "ctrl_dt_s": body.ctrl_dt,
        "n_substeps": body.arena.n_substeps,
        "window": list(task.config.window),
        "observations": observed,
        "actuators": list(body.actuators),
        "action": {"mapping": mapping, "ctrl_low": low.tolist(), "ctrl_high": high.tolist()},
        "latent": setup.config.network.latent if use.acts == "latent" else setup.networks.config.latent,
        "latent_span": use.latent_span,
        "hold_steps": use.hold_steps(body.ctrl_dt),
    }


class _Graph:
    """Nodes and constants of an ONNX graph, as they are added."""

    def __init__(self, onnx: Any, arrays: Arrays) -> None:
        self.onnx, self.arrays = onnx, arrays
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}

    def constant(self, name: str, values: Any) -> str:
        """Add a constant, once."""
        self.constants[name] = np.asarray(values, np.float32)
        return name

    def node(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        output = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def normalized(self, part: str) -> str:
        """Scale an observation as `track_mjx.policy.policy.normalize` does."""
        mean, scale = (self.constant(f"{part}/{kind}", self.arrays[f"{part}/{kind}"]) for kind in ("mean", "scale"))
        low, high = self.constant("lowest", -CLIP), self.constant("highest", CLIP)
        return self.node("Clip", self.node("Mul", self.node("Sub", part, mean), scale), low, high)

    def dense(self, x: str, layer: str) -> str:
        """Add an affine layer."""
        weights = [self.constant(f"{layer}/{kind}", self.arrays[f"{layer}/{kind}"]) for kind in ("kernel", "bias")]
        return self.node("Gemm", x, *weights)

    def network(self, x: str, part: str, last: str) -> str:
        """Add the hidden layers of a part, and the first half of its last layer's output: the mean."""
        for i in range(sum(name.startswith(f"{part}/dense_") for name in self.arrays) // 2):
            x = self.dense(x, f"{part}/dense_{i}")
            x = self.node("Mul", x, self.node("Sigmoid", x))
            if f"{part}/norm_{i}/scale" in self.arrays:
                norm = [self.constant(f"{part}/norm_{i}/{k}", self.arrays[f"{part}/norm_{i}/{k}"]) for k in _NORM]
                x = self.node("LayerNormalization", x, *norm, axis=-1, epsilon=_EPSILON)
        layer = f"{part}/{last}"
        width = self.arrays[f"{layer}/bias"].shape[0] // 2
        for kind in ("kernel", "bias"):
            self.arrays[f"{layer}/mean/{kind}"] = self.arrays[f"{layer}/{kind}"][..., :width]
        return self.dense(x, f"{layer}/mean")

    def ctrl(self, mapping: dict[str, Any]) -> None:
        """Add the controls of the action."""
        low, high = (np.asarray(mapping[f"ctrl_{end}"], np.float32) for end in ("low", "high"))
        if mapping["mapping"] == "tanh_clip":
            ends = [self.constant(name, values) for name, values in (("ctrl_low", low), ("ctrl_high", high))]
            self.node("Max", self.node("Min", "action", ends[1]), ends[0], output="ctrl")
            return
        half, middle = self.constant("ctrl_half", (high - low) / 2), self.constant("ctrl_middle", (high + low) / 2)
        self.node("Add", self.node("Mul", "action", half), middle, output="ctrl")


_NORM = ("scale", "bias")


def onnx_model(onnx: Any, part: str, arrays: Arrays, facts: dict[str, Any]) -> Any:
    """The ONNX model of the whole policy, or of its decoder."""
    helper, graph = onnx.helper, _Graph(onnx, dict(arrays))
    sizes = {name: arrays[f"{name}/mean"].shape[0] for name in ("reference", "proprioception")}
    sizes |= {"latent": facts["latent"], "action": len(facts["actuators"]), "ctrl": len(facts["actuators"])}
    inputs, outputs = ["reference", "proprioception"], ["action"]
    if part == "decoder":
        first, inputs = "latent", ["latent", "proprioception"]
    elif "policy/action/bias" in arrays:  # a decision times the span is the latent of a decoder of another run
        observed = graph.node("Concat", graph.normalized("reference"), graph.normalized("proprioception"), axis=-1)
        decision = graph.node("Tanh", graph.network(observed, "policy", "action"))
        first = graph.node("Mul", decision, graph.constant("latent_span", facts["latent_span"]), output="latent")
        outputs.append("latent")
    elif facts["latent"]:
        mean = graph.network(graph.normalized("reference"), "encoder", "latent")
        first = graph.node("Identity", mean, output="latent")
        outputs.append("latent")
    else:
        first = graph.normalized("reference")
    together = graph.node("Concat", first, graph.normalized("proprioception"), axis=-1)
    graph.node("Tanh", graph.network(together, "decoder", "action"), output="action")
    if facts["action"]["mapping"] != "offset":  # those controls also depend on the reference
        graph.ctrl(facts["action"])
        outputs.append("ctrl")
    ends = [
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["row", sizes[name]]) for name in names]
        for names in (inputs, outputs)
    ]
    constants = [onnx.numpy_helper.from_array(values, name) for name, values in graph.constants.items()]
    made = helper.make_model(
        helper.make_graph(graph.nodes, part, *ends, constants),
        producer_name="track-mjx",
        ir_version=_IR_VERSION,
        opset_imports=[helper.make_opsetid("", _OPSET)],
    )
    helper.set_model_props(made, {"track_mjx": json.dumps(facts)})
    onnx.checker.check_model(made, full_check=True)
    return made


def _import_onnx() -> Any:
    try:
        import onnx
        import onnx.numpy_helper
    except ImportError as error:
        raise ConfigError("onnx is not installed; run: pip install 'track-mjx[onnx]'") from error
    return onnx
