"""Generate the tables of these pages from the JSON in common/hdf5/schemas.

Run ``python docs/schema/refresh.py`` after changing a JSON file; a test fails while a page is out of date. The copies
in the packages are written by ``python scripts/sync_common.py``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
SCHEMAS = FOLDER.parents[1] / "common/hdf5/schemas"
KINDS = ("reference_clips", "offsets", "rollouts")
START, END = "<!-- tables: start -->", "<!-- tables: end -->"


def page_name(kind: str) -> str:
    """Return the file name of the machine-readable page of a kind."""
    [page] = SCHEMAS.glob(f"mimic.{kind}-*.json")
    return page.name


def tables(kind: str) -> str:
    """Return Markdown tables of one kind's attributes, dimensions and data sets."""
    page = json.loads((SCHEMAS / page_name(kind)).read_text(encoding="utf-8"))
    out = ["### Attributes of the file", "", "| attribute | | type | meaning |", "|---|---|---|---|"]
    for name, rule in page["attributes"].items():
        out.append(f"| `{name}` | {rule['level'].upper()} | {rule['type']} | {rule['meaning']} |")
    out += ["", "### Dimensions", "", "| dimension | type | meaning |", "|---|---|---|"]
    for name, rule in page["dims"].items():
        unit = f", {rule['units']}" if rule.get("units") else ""
        out.append(f"| `{name}` | {rule['dtype']}{unit} | {rule['meaning']} |")
    out += ["", "### Data sets", "", "| data set | | dimensions | type, unit | meaning |", "|---|---|---|---|---|"]
    out += [dataset_row(path, rule) for path, rule in page["datasets"].items()]
    out += ["", "### Rules across data sets", ""]
    out += [f"- {CHECKS[name]}" for name in page["checks"]]
    return "\n".join(out)


def dataset_row(path: str, rule: dict[str, Any]) -> str:
    """Return one line of the table of data sets."""
    meaning = rule["meaning"]
    if isinstance(rule.get("flags"), dict):
        pairs = zip(rule["flags"]["values"], rule["flags"]["meanings"], strict=True)
        meaning += "; flags: " + ", ".join(f"{value} {word}" for value, word in pairs)
    elif rule.get("flags") == "any":
        meaning += "; flags of the file"
    if rule.get("finite"):
        meaning += {"always": "; finite", "where valid": "; finite where valid", "may be NaN": ""}[rule["finite"]]
    bounds = [
        f"{word} {rule[key]}" for key, word in (("minimum", ">="), ("above", ">"), ("maximum", "<=")) if key in rule
    ]
    meaning += "; " + ", ".join(bounds) if bounds else ""
    if rule.get("attributes"):
        meaning += "; attributes: " + ", ".join(f"`{name}`" for name in rule["attributes"])
    unit = f", {rule['units']}" if rule.get("units") else ""
    dims = ", ".join(rule["dims"]) or "scalar"
    return f"| `{path}` | {rule['level'].upper()} | {dims} | {rule['dtype']}{unit} | {meaning} |"


CHECKS = {
    "clip_names_unique": "Clip names MUST be unique and not empty.",
    "clips_contiguous": "Clips MUST be stored end to end and fill the frame axis; `frame_clip` MUST agree.",
    "time_follows_rate": "`time` MUST be the frame's number in its clip over `rate_hz`.",
    "quaternions_unit": "Quaternions, in `xquat` and in `qpos`, MUST have unit length to 1e-4.",
    "residual_follows": "`residual` MUST be the distance from `kp_data` to `marker_sites`, NaN where either is.",
    "missing_has_no_weight": "`kp_confidence` MUST be 0 where `kp_data` is NaN.",
    "model_hash": "`model_sha256` MUST be the hash of the enclosed MJCF and assets.",
    "model_compiles": "The MJCF MUST compile with the enclosed assets and name nothing outside them.",
    "names_follow_model": "`names_qpos`, `names_qvel`, `names_xpos` and `actuator` MUST be the model's, in its order.",
    "units_follow_model": "`column_units` of qpos and qvel MUST be those of the model's joints.",
    "bodies_exist": "Every body named in the file MUST be one of the model's.",
    "skeleton_exists": "`skeleton` MUST name keypoints of the file.",
    "poses_follow_model": "MuJoCo's kinematics of `qpos`, times `length_unit_m`, MUST give `xpos` within 1e-5 of the "
    "body's length (the diagonal of the box around all bodies at qpos0) plus float32 rounding, "
    "and `xquat` within 1e-3 rad.",
    "sites_follow_offsets": "Where `kp_body` and `offsets` are given, `marker_sites` MUST be the offsets moved with "
    "their bodies.",
    "rollout_times": "`ctrl_dt_s` MUST be `n_substeps` x `sim_dt_s`, `rate_hz` its inverse; `state_time` MUST have one "
    "element more than `step_time`, both on a grid of `ctrl_dt_s` from 0.",
    "rollout_valid_prefix": "`valid` MUST be ones, then zeros; `terminated` MAY be 1 in the last valid step only.",
    "rollout_reference": "Every reference clip MUST lie within the reference frames.",
}


def render(kind: str) -> str:
    """Return the page of a kind with its tables up to date."""
    text = (FOLDER / f"{kind}.md").read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    return f"{before}{START}\n\n{tables(kind)}\n\n{END}{rest.partition(END)[2]}"


def main() -> None:
    """Rewrite the tables."""
    for kind in KINDS:
        (FOLDER / f"{kind}.md").write_text(render(kind), encoding="utf-8")


if __name__ == "__main__":
    main()
