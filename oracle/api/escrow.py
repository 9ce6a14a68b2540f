"""What a consumer can be charged, from the escrow's events.

What adds money counts once it is final; what takes money away counts as soon as it is seen. A reorg can then only have
made us too careful.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from oracle.api.refusals import Refusal
from oracle.store.blocks import Progress, open_stop, progress
from oracle.store.events import Event, events, topic
from oracle.store.receipts import Lane
from oracle.types import Address, ChainId, Timestamp, Wei

CONTRACT = "InferenceEscrow"
_KEPT = 50_000
_LATEST = Timestamp(2**40 - 1)


@dataclass(frozen=True)
class Session:
    cap: Wei
    expires_at: Timestamp


@dataclass(frozen=True)
class Account:
    """`free` is what was deposited less what was or is being withdrawn; `settled` what each lane has paid."""

    free: Wei
    withdrawing: Wei
    settled: Mapping[Address, Wei]
    sessions: Mapping[Address, Session]

    def session(self, lane: Lane) -> Session | None:
        """The consumer's own key needs none."""
        if lane.key == lane.consumer:
            return Session(Wei(2**96 - 1), _LATEST)
        return self.sessions.get(lane.key)

    def left(self, totals: Mapping[Address, Wei], reserved: int) -> Wei:
        """What is neither spent nor promised. A lane may have settled more than we know of: then that counts."""
        keys = totals.keys() | self.settled.keys()
        spent = sum(max(totals.get(key, 0), self.settled.get(key, 0)) for key in keys)
        return Wei(max(0, self.free - self.withdrawing - spent - reserved))


class Escrow:
    """Read anew when the indexer has gone on; asked for by the ledger, in its transaction."""

    def __init__(self, chain: ChainId, clock: Callable[[], float] = time.monotonic, every: float = 1.0) -> None:
        self.chain, self._clock, self._every = chain, clock, every
        self._seen: Progress | None = None
        self._looked: float | None = None
        self._stopped = False
        self._accounts: dict[Address, Account] = {}

    def account(self, connection: Connection, consumer: Address) -> Account:
        self._look(connection)
        if self._stopped:
            raise Refusal(
                503, "chain_stopped", "a reorg deeper than finality stops everything about money; a person looks at it",
                retry_after=600,
            )  # fmt: skip
        found = self._accounts.get(consumer)
        if found is None:
            if len(self._accounts) >= _KEPT:
                self._accounts.clear()
            found = self._accounts[consumer] = read(connection, self.chain, consumer, self._seen)
        return found

    def _look(self, connection: Connection) -> None:
        now = self._clock()
        if self._looked is not None and now - self._looked < self._every:
            return
        seen = progress(connection, self.chain)
        self._stopped = open_stop(connection, self.chain) is not None
        if seen != self._seen:
            self._accounts.clear()
        self._seen, self._looked = seen, now


def read(connection: Connection, chain: ChainId, consumer: Address, reached: Progress | None) -> Account:
    def seen(name: str) -> list[Event]:
        return events(connection, chain, CONTRACT, name, topic1=topic(consumer))

    def final(name: str) -> list[Event]:
        return [event for event in seen(name) if reached and reached.final is not None and event.block <= reached.final]

    free = sum(event.args["amount"] for event in final("Deposited"))
    free -= sum(event.args["amount"] for event in seen("Withdrawn"))
    settled: dict[Address, Wei] = {}
    for event in seen("VoucherSettled"):
        key = event.args["key"]
        settled[key] = Wei(settled.get(key, 0) + event.args["amount"])
    sessions = {
        event.args["key"]: Session(Wei(event.args["cap"]), Timestamp(event.args["expiresAt"]))
        for event in final("SessionOpened")
    }
    for event in seen("SessionRevoked"):
        key = event.args["key"]
        if key in sessions and not _reopened(final("SessionOpened"), event):
            ends = min(sessions[key].expires_at, event.args["endsAt"])
            sessions[key] = Session(sessions[key].cap, Timestamp(ends))
    return Account(Wei(max(0, free)), _withdrawing(seen), settled, sessions)


def _withdrawing(seen: Callable[[str], list[Event]]) -> Wei:
    """The amount of a withdrawal that was announced and neither cancelled nor paid out."""
    over = [event.cursor for name in ("WithdrawalCanceled", "Withdrawn") for event in seen(name)]
    asked = seen("WithdrawalRequested")
    if not asked or any(cursor > asked[-1].cursor for cursor in over):
        return Wei(0)
    return Wei(asked[-1].args["amount"])


def _reopened(opened: list[Event], revoked: Event) -> bool:
    return any(e.args["key"] == revoked.args["key"] and e.cursor > revoked.cursor for e in opened)
