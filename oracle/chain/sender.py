"""The only writer to the chain. `advance` pushes every open intent one step further.

An intent has one place in the lane of its key, for ever: whatever is signed for it carries that nonce, so that at most
one of the signed transactions can ever be mined. Everything signed is in the journal before it is sent. After a crash
there is therefore nothing to guess: read the journal, read the chain, go on.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections.abc import Callable
from time import time

from oracle.chain import fees, pool
from oracle.chain.fees import TooDear
from oracle.chain.following import Advance, follow
from oracle.chain.lane import Lane
from oracle.chain.line import ChainMoved, Line
from oracle.chain.pool import Answer
from oracle.chain.reading import Finality
from oracle.chain.reverts import Reverts
from oracle.chain.rpc import Rpc
from oracle.chain.signer import Signer
from oracle.chain.simulation import Simulated, Unclear, simulate
from oracle.chain.transaction import Transaction, transaction_hash
from oracle.chain.view import View, newest_nonce, view
from oracle.errors import NeedsPerson
from oracle.store.broadcasts import Broadcast, Fees
from oracle.store.database import Database
from oracle.store.intents import Intent, Journaled
from oracle.types import Address, ChainId, Wei

log = logging.getLogger(__name__)

MOST_BUMPS_AT_ONCE = 8


class OutOfFunds(NeedsPerson):
    """The account cannot pay for gas or value."""


class Sender:
    """One key on one chain."""

    def __init__(
        self,
        rpc: Rpc,
        database: Database,
        chain: ChainId,
        signer: Signer,
        finality: Finality,
        reverts: Reverts,
        *,
        ceiling: Wei,
        stuck_after: int = 3,
        stuck_after_s: int = 30,
        in_flight: int = 16,
        holder: str | None = None,
        now: Callable[[], float] = time,
        edge: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._rpc, self._chain, self._signer, self._finality = rpc, chain, signer, finality
        self._reverts, self._ceiling, self._stuck_after, self._in_flight = reverts, ceiling, stuck_after, in_flight
        self._stuck_after_s, self._edge = stuck_after_s, edge
        holder = holder or f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._line = Line(rpc, database, chain, now)
        self._lane = Lane(database, chain, signer.address, holder, now, edge)

    def advance(self, adopt: bool = True) -> Advance:
        """Raises Retry where nodes, database or another sender are in the way; nothing is lost by calling again.

        `adopt` takes what was planned for no key in particular. Somebody who sends one thing of their own leaves that
        to the daemon: under their key it might be refused for good.
        """
        self._lane.hold()
        now = view(self._rpc, self._signer.address, self._finality)
        self._nothing_taken_back(now)
        done = Advance()
        follow(self._rpc, self._lane, now, done)
        for gap in self._lane.gaps(now.nonce):
            self._lane.fill(gap)
        self._send_again(now, done)
        self._begin(now, done, adopt)
        return done

    @property
    def account(self) -> Address:
        return self._signer.address

    def close(self) -> None:
        """Lets the next daemon begin at once instead of after the lease."""
        self._lane.let_go()

    def _nothing_taken_back(self, now: View) -> None:
        """Raises DeepReorg where the chain has taken back what it had called final.

        The indexer need not have read those blocks yet. Without a look at the nonces nobody would notice, and the lane
        would wait for ever for a place that its own journal holds.
        """
        ended = self._lane.ended_from(now.nonce)
        for entry in ended[:1]:
            assert entry.block is not None, "it ended in a block"
            assert entry.block_hash is not None, "a block has a hash"
            if entry.block > now.head.number:
                raise ChainMoved(
                    f"block {entry.block} of chain {self._chain}, in which {entry.key} was final, is above the head"
                    f" {now.head.number}: the nodes are behind, or the chain was reset (then use another database)"
                )
            self._line.lost(entry.block, entry.block_hash)

    # What has to be sent (again)

    def _send_again(self, now: View, done: Advance) -> None:
        entries = self._lane.open("reserved", "broadcast")
        signed = self._lane.signed(entries)
        for entry in entries:
            assert entry.nonce is not None, "whoever is reserved has a nonce"
            if entry.state == "reserved":
                self._first(entry, entry.nonce, now, done)
                continue
            if entry.nonce < now.nonce:
                continue  # spent: by one of ours, whose receipt comes, or it will be parked
            last = signed[entry.key][-1]
            stuck = entry.nonce == now.nonce and self._is_stuck(last, now)
            if stuck and self._replace(entry, last, now, done):
                continue
            if stuck or not pool.knows(self._rpc, last.tx):
                self._offer(entry, last, now, done, everywhere=stuck)

    def _is_stuck(self, last: Broadcast, now: View) -> bool:
        """By blocks and by the chain's own clock: some chains have four blocks a second, some rest for minutes."""
        blocks, seconds = now.head.number - last.at_block, now.head.timestamp - last.at_time
        return blocks >= self._stuck_after and seconds >= self._stuck_after_s

    def _replace(self, entry: Journaled, last: Broadcast, now: View, done: Advance) -> bool:
        try:
            suggested = fees.suggested(now.base_fee, now.tips, self._ceiling)
        except TooDear as error:
            done.waiting[entry.key] = str(error)
            return False
        more = fees.bumped(last.fees, suggested, self._ceiling)
        if more is None:
            done.waiting[entry.key] = f"not mined yet, and more than {last.fees.max_fee} wei per gas passes the ceiling"
            return False
        again = self._sign(entry.intent, last.nonce, last.gas, more, now)
        self._lane.journal(again)
        done.replaced.append(entry.key)
        log.info("replaced %s", entry.key, extra={"intent": entry.key, "nonce": last.nonce, "max_fee": more.max_fee})
        self._offer(entry, again, now, done, everywhere=True)
        return True

    def _begin(self, now: View, done: Advance, adopt: bool) -> None:
        flying = len(self._lane.open("reserved", "broadcast"))
        newest: int | None = None
        for entry in self._lane.open("planned"):
            if entry.sender is None and not adopt:
                continue
            if flying >= self._in_flight:
                done.waiting[entry.key] = f"{flying} others are on their way"
                continue
            if not self._may_begin(entry, done):
                continue
            if (simulated := self._simulated(entry, now, done)) is None:
                continue
            try:
                offered = fees.suggested(now.base_fee, now.tips, self._ceiling)
            except TooDear as error:
                done.waiting[entry.key] = str(error)
                continue
            newest = max(now.nonce, newest_nonce(self._rpc, self._signer.address)) if newest is None else newest
            nonce = self._lane.reserve(entry, newest)
            flying += 1
            self._send(entry, nonce, simulated.gas, offered, now, done)

    def _first(self, entry: Journaled, nonce: int, now: View, done: Advance) -> None:
        """It had its place when the process died (or fills a gap): is it still wanted, and then out with it."""
        if (simulated := self._simulated(entry, now, done)) is None:
            return
        try:
            offered = fees.suggested(now.base_fee, now.tips, self._ceiling)
        except TooDear as error:
            done.waiting[entry.key] = str(error)
            return
        self._send(entry, nonce, simulated.gas, offered, now, done)

    def _may_begin(self, entry: Journaled, done: Advance) -> bool:
        after = entry.intent.after
        if after is None:
            return True
        state = self._lane.state_of(after)
        if state in ("refused", "failed"):
            self._lane.refuse(entry, f"{after} comes before it and was {state}")
            done.refused.append(entry.key)
        elif state not in ("mined", "final"):
            done.waiting[entry.key] = f"{after} comes before it and is {state or 'not planned'}"
        return state in ("mined", "final")

    def _simulated(self, entry: Journaled, now: View, done: Advance) -> Simulated | None:
        try:
            result = simulate(self._rpc, self._reverts, entry.intent, self._signer.address, now.pinned)
        except Unclear as error:
            done.waiting[entry.key] = str(error)
            return None
        if isinstance(result, Simulated):
            return result
        self._lane.refuse(entry, result)
        done.refused.append(entry.key)
        log.warning("refused %s: %s", entry.key, result, extra={"intent": entry.key})
        return None

    def _send(self, entry: Journaled, nonce: int, gas: int, offered: Fees, now: View, done: Advance) -> None:
        first = self._sign(entry.intent, nonce, gas, offered, now)
        self._lane.journal(first)
        self._offer(entry, first, now, done)
        done.sent.append(entry.key)

    def _sign(self, intent: Intent, nonce: int, gas: int, offered: Fees, now: View) -> Broadcast:
        made = Transaction(self._chain, nonce, intent.to, intent.value, intent.data, gas, offered)
        raw = made.signed(self._signer.sign(made.unsigned()))
        return Broadcast(
            transaction_hash(raw), intent.key, nonce, gas, offered, raw, now.head.number, now.head.timestamp
        )

    def _offer(self, entry: Journaled, what: Broadcast, now: View, done: Advance, everywhere: bool = False) -> None:
        for _ in range(MOST_BUMPS_AT_ONCE):
            self._edge("before send")
            answer, said = pool.offer(self._rpc, what.raw, everywhere)
            self._edge("after send")
            log.info("%s: %s", entry.key, answer.value, extra={"intent": entry.key, "tx": "0x" + what.tx.hex()})
            if answer is Answer.NO_FUNDS:
                raise OutOfFunds(
                    f"{self._signer.address} on chain {self._chain}: {said}; send ether to it. {entry.key} waits"
                )
            if answer is not Answer.TOO_CHEAP:
                if answer is Answer.UNKNOWN:
                    done.waiting[entry.key] = f"the node refuses it: {said}"
                return
            more = fees.bumped(what.fees, what.fees, self._ceiling)
            if more is None:
                done.waiting[entry.key] = f"{said}, and more passes the ceiling OPENLEDGER_MAX_FEE_GWEI"
                return
            what = self._sign(entry.intent, what.nonce, what.gas, more, now)
            self._lane.journal(what)
            done.replaced.append(entry.key)
