"""Answers through Redis: the API asks, any number of engines on any machines answer, tokens come back as they are made.

The stream `infer` holds what is asked; each API has a stream of its own for what comes back. Nothing here is truth:
what is lost costs an answer, which is then not charged. Whoever asked gives up by its own clock.
"""

from __future__ import annotations

import logging
import queue
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

import orjson
import redis

from oracle.config import Settings
from oracle.daemon.answering import Answering, Load, Sink
from oracle.errors import OpenLedgerError, Retry
from oracle.jobs import broker_url
from oracle.serving.errors import BadRequest, Busy
from oracle.serving.types import Event, Finish, Finished, Generated, Request, RequestId, Sampling, Token
from oracle.store import models
from oracle.store.database import Database
from oracle.store.models import Model

log = logging.getLogger(__name__)

ASKED, CANCELLED, GROUP = "openledger:infer", "openledger:infer:cancelled", "engines"
_LONGEST = 10_000  # asked or told, before the oldest are dropped
_BLOCK_MS = 200
_STATE = "openledger:infer:state"


class QueueDown(Retry):
    """Redis went away while an answer was on its way; nothing is charged."""


def connect(settings: Settings) -> redis.Redis:
    url = broker_url(settings)
    if url.startswith("redis+socket://"):
        return redis.Redis(unix_socket_path=url.removeprefix("redis+socket://"))
    return redis.Redis.from_url(url)


class Remote:
    """What the API asks instead of an engine of its own."""

    name = "openledger-serving by queue"

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client
        self._own = f"openledger:tokens:{secrets.token_hex(8)}"
        self._sinks: dict[int, Sink] = {}
        self._next = 0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._outbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._listen, self._send)]
        for thread in self._threads:
            thread.start()

    def ask(self, model: Model, request: Request, sink: Sink) -> int:
        with self._lock:
            self._next += 1
            ticket = self._next
            self._sinks[ticket] = sink
        said = {"ticket": ticket, "reply": self._own, "model": model.position, "request": _written(request)}
        self._outbox.put(lambda: self._add(ASKED, orjson.dumps(said), ticket))
        return ticket

    def cancel(self, ticket: int) -> None:
        self._outbox.put(lambda: self._add(CANCELLED, orjson.dumps([self._own, ticket]), None))

    def warmth(self, model: Model) -> str:
        try:
            found = self._redis.hget(_STATE, str(model.position))
        except redis.RedisError:
            return "unknown"
        return found.decode() if found else "cold"

    def load(self) -> Load:
        with self._lock:
            return Load(running=len(self._sinks))

    def close(self) -> None:
        self._over.set()
        self._outbox.put(None)
        for thread in self._threads:
            thread.join()
        self._redis.close()

    def _send(self) -> None:
        while (send := self._outbox.get()) is not None:
            send()

    def _add(self, stream: str, content: bytes, ticket: int | None) -> None:
        try:
            self._redis.xadd(stream, {"said": content}, maxlen=_LONGEST, approximate=True)
        except redis.RedisError:
            if ticket is not None:
                self._tell(ticket, _failed(QueueDown("the queue of answers is away")))

    def _listen(self) -> None:
        last: Any = "0"
        while not self._over.is_set():
            try:
                found = self._redis.xread({self._own: last}, count=500, block=_BLOCK_MS)
            except redis.RedisError as error:
                log.warning("the queue of answers: %s", type(error).__name__)
                for ticket in list(self._sinks):
                    self._tell(ticket, _failed(QueueDown("the queue of answers went away")))
                self._over.wait(1)
                continue
            for _, entries in found or ():
                for name, entry in entries:
                    last = name
                    ticket, events = orjson.loads(entry[b"said"])
                    for event in events:
                        self._tell(ticket, _read(event))
        try:
            self._redis.delete(self._own)
        except redis.RedisError:
            log.warning("the queue of answers is away; its stream %s stays", self._own)

    def _tell(self, ticket: int, event: Event) -> None:
        with self._lock:
            sink = self._sinks.pop(ticket, None) if isinstance(event, Finished) else self._sinks.get(ticket)
        if sink is not None:
            try:
                sink(event)
            except RuntimeError:
                self.cancel(ticket)


class Host:
    """An engine that works for the queue. `run` ends when `over` is set."""

    def __init__(self, client: redis.Redis, database: Database, engine: Answering, name: str) -> None:
        self._redis: Any = client
        self._database, self._engine, self._name = database, engine, name
        self._outbox: queue.SimpleQueue[tuple[str, int, Event]] = queue.SimpleQueue()
        self._running: dict[tuple[str, int], int] = {}
        self._models: dict[int, Model] = {}
        self._grouped = False

    def run(self, over: threading.Event) -> None:
        teller = threading.Thread(target=self._tell, args=(over,), daemon=True)
        teller.start()
        cancelled: Any = "$"
        while not over.is_set():
            try:
                self._group()
                found = self._redis.xreadgroup(GROUP, self._name, {ASKED: ">"}, count=64, block=_BLOCK_MS, noack=True)
                for _, entries in found or ():
                    for _, entry in entries:
                        self._begin(orjson.loads(entry[b"said"]))
                for _, entries in self._redis.xread({CANCELLED: cancelled}, count=500) or ():
                    for place, entry in entries:
                        cancelled = place
                        reply, ticket = orjson.loads(entry[b"said"])
                        if (reply, ticket) in self._running:
                            self._engine.cancel(self._running[reply, ticket])
                if cancelled == "$":
                    cancelled = self._last(CANCELLED)
            except redis.RedisError as error:
                self._grouped = False  # a Redis that lost its files knows no group
                log.warning("the queue of answers: %s; it is tried again", type(error).__name__)
                over.wait(1)
        teller.join()

    def _last(self, stream: str) -> Any:
        """From here on: a cancellation must not fall between two readings."""
        entries = self._redis.xrevrange(stream, count=1)
        return entries[0][0] if entries else "0"

    def _group(self) -> None:
        if self._grouped:
            return
        try:
            self._redis.xgroup_create(ASKED, GROUP, id="$", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
        self._grouped = True

    def _begin(self, said: dict[str, Any]) -> None:
        reply, ticket = said["reply"], said["ticket"]

        def sink(event: Event) -> None:
            self._outbox.put((reply, ticket, event))

        try:
            model = self._model(said["model"])
        except OpenLedgerError as error:
            sink(_failed(error))
            return
        self._running[reply, ticket] = self._engine.ask(model, _request(said["request"]), sink)

    def _model(self, position: int) -> Model:
        if position not in self._models:
            with self._database.reading() as connection:
                found = models.at(connection, position)
            self._models[position] = found
        return self._models[position]

    def _tell(self, over: threading.Event) -> None:
        """What has come meanwhile goes out in one message for each answer."""
        seen: dict[int, str] = {}
        while not over.is_set():
            try:
                batch = [self._outbox.get(timeout=_BLOCK_MS / 1000)]
            except queue.Empty:
                continue
            while len(batch) < 500:
                try:
                    batch.append(self._outbox.get_nowait())
                except queue.Empty:
                    break
            told: dict[tuple[str, int], list[Any]] = {}
            for reply, ticket, event in batch:
                told.setdefault((reply, ticket), []).append(_shown(event))
                if isinstance(event, Finished):
                    self._running.pop((reply, ticket), None)
            try:
                pipe = self._redis.pipeline(transaction=False)
                for (reply, ticket), events in told.items():
                    pipe.xadd(reply, {"said": orjson.dumps([ticket, events])}, maxlen=_LONGEST, approximate=True)
                    pipe.expire(reply, 3600)
                warmth = {position: self._engine.warmth(model) for position, model in self._models.items()}
                if warmth != seen:
                    pipe.hset(_STATE, mapping={str(position): word for position, word in warmth.items()})
                    seen = warmth
                pipe.execute()
            except redis.RedisError as error:
                log.warning("the queue of answers: %s; %d answers are lost", type(error).__name__, len(told))
                time.sleep(0.1)


# How they are written


def _written(request: Request) -> dict[str, Any]:
    how = request.sampling
    return {
        "prompt": request.prompt, "max": request.max_tokens, "stop": request.stop, "logprobs": request.logprobs,
        "how": [how.temperature, how.top_k, how.top_p, how.seed],
    }  # fmt: skip


def _request(said: dict[str, Any]) -> Request:
    stop = tuple(tuple(Token(token) for token in each) for each in said["stop"])
    prompt = tuple(Token(token) for token in said["prompt"])
    return Request(prompt, None, said["max"], Sampling(*said["how"]), stop, said["logprobs"])


def _shown(event: Event) -> list[Any]:
    if isinstance(event, Generated):
        return [event.token, event.logprob, event.top]
    error = event.error
    if error is None:
        return [event.reason.value]
    kind = "busy" if isinstance(error, Busy) else "bad" if isinstance(error, BadRequest) else "failed"
    return [event.reason.value, kind, str(error), getattr(error, "retry_after_s", 0.0)]


def _read(said: list[Any]) -> Event:
    if isinstance(said[0], int):
        top = tuple((Token(token), logprob) for token, logprob in said[2])
        return Generated(RequestId(0), Token(said[0]), said[1], top)
    if len(said) == 1:
        return Finished(RequestId(0), Finish(said[0]))
    _, kind, message, retry_after = said
    if kind == "busy":
        return _failed(Busy(message, retry_after))
    return _failed(BadRequest(message) if kind == "bad" else QueueDown(message))


def _failed(error: OpenLedgerError) -> Finished:
    return Finished(RequestId(0), Finish.ERROR, error)
