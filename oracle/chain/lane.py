"""The nonces of one key on one chain: every write of the sender to the store, each while it holds the lane."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from oracle.chain import stops
from oracle.chain.headers import Header
from oracle.chain.view import Receipt
from oracle.store import broadcasts, intents
from oracle.store.broadcasts import Broadcast
from oracle.store.database import Database
from oracle.store.intents import Intent, Journaled
from oracle.types import Address, ChainId, Timestamp, Wei

LEASE_S = 120
FILLER = "passes a nonce that nobody uses"
MOST_PLANNED = 500  # looked at in one go

_GAS_OF_A_TRANSFER = 21_000


class Lane:
    def __init__(
        self,
        database: Database,
        chain: ChainId,
        sender: Address,
        holder: str,
        now: Callable[[], float],
        edge: Callable[[str], None],
    ) -> None:
        self._database, self.chain, self.sender, self._holder = database, chain, sender, holder
        self._now, self._edge = now, edge

    def hold(self) -> None:
        """Raises LaneTaken while another sender has it, DeepReorg while settlement stands still."""
        with self._database.transaction() as connection:
            stops.require_none(connection, self.chain)
            now = Timestamp(int(self._now()))
            broadcasts.hold_lane(connection, self.chain, self.sender, self._holder, now, self._until())

    def _until(self) -> Timestamp:
        return Timestamp(int(self._now()) + LEASE_S)

    def let_go(self) -> None:
        with self._database.transaction() as connection:
            broadcasts.release_lane(connection, self.chain, self.sender, self._holder)

    @contextmanager
    def _writing(self, what: str) -> Iterator[Connection]:
        self._edge(f"before {what}")
        with self._database.transaction() as connection:
            broadcasts.keep_lane(connection, self.chain, self.sender, self._holder, self._until())
            yield connection
            self._edge(f"in {what}")
        self._edge(f"after {what}")

    # What is there

    def open(self, *states: str) -> list[Journaled]:
        """Those of this key, and those that any key may send."""
        with self._database.reading() as connection:
            return intents.in_states(connection, self.chain, states, MOST_PLANNED, sender=self.sender)

    def signed(self, entries: list[Journaled]) -> dict[str, list[Broadcast]]:
        with self._database.reading() as connection:
            return broadcasts.broadcasts_of(connection, [entry.key for entry in entries])

    def state_of(self, key: str) -> str | None:
        with self._database.reading() as connection:
            try:
                return intents.journaled(connection, key).state
            except intents.UnknownIntent:
                return None

    def ended_from(self, chain_nonce: int) -> list[Journaled]:
        """Those whose nonce a final block had spent, and that the account has not spent now."""
        with self._database.reading() as connection:
            return intents.ended_from(connection, self.chain, self.sender, chain_nonce)

    def gaps(self, chain_nonce: int) -> list[int]:
        """Places that nobody holds and that somebody behind them waits for."""
        with self._database.reading() as connection:
            taken = intents.nonces_taken(connection, self.chain, self.sender, chain_nonce)
        return [nonce for nonce in range(chain_nonce, max(taken, default=chain_nonce)) if nonce not in taken]

    # Changes of state

    def reserve(self, entry: Journaled, chain_nonce: int) -> int:
        """The next place: behind everything in the journal and everything in the chain."""
        with self._writing("reserve") as connection:
            nonce = max(chain_nonce, intents.highest_nonce(connection, self.chain, self.sender) + 1)
            intents.move(connection, entry.key, "reserved", sender=self.sender, nonce=nonce)
        return nonce

    def fill(self, nonce: int) -> None:
        """An intent that does nothing, in a place that has to be passed."""
        with self._writing("fill") as connection:
            key = intents.unused_key(connection, f"gap:{self.chain}:{self.sender}:{nonce}")
            intent = Intent(key, self.chain, self.sender, b"", Wei(0), FILLER, gas_limit=_GAS_OF_A_TRANSFER)
            intents.plan(connection, intent)
            intents.move(connection, key, "reserved", sender=self.sender, nonce=nonce)

    def is_filler(self, entry: Journaled) -> bool:
        return entry.intent.purpose == FILLER

    def pass_by(self, filler: Journaled) -> None:
        """Somebody else passed the place that it was to pass."""
        with self._writing("pass by") as connection:
            reason = "its nonce was passed by another transaction"
            intents.move(connection, filler.key, "refused", only_from=("broadcast",), reason=reason)

    def journal(self, broadcast: Broadcast) -> None:
        """Before it is sent."""
        with self._writing("journal") as connection:
            broadcasts.put_broadcast(connection, broadcast)
            intents.move(connection, broadcast.intent, "broadcast", only_from=("reserved", "broadcast"))

    def refuse(self, entry: Journaled, reason: str) -> None:
        """Nothing of it was ever sent, so its place is free again."""
        with self._writing("refuse") as connection:
            intents.move(connection, entry.key, "refused", reason=reason, sender=None, nonce=None)

    def mined(self, entry: Journaled, receipt: Receipt) -> None:
        with self._writing("mined") as connection:
            intents.move(
                connection,
                entry.key,
                "mined",
                tx=receipt.tx,
                block=receipt.block,
                block_hash=receipt.block_hash,
                succeeded=int(receipt.succeeded),
                reason=None,
            )

    def taken_back(self, entry: Journaled) -> None:
        """A reorg removed its block."""
        with self._writing("take back") as connection:
            intents.move(
                connection, entry.key, "broadcast", only_from=("mined",), tx=None, block=None, block_hash=None,
                succeeded=None,
            )  # fmt: skip

    def spent(self, entry: Journaled, head: Header) -> None:
        """Notes the first block after which its nonce was spent while none of ours was mined."""
        with self._writing("note") as connection:
            intents.move(
                connection, entry.key, "broadcast", only_from=("broadcast",), block=head.number, block_hash=head.hash
            )

    def end(self, entry: Journaled, reason: str | None) -> None:
        with self._writing("end") as connection:
            intents.move(connection, entry.key, "final" if entry.succeeded else "failed", reason=reason)

    def park(self, entry: Journaled, reason: str) -> None:
        with self._writing("park") as connection:
            intents.move(connection, entry.key, "parked", only_from=("broadcast",), reason=reason)
