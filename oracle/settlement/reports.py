"""An account's statement with what it needs around it: documents, the registry's word, the chain's credits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from oracle.settlement.document import Reader, parsed
from oracle.settlement.onchain import Onchain
from oracle.settlement.statement import Known, Statement, statement
from oracle.settlement.verify import DOCUMENT
from oracle.store import batches, contributions, snapshots
from oracle.store.batches import Batch, State
from oracle.store.events import events
from oracle.types import Address, Epoch, Hash32

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from oracle.store.blobs import Blobs
    from oracle.store.database import Database
    from oracle.types import ChainId


def statement_of_account(
    database: Database, blobs: Blobs, onchain: Onchain, account: Address, bundles: Sequence[Path] = ()
) -> Statement:
    """From this oracle's batches, or from exported ones."""
    if bundles:
        known: dict[Hash32, Known] = {}
        published = [_of_bundle(folder) for folder in bundles]
    else:
        with database.reading() as connection:
            found = batches.batches(connection, onchain.book.chain, State.POSTED, State.ACTIVE)
            known = contributions_of(connection, onchain.book.chain, account)
        published = [_of_batch(blobs, batch) for batch in found]
    documents = one_by_one(sorted(published, key=lambda one: one.epoch))
    return statement(account, documents, known, onchain.credited([account])[0])


@dataclass(frozen=True)
class Published:
    """A document that is opened when its turn comes."""

    epoch: Epoch
    is_active: bool
    open: Callable[[], AbstractContextManager[BinaryIO]]


def one_by_one(published: Iterable[Published]) -> Iterator[tuple[Epoch, BinaryIO, bool]]:
    """Years of epochs are more files than a process may hold open: each is closed before the next is opened."""
    for one in published:
        with one.open() as document:
            yield one.epoch, document, one.is_active


def _of_bundle(folder: Path) -> Published:
    def opened() -> BinaryIO:
        return (folder / DOCUMENT).open("rb")

    with opened() as document:
        head = parsed(next(Reader(document).lines()))
    return Published(Epoch(head["epoch"]), True, opened)


def _of_batch(blobs: Blobs, batch: Batch) -> Published:
    assert batch.document is not None
    return Published(batch.epoch, batch.state == State.ACTIVE, partial(blobs.open, batch.document))


def contributions_of(connection: Connection, chain: ChainId, account: Address) -> dict[Hash32, Known]:
    """What was contributed in its name, by whoever sent it; accepted; and trained into, by snapshots that hold it."""
    trained = _models_by_snapshot(connection, chain)
    found: dict[Hash32, Known] = {}
    for one in contributions.of_contributor(connection, account):
        if one.place is None:  # waits for its signature or for the chain: as yet nobody has contributed it
            continue
        assert one.name is not None
        models: list[str] = []
        for snapshot in snapshots.with_contribution(connection, one.key):
            models += trained.get((snapshot.datanet, snapshot.version or 0), ())
        accepted = None if one.recorded is None else int.from_bytes(one.recorded[32:40], "big")
        found[Hash32(one.name)] = Known(accepted, one.count or 0, tuple(dict.fromkeys(models)))
    return found


def _models_by_snapshot(connection: Connection, chain: ChainId) -> dict[tuple[int, int], list[str]]:
    found: dict[tuple[int, int], list[str]] = {}
    for event in events(connection, chain, "ModelRegistry", "VersionPublished"):
        for snapshot in event.args["snapshots"]:
            name = f"model {event.args['model']} version {event.args['version']}"
            found.setdefault((int(snapshot["datanet"]), int(snapshot["version"])), []).append(name)
    return found
