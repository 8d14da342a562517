"""A headless chromium that tests drive over its DevTools protocol: open, click, drag, type, look."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

OPTIONS = ("--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-first-run",
           "--remote-debugging-port=0", "--disable-dev-shm-usage", "--hide-scrollbars", "--mute-audio")  # fmt: skip


class Page:
    """One tab."""

    def __init__(self, socket: Any, session: str) -> None:
        self._socket, self._session, self._ids = socket, session, itertools.count(1)

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Call the browser and return its answer."""
        number = next(self._ids)
        message = {"id": number, "method": method, "params": params}
        self._socket.send(json.dumps(message | ({"sessionId": self._session} if self._session else {})))
        while True:
            answer = json.loads(self._socket.recv(timeout=60))
            if answer.get("id") == number and answer.get("sessionId", "") == self._session:
                assert "error" not in answer, answer
                return answer["result"]

    def evaluate(self, script: str) -> Any:
        """Return the value of a JavaScript expression."""
        result = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def open(self, address: str, size: tuple[int, int] = (1280, 720)) -> None:
        """Open an address."""
        self.resize(size)
        self.send("Page.navigate", url=address)

    def resize(self, size: tuple[int, int]) -> None:
        """Set the size of the page."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1, mobile=False
        )

    def mouse(self, kind: str, x: float, y: float, button: str = "left", held: int = 0) -> None:
        """Send one event of the mouse."""
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, buttons=held, clickCount=1)

    def click(self, x: float, y: float) -> None:
        """Click a place."""
        self.mouse("mouseMoved", x, y, "none")
        self.mouse("mousePressed", x, y, held=1)
        self.mouse("mouseReleased", x, y)

    def drag(self, start: tuple[float, float], stop: tuple[float, float], steps: int = 8) -> None:
        """Drag from a place to another."""
        self.mouse("mouseMoved", *start, "none")
        time.sleep(0.3)
        self.mouse("mousePressed", *start, held=1)
        for part in range(1, steps + 1):
            x, y = (a + (b - a) * part / steps for a, b in zip(start, stop, strict=True))
            self.mouse("mouseMoved", x, y, held=1)
            time.sleep(0.05)
        self.mouse("mouseReleased", *stop)

    def key(self, key: str, code: str = "") -> None:
        """Press a key."""
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=code or key)

    def place_of(self, finder: str) -> tuple[float, float]:
        """Return the middle of the element that a JavaScript expression finds, scrolled into view."""
        box = self.evaluate(
            f"(() => {{const e = {finder}; e.scrollIntoView({{block: 'center'}}); const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]})()"
        )
        return box[0], box[1]

    def finder(self, text: str) -> str:
        """Return the JavaScript expression that finds the button, tab or option of a text."""
        kinds = "button, [role=option], [role=tab]"
        return f"[...document.querySelectorAll({kinds!r})].find(e => e.textContent.trim() === {json.dumps(text)})"

    def press(self, text: str) -> None:
        """Click the button, tab or option of a text."""
        finder = self.finder(text)
        self.wait(f"!!{finder}")
        self.click(*self.place_of(finder))

    def text(self) -> str:
        """Return the visible text."""
        return self.evaluate("document.body.innerText")

    def wait(self, script: str, seconds: float = 30.0) -> Any:
        """Wait until an expression is true, and return it."""
        return until(lambda: self.evaluate(script), seconds, script)

    def drawn(self, pictures: int = 3) -> None:
        """Wait until the page has been drawn some times."""
        for _ in range(pictures):
            self.evaluate("new Promise((done) => requestAnimationFrame(() => done(true)))")

    def picture(self, path: Path) -> None:
        """Save a screenshot, without the notice that the processor draws."""
        self.evaluate("document.querySelectorAll('[class*=Notification-closeButton]').forEach((one) => one.click())")
        self.wait("!document.querySelector('[class*=Notification-closeButton]')")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))


def until(ready: Callable[[], Any], seconds: float, what: str = "") -> Any:
    """Wait until something is true, and return it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = ready()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {what}")


@contextmanager
def chromium(folder: Path, *options: str) -> Iterator[Callable[[], Page]]:
    """Start a browser; what it yields opens a tab. Skip where there is none."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no chromium: install it (Debian: apt-get install chromium) to test the page")
    profile = folder / "profile"
    process = subprocess.Popen(
        [program, *OPTIONS, *options, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | {"HOME": str(folder)},
    )  # fmt: skip
    try:
        chosen = profile / "DevToolsActivePort"
        until(lambda: chosen.is_file() and len(chosen.read_text().split()) == 2, 30, "chromium")
        port, path = chosen.read_text().split()
        with connect(f"ws://127.0.0.1:{port}{path}", max_size=None) as socket:
            browser = Page(socket, "")

            def tab() -> Page:
                target = browser.send("Target.createTarget", url="about:blank")["targetId"]
                session = browser.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
                page = Page(socket, session)
                page.send("Page.enable")
                return page

            yield tab
    finally:
        process.terminate()
        process.wait(10)
