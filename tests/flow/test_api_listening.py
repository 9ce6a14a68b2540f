"""The server below the application, over real sockets: headers that never come, and headers that never end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import FastAPI

from fixtures.waiting import eventually
from oracle.api.listening import Server, config


@contextmanager
def listening(head_seconds: float) -> Iterator[tuple[str, int]]:
    app = FastAPI()

    @app.get("/well")
    def well() -> str:
        return "well"

    made = config(app, "127.0.0.1", 0)
    made.http.head_seconds = head_seconds  # type: ignore[union-attr]
    server = Server(made)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    eventually("the server listens", lambda: server.started)
    yield server.servers[0].sockets[0].getsockname()
    server.should_exit = True
    thread.join(30)


def answered(connection: socket.socket) -> bytes:
    """Until the server ends the connection."""
    said = b""
    try:
        while piece := connection.recv(4096):
            said += piece
    except ConnectionResetError:
        pass
    return said


def test_headers__that_never_come_to_their_end__then_the_connection_is_ended() -> None:
    with listening(0.2) as address, socket.create_connection(address, timeout=30) as slow:
        slow.sendall(b"GET /well HTTP/1.1\r\nHost: api\r\n")
        assert answered(slow).startswith(b"HTTP/1.1 408 ")


def test_headers__without_end__then_they_are_refused_before_they_fill_the_memory() -> None:
    with listening(30) as address, socket.create_connection(address, timeout=30) as endless:
        try:
            for number in range(10_000):
                endless.sendall(b"X-%d: %s\r\n" % (number, b"x" * 1000) if number else b"GET /well HTTP/1.1\r\n")
        except OSError:
            pass  # it was ended meanwhile
        else:
            raise AssertionError("ten megabytes of headers were taken")


def test_connection__that_is_kept__then_each_request_has_its_own_time_and_size() -> None:
    asked = b"GET /well HTTP/1.1\r\nHost: api\r\nX-Large: " + b"x" * 20_000 + b"\r\n\r\n"
    with listening(30) as address, socket.create_connection(address, timeout=30) as kept:
        for _ in range(5):
            kept.sendall(asked)
            said = b""
            while not said.endswith(b'"well"'):
                said += kept.recv(4096)
            assert said.startswith(b"HTTP/1.1 200 ")
