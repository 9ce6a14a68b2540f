"""The server below the application: connections whose headers come in time and end somewhere, and no pauses."""

from __future__ import annotations

import asyncio
import gc
import socket
from importlib.util import find_spec
from typing import Any

import uvicorn
from fastapi import FastAPI

from oracle.api.guard import HEADER_BYTES

HEAD_SECONDS = 20.0  # for the headers of a request
_REQUEST_LINE = 8 * 1024


class Bounded:
    """Uvicorn waits for the end of headers for ever, and its faster parser takes any number of them. This ends both.

    A request that has begun has a `cycle`; until then whatever comes is a part of its headers.
    """

    cycle: Any
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    head_seconds = HEAD_SECONDS
    _came = 0
    _due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)  # type: ignore[misc]
        self._expect()

    def data_received(self, data: bytes) -> None:
        if self._between:
            self._came += len(data)
            if self._due is None:
                self._expect()
        super().data_received(data)  # type: ignore[misc]
        if not self._between:
            self._came = 0
            self._forget()
        elif self._came > HEADER_BYTES + _REQUEST_LINE:
            self._refuse(b"431 Request Header Fields Too Large")

    def connection_lost(self, error: Exception | None) -> None:
        self._forget()
        super().connection_lost(error)  # type: ignore[misc]

    @property
    def _between(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _expect(self) -> None:
        self._due = self.loop.call_later(self.head_seconds, self._refuse, b"408 Request Timeout")

    def _forget(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _refuse(self, status: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 " + status + b"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            self.transport.close()


def protocol() -> type[asyncio.Protocol]:
    """Of the faster parser where it is installed."""
    if find_spec("httptools") is not None:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as Faster

        return type("BoundedHttpTools", (Bounded, Faster), {})

    from uvicorn.protocols.http.h11_impl import H11Protocol

    return type("BoundedH11", (Bounded, H11Protocol), {})


class Server(uvicorn.Server):
    """Looks for garbage in what calls leave behind, not in a million objects of libraries: that took a sixth of a
    second every few hundred calls."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.collect()
        gc.freeze()


def config(app: FastAPI, host: str, port: int) -> uvicorn.Config:
    return uvicorn.Config(app, host=host, port=port, http=protocol(), log_config=None, access_log=False)


def listen(app: FastAPI, host: str, port: int) -> None:
    """Until SIGTERM."""
    Server(config(app, host, port)).run()
