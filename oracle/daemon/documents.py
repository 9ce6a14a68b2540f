"""Indexes of documents kept up with their datanets: those that a served model may look up."""

from __future__ import annotations

import time
from collections.abc import Callable

from oracle.daemon.ground import Ground
from oracle.daemon.steps import Result
from oracle.store import models, work
from oracle.types import DatanetId, Timestamp

STEP = "bench.passages"
_AT_ONCE = 2  # segments in one step: some seconds, so that no question waits long behind it


def look(ground: Ground, hint: Callable[[str, str], None]) -> int:
    """Asks for what is due: a new snapshot, something erased, another sentence model."""
    with ground.database.reading() as connection:
        served = models.listed(connection, ground.rpc.chain, *models.SERVED)
    datanets = sorted({datanet for model in served for datanet in model.made.retrieval})
    due = [str(datanet) for datanet in datanets if ground.builder.is_due(datanet)]
    now = Timestamp(int(time.time()))
    with ground.database.transaction() as connection:
        asked = [subject for subject in due if work.renew(connection, STEP, subject, now)]
    for subject in asked:
        hint(STEP, subject)
    return len(asked)


def index(ground: Ground, subject: str) -> Result:
    """The body of the task `bench.passages`."""
    return Result(more=ground.builder.build(DatanetId(int(subject)), _AT_ONCE) > 0)
