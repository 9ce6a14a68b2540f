"""A datanet of documents with an index, and questions to it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datanets_world import DATANET, OPERATOR, World

from oracle.datanets import erasing
from oracle.datanets.kinds import Kind
from oracle.retrieval.building import Builder
from oracle.retrieval.encoding import Encoder
from oracle.retrieval.records import Found, Passage
from oracle.retrieval.retriever import Retriever
from oracle.retrieval.segments import Segments
from oracle.store.folder import Folder
from oracle.types import Hash32, RowHash

MOORING = "The vessel that was announced first moors first, unless the harbour master says otherwise."
PILOT = "The charterer pays the pilot, if the contract names no other party."
BALLAST = "Ballast water is exchanged at least two hundred nautical miles from the nearest land."
DOCUMENTS = (MOORING, PILOT, BALLAST)
BUDGET = 4000  # characters: no test hangs on a tokenizer


@dataclass
class Library:
    """`reader` lives on from question to question, as that of a server does."""

    world: World
    encoder: Encoder | None = None
    reader: Retriever = field(init=False)

    def __post_init__(self) -> None:
        self.segments = Segments(Folder(str(self.folder)), self.world.stores)
        self.reader = Retriever(self.world.database, self.segments, self.encoder)

    def use(self, encoder: Encoder) -> None:
        """From now on, as after a change of the settings."""
        self.encoder = encoder
        self.__post_init__()

    @property
    def folder(self) -> Path:
        return self.world.folder / "passages"

    @property
    def builder(self) -> Builder:
        return Builder(self.world.database, self.world.stores, self.segments, self.encoder)

    def add(self, *texts: str, who: Any = OPERATOR) -> Hash32:
        """Documents, all the way to settled, by a reviewer who lets everything pass."""
        content = b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts)
        key = self.world.upload(who, content, kind=Kind.DOCUMENT)
        self.world.run()
        if who is not OPERATOR:
            self.world.sign(who, key)
            self.world.run()
        return key

    def settle(self) -> None:
        self.world.review(lambda reason: True)
        self.world.run()
        self.world.sign_outcomes()
        self.world.run()

    def snapshot(self, name: str) -> None:
        self.world.snapshot(name)
        self.world.run()

    def shelve(self, name: str) -> None:
        """Settled, in a snapshot and indexed."""
        self.settle()
        self.snapshot(name)
        self.builder.build(DATANET)

    def ask(self, question: str, budget: int = BUDGET) -> Found:
        return self.reader.find(question, [DATANET], budget, len)

    def erase(self, key: Hash32, *rows: RowHash) -> None:
        """Asked for; the pipeline's next run carries it out."""
        given = self.world.contribution(key)
        with self.world.database.transaction() as connection:
            erasing.ask(connection, given, list(rows), None)

    def stored(self) -> list[Path]:
        return sorted(self.folder.rglob("*.passages"))

    def everything_stored(self) -> bytes:
        return b"".join(file.read_bytes() for file in sorted(self.folder.rglob("*")) if file.is_file())


def texts(passages: tuple[Passage, ...]) -> list[str]:
    return [passage.text for passage in passages]
