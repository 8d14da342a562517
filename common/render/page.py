"""What the pages of both studios share: where they are served, and clicks and lines on their plots over time."""

from __future__ import annotations

import errno
import secrets
import socket
import webbrowser
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import numpy as np

from ..errors import OutputError
from ..figures import BLUE
from .gate import open_gate
from .settings import PageConfig
from .web import Server

LOCAL = ("127.0.0.1", "localhost", "::1")
PORTS = 100
"""Ports tried after one in use."""
GO_TO = "Go to"
"""The field that clicks on plots, time lines and elements with ``data-go`` fill."""
_SCRIPT = """
if (!window.mimicGo) {
  window.mimicGo = (text) => {
    let node = [...document.querySelectorAll('label')].find((one) => one.textContent === 'Go to');
    while (node && !node.querySelector('input')) node = node.parentElement;
    const input = node && node.querySelector('input');
    if (!input) return;
    const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set;
    set.call(input, input.value === text ? text + ' ' : text);
    input.dispatchEvent(new Event('input', {bubbles: true}));
  };
  document.addEventListener('click', (event) => {
    const over = event.target.closest('.u-over'), strip = event.target.closest('.mimic-strip svg');
    const named = event.target.closest('[data-go]');
    const charts = Object.values((window.__viserTestpoints || {}).uplots || {}).map((one) => one.chart);
    const chart = over && charts.find((one) => one.over === over);
    if (named) window.mimicGo(named.dataset.go);
    if (chart) window.mimicGo(String(Math.max(0, Math.round(
      chart.posToVal(event.clientX - over.getBoundingClientRect().left, 'x')))));
    if (strip) {
      const box = strip.getBoundingClientRect(), last = strip.parentElement.dataset.frames - 1;
      window.mimicGo(String(Math.round(last * (event.clientX - box.left) / box.width)));
    }
  }, true);
  document.addEventListener('click', (event) => {
    const pressed = event.detail && event.target.closest('[role=tab], button');
    if (pressed) pressed.blur();
  });
  let shown;
  setInterval(() => {
    const now = document.querySelector('[data-frame]'), frame = now && Number(now.dataset.frame);
    if (!now || frame === shown) return;
    shown = frame;
    for (const {chart} of Object.values((window.__viserTestpoints || {}).uplots || {}))
      if (frame >= chart.scales.x.min && frame <= chart.scales.x.max)
        chart.setCursor({left: chart.valToPos(frame, 'x'), top: 5});
  }, 80);
  document.addEventListener('keydown', (event) => {
    if (/INPUT|TEXTAREA/.test(event.target.tagName) || !'[]'.includes(event.key)) return;
    document.dispatchEvent(new KeyboardEvent('keydown',
      {key: event.key === '[' ? 'PageUp' : 'PageDown', bubbles: true}));
  });
}
"""


def script() -> str:
    """Return the element that brings clicks on plots and time lines to the field `GO_TO`, and [ ] to the page keys.

    A button or tab that is clicked gives up the keyboard, so that arrows and space are keys of the page.
    """
    return f'<img src="data:," style="display:none" onerror="{escape(_SCRIPT)}">'


def strip(drawing: str, n_frames: int) -> str:
    """Return a time line that is clicked to go to a frame; `drawing` is SVG of 300 x 12 units."""
    return (
        f"<div class='mimic-strip' data-frames='{n_frames}' style='padding:0 10px;cursor:pointer'>"
        "<svg viewBox='0 0 300 12' preserveAspectRatio='none' style='width:100%;height:14px;background:#f1f3f5;"
        f"display:block'>{drawing}</svg></div>"
    )


def cursor(frame: int, n_frames: int) -> str:
    """Return a line over the strip that follows, at a frame; the plots follow it."""
    part = 100 * frame / max(n_frames - 1, 1)
    return (
        f"<div data-frame='{frame}' style='position:relative;height:0;margin:0 10px'>"
        f"<div style='position:absolute;top:0;height:14px;left:{part:.2f}%;border-left:2px solid {BLUE}'></div></div>"
    )


def small(text: str) -> str:
    """Return a paragraph in the size of the controls."""
    return f"<div style='font-size:12px;padding:2px 10px 6px;line-height:1.4'>{text}</div>"


def listen(config: PageConfig, title: str) -> tuple[Server, str]:
    """Serve at a host and port; return the server and the address to open. Other machines need a token."""
    listener, used = _bound(config.host, config.port)
    if config.host in LOCAL:
        listener.close()
        return Server(config.host, used, title), f"http://{config.host}:{used}"
    server, token = Server("127.0.0.1", 0, title), secrets.token_urlsafe(24)
    open_gate(listener, server.get_port(), token)
    name = socket.gethostname() if config.host in ("0.0.0.0", "::") else config.host
    return server, f"http://{name}:{used}/?token={token}"


def _bound(host: str, port: int) -> tuple[socket.socket, int]:
    """Return a socket bound to a port, or to one of the next where it is in use."""
    for one in range(port, min(port + PORTS, 65536)) if port else [0]:
        try:
            listener = socket.create_server((host, one))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            raise OutputError(f"studio.host={host}: cannot be served: {error.strerror or error}") from error
        return listener, listener.getsockname()[1]
    raise OutputError(f"studio.port={port}: in use, and so are the next {PORTS}")


def announce(config: PageConfig, address: str, say: Callable[[str], None]) -> None:
    """Say where the page is, and open it."""
    if config.port and f":{config.port}" not in address:
        say(f"port {config.port} is in use")
    say(f"open {address} in a browser; Ctrl-C stops")
    if config.browser:
        webbrowser.open(address)


def scales(curves: Sequence[np.ndarray]) -> dict[str, Any]:
    """Scales of a plot over numbers; uPlot itself would draw nothing where a value is missing."""
    known = np.concatenate([curve[np.isfinite(curve)] for curve in curves] or [np.empty(0)])
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    room = 0.05 * (high - low) or 0.5
    return {"x": {"time": False}, "y": {"range": (low - room, high + room)}}
