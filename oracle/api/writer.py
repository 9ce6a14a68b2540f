"""What is written together is committed together, so that a commit's wait for the disk is shared.

Each piece of work either refuses before it has changed anything, or changes everything it wants. If the database itself
refuses one, all of them are done again, each in a transaction of its own.

On SQLite the statements run where the requests do, and only waiting (for the lock, for the disk) is a thread's: they
take microseconds, and a second thread would spend more on taking turns with the first. PostgreSQL is asked by a thread.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from sqlalchemy import Connection

from oracle.api.refusals import Refusal
from oracle.errors import NeedsPerson, Retry
from oracle.store.database import Database

T = TypeVar("T")
Work = Callable[[Connection], T]
_Entry = tuple[Work[Any], "asyncio.Future[Any]"]
_Outcome = tuple["asyncio.Future[Any]", Any, BaseException | None]
_AT_ONCE = 64


class Closed(Retry):
    """The process ends."""


class Writer:
    """One transaction at a time, of one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[_Entry] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._closed = False
        self._thread = ThreadPoolExecutor(1, "ledger")

    async def do(self, work: Work[T]) -> T:
        """Its result once it is on the disk. Whoever stops waiting does not stop the work."""
        if self._closed:
            raise Closed("the API is being shut down")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._waiting.append((work, future))
        if self._writing is None:
            self._writing = loop.create_task(self._write())
        return await future

    async def close(self) -> None:
        """What was accepted is written first."""
        self._closed = True
        while self._writing is not None:
            await asyncio.wait((self._writing,))
        self._thread.shutdown()

    async def _write(self) -> None:
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
                for future, result, failure in await self._outcomes(batch):
                    if future.done():
                        continue
                    if failure is None:
                        future.set_result(result)
                    else:
                        future.set_exception(failure)
        finally:
            self._writing = None

    async def _outcomes(self, batch: list[_Entry]) -> list[_Outcome]:
        try:
            return await self._together(batch)
        except Exception as error:
            if len(batch) == 1:
                return [(batch[0][1], None, error)]
        return [outcome for entry in batch for outcome in await self._outcomes([entry])]

    async def _together(self, batch: list[_Entry]) -> list[_Outcome]:
        in_thread, transaction = asyncio.get_running_loop().run_in_executor, self._database.transaction()
        if not self._database.is_sqlite:
            return await in_thread(self._thread, _whole, transaction, batch)
        connection = await in_thread(self._thread, transaction.__enter__)
        try:
            done = [_outcome(connection, entry) for entry in batch]
        except BaseException as error:
            await in_thread(self._thread, transaction.__exit__, type(error), error, error.__traceback__)
            raise
        await in_thread(self._thread, transaction.__exit__, None, None, None)
        return done


def _whole(transaction: AbstractContextManager[Connection], batch: list[_Entry]) -> list[_Outcome]:
    with transaction as connection:
        return [_outcome(connection, entry) for entry in batch]


def _outcome(connection: Connection, entry: _Entry) -> _Outcome:
    work, future = entry
    try:
        return future, work(connection), None
    except (Refusal, Retry, NeedsPerson) as refused:  # a Stop undoes all of it
        return future, None, refused
