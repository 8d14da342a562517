"""Figures that show the body: offsets on it, its worst frames. Call them inside `plot_style.drawing`."""

from __future__ import annotations

import mujoco
import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure

from stac_mjx._common.figures import GREY, INK, ON_BODY, RECORDED, RED, Margins, label, panels
from stac_mjx._common.render.shapes import Shapes, outlines
from stac_mjx.records import Offsets, ReferenceClips
from stac_mjx.report.accuracy import rms_per_frame, three_digits, usable
from stac_mjx.report.error_plots import WIDTH, legend_above

N_WORST = 4
NAMED = 3
"""Keypoints of a worst frame that are named with their distance."""
LISTED = 14
"""Offsets listed next to the body."""
_APART_S = 0.25
"""Worst frames are at least this far apart, or they would all show one event."""
_VIEWS = (
    ("seen from the side (x right, z up)", np.array([[1.0, 0, 0], [0, 0, 1.0]])),
    ("seen from the front (y right, z up)", np.array([[0, 1.0, 0], [0, 0, 1.0]])),
    ("seen from above (x right, y up)", np.array([[1.0, 0, 0], [0, 1.0, 0]])),
)


def offsets_on_body(
    clips: ReferenceClips, offsets: Offsets | None, model: mujoco.MjModel, shapes: Shapes
) -> Figure | None:
    """Draw the keypoints before and after calibration on the body as its MJCF poses it; None without offsets."""
    names, on, final, initial = _offsets(clips, offsets)
    if final is None or on is None:
        return None
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    xpos, turn = data.xpos * clips.info.length_unit_m, data.xmat.reshape(-1, 3, 3)
    bodies = np.array([clips.names_xpos.index(name) for name in on])
    after = xpos[bodies] + np.einsum("kij,kj->ki", turn[bodies], final)
    before = None if initial is None else xpos[bodies] + np.einsum("kij,kj->ki", turn[bodies], initial)
    drawn = np.array([*bodies, *(clips.names_xpos.index(b) for b in (clips.info.root_body,) if b in clips.names_xpos)])
    geoms = np.isin(shapes.body, drawn)
    owner = shapes.body[geoms]
    around = xpos[owner][:, None] + np.einsum("gij,gpj->gpi", turn[owner], shapes.points[geoms])
    shown = np.concatenate([after if before is None else before, after, xpos[drawn], around.reshape(-1, 3)])
    figure, axes = panels(
        WIDTH, 7.4, Margins(left=0.65, top=0.6, between_rows=0.75, between_columns=0.75), rows=2, columns=2
    )
    for ax, (title, view) in zip((axes[0][0], axes[0][1], axes[1][0]), _VIEWS, strict=True):
        draw_body(ax, shapes, (xpos, data.xquat), view)
        hang = np.stack([xpos[bodies], after], axis=1) @ view.T * 1000
        ax.add_collection(LineCollection(list(hang), colors=GREY, lw=0.6, linestyles=":"))
        _offset_arrows(ax, after @ view.T * 1000, None if before is None else before @ view.T * 1000)
        frame_points(ax, shown @ view.T)
        ax.set_title(title)
        ax.set_xlabel("mm")
    moved = None if initial is None else 1000 * np.linalg.norm(final - initial, axis=1)
    _offset_list(axes[1][1], names, 1000 * np.linalg.norm(final, axis=1), moved)
    start = "" if before is None else "; arrow from the initial to the calibrated place"
    text = f"{len(names)} keypoints on the body in its reference pose{start}; dotted: to the origin of its body"
    figure.text(0.01, 0.982, text, fontsize=9, va="top")
    return figure


def _offsets(
    clips: ReferenceClips, offsets: Offsets | None
) -> tuple[tuple[str, ...], tuple[str, ...] | None, np.ndarray | None, np.ndarray | None]:
    """Return keypoint names, their bodies, calibrated and initial offsets; from the clips without an offsets file."""
    if offsets is not None and set(offsets.kp_body) <= set(clips.names_xpos):
        return offsets.kp_names, offsets.kp_body, np.asarray(offsets.offsets), np.asarray(offsets.offset_initial)
    final = None if clips.offsets is None else np.asarray(clips.offsets)
    return clips.kp_names, clips.kp_body, final, None


def _offset_arrows(ax: Axes, after: np.ndarray, before: np.ndarray | None) -> None:
    if before is not None:
        ax.add_collection(LineCollection(list(np.stack([before, after], axis=1)), colors=INK, lw=1.0))
        ax.plot(*before.T, "o", ms=4, mfc="white", mec=INK, mew=0.8, ls="")
    ax.plot(*after.T, "o", ms=4.5, color=ON_BODY, mec="white", mew=0.5, ls="")


def _offset_list(ax: Axes, names: tuple[str, ...], length: np.ndarray, moved: np.ndarray | None) -> None:
    """Draw bars of the offsets that moved most, or of the longest where the initial ones are unknown."""
    order = np.argsort(-(length if moved is None else moved), kind="stable")[:LISTED]
    y = np.arange(len(order))
    ax.barh(y - 0.2, length[order], height=0.38, color=ON_BODY, alpha=0.45, label="from the body's origin")
    if moved is not None:
        ax.barh(y + 0.2, moved[order], height=0.38, color=INK, label="moved")
    ax.set_yticks(y, [label(names[k], 18) for k in order], fontsize=8)
    ax.set(ylim=(max(len(order), 4) - 0.4, -0.6), xlabel="mm")
    ax.grid(axis="x")
    legend_above(ax)
    what = "longest offsets" if moved is None else "offsets that moved most"
    ax.set_title(f"the {len(order)} {what}" if len(order) < len(names) else "offsets", pad=20)
    box = ax.get_position()
    ax.set_position((box.x0 + 0.09, box.y0, box.width - 0.09, box.height * 0.93))


def draw_body(ax: Axes, shapes: Shapes, pose: tuple[np.ndarray, np.ndarray], view: Float[np.ndarray, "2 3"]) -> None:
    """Draw outlines of a posed body (xpos in metres, xquat) and lines between its bodies, in mm."""
    xpos, xquat = pose
    if len(shapes.body):
        polygons = outlines(shapes, xpos, xquat, view) * 1000
        ax.add_collection(PolyCollection(list(polygons), facecolors="#E4E4E4", edgecolors="#BBBBBB", lw=0.4))
    if len(shapes.body) < len(shapes.links):
        lines = xpos[shapes.links] @ view.T * 1000
        ax.add_collection(LineCollection(list(lines), colors="#BBBBBB", lw=1.5))


def frame_points(ax: Axes, points: Float[np.ndarray, "point 2"], spare: float = 0.12) -> None:
    """Show all of these points (metres) in one scale, in mm, filling the axes."""
    points = points[np.isfinite(points).all(axis=1)] * 1000
    low, high = points.min(axis=0), points.max(axis=0)
    box = ax.get_position()
    wide, high_in = ax.figure.get_size_inches() * (box.width, box.height)  # type: ignore[union-attr]
    scale = max((high - low).max() * 0.05, (high - low)[0] / wide, (high - low)[1] / high_in, 1e-6) * (1 + 2 * spare)
    half = np.array([wide, high_in]) * scale / 2
    centre = (low + high) / 2
    ax.set_xlim(centre[0] - half[0], centre[0] + half[0])
    ax.set_ylim(centre[1] - half[1], centre[1] + half[1])
    ax.locator_params(nbins=5)


def worst_frames(clips: ReferenceClips, shapes: Shapes) -> Figure | None:
    """Draw the frames with the largest errors, from the side and from above; None without keypoints."""
    distances = clips.error_mm
    error = np.where(usable(clips), rms_per_frame(distances), np.nan)
    chosen = pick_worst(error, clips.frame_clip, round(_APART_S * float(clips.info.rate_hz or 1.0)))
    if not len(chosen):
        return None
    margins = Margins(left=0.45, right=0.1, top=1.25, bottom=0.35, between_columns=0.4, between_rows=0.35)
    figure, axes = panels(WIDTH, 6.1, margins, rows=2, columns=N_WORST)
    for column in range(N_WORST):
        if column >= len(chosen):
            axes[0][column].axis("off")
            axes[1][column].axis("off")
            continue
        frame = int(chosen[column])
        for row, view in enumerate(_own_views(clips.kp_data[frame])):
            _draw_frame(axes[row][column], clips, frame, shapes, view)
        _name_worst(axes[0][column], clips, distances[frame])
        clip = "" if len(clips.clip_name) == 1 else f"{label(clips.clip_name[int(clips.frame_clip[frame])], 20)}, "
        title = f"{clip}{clips.time[frame]:.2f} s\nrms {three_digits(float(error[frame]))} mm"
        axes[0][column].set_title(title, fontsize=8.5, pad=40)
    text = f"worst of {clips.n_frames:,} frames; upper row from the side, lower from above; mm; orange: "
    text += f"{len(clips.kp_names)} recorded keypoints, blue: their sites, red: between them"
    figure.text(0.01, 0.982, text, fontsize=9, va="top")
    return figure


def pick_worst(
    error: Float[np.ndarray, " frame"], clip: Int[np.ndarray, " frame"], apart: int
) -> Int[np.ndarray, " few"]:
    """Return the frames of largest error, worst first, those of one clip more than `apart` frames from each other."""
    left = np.where(np.isfinite(error), error, -np.inf)
    chosen: list[int] = []
    while len(chosen) < N_WORST and np.isfinite(left.max(initial=-np.inf)):
        frame = int(left.argmax())
        chosen.append(frame)
        near = slice(max(0, frame - apart), frame + apart + 1)
        left[near] = np.where(clip[near] == clip[frame], -np.inf, left[near])
    return np.array(chosen, np.int64)


def _own_views(points: Float[np.ndarray, "keypoint 3"]) -> tuple[np.ndarray, np.ndarray]:
    """Return views from the side and from above, rotated about z so that the animal is along the page."""
    flat = points[np.isfinite(points).all(axis=1)][:, :2]
    along = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=True)[2][0]
    across = np.array([-along[1], along[0], 0.0])
    along = np.array([*along, 0.0])
    return np.stack([along, (0.0, 0.0, 1.0)]), np.stack([along, across])


def _draw_frame(ax: Axes, clips: ReferenceClips, frame: int, shapes: Shapes, view: np.ndarray) -> None:
    recorded, sites = clips.kp_data[frame] @ view.T, clips.marker_sites[frame] @ view.T
    draw_body(ax, shapes, (clips.xpos[frame], clips.xquat[frame]), view)
    for points, colour in ((sites, ON_BODY), (recorded, RECORDED)):
        lines = [points[[a, b]] * 1000 for a, b in clips.skeleton]
        ax.add_collection(LineCollection(lines, colors=colour, lw=0.8, alpha=0.7))
    ax.add_collection(LineCollection(list(np.stack([recorded, sites], axis=1) * 1000), colors=RED, lw=1.2))
    ax.plot(*(sites.T * 1000), "o", ms=3, color=ON_BODY, ls="")
    ax.plot(*(recorded.T * 1000), "o", ms=3, color=RECORDED, ls="")
    frame_points(ax, np.concatenate([recorded, sites]), 0.2)
    ax.tick_params(labelsize=7)


def _name_worst(ax: Axes, clips: ReferenceClips, distances: Float[np.ndarray, " keypoint"]) -> None:
    worst = np.argsort(-np.where(np.isfinite(distances), distances, -1.0), kind="stable")[:NAMED]
    lines = [
        f"{label(clips.kp_names[k], 18)} {three_digits(float(distances[k]))}"
        for k in worst
        if np.isfinite(distances[k])
    ]
    ax.text(0, 1.02, "\n".join(lines), transform=ax.transAxes, fontsize=7.5, va="bottom", color=RED, linespacing=1.1)
