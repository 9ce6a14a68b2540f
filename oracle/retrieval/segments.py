"""An index at rest: segments of passages with their vectors, and a list of those that are one datanet's index.

A segment is named by the hash of what it was made from, so that the same rows are never encoded twice. Those of private
rows are sealed with the key of their contribution: who destroys it has erased them here too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from oracle.datanets.canonical import canonical
from oracle.datanets.stores import Stores
from oracle.retrieval.errors import DamagedIndex
from oracle.retrieval.records import Passage
from oracle.store.folder import Folder
from oracle.types import Address, ContributionId, DatanetId, Hash32, RowHash

FORMAT = "openledger-passages/1"
Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Segment:
    """Passages of one contribution, and a vector of unit length for each; none where words alone are searched."""

    passages: tuple[Passage, ...]
    vectors: Vectors | None


@dataclass(frozen=True)
class Entry:
    """A segment that belongs to an index; `seal` is that of its rows."""

    name: Hash32
    contribution: ContributionId
    seal: Hash32 | None

    def as_told(self) -> dict[str, Any]:
        seal = None if self.seal is None else self.seal.hex()
        return {"contribution": self.contribution.hex(), "name": self.name.hex(), "seal": seal}


@dataclass(frozen=True)
class Contents:
    """What a datanet's index consists of, and what it was built from."""

    datanet: DatanetId
    snapshot: int
    root: Hash32
    built_from: Hash32  # the snapshot and everything erased since
    encoder: str  # empty: words alone
    complete: bool
    segments: tuple[Entry, ...]

    def as_json(self) -> bytes:
        hashes = {name: getattr(self, name).hex() for name in ("root", "built_from")}
        return canonical({**vars(self), **hashes, "segments": [each.as_told() for each in self.segments]})


class Segments:
    """Of all datanets, in a folder of their own; never among what is published."""

    def __init__(self, folder: Folder, stores: Stores) -> None:
        self._folder, self._stores = folder, stores

    def contents(self, datanet: DatanetId) -> Contents | None:
        """None where nothing was built yet."""
        content = self.contents_bytes(datanet)
        return None if content is None else self.read_contents(datanet, content)

    def contents_bytes(self, datanet: DatanetId) -> bytes | None:
        try:
            return self._folder.read(_contents_file(datanet))
        except FileNotFoundError:
            return None

    def write_contents(self, made: Contents) -> None:
        self._folder.write(_contents_file(made.datanet), BytesIO(made.as_json()))

    def has(self, datanet: DatanetId, name: Hash32) -> bool:
        return self._folder.has(_segment_file(datanet, name))

    def put(self, datanet: DatanetId, entry: Entry, made: Segment) -> None:
        content = _written(entry.name, made)
        pieces = [content] if entry.seal is None else self._stores.vault.seal(entry.seal, [content])
        self._folder.write(_segment_file(datanet, entry.name), BytesIO(b"".join(pieces)))

    def get(self, datanet: DatanetId, entry: Entry) -> Segment:
        """Raises KeyDestroyed where it was erased, FileNotFoundError where a newer index has replaced it."""
        content = self._folder.read(_segment_file(datanet, entry.name))
        if entry.seal is not None:
            content = b"".join(self._stores.vault.unseal(entry.seal, BytesIO(content)))
        try:
            return _read(datanet, entry, content)
        except (ValueError, KeyError, TypeError) as error:
            where = f"{self._folder.url}/{_segment_file(datanet, entry.name)}"
            raise DamagedIndex(
                f"datanet {datanet}: {where} is damaged ({error});"
                f" remove it, then: openledger retrieval build {datanet}"
            ) from None

    def keep_only(self, datanet: DatanetId, names: Sequence[Hash32]) -> int:
        """Destroys all others; says how many."""
        kept = {_segment_file(datanet, name) for name in names}
        gone = [name for name in self._folder.names(".passages") if name.startswith(f"{datanet}/") and name not in kept]
        for name in gone:
            self._folder.destroy(name)
        return len(gone)

    def read_contents(self, datanet: DatanetId, content: bytes) -> Contents:
        try:
            told = orjson.loads(content)
            for name in ("root", "built_from"):
                told[name] = Hash32(bytes.fromhex(told[name]))
            told["segments"] = tuple(_entry(each) for each in told["segments"])
            return Contents(**told)
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedIndex(
                f"datanet {datanet}: {self._folder.url}/{_contents_file(datanet)} cannot be read ({error});"
                f" remove it, then: openledger retrieval build {datanet}"
            ) from None


def _written(name: Hash32, made: Segment) -> bytes:
    lines = b"".join(canonical(_told(each)) + b"\n" for each in made.passages)
    vectors = b"" if made.vectors is None else made.vectors.astype("<f2").tobytes()
    head = {
        "dimension": 0 if made.vectors is None else made.vectors.shape[1],
        "format": FORMAT,
        "lines": len(lines),
        "name": name.hex(),
        "passages": len(made.passages),
        "sha256": sha256(lines + vectors).hexdigest(),
    }
    return canonical(head) + b"\n" + lines + vectors


def _read(datanet: DatanetId, entry: Entry, content: bytes) -> Segment:
    first, _, rest = content.partition(b"\n")
    head = orjson.loads(first)
    if (head["format"], head["name"], head["sha256"]) != (FORMAT, entry.name.hex(), sha256(rest).hexdigest()):
        raise ValueError("it is another one, or its bytes were changed")
    passages = tuple(_passage(datanet, entry, orjson.loads(line)) for line in rest[: head["lines"]].splitlines())
    vectors = None
    if head["dimension"]:
        vectors = np.frombuffer(rest[head["lines"] :], "<f2").reshape(len(passages), -1).astype(np.float32)
    return Segment(passages, vectors)


def _told(passage: Passage) -> dict[str, Any]:
    return {
        "cluster": passage.cluster.hex(),
        "licence": passage.licence,
        "owner": passage.owner,
        "part": passage.part,
        "place": passage.place,
        "row": passage.row.hex(),
        "text": passage.text,
        "title": passage.title,
    }


def _passage(datanet: DatanetId, entry: Entry, told: dict[str, Any]) -> Passage:
    told["row"], told["cluster"] = RowHash(bytes.fromhex(told["row"])), Hash32(bytes.fromhex(told["cluster"]))
    told["owner"] = Address(told["owner"])
    return Passage(datanet=datanet, contribution=entry.contribution, **told)


def _entry(told: dict[str, Any]) -> Entry:
    seal = None if told["seal"] is None else Hash32(bytes.fromhex(told["seal"]))
    return Entry(Hash32(bytes.fromhex(told["name"])), ContributionId(bytes.fromhex(told["contribution"])), seal)


def _contents_file(datanet: DatanetId) -> str:
    return f"{datanet}/contents.json"


def _segment_file(datanet: DatanetId, name: Hash32) -> str:
    return f"{datanet}/{name.hex()}.passages"
