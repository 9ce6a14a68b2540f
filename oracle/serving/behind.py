"""Files that are written while the next ones are made ready, in threads of their own.

The system needs longer to find memory for a file than this process to fill one. What is being written is waited for by
whoever wants to read it, and a write that failed is that reader's error.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from queue import SimpleQueue
from typing import Generic, TypeVar

Buffer = TypeVar("Buffer")

WRITERS = 2
# What all buffers of one kind may hold together; there are two at least.
BYTES = 64 << 20


class Behind(Generic[Buffer]):
    """Lends so many buffers of each kind, so that a fast caller waits instead of filling the memory."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(WRITERS, "packs")
        self._lock = threading.Lock()
        self._writing: dict[Path, Future[None]] = {}
        self._buffers: dict[str, SimpleQueue[Buffer | None]] = {}

    def borrow(self, kind: str, size: int) -> Buffer | None:
        """A buffer of this kind, each of so many bytes; None where one has to be made."""
        with self._lock:
            if kind not in self._buffers:
                self._buffers[kind] = SimpleQueue()
                for _ in range(max(BYTES // size, 2)):
                    self._buffers[kind].put(None)
        return self._buffers[kind].get()

    def give_back(self, kind: str, buffer: Buffer | None) -> None:
        self._buffers[kind].put(buffer)

    def is_at(self, path: Path) -> bool:
        return path in self._writing

    def write(self, path: Path, pieces: list[memoryview | bytes], kind: str, buffer: Buffer) -> None:
        """The pieces lie in the buffer, which is given back when they are written."""

        def run() -> None:
            try:
                _write(path, pieces)
            finally:
                self.give_back(kind, buffer)

        with self._lock:
            future = self._thread.submit(run)
            self._writing[path] = future
        future.add_done_callback(lambda done: None if done.exception() else self._over(path, done))

    def wait(self, path: Path) -> None:
        """Raises what the write raised; the next write to the path begins anew."""
        if (future := self._writing.get(path)) is None:
            return
        try:
            future.result()
        finally:
            self._over(path, future)

    def flush(self) -> None:
        """Until all that was given so far is written; what failed is told to those who read it."""
        with self._lock:
            writing = list(self._writing.values())
        wait(writing)

    def close(self) -> None:
        self._thread.shutdown()

    def _over(self, path: Path, future: Future[None]) -> None:
        with self._lock:
            if self._writing.get(path) is future:
                del self._writing[path]


def _write(path: Path, pieces: list[memoryview | bytes]) -> None:
    unfinished = path.with_suffix(f".{os.getpid()}.unfinished")
    try:
        with unfinished.open("wb", buffering=0) as file:
            for piece in pieces:
                file.write(piece)
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
