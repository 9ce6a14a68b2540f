"""Contributions, and the states that each goes through.

    received → parsed → published → announced ─┐
        └─────────┴─────────┴──→ refused       ├→ seen → on_chain → checking → checked → decided → settled → included
    (somebody else's, first heard of by event) ─┘    └→ mismatched (until a person has it looked at again)

`received` has a file, `parsed` its rows and their root, `published` a blob that others can fetch, `announced` an
intent to put the root on chain. `seen` is a final event; `on_chain` has its bytes here, and they match the root. What
is checked waits for reviewers where rows are held; `decided` has every row's verdict, `settled` the outcome on chain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Index,
    LargeBinary,
    Row,
    String,
    Table,
    Text,
    and_,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from oracle.errors import NeedsPerson, Stop
from oracle.store.columns import METADATA, AddressColumn, HashColumn, WeiColumn
from oracle.types import Address, Cid, ContributionId, DatanetId, Hash32, Wei

CONTRIBUTIONS = Table(
    "contributions",
    METADATA,
    # Of an upload a name of its own, since its rows are not known yet; of what is first heard of by event, the
    # registry's.
    Column("key", HashColumn, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("datanet", BigInteger, nullable=False),
    Column("contributor", AddressColumn, nullable=False),
    Column("kind", BigInteger, nullable=False),
    Column("private", Boolean, nullable=False),
    Column("source", String(64)),  # the blob of the file as it came
    Column("file", Text),
    Column("licence", Text),
    Column("name", HashColumn, unique=True),  # the registry's
    Column("rows_root", HashColumn),
    Column("count", BigInteger),
    Column("manifest_hash", HashColumn),
    Column("blob", String(64)),
    Column("seal", HashColumn),  # under which the vault keeps the key of a private one's rows
    Column("manifest", LargeBinary),
    Column("deadline", BigInteger),
    Column("signature", LargeBinary),  # the contributor's own: somebody else sends it, and pays the gas
    Column("intent", String(128)),  # the transaction that is to bring it on chain
    Column("place", BigInteger),  # in the log of the datanet
    Column("bond", WeiColumn),  # what its contributor had bonded there at that place
    Column("rank", BigInteger),  # the order in which it was compared with the rest: earlier rows hold the credit
    Column("accepted_root", HashColumn),
    Column("accepted_count", BigInteger),
    Column("reasons_hash", HashColumn),
    Column("recorded", LargeBinary),  # the outcome on chain: root, count (8 bytes), hash of the reasons
    Column("reason", Text),  # why it is refused, mismatched or still waiting
    Column("erased", Boolean, nullable=False, default=False),
    Index(None, "datanet", "state"),
)
Index("ux_contributions_rank", CONTRIBUTIONS.c.datanet, CONTRIBUTIONS.c.rank, unique=True)

_PREDECESSORS = {
    "parsed": ("received",),
    "published": ("parsed", "announced"),  # back again where the registry did not take its signature
    "announced": ("published",),
    "seen": ("published", "announced", "mismatched"),
    "on_chain": ("seen",),
    "mismatched": ("seen",),
    "checking": ("on_chain",),
    "checked": ("checking",),
    "decided": ("checked",),
    "settled": ("decided",),
    "included": ("settled",),
    "refused": ("received", "parsed", "published"),
}
BEFORE_CHAIN = ("received", "parsed", "published", "announced")
STATES = ("received", *_PREDECESSORS)


class UnknownContribution(NeedsPerson):
    """Nothing was uploaded or seen under this name."""


class WrongState(Stop):
    """A contribution is not where its next step expected it."""


@dataclass(frozen=True)
class Contribution:
    key: Hash32
    state: str
    datanet: DatanetId
    contributor: Address
    kind: int
    private: bool
    source: Cid | None
    file: str | None
    licence: str | None
    name: ContributionId | None
    rows_root: Hash32 | None
    count: int | None
    manifest_hash: Hash32 | None
    blob: Cid | None
    seal: Hash32 | None
    manifest: bytes | None
    deadline: int | None
    signature: bytes | None
    intent: str | None
    place: int | None
    bond: Wei | None
    rank: int | None
    accepted_root: Hash32 | None
    accepted_count: int | None
    reasons_hash: Hash32 | None
    recorded: bytes | None
    reason: str | None
    erased: bool


def receive(
    connection: Connection,
    key: Hash32,
    datanet: DatanetId,
    contributor: Address,
    kind: int,
    private: bool,
    source: Cid,
    file: str,
    licence: str,
) -> bool:
    """A file has come. The same file by the same contributor is the same contribution; says whether it is new."""
    row = {"key": key, "state": "received", "datanet": datanet, "contributor": contributor, "kind": kind}
    row |= {"private": private, "source": source, "file": file, "licence": licence, "erased": False}
    return _insert(connection, row)


def hear(
    connection: Connection,
    name: ContributionId,
    datanet: DatanetId,
    contributor: Address,
    kind: int,
    rows_root: Hash32,
    count: int,
    manifest_hash: Hash32,
    place: int,
    bond: Wei,
) -> bool:
    """A final event tells of a contribution, ours or somebody else's. The first event of a name counts."""
    row = {"key": name, "state": "seen", "datanet": datanet, "contributor": contributor, "kind": kind}
    row |= {"name": name, "rows_root": rows_root, "count": count, "manifest_hash": manifest_hash}
    row |= {"place": place, "bond": bond}
    if _insert(connection, row | {"private": False, "erased": False}):
        return True
    moved = connection.execute(
        update(CONTRIBUTIONS)
        .where(CONTRIBUTIONS.c.name == name, CONTRIBUTIONS.c.state.in_(("parsed", "published", "announced")))
        .values(state="seen", place=place, bond=bond)
    )
    return moved.rowcount == 1


def get(connection: Connection, key: Hash32) -> Contribution:
    row = connection.execute(select(CONTRIBUTIONS).where(CONTRIBUTIONS.c.key == key)).one_or_none()
    if row is None:
        raise UnknownContribution(f"contribution {key.hex()}: nothing was received or seen under this key")
    return _contribution(row)


def is_still(connection: Connection, given: Contribution) -> bool:
    """Whether it is where it was read, and stays there until this transaction ends. A shell, the API and the daemon may
    be at one contribution at once: what the second one made is dropped."""
    state = select(CONTRIBUTIONS.c.state).where(CONTRIBUTIONS.c.key == given.key).with_for_update()
    return bool(connection.execute(state).scalar_one() == given.state)


def named(connection: Connection, name: ContributionId) -> Contribution:
    row = connection.execute(select(CONTRIBUTIONS).where(CONTRIBUTIONS.c.name == name)).one_or_none()
    if row is None:
        raise UnknownContribution(f"contribution {name.hex()}: nothing was seen under this name")
    return _contribution(row)


def of_contributor(connection: Connection, contributor: Address) -> list[Contribution]:
    """Those that have the registry's name, in the order of their names."""
    asked = select(CONTRIBUTIONS).where(CONTRIBUTIONS.c.contributor == contributor, CONTRIBUTIONS.c.name.is_not(None))
    return [_contribution(row) for row in connection.execute(asked.order_by(CONTRIBUTIONS.c.name))]


def is_named(connection: Connection, name: ContributionId) -> bool:
    return connection.execute(select(CONTRIBUTIONS.c.key).where(CONTRIBUTIONS.c.name == name)).first() is not None


def is_awaited(connection: Connection, cid: Cid, key: Hash32) -> bool:
    """Whether another contribution has yet to be read from the file, or to be published from the rows, of this name."""
    table = CONTRIBUTIONS.c
    awaited = or_(
        and_(table.state == "received", table.source == cid),
        and_(table.state == "parsed", table.blob == cid),
    )
    return connection.execute(select(table.key).where(awaited, table.key != key).limit(1)).first() is not None


def in_state(connection: Connection, *states: str, datanet: DatanetId | None = None) -> list[Contribution]:
    """Those on the chain in the order of its log; before them, those that are not there yet."""
    asked = select(CONTRIBUTIONS).where(CONTRIBUTIONS.c.state.in_(states))
    if datanet is not None:
        asked = asked.where(CONTRIBUTIONS.c.datanet == datanet)
    asked = asked.order_by(CONTRIBUTIONS.c.datanet, func.coalesce(CONTRIBUTIONS.c.place, -1), CONTRIBUTIONS.c.key)
    return [_contribution(row) for row in connection.execute(asked)]


def ranked(connection: Connection, datanet: DatanetId) -> list[Contribution]:
    """Those that were compared with the rest, in that order."""
    asked = (
        select(CONTRIBUTIONS)
        .where(CONTRIBUTIONS.c.datanet == datanet, CONTRIBUTIONS.c.rank.is_not(None))
        .order_by(CONTRIBUTIONS.c.rank)
    )
    return [_contribution(row) for row in connection.execute(asked)]


def tally(connection: Connection, datanet: DatanetId) -> dict[str, int]:
    asked = (
        select(CONTRIBUTIONS.c.state, func.count())
        .where(CONTRIBUTIONS.c.datanet == datanet)
        .group_by(CONTRIBUTIONS.c.state)
    )
    return {row.state: row[1] for row in connection.execute(asked)}


def move(connection: Connection, key: Hash32, state: str, **fields: Any) -> None:
    """To a state from one that may precede it, or WrongState."""
    allowed = _PREDECESSORS[state]
    moved = connection.execute(
        update(CONTRIBUTIONS)
        .where(CONTRIBUTIONS.c.key == key, CONTRIBUTIONS.c.state.in_(allowed))
        .values(state=state, **fields)
    )
    if moved.rowcount != 1:
        raise WrongState(
            f"contribution {key.hex()}: cannot become {state} from {get(connection, key).state};"
            f" allowed is {' or '.join(allowed)}"
        )


def note(connection: Connection, key: Hash32, **fields: Any) -> None:
    """What is known of it besides its state."""
    connection.execute(update(CONTRIBUTIONS).where(CONTRIBUTIONS.c.key == key).values(**fields))


def _insert(connection: Connection, row: dict[str, Any]) -> bool:
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(CONTRIBUTIONS).values(row).on_conflict_do_nothing().returning(CONTRIBUTIONS.c.key)
    return connection.execute(statement).first() is not None


def _contribution(row: Row[Any]) -> Contribution:
    fields = row._asdict()
    for name in ("manifest", "signature", "recorded"):
        fields[name] = None if fields[name] is None else bytes(fields[name])
    return Contribution(**fields)
