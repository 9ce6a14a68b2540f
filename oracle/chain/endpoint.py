"""The health of one node: whether it may be asked now, and whether it is on the right chain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from oracle.chain.transport import NodeError, Request, Transport, Unreachable

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 60.0
ASK_CHAIN_AGAIN_S = 300.0


class BadAnswer(Exception):
    """What a node said contradicts itself: half of the logs, another block than the one asked for."""


class Endpoint:
    """A transport and what is known of it. Times are those of the clock that Rpc was given."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.failures = 0
        self.answers = 0
        self.total_failures = 0
        self.free_at = 0.0
        self.chain: int | None = None
        self.chain_asked_at = 0.0
        self.excluded: str | None = None
        self.last_failure: str | None = None

    @property
    def name(self) -> str:
        return self.transport.name

    def knows_chain(self, now: float) -> bool:
        return self.chain is not None and now - self.chain_asked_at < ASK_CHAIN_AGAIN_S

    def ask_chain(self, now: float) -> int:
        answer = self.transport.send([("eth_chainId", [])])[0]
        if isinstance(answer, NodeError):
            raise Unreachable(f"eth_chainId: {answer}")
        try:
            self.chain = int(answer, 16)
        except (TypeError, ValueError):
            raise Unreachable("eth_chainId: not a number") from None
        self.chain_asked_at = now
        return self.chain

    def send(self, requests: Sequence[Request]) -> list[Any]:
        answers = self.transport.send(requests) if requests else []
        for answer in answers:
            if isinstance(answer, NodeError) and is_rate_limit(answer):
                raise Unreachable(f"rate limit: {answer}")
        return answers

    def succeeded(self) -> None:
        self.failures = 0
        self.answers += 1

    def failed(self, error: Exception, now: float, jitter: float) -> float:
        """Not asked again before its time, and then asked first which chain it is on. Returns how long it rests."""
        self.failures += 1
        self.total_failures += 1
        self.last_failure = str(error)
        self.chain = None
        wait = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(self.failures - 1, 20))
        # Up to half of it at random, or all the oracles of a provider come back in the same moment.
        wait *= 1.0 + 0.5 * jitter
        asked_for = error.retry_after if isinstance(error, Unreachable) else None
        if asked_for is not None:
            wait = max(wait, min(asked_for, 10 * LONGEST_WAIT_S))
        self.free_at = now + wait
        return wait


def is_rate_limit(error: NodeError) -> bool:
    said = error.message.lower()
    return error.code in (429, -32029, -32097) or any(
        words in said for words in ("rate limit", "too many requests", "compute units per second", "capacity exceeded")
    )


def is_too_much(error: NodeError) -> bool:
    """The answer would be too large: ask for less. Every provider says it in other words."""
    said = error.message.lower()
    return error.code == -32005 or any(
        words in said
        for words in (
            "more than",
            "too many results",
            "query returned",
            "response size",
            "range is too",
            "block range",
            "limit exceeded",
            "exceeds the",
            "too large",
            "timeout",
            "timed out",
        )
    )
