"""The operator's side of passages: each that stood in a disclosed prompt, with what shows whose it is.

A row that everybody may read is shown whole, so that its hash can be taken; of a private one, the passage alone. Both
come with the paths to the roots that the chain has: of the contribution's rows, and of those that were accepted.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from oracle.datanets.collecting import erased_line, hash_of_line
from oracle.datanets.erasing import erased_rows
from oracle.datanets.limits import DEFAULT
from oracle.datanets.lines import lines
from oracle.datanets.merkle import RowTree
from oracle.datanets.snapshotting import holder_in
from oracle.datanets.stores import Stores
from oracle.datanets.verdicts import Verdict
from oracle.errors import OpenLedgerError
from oracle.retrieval.cutting import passage_of
from oracle.settlement.disclosing import Content
from oracle.settlement.document import hexed
from oracle.store import contributions, rows, snapshots
from oracle.store.answers import Passage
from oracle.store.contributions import Contribution
from oracle.types import ContributionId, Hash32, RowHash

_LONGEST = 8 * DEFAULT.row_bytes


class NotShown(Exception):
    """A passage that cannot be shown any more; says why."""


def shown(stores: Stores, connection: Connection, passages: Sequence[Passage]) -> list[Content]:
    """In the order in which they stood in the prompt; those that were left out of it are not among them. Raises
    NotShown."""
    used = [each for each in passages if each.last > each.first]
    try:
        opened = {name: _Opened(stores, connection, name) for name in {each.contribution for each in used}}
        return [opened[each.contribution].show(each) for each in used]
    except OpenLedgerError as error:
        raise NotShown(str(error)) from error


class _Opened:
    """One contribution, with the trees over its rows."""

    def __init__(self, stores: Stores, connection: Connection, name: Hash32) -> None:
        self._stores, self._connection = stores, connection
        self._given = given = contributions.named(connection, ContributionId(name))
        self._gone = frozenset[RowHash]() if given.erased else erased_rows(connection, given)
        hashes, accepted = _rows(connection, given)
        self._all, self._accepted = RowTree(given.contributor, hashes), RowTree(given.contributor, accepted)

    def show(self, passage: Passage) -> Content:
        given, row = self._given, RowHash(passage.row)
        line = self._line(row)
        assert given.manifest is not None
        return {
            "text": passage_of(line, passage.part) if given.private else line.decode(),
            "part": passage.part,
            "manifest": given.manifest.decode(),
            "held": [hexed(each) for each in self._all.proof(row)],
            "accepted": [hexed(each) for each in self._accepted.proof(row)],
            "snapshot": self._snapshot(passage),
        }

    def _snapshot(self, passage: Passage) -> int | None:
        """The newest version on chain that says who holds the credit; none where it is whoever contributed the row."""
        if passage.owner in (None, self._given.contributor):
            return None
        for made in reversed(snapshots.with_contribution(self._connection, self._given.key)):
            if made.version is not None:
                with self._stores.published.open(made.rows) as table:
                    if holder_in(table, passage.contribution, passage.row) == passage.owner:
                        return made.version
        raise NotShown("no snapshot on chain says who holds the credit of a passage of its prompt")

    def _line(self, row: RowHash) -> bytes:
        given = self._given
        if given.erased or self._gone is None or row in self._gone:
            raise NotShown("a passage of its prompt was erased")
        assert given.blob is not None
        with self._stores.rows(self._stores.published, given.blob, given.seal) as content:
            for line, _ in lines(content, _LONGEST):
                if line is not None and hash_of_line(line) == row and line != erased_line(row):
                    return line
        raise NotShown("a passage of its prompt is not in the bytes that are here")


def _rows(connection: Connection, given: Contribution) -> tuple[list[RowHash], list[RowHash]]:
    """All of them, and those that were accepted."""
    hashes, accepted = list[RowHash](), list[RowHash]()
    for chunk in rows.chunks(connection, given.key):
        for at in range(chunk.count):
            hashes.append(chunk.hash_of(at))
            if chunk.verdicts[at] == Verdict.ACCEPTED:
                accepted.append(chunk.hash_of(at))
    return hashes, accepted
