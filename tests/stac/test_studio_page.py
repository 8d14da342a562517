"""A newcomer's path through the page of the studio, in a real browser: from a new body to a saved preset, and back."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from browser import Page, chromium, until
from stac.studio_case import PLACES, SIZE, leg_config
from stac_mjx._common.rotations import to_body
from stac_mjx.cli import main
from stac_mjx.config import StudioConfig, WorkConfig
from stac_mjx.studio.app import AUTOSAVE, Studio
from stac_mjx.studio.serve import open_studio

CURSORS = "Object.values(window.__viserTestpoints.uplots).map((one) => one.chart.cursor.idx)"
GO_TO = "[...document.querySelectorAll('label')].some((one) => one.textContent === 'Go to')"


@contextmanager
def running(config: StudioConfig, out: Path) -> Iterator[tuple[Studio, str]]:
    """A studio that serves."""
    studio, address, _ = open_studio(config, out)
    thread = threading.Thread(target=studio.run, daemon=True)
    thread.start()
    try:
        yield studio, address
    finally:
        studio.stopped.set()
        thread.join()
        studio.server.stop()


def watched(studio: Studio) -> list[float]:
    """Parts of the fit that the page shows from now on."""
    parts, shown = [], studio.changed

    def changed() -> None:
        parts.append(studio.part)
        shown()

    studio.changed = changed
    return parts


def pixel(studio: Studio, page: Page, point: np.ndarray) -> tuple[float, float]:
    """Return where a point of the scene is on the page."""
    (camera, *_) = (client.camera for client in studio.server.get_clients().values())
    x, y, depth = to_body(camera.wxyz, np.asarray(point, float) - camera.position)
    box = page.evaluate(
        "(() => {const b = document.querySelector('canvas').getBoundingClientRect();"
        "return [b.x, b.y, b.width, b.height]})()"
    )
    high = np.tan(camera.fov / 2)
    return (
        box[0] + box[2] * (0.5 + 0.5 * x / depth / (high * camera.aspect)),
        box[1] + box[3] * (0.5 + 0.5 * y / depth / high),
    )


def point_of(studio: Studio, keypoint: str) -> np.ndarray:
    return studio.scene._keypoints.node.batched_positions[studio.session.recording.names.index(keypoint)]


def middle_of(studio: Studio, body: str) -> np.ndarray:
    """A point on the largest geom of a body."""
    view, model = studio.scene._body, studio.session.body.model
    assert view is not None
    number = model.body(body).id
    places = [node.batched_positions[one.body == number] for node, one in zip(view.nodes, view._copies, strict=True)]
    return np.concatenate(places)[0]


@pytest.mark.slow
def test_a_newcomer_registers_a_leg(tmp_path: Path, repository: Path) -> None:
    plain = leg_config(tmp_path)
    config = StudioConfig(**vars(plain), studio=WorkConfig(port=0, browser=False))
    out = tmp_path / "studio"
    pictures = repository / ".pytest_cache" / "studio"  # those of docs/studio.md are made here
    with chromium(tmp_path) as tab, running(config, out) as (studio, address):
        page = tab()
        page.open(address)
        page.wait(GO_TO, 60)
        until(studio.server.get_clients, 60)
        page.wait("document.querySelector('canvas') !== null")
        page.drawn()
        for keypoint, body in (("Hip", "femur"), ("Knee", "tibia"), ("Ankle", "foot")):
            ball, segment = point_of(studio, keypoint), middle_of(studio, body)
            click_until(page, pixel(studio, page, ball), lambda name=keypoint: studio.selected == name)
            click_until(page, pixel(studio, page, segment), lambda name=keypoint: name in studio.session.pairs)
            assert studio.session.pairs[keypoint].body == body
        page.picture(pictures / "pair.png")
        page.press("All by name")
        until(lambda: len(studio.session.pairs) == len(PLACES), 30)
        assert {name: marker.body for name, marker in studio.session.pairs.items()} == {
            name: body for name, (body, _) in PLACES.items()
        }
        page.press("Align")
        page.press("50 frames")
        until(lambda: any(studio.session.config.alignment.translation), 30)
        studio.change(lambda s: s.with_alignment(mode="rigid"))
        page.press("Fit the scale to the recording")
        until(lambda: studio.session.config.body.scale != 1, 30)
        assert studio.session.config.body.scale == pytest.approx(SIZE, rel=0.25)
        page.picture(pictures / "align.png")
        drag_an_offset(studio, page)
        page.press("Fit")
        page.press("Frame")
        until(lambda: studio.solved is not None, 60)
        cancel_a_fit(studio, page)
        parts = watched(studio)
        page.press("Everything")
        until(lambda: studio.solved is not None and studio.solved.registration is not None, 150)
        assert any(0 < part < 1 for part in parts)
        solved = studio.solved
        assert solved is not None
        assert solved.registration is not None
        shown = solved.registration.summary()["mean_error_mm"]
        page.wait(f"document.body.innerText.includes('mean error {shown:.4f} mm')")
        page.drawn()
        x, y = page.place_of("document.querySelector('.u-over')")
        click_until(page, (x + 20, y), lambda: studio.frame > 40)
        frame = studio.frame
        page.wait(f"{CURSORS}.includes({frame})")
        page.key("ArrowRight")
        until(lambda: studio.frame == frame + 1, 30)
        page.wait(f"{CURSORS}.includes({frame + 1})")
        page.picture(pictures / "fit.png")
        page.press("File")
        page.press("Save preset")
        until(lambda: (out / "body" / "leg.yaml").is_file(), 30)
        page.picture(pictures / "file.png")
        page.open(address)  # a reloaded page shows the same state
        page.wait(GO_TO, 60)
        page.wait(f"document.body.innerText.includes('{len(PLACES)} of {len(PLACES) + 1} keypoints paired')")
        other = tab()
        other.open(address, (1920, 1080))
        other.wait(GO_TO, 60)
        until(lambda: len(studio.server.get_clients()) == 2, 60)
        other.drawn()
        other.key(" ", "Space")
        until(lambda: studio.playing, 30)
        other.drawn()
        other.picture(pictures / "large.png")
        until(lambda: (out / AUTOSAVE).is_file(), 5)
        kept = studio.session.pairs
    assert main(["fit", "--config-dir", str(out), "body=leg", f"out={tmp_path / 'fit'}", "report=false"]) == 0
    assert json.loads((tmp_path / "fit" / "fit_summary.json").read_text())["mean_error_mm"] == pytest.approx(
        shown, abs=1e-3
    )
    again, _, notes = open_studio(config, out)  # as after a kill
    again.server.stop()
    assert again.session.pairs == kept
    assert "continued" in notes[0]


def repeat_until(click: Callable[[], None], ready: Callable[[], bool]) -> None:
    """Click; again where software rendering had not drawn yet what is there."""
    for _ in range(5):
        click()
        with suppress(AssertionError):
            until(ready, 5)
            return
    raise AssertionError("a click did nothing")


def click_until(page: Page, place: tuple[float, float], ready: Callable[[], bool]) -> None:
    """Click a place of the scene or of a plot."""
    repeat_until(lambda: page.click(*place), ready)


def cancel_a_fit(studio: Studio, page: Page) -> None:
    """Cancel a fit of everything that cannot end before."""
    button = page.finder("Cancel")
    page.wait(f"!{button}")  # the one of the fit before
    progress, pressed = studio._progress, threading.Event()

    def waiting(stage: str, part: float) -> None:
        progress(stage, part)
        pressed.wait(60)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(studio, "_progress", waiting)
        page.press("Everything")
        repeat_until(lambda: page.press("Cancel"), studio.worker._cancel.is_set)
        pressed.set()
        until(lambda: studio.message == "cancelled", 60, "the end of the fit")
    page.wait(f"!{button}")


def drag_an_offset(studio: Studio, page: Page) -> None:
    """Drag the handle of a selected keypoint along an axis."""
    studio.select("Toe")
    time.sleep(1)
    handle, frame = studio.scene._handle, studio.scene._frame
    before = list(studio.session.pairs["Toe"].offset)
    origin = np.asarray(frame.position) + np.asarray(handle.position)
    for axis in np.eye(3):
        start = pixel(studio, page, origin + 0.6 * handle.scale * axis)
        stop = pixel(studio, page, origin + 1.6 * handle.scale * axis)
        page.drag(start, stop)
        time.sleep(0.5)
        if studio.session.pairs["Toe"].offset != before:
            break
    assert studio.session.pairs["Toe"].offset != before
    past = len(studio.history.past)
    studio.step_back()
    assert studio.session.pairs["Toe"].offset == before
    assert len(studio.history.past) == past - 1
