"""What was promised to be kept no longer: texts whose time is over, answers for repetitions that nobody sends now."""

from __future__ import annotations

import time

from oracle.daemon.ground import Ground
from oracle.store import answers, calls
from oracle.types import Timestamp

REPEATED = 24 * 3600  # seconds after which an idempotency key is a new one


def forget(ground: Ground) -> int:
    """Says how many texts and calls went."""
    now = int(time.time())
    with ground.database.transaction() as connection:
        texts = answers.forget(connection, Timestamp(now))
        return texts + calls.forget_calls(connection, Timestamp(now - REPEATED))
