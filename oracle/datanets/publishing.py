"""From a file to published rows: received → parsed → published. Nothing that a check rejects leaves this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sqlalchemy import Connection

from oracle.datanets.calls import Terms
from oracle.datanets.canonical import keccak
from oracle.datanets.checks import Checker
from oracle.datanets.intake import Progress, read
from oracle.datanets.kinds import Kind
from oracle.datanets.manifest import Manifest, cid_of_hash
from oracle.datanets.merkle import rows_root
from oracle.datanets.policy import Policy
from oracle.datanets.records import Batch
from oracle.datanets.stores import Stores
from oracle.datanets.verdicts import Fault, Finding, Verdict
from oracle.errors import NeedsPerson
from oracle.store import contributions
from oracle.store.contributions import Contribution
from oracle.store.database import Database
from oracle.types import Address, Cid, DatanetId, Hash32, RowHash

Seen = Callable[[Batch, dict[int, Finding]], None]


@dataclass(frozen=True)
class Line:
    """What is wrong with a line of a file, and whether a reviewer may still accept it."""

    number: int
    code: str
    sentence: str
    held: bool


@dataclass
class Tally:
    """How the rows of a file fared; grows while it is read."""

    taken: int = 0
    held: int = 0
    left_out: int = 0
    lines: list[Line] = field(default_factory=list)  # what was left out or is held

    _MOST = 10_000  # a file may be wrong in every line

    def fault(self, fault: Fault) -> None:
        self.left_out += 1
        self._line(Line(fault.line, fault.code, fault.sentence, False))

    def finding(self, line: int, finding: Finding) -> None:
        if finding.verdict is Verdict.REJECTED:
            self.left_out += 1
        else:
            self.held += 1
        self._line(Line(line, finding.code, finding.sentence, finding.verdict is not Verdict.REJECTED))

    def _line(self, line: Line) -> None:
        if len(self.lines) < self._MOST:
            self.lines.append(line)


def key_of(contributor: Address, datanet: DatanetId, kind: Kind, source: Cid) -> Hash32:
    """The same file by the same contributor to the same datanet is one contribution, however often it is sent."""
    return Hash32(keccak(f"{contributor}/{datanet}/{kind.word}/{source}".encode()))


def receive(
    database: Database,
    stores: Stores,
    pieces: Iterator[bytes],
    *,
    contributor: Address,
    datanet: DatanetId,
    kind: Kind,
    private: bool,
    file: str,
    licence: str,
) -> Hash32:
    """Keeps the file, and from then on nothing of it is lost."""
    source = stores.spool.put_stream(pieces)
    key = key_of(contributor, datanet, kind, source)
    with database.transaction() as connection:
        contributions.receive(connection, key, datanet, contributor, kind, private, source, file, licence)
    return key


def parse(
    database: Database, stores: Stores, given: Contribution, policy: Policy, progress: Progress | None = None
) -> Tally:
    """received → parsed, or refused where no row is left."""
    assert given.source is not None
    assert given.file is not None
    tally = Tally()
    hashes: list[RowHash] = []
    kind = Kind(given.kind)
    checker = Checker(policy, kind)
    seal = given.key if given.private else None
    try:
        with stores.spool.open(given.source) as file:
            batches = read(file, given.file, kind, progress=progress)
            blob = stores.put_rows(stores.spool, _kept(batches, checker, tally, hashes), seal)
    except NeedsPerson as error:
        with database.transaction() as connection:
            if contributions.is_still(connection, given):
                _refuse(connection, given, str(error))
        return tally
    root = rows_root(given.contributor, hashes)
    manifest = Manifest(
        given.datanet,
        given.contributor,
        kind.word,
        len(hashes),
        "0x" + root.hex(),
        blob,
        given.private,
        given.licence or "",
    )
    terms = Terms(given.contributor, given.datanet, kind, root, len(hashes), manifest.hash)
    with database.transaction() as connection:
        if not contributions.is_still(connection, given):
            return tally
        if not hashes:
            _refuse(connection, given, f"{given.file}: not one of its {tally.left_out} rows can be taken")
        elif contributions.is_named(connection, terms.name):
            _refuse(connection, given, f"{given.file}: these rows were contributed already, as {terms.name.hex()}")
        else:
            contributions.move(
                connection,
                given.key,
                "parsed",
                name=terms.name,
                rows_root=root,
                count=len(hashes),
                blob=blob,
                seal=seal,
                manifest=manifest.as_json(),
                manifest_hash=manifest.hash,
            )
    return tally


def publish(database: Database, stores: Stores, given: Contribution) -> None:
    """parsed → published: rows first, then the manifest that names them; the file itself is kept no longer."""
    assert given.blob is not None
    assert given.manifest is not None
    assert given.source is not None
    with stores.spool.open(given.blob) as rows:
        stores.published.put_stream(iter(lambda: rows.read(1 << 20), b""))
    stores.published.put(given.manifest)
    with database.transaction() as connection:
        if not contributions.is_still(connection, given):
            return
        contributions.move(connection, given.key, "published")
    clear(database, stores, given)


def clear(database: Database, stores: Stores, given: Contribution) -> None:
    """Takes the file and the parsed rows out of the spool, unless somebody else has handed in the same and waits for
    them; done again where it was interrupted."""
    for cid in (given.source, given.blob):
        if cid is None:
            continue
        with database.transaction() as connection:
            if not contributions.is_awaited(connection, cid, given.key):
                stores.spool.delete(cid)


def preview(batches: Iterator[Batch], policy: Policy, kind: Kind) -> Tally:
    """The same without keeping anything: a dry run."""
    tally = Tally()
    checker = Checker(policy, kind)
    for _ in _kept(batches, checker, tally, []):
        pass
    return tally


def terms_of(given: Contribution) -> Terms:
    assert given.rows_root is not None
    assert given.count is not None
    assert given.manifest_hash is not None
    return Terms(given.contributor, given.datanet, given.kind, given.rows_root, given.count, given.manifest_hash)


def _kept(batches: Iterator[Batch], checker: Checker, tally: Tally, hashes: list[RowHash]) -> Iterator[bytes]:
    """The rows that are contributed, a line each; what happened to the others is in the tally."""
    for batch in batches:
        for fault in batch.faults:
            tally.fault(fault)
        if not len(batch):
            continue
        found, _ = checker.alone(batch.texts)
        kept = []
        for at, row in enumerate(batch.rows):
            finding = found.get(at)
            if finding is not None:
                tally.finding(batch.lines[at], finding)
                if finding.verdict is Verdict.REJECTED:
                    continue
            kept.append(row)
            hashes.append(batch.hashes[at])
        tally.taken += len(kept)
        if kept:
            yield b"\n".join(kept) + b"\n"


def _refuse(connection: Connection, given: Contribution, reason: str) -> None:
    contributions.move(connection, given.key, "refused", reason=reason)


def manifest_cid(given: Contribution) -> Cid:
    assert given.manifest_hash is not None
    return cid_of_hash(given.manifest_hash)
