"""Models: what a builder made, version by version, as the factory writes it and everybody else reads it.

prepared → announced → published → deprecated → withdrawn
               └→ prepared (what was signed for it is refused)

`content` of a version is canonical JSON and never changes. Its number is the registry's, too. What may change later
(price, state) has columns of its own; files are blobs, by the name they have in the auditor's folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    LargeBinary,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    insert,
    select,
    update,
)

from oracle.errors import NeedsPerson, Stop
from oracle.store.columns import METADATA, AddressColumn, HashColumn, Id, WeiColumn
from oracle.types import Address, BasisPoints, ChainId, Cid, DatanetId, Hash32, Wei

MODELS = Table(
    "models",
    METADATA,
    Column("position", Id, primary_key=True),
    Column("chain", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("model", BigInteger),  # the registry's number, from its event
    Column("state", String(16), nullable=False),
    Column("builder", AddressColumn, nullable=False),
    Column("weights", HashColumn, nullable=False),
    Column("input_price", WeiColumn, nullable=False),
    Column("output_price", WeiColumn, nullable=False),
    Column("content", LargeBinary, nullable=False),
    UniqueConstraint("chain", "name", "version"),
)

SERVED = ("published", "deprecated")

_PREDECESSORS = {
    "prepared": ("announced",),
    "announced": ("prepared",),
    "published": ("prepared", "announced"),
    "deprecated": ("published",),
    "withdrawn": ("published", "deprecated"),
}


class UnknownModel(NeedsPerson):
    """There is no such model or version."""


class OtherModel(Stop):
    """The same name and version for another content."""


class WrongState(Stop):
    """A model is not where its next step expected it."""


@dataclass(frozen=True)
class Parent:
    """A version that this one was trained on top of; of several the parts sum to 10,000."""

    name: str
    version: int
    share: BasisPoints


@dataclass(frozen=True)
class Version:
    """What is fixed for ever about one version. Hashes are those on chain; a base has no snapshots and no parents.

    `accuracy` is the hash of the measured accuracy of its attribution: zero bytes where it was not measured.
    """

    base: str  # the name of the base that it runs on; its own where it is one
    weights: Hash32
    manifest: Hash32
    evaluation: Hash32
    accuracy: Hash32
    split: tuple[BasisPoints, ...]  # six, in the order of the registry
    files: Mapping[str, Cid]
    is_base: bool = False
    forced: bool = False  # published although the gate said no
    parents: tuple[Parent, ...] = ()
    snapshots: tuple[tuple[DatanetId, int], ...] = ()  # datanet, the registry's version
    licences: tuple[str, ...] = ()
    retrieval: tuple[DatanetId, ...] = ()  # whose documents it may look up while it answers
    title: str = ""
    about: str = ""

    def as_json(self) -> bytes:
        content: dict[str, Any] = {
            name: "0x" + v.hex() if isinstance(v, bytes) else v for name, v in vars(self).items()
        }
        content["files"] = dict(self.files)
        content["parents"] = [vars(parent) for parent in self.parents]
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Version:
        values = {each.name: content[each.name] for each in fields(cls)}
        for name in ("weights", "manifest", "evaluation", "accuracy"):
            values[name] = Hash32(bytes.fromhex(values[name][2:]))
        values["parents"] = tuple(Parent(**parent) for parent in values["parents"])
        values["snapshots"] = tuple((datanet, version) for datanet, version in values["snapshots"])
        for name in ("split", "licences", "retrieval"):
            values[name] = tuple(values[name])
        return cls(**values)


@dataclass(frozen=True)
class Model:
    """One version as it stands."""

    position: int
    chain: ChainId
    name: str
    version: int
    state: str
    builder: Address
    input_price: Wei  # of 1,000 tokens
    output_price: Wei
    made: Version = field(repr=False)
    model: int | None = None  # the registry's number

    @property
    def id(self) -> str:
        return f"{self.name}@{self.version}"


def prepare(
    connection: Connection, chain: ChainId, name: str, builder: Address, prices: tuple[Wei, Wei], made: Version
) -> Model:
    """The next version of a name; the same content again is the version that it was before."""
    versions = _asked(connection, MODELS.c.chain == chain, MODELS.c.name == name)
    content = made.as_json()
    for each in versions:
        if each.made.weights == made.weights:
            if each.made.as_json() != content:
                raise OtherModel(
                    f"model {name}: version {each.version} has these weights but another manifest, and never changes"
                )
            return each
    row = {
        "chain": chain,
        "name": name,
        "version": max((each.version for each in versions), default=0) + 1,
        "model": versions[-1].model if versions else None,
        "state": "prepared",
        "builder": builder,
        "weights": made.weights,
        "input_price": prices[0],
        "output_price": prices[1],
        "content": content,
    }
    return _model(connection.execute(insert(MODELS).values(row).returning(*MODELS.c)).one())


def find(connection: Connection, chain: ChainId, name: str, version: int | None = None) -> Model:
    """The newest that is served where no version is given, else the newest there is."""
    found = _asked(connection, MODELS.c.chain == chain, MODELS.c.name == name)
    if version is not None:
        found = [each for each in found if each.version == version]
    best = [each for each in found if each.state in SERVED] or found
    if not best:
        which = "" if version is None else f" in version {version}"
        raise UnknownModel(f"model {name}: not known{which} on chain {chain}; openledger model list shows what is")
    return best[-1]


def by_number(connection: Connection, chain: ChainId, model: int, version: int) -> Model | None:
    """As the registry and receipts name it."""
    found = _asked(connection, MODELS.c.chain == chain, MODELS.c.model == model, MODELS.c.version == version)
    return found[0] if found else None


def at(connection: Connection, position: int) -> Model:
    """As other tables name it."""
    found = _asked(connection, MODELS.c.position == position)
    if not found:
        raise UnknownModel(f"model at {position}: not known in this database")
    return found[0]


def listed(connection: Connection, chain: ChainId, *states: str) -> list[Model]:
    """By name and version; of every state where none is given."""
    return _asked(connection, MODELS.c.chain == chain, *([MODELS.c.state.in_(states)] if states else []))


def move(connection: Connection, position: int, state: str, **changed: Any) -> None:
    allowed = _PREDECESSORS[state]
    moved = connection.execute(
        update(MODELS).where(MODELS.c.position == position, MODELS.c.state.in_(allowed)).values(state=state, **changed)
    )
    if moved.rowcount != 1:
        raise WrongState(f"model at {position}: cannot become {state}; allowed is from {' or '.join(allowed)}")


def set_number(connection: Connection, chain: ChainId, name: str, builder: Address, model: int) -> int:
    """The registry has given it one; says how many versions of this builder were waiting for it."""
    waiting = (MODELS.c.chain == chain, MODELS.c.name == name, MODELS.c.builder == builder, MODELS.c.model.is_(None))
    return connection.execute(update(MODELS).where(*waiting).values(model=model)).rowcount


def set_price(connection: Connection, chain: ChainId, model: int, prices: tuple[Wei, Wei]) -> None:
    """Of every version: the registry has one price for a model."""
    changed = {"input_price": prices[0], "output_price": prices[1]}
    connection.execute(update(MODELS).where(MODELS.c.chain == chain, MODELS.c.model == model).values(changed))


def set_builder(connection: Connection, chain: ChainId, model: int, builder: Address) -> None:
    """The registry knows another one for it from now on."""
    connection.execute(update(MODELS).where(MODELS.c.chain == chain, MODELS.c.model == model).values(builder=builder))


def count_by_state(connection: Connection) -> dict[str, int]:
    found = connection.execute(select(MODELS.c.state, func.count()).group_by(MODELS.c.state))
    return {row[0]: row[1] for row in found}


def _asked(connection: Connection, *conditions: Any) -> list[Model]:
    asked = select(MODELS).where(*conditions).order_by(MODELS.c.name, MODELS.c.version)
    return [_model(row) for row in connection.execute(asked)]


def _model(row: Row[Any]) -> Model:
    return Model(
        row.position, row.chain, row.name, row.version, row.state, row.builder, row.input_price, row.output_price,
        Version.from_json(orjson.loads(bytes(row.content))), row.model,
    )  # fmt: skip
