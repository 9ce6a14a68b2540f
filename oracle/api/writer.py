"""One thread that writes: what comes together is committed together, so that a commit's wait for the disk is shared.

Each piece of work either refuses before it has changed anything, or changes everything it wants. If the database itself
refuses one, all of them are done again, each in a transaction of its own.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from sqlalchemy import Connection

from oracle.api.refusals import Refusal
from oracle.errors import NeedsPerson, Retry
from oracle.store.database import Database

T = TypeVar("T")
Work = Callable[[Connection], T]
_AT_ONCE = 64


class Closed(Retry):
    """The process ends."""


class Writer:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._queue: queue.SimpleQueue[tuple[Work[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    async def do(self, work: Work[T]) -> T:
        """Its result once it is on the disk."""
        return await asyncio.wrap_future(self.submit(work))

    def submit(self, work: Work[T]) -> Future[T]:
        if self._closed:
            raise Closed("the API is being shut down")
        future: Future[T] = Future()
        self._queue.put((work, future))
        return future

    def close(self) -> None:
        self._closed = True
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        ending = False
        while not ending:
            entry = self._queue.get()
            batch = []
            while entry is not None:
                batch.append(entry)
                if len(batch) == _AT_ONCE:
                    break
                try:
                    entry = self._queue.get_nowait()
                except queue.Empty:
                    break
            else:
                ending = True
            if batch:
                self._together(batch)

    def _together(self, batch: list[tuple[Work[Any], Future[Any]]]) -> None:
        done: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            with self._database.transaction() as connection:
                for work, future in batch:
                    try:
                        done.append((future, work(connection), None))
                    except (Refusal, Retry, NeedsPerson) as refused:  # a Stop undoes all of it
                        done.append((future, None, refused))
        except Exception as error:
            if len(batch) > 1:
                for entry in batch:
                    self._together([entry])
                return
            done = [(batch[0][1], None, error)]
        for future, result, failure in done:
            if future.set_running_or_notify_cancel():
                if failure is None:
                    future.set_result(result)
                else:
                    future.set_exception(failure)
