"""What a person decides about an intent: hold it back, or send it anew."""

from __future__ import annotations

from oracle.chain.reading import Finality, heads
from oracle.chain.rpc import Rpc
from oracle.chain.view import nobody_has_mined, still_there
from oracle.errors import NeedsPerson
from oracle.store import broadcasts, intents
from oracle.store.database import Database
from oracle.store.intents import Journaled
from oracle.types import TxHash


class StillPossible(NeedsPerson):
    """What was signed for the intent before could still be mined."""


def hold_back(database: Database, key: str, reason: str) -> None:
    """From planned or reserved to parked; what has been sent cannot be called back."""
    with database.transaction() as connection:
        entry = intents.journaled(connection, key)
        if entry.state not in ("planned", "reserved"):
            raise StillPossible(f"intent {key}: is {entry.state}; only what was never sent can be held back")
        intents.move(
            connection, key, "parked", only_from=("planned", "reserved"), reason=reason, sender=None, nonce=None
        )


def release(rpc: Rpc, database: Database, finality: Finality, key: str) -> None:
    """From parked to planned. If it was signed before, only once its nonce is spent for good by something else."""
    with database.reading() as connection:
        entry = intents.journaled(connection, key)
        signed = broadcasts.broadcasts_of(connection, [key])[key]
    if entry.state != "parked":
        raise StillPossible(f"intent {key}: is {entry.state}; only what is parked can be released")
    if signed and not _impossible(rpc, finality, entry, [broadcast.tx for broadcast in signed]):
        raise StillPossible(
            f"intent {key}: signed with nonce {entry.nonce}, and no final block rules out yet that it is mined;"
            " wait until that nonce is spent in a final block, and look at every node of OPENLEDGER_RPC_URLS"
        )
    with database.transaction() as connection:
        intents.move(connection, key, "planned", reason=None, sender=None, nonce=None, block=None, block_hash=None)


def _impossible(rpc: Rpc, finality: Finality, entry: Journaled, hashes: list[TxHash]) -> bool:
    if entry.block is None or entry.block_hash is None or heads(rpc, finality).final < entry.block:
        return False
    return still_there(rpc, entry.block, entry.block_hash) and nobody_has_mined(rpc, hashes)
