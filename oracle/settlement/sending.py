"""One transaction of somebody at a keyboard, who waits until it is mined."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

from oracle.errors import NeedsPerson, Retry
from oracle.store import intents
from oracle.store.database import Database
from oracle.store.intents import Intent
from oracle.types import Address, ChainId, TxHash, Wei

if TYPE_CHECKING:
    from oracle.chain.sender import Sender

_MOST_TURNS = 600


def send(
    database: Database, sender: Sender, chain: ChainId, to: Address, data: bytes, purpose: str,
    pause: Callable[[int], None],
) -> TxHash:  # fmt: skip
    """Through the same sender as everything else: simulated, journalled, followed until it is mined."""
    key = f"{purpose}:{secrets.token_hex(8)}"
    with database.transaction() as connection:
        intents.plan(connection, Intent(key, chain, to, data, Wei(0), purpose), sender.account)
    for _ in range(_MOST_TURNS):
        sender.advance(adopt=False)
        with database.reading() as connection:
            found = intents.outcome(connection, key)
        if found.state in ("mined", "final") and found.succeeded and found.tx is not None:
            return found.tx
        if found.state in ("refused", "failed", "parked"):
            raise NeedsPerson(f"{purpose}: {found.state}: {found.reason}")
        pause(1)
    raise Retry(f"{key}: not mined yet; the sender goes on with it")
