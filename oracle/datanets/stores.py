"""Where bytes lie: files as they came, published rows and documents, and the keys of private rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader, RawIOBase
from typing import BinaryIO, cast

from oracle.datanets.manifest import cid_of_hash
from oracle.datanets.policy import Policy, read_policy
from oracle.errors import NeedsPerson
from oracle.store.blobs import Blobs
from oracle.store.vault import Vault
from oracle.types import Cid, Hash32


class NoVault(NeedsPerson):
    """Private rows came to an oracle without a master key."""


class Stores:
    def __init__(self, published: Blobs, spool: Blobs, vault: Vault | None = None) -> None:
        self.published = published
        self.spool = spool  # of this machine alone: files that nobody has looked through yet
        self._vault = vault

    @property
    def vault(self) -> Vault:
        if self._vault is None:
            raise NoVault("private rows need a master key: run `openledger init`")
        return self._vault

    def policy(self, hash_: Hash32) -> Policy:
        return read_policy(self.published.read(cid_of_hash(hash_)))

    def put_rows(self, store: Blobs, pieces: Iterable[bytes], seal: Hash32 | None) -> Cid:
        return store.put_stream(pieces if seal is None else self.vault.seal(seal, pieces))

    @contextmanager
    def rows(self, store: Blobs, cid: Cid, seal: Hash32 | None) -> Iterator[BinaryIO]:
        """The rows of a contribution as they were before sealing, one to a line."""
        with store.open(cid) as content:
            if seal is None:
                yield content
            else:
                yield cast(BinaryIO, BufferedReader(_Pieces(self.vault.unseal(seal, content))))


class _Pieces(RawIOBase):
    """Pieces as a file that can be read from its beginning to its end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._held = pieces, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._held:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._held = piece
        count = min(len(buffer), len(self._held))
        buffer[:count] = self._held[:count]
        self._held = self._held[count:]
        return count
