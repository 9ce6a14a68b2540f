"""A process of ours beside this one: it answers one message after another, and ends when its input is closed.

Each message follows its length. The first one, which is empty, says that the process stands.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import IO

from oracle.errors import Retry

_LENGTH = 8  # bytes that say how long a message is


class Gone(Retry):
    """The process has ended before it answered, by a signal or by itself; the next message starts it anew."""

    def __init__(self, why: str, signal: int | None = None) -> None:
        super().__init__(why)
        self.signal = signal


class Overdue(Gone):
    """It did not answer in time, and was ended."""


class Child:
    """Started with the first message, by `python -m`. Its input is closed when this process ends, however that is."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._command = [sys.executable, "-m", module, *arguments]
        self._lock = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None

    def ask(self, message: bytes, seconds: float | None = None) -> bytes:
        """Its answer; raises Overdue where that takes longer, not counting the start, and Gone."""
        with self._lock:
            try:
                child = self._running()
                assert child.stdin is not None
                assert child.stdout is not None
                send(child.stdin, message)
                if seconds is not None and not _comes(child.stdout, seconds):
                    self._end()
                    raise Overdue(f"no answer within {seconds:g} s")
                return receive(child.stdout)
            except (OSError, EOFError) as error:
                status = self._end()
                raise Gone(str(error), -status if status is not None and status < 0 else None) from None

    def close(self) -> None:
        with self._lock:
            self._end()

    def _running(self) -> subprocess.Popen[bytes]:
        if self.process is None or self.process.poll() is not None:
            self._end()
            self.process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            assert self.process.stdout is not None
            receive(self.process.stdout)
        return self.process

    def _end(self) -> int | None:
        """Its status: where it had ended by itself or by another's signal, that stays."""
        child, self.process = self.process, None
        if child is None:
            return None
        child.kill()
        status = child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
        return status


def serve(answer: Callable[[bytes], bytes]) -> None:
    """What such a process does until its input ends. Whatever a library prints is no answer."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    send(answers, b"")
    while True:
        try:
            message = receive(sys.stdin.buffer)
        except EOFError:
            return
        send(answers, answer(message))


def send(to: IO[bytes], message: bytes) -> None:
    to.write(len(message).to_bytes(_LENGTH, "big") + message)
    to.flush()


def receive(source: IO[bytes]) -> bytes:
    """Raises EOFError at the end."""
    length = source.read(_LENGTH)
    if len(length) < _LENGTH:
        raise EOFError("nothing more comes")
    message = source.read(int.from_bytes(length, "big"))
    if len(message) < int.from_bytes(length, "big"):
        raise EOFError("a message was cut off")
    return message


def _comes(source: IO[bytes], seconds: float) -> bool:
    waiting = select.poll()
    waiting.register(source, select.POLLIN)
    return bool(waiting.poll(1000 * seconds))
