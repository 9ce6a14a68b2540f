"""The second engine: an OpenAI-compatible cluster that loads adapters at run time (vLLM's `/v1/load_lora_adapter`).

Behind the same interface as the native engine, so that who outgrows one machine moves by configuration alone. The only
code of this package that talks to a network, with the standard library. Adapter folders must stand on a path that the
cluster sees too. Determinism is the cluster's: a seed is passed on, equality with the native engine is not promised.
"""

from __future__ import annotations

import http.client
import json
import queue
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from oracle.errors import OpenLedgerError
from oracle.serving import adapters
from oracle.serving.checks import check
from oracle.serving.completions import body, events, generated
from oracle.serving.errors import AdapterInUse, BrokenAdapter, Busy, UnknownAdapter, UpstreamDown, UpstreamRefused
from oracle.serving.layout import BaseShape
from oracle.serving.types import (
    Adapter,
    AdapterId,
    Counters,
    Event,
    Finish,
    Finished,
    Request,
    RequestId,
    Residency,
    Token,
)

NOT_FOUND = 404
TOO_MANY = (429, 503)


@dataclass(frozen=True)
class UpstreamConfig:
    """`url` ends before `/v1`; `base` is the base model's name there; `key` goes into the Authorization header."""

    url: str
    base: str
    shape: BaseShape
    context: int
    requests: int = 64
    waiting: int = 1024
    timeout_s: float = 120.0
    key: str | None = None


@dataclass(slots=True)
class _Asked:
    request: Request
    cancelled: threading.Event = field(default_factory=threading.Event)


class Upstream:
    """Requests run in threads, one connection each; `step` hands out what has come since the last one."""

    def __init__(self, config: UpstreamConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self.config, self._clock = config, clock
        self._adapters: dict[AdapterId, Adapter] = {}
        self._loaded: set[AdapterId] = set()
        self._asked: dict[RequestId, _Asked] = {}
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._pool = ThreadPoolExecutor(config.requests, "upstream")
        self._lock = threading.Lock()
        self._counting = threading.Lock()
        self._tally = Counters()
        self._next = 0

    def register(self, folder: Path, expected: AdapterId | None = None) -> Adapter:
        """Checks the adapter here, as the native engine would, then has the cluster load it under its hash."""
        source = adapters.Reader(self.config.shape).read(folder)
        adapters.check_finite(source)
        if expected is not None and source.id != expected:
            raise BrokenAdapter(f"{folder}: its content is {source.id}, not {expected}; fetch it again")
        begun = self._clock()
        self._post("/v1/load_lora_adapter", {"lora_name": source.id, "lora_path": str(folder)})
        size = (folder / adapters.WEIGHTS).stat().st_size
        adapter = Adapter(source.id, source.rank, source.modules, "upstream", size, rounded=False)
        with self._lock:
            self._adapters[source.id] = adapter
            self._loaded.add(source.id)
        self._count(loads=1, bytes_loaded=size, load_seconds=self._clock() - begun)
        return adapter

    def forget(self, adapter: AdapterId) -> None:
        with self._lock:
            if adapter not in self._adapters:
                raise UnknownAdapter(f"adapter {adapter} is not registered here; register its folder first")
            if any(asked.request.adapter == adapter for asked in self._asked.values()):
                raise AdapterInUse(f"adapter {adapter[:12]} is in use; forget it when its requests are done")
            del self._adapters[adapter]
            self._loaded.discard(adapter)
        self._post("/v1/unload_lora_adapter", {"lora_name": adapter})

    def submit(self, request: Request) -> RequestId:
        with self._lock:
            try:
                check(request, self.config.shape, min(self.config.context, self.config.shape.context))
                if request.adapter is not None and request.adapter not in self._adapters:
                    raise UnknownAdapter(f"adapter {request.adapter} is not registered here; register its folder first")
                if len(self._asked) >= self.config.requests + self.config.waiting:
                    raise Busy(f"{len(self._asked)} requests wait for the cluster", 1.0)
            except OpenLedgerError:
                self._count(refused=1)
                raise
            self._next += 1
            number = RequestId(self._next)
            asked = self._asked[number] = _Asked(request)
            self._count(submitted=1)
        self._pool.submit(self._run, number, asked)
        return number

    def step(self) -> list[Event]:
        """What has come since the last step; waits for something if anything is under way."""
        events: list[Event] = []
        with suppress(queue.Empty):
            if self._asked or not self._events.empty():
                events.append(self._events.get(timeout=self.config.timeout_s))
            while True:
                events.append(self._events.get_nowait())
        self._count(steps=1)
        return events

    def cancel(self, request: RequestId) -> bool:
        with self._lock:
            asked = self._asked.get(request)
        if asked is None:
            return False
        asked.cancelled.set()
        return True

    @property
    def idle(self) -> bool:
        return not self._asked and self._events.empty()

    def residency(self) -> Residency:
        """What the cluster was told to load. Which of it is on a device is the cluster's own affair."""
        with self._lock:
            return Residency({"upstream": tuple(sorted(self._loaded))}, (), (), (), len(self._adapters))

    def counters(self) -> Counters:
        with self._lock:
            return replace(self._tally, running=len(self._asked))

    def close(self) -> None:
        for asked in list(self._asked.values()):
            asked.cancelled.set()
        self._pool.shutdown()

    def _run(self, number: RequestId, asked: _Asked) -> None:
        """One request, from its body to its last event. Whatever goes wrong is its own error."""
        finished: Finished
        try:
            finished = Finished(number, self._stream(number, asked))
        except OpenLedgerError as error:
            finished = Finished(number, Finish.ERROR, error)
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, IndexError) as error:
            said = UpstreamDown(f"{self.config.url} broke off: {type(error).__name__}: {error}")
            finished = Finished(number, Finish.ERROR, said)
        failed = finished.reason is Finish.ERROR
        self._count(failed=int(failed), finished=int(not failed))
        # Told before it is forgotten: an engine that is idle has nothing left to tell.
        self._events.put(finished)
        with self._lock:
            del self._asked[number]

    def _stream(self, number: RequestId, asked: _Asked) -> Finish:
        if asked.cancelled.is_set():
            return Finish.CANCELLED
        try:
            return self._read(number, asked)
        except _Forgotten:
            # A server of the cluster restarted without its adapters: told where it is, it has it again.
            raise UpstreamRefused(
                f"{self.config.url} no longer knows adapter {asked.request.adapter}; register its folder again"
            ) from None

    def _read(self, number: RequestId, asked: _Asked) -> Finish:
        made: list[Token] = []
        with self._opened("/v1/completions", body(asked.request, self.config.base)) as response:
            for data in events(response):
                if asked.cancelled.is_set():
                    # Closing the connection is how an OpenAI-compatible server learns of it.
                    return Finish.CANCELLED
                choice = data["choices"][0]
                for token in generated(number, choice):
                    self._events.put(token)
                    made.append(token.token)
                    self._count(generated_tokens=1)
                    if any(tuple(made[-len(stop) :]) == stop for stop in asked.request.stop):
                        return Finish.STOP
                if reason := choice.get("finish_reason"):
                    return Finish.STOP if reason == "stop" else Finish.LENGTH
        raise UpstreamDown(f"{self.config.url} ended the stream without a reason after {len(made)} tokens")

    def _post(self, path: str, content: dict[str, Any]) -> None:
        try:
            with self._opened(path, content) as response:
                response.read()
        except _Forgotten:
            raise UpstreamRefused(
                f"{self.config.url}{path}: not found; start the server with run-time adapters"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            raise UpstreamDown(f"{self.config.url}{path} did not answer: {error}") from error

    @contextmanager
    def _opened(self, path: str, content: dict[str, Any]) -> Iterator[http.client.HTTPResponse]:
        """A response with status 200, or the error that its status stands for."""
        parts = urllib.parse.urlsplit(self.config.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.netloc, timeout=self.config.timeout_s)
        headers = {"Content-Type": "application/json"}
        if self.config.key:
            headers["Authorization"] = f"Bearer {self.config.key}"
        try:
            connection.request("POST", parts.path.rstrip("/") + path, json.dumps(content), headers)
            response = connection.getresponse()
            if response.status == http.client.OK:
                yield response
                return
            said = response.read(2000).decode(errors="replace")
            where = f"{self.config.url}{path} answered {response.status}: {said}"
            if response.status in TOO_MANY:
                raise Busy(where, float(response.headers.get("Retry-After") or 1))
            if response.status == NOT_FOUND:
                raise _Forgotten
            raise (
                UpstreamDown(where) if response.status >= http.client.INTERNAL_SERVER_ERROR else UpstreamRefused(where)
            )
        finally:
            connection.close()

    def _count(self, **more: float) -> None:
        with self._counting:
            now = {name: getattr(self._tally, name) + n for name, n in more.items()}
            self._tally = replace(self._tally, **now)


class _Forgotten(Exception):
    """404: the cluster does not know the adapter, or the endpoint."""
