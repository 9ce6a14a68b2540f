"""Several nodes of one chain as one: health, failover, back-off, and agreement on the chain.

A node is asked which chain it is on before its first use, again after every failure, and every few minutes. The first
of the list is the preferred one: if that is on another chain, everything stops; any other is left out.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from oracle.chain.endpoint import BadAnswer, Endpoint
from oracle.chain.transport import HttpTransport, NodeError, Request, Transport, Unreachable
from oracle.errors import Retry, WrongChain
from oracle.types import ChainId

log = logging.getLogger(__name__)

LONGEST_SLEEP_S = 30.0  # a node that wants to be left alone for longer is an error for the caller, not a wait

Found = TypeVar("Found")

Understand = Callable[[list[Any]], Found]
"""From the answers to what they mean; raises BadAnswer where they contradict themselves, and another node is asked."""


@dataclass(frozen=True)
class NodeHealth:
    """Of one node, for metrics and `openledger doctor`."""

    name: str
    usable: bool
    answers: int
    failures: int
    said: str | None  # why it is left out, or what went wrong last


class NodesUnavailable(Retry):
    """No node answered usefully, however often they were asked."""


class TooMuch(Retry):
    """The node could not carry the answer: ask for less."""


class Rpc:
    """The only way to a node; one for each thread. Clock, sleep and chance are given: tests neither wait nor differ."""

    def __init__(
        self,
        transports: Sequence[Transport],
        chain: ChainId | None = None,
        *,
        rounds: int = 5,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        if not transports:
            raise ValueError("no node to ask")
        self.endpoints = [Endpoint(transport) for transport in transports]
        self.expected = chain
        self._rounds = rounds
        self._clock, self._sleep, self._chance = clock, sleep, chance

    @classmethod
    def of_urls(cls, urls: Sequence[str], chain: ChainId | None, timeout_s: float = 20.0) -> Rpc:
        return cls([HttpTransport(url, timeout_s) for url in urls], chain)

    @property
    def chain(self) -> ChainId:
        """The chain of all nodes: the expected one, else that of the first node that answers."""
        if self.expected is None:
            self.read([], list)  # asking for nothing else
        assert self.expected is not None
        return self.expected

    def health(self) -> list[NodeHealth]:
        now = self._clock()
        return [
            NodeHealth(
                e.name, not e.excluded and e.free_at <= now, e.answers, e.total_failures, e.excluded or e.last_failure
            )
            for e in self.endpoints
        ]

    def call(self, method: str, *params: Any) -> Any:
        """The result; raises NodeError where the node refuses."""
        answer = self.batch([(method, params)])[0]
        if isinstance(answer, NodeError):
            raise answer
        return answer

    def batch(self, requests: Sequence[Request]) -> list[Any]:
        """A result or a NodeError for each request, all from the same node."""
        return self.read(requests, list)

    def read(self, requests: Sequence[Request], understand: Understand[Found]) -> Found:
        """What the answers of one node mean, of the first node whose answers mean anything."""
        failures: list[str] = []
        for attempt in range(1, self._rounds * len(self.endpoints) + 1):
            endpoint = self._next(failures)
            try:
                self._agree(endpoint)
                found = understand(endpoint.send(requests))
            except (Unreachable, BadAnswer) as error:
                rest = endpoint.failed(error, self._clock(), self._chance())
                failures.append(f"{endpoint.name}: {error}")
                log.warning("node %s: %s; it rests for %.1f s", endpoint.name, error, rest)
                slow = isinstance(error, Unreachable) and error.slow
                if slow and len(requests) > 1 and attempt >= len(self.endpoints):
                    raise TooMuch(f"{endpoint.name}: {error}, to {len(requests)} requests at once") from error
            else:
                endpoint.succeeded()
                return found
        raise self._unavailable(failures)

    def each(self, requests: Sequence[Request], even_resting: bool = True) -> list[tuple[str, list[Any]]]:
        """What every node says that can be asked at all, for questions on which one node must not decide alone."""
        said: list[tuple[str, list[Any]]] = []
        slow: str | None = None
        for endpoint in self.endpoints:
            if endpoint.excluded or (endpoint.free_at > self._clock() and not even_resting):
                continue
            try:
                self._agree(endpoint)
                said.append((endpoint.name, endpoint.send(requests)))
            except Unreachable as error:
                endpoint.failed(error, self._clock(), self._chance())
                if error.slow:
                    slow = str(error)
        if not said and slow is not None:
            raise TooMuch(f"every node: {slow}")
        return said

    def _agree(self, endpoint: Endpoint) -> None:
        if endpoint.knows_chain(self._clock()):
            return
        found = endpoint.ask_chain(self._clock())
        if self.expected is None:
            self.expected = ChainId(found)
        if found == self.expected:
            return
        said = f"node {endpoint.name} is on chain {found}, not on {self.expected}"
        endpoint.chain = None
        if endpoint is self.endpoints[0]:
            raise WrongChain(
                f"{said}, and it is the first of OPENLEDGER_RPC_URLS; mend that list or OPENLEDGER_CHAIN_ID"
            )
        endpoint.excluded = said
        log.error("%s; it is left out until the next start", said)
        raise Unreachable(said)

    def _next(self, failures: Sequence[str]) -> Endpoint:
        """The first of the list that may be asked; if all rest, the one that is free first, after its rest."""
        usable = [endpoint for endpoint in self.endpoints if not endpoint.excluded]
        now = self._clock()
        for endpoint in usable:
            if endpoint.free_at <= now:
                return endpoint
        soonest = min(usable, key=lambda endpoint: endpoint.free_at, default=None)
        if soonest is None or soonest.free_at - now > LONGEST_SLEEP_S:
            raise self._unavailable([*failures, *(f"{e.name}: {e.excluded or e.last_failure}" for e in self.endpoints)])
        self._sleep(soonest.free_at - now)
        return soonest

    def _unavailable(self, failures: Sequence[str]) -> NodesUnavailable:
        of_chain = f" of chain {self.expected}" if self.expected else ""
        return NodesUnavailable(
            f"no node{of_chain} answers: {'; '.join(dict.fromkeys(failures))}."
            " It is tried again; if it stays so, add a node to OPENLEDGER_RPC_URLS"
        )
