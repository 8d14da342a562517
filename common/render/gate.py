"""A gate in front of a local server: lets a browser through once it has shown the token in the address.

The first request, ``/?token=TOKEN``, is answered with a cookie and sent on to ``/``; every later connection must carry
the cookie. All others get 403. Connections are passed on unchanged, WebSockets included.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import re
import socket
import threading

_HEAD_BYTES = 1 << 16
_COOKIE = re.compile(rb"\r\ncookie:[^\r]*?\bmimic_token=([\w-]+)", re.IGNORECASE)
_QUERY = re.compile(rb"^GET /\?token=([\w-]+) ")
_DENIED = (
    b"HTTP/1.1 403 Forbidden\r\nContent-Length: 37\r\nConnection: close\r\n\r\nopen the address with its ?token=...\n"
)


def open_gate(listener: socket.socket, port: int, token: str) -> None:
    """Pass connections on a bound socket to a `port` of this machine, in a thread, for those who know the token."""

    async def serve() -> None:
        async def entered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                await _pass_on(reader, writer, port, token.encode())
            writer.close()

        server = await asyncio.start_server(entered, sock=listener, limit=_HEAD_BYTES)
        await server.serve_forever()

    threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, token: bytes) -> None:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    shown, cookie = _QUERY.search(head), _COOKIE.search(head)
    if shown and hmac.compare_digest(shown[1], token):
        writer.write(b"HTTP/1.1 303 See Other\r\nLocation: /\r\nContent-Length: 0\r\nConnection: close\r\n")
        writer.write(b"Set-Cookie: mimic_token=" + token + b"; HttpOnly; SameSite=Strict; Path=/\r\n\r\n")
    elif not cookie or not hmac.compare_digest(cookie[1], token):
        writer.write(_DENIED)
    else:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        inner_writer.write(head)
        await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
    await writer.drain()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until either end closes."""
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
