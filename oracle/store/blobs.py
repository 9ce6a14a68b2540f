"""Content-addressed bytes: written once, whole, and checked against their name whenever they are read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from typing import BinaryIO

from oracle.errors import NeedsPerson, Retry
from oracle.store.cid import CHUNK, CidBuilder, cid_of, is_cid
from oracle.store.folder import Folder
from oracle.types import Cid

_IN_MEMORY = 4 * 1024 * 1024


class MissingBlob(Retry):
    """Nothing is stored under a name; it may still arrive."""


class CorruptBlob(NeedsPerson):
    """What is stored under a name has another one."""


class Blobs:
    def __init__(self, url: str) -> None:
        self._folder = Folder(url)

    def put(self, content: bytes) -> Cid:
        return self._store(cid_of(content), BytesIO(content))

    def put_stream(self, pieces: Iterable[bytes]) -> Cid:
        """Of any length: nothing is seen under the name before the last piece has come."""
        builder = CidBuilder()
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as whole:
            for piece in pieces:
                builder.update(piece)
                whole.write(piece)
            whole.seek(0)
            return self._store(builder.cid(), whole)  # type: ignore[arg-type]

    def put_file(self, whole: BinaryIO) -> Cid:
        """From where it stands to its end, which can be read twice."""
        begin, builder = whole.tell(), CidBuilder()
        while piece := whole.read(CHUNK):
            builder.update(piece)
        whole.seek(begin)
        return self._store(builder.cid(), whole)

    def read(self, cid: Cid) -> bytes:
        with self.open(cid) as content:
            return content.read()

    @contextmanager
    def open(self, cid: Cid) -> Iterator[BinaryIO]:
        """The bytes, seekable, after all of them were checked."""
        with ExitStack() as stack:
            try:
                content = stack.enter_context(self._folder.open(_place(cid)))
            except FileNotFoundError:
                raise MissingBlob(f"blob {cid}: nothing is stored under this name in {self._folder.url}") from None
            self._check(cid, content)
            yield content

    def has(self, cid: Cid) -> bool:
        """Whether something is stored under the name; reading tells whether it is that."""
        return self._folder.has(_place(cid))

    def delete(self, cid: Cid) -> None:
        self._folder.destroy(_place(cid))

    def _store(self, cid: Cid, content: BinaryIO | BytesIO) -> Cid:
        # Written even where the name is taken: what stands there may have been damaged.
        self._folder.write(_place(cid), content)
        return cid

    def _check(self, cid: Cid, content: BinaryIO) -> None:
        builder = CidBuilder()
        while piece := content.read(CHUNK):
            builder.update(piece)
        found = builder.cid()
        if found != cid:
            raise CorruptBlob(
                f"blob {cid}: the bytes stored under this name in {self._folder.url} are those of {found};"
                " restore them from a copy, or publish them again"
            )
        content.seek(0)


def _place(cid: Cid) -> str:
    if not is_cid(cid):
        raise NeedsPerson(f"{cid!r} is not the name of a blob")
    return f"{cid[-3:-1]}/{cid}"  # a folder does not like a million files
