"""Rows of private datanets at rest: encrypted with one key per contribution, so that erasing is destroying a key.

Keys lie in a folder of their own, wrapped by a master key from a file; a backup of the database or of the blobs holds
none. A destroyed key leaves a mark, so that neither a race nor a restored folder brings it back.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from oracle.errors import NeedsPerson
from oracle.store.folder import Folder

_MAGIC = b"OLV1"
_PIECE = 64 * 1024
_TAG = 16
_PREFIX = 7  # bytes of a nonce that are the blob's; then 4 that count pieces, then 1 that marks the last


class KeyDestroyed(NeedsPerson):
    """The rows were erased: their key is gone, and their bytes are noise."""


class BadSeal(NeedsPerson):
    """The bytes were changed or cut, or belong to another contribution, or the master key is another one."""


class BadMasterKey(NeedsPerson):
    """The file of the master key is missing, readable by others, or not a key."""


class Vault:
    def __init__(self, keys: str, master_key: Path) -> None:
        self._keys = Folder(keys)
        self._master = AESGCM(read_master_key(master_key))

    def seal(self, owner: bytes, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The stream, encrypted for one owner (a contribution); its key is made on first use."""
        cipher, prefix = AESGCM(self._key(owner, create=True)), secrets.token_bytes(_PREFIX)
        yield _MAGIC + prefix
        pending, number = bytearray(), 0
        for piece in pieces:
            pending += piece
            while len(pending) > _PIECE:  # never the last one: more is to come
                yield cipher.encrypt(_nonce(prefix, number, last=False), bytes(pending[:_PIECE]), None)
                del pending[:_PIECE]
                number += 1
        yield cipher.encrypt(_nonce(prefix, number, last=True), bytes(pending), None)

    def unseal(self, owner: bytes, sealed: BinaryIO) -> Iterator[bytes]:
        """The stream again. Each piece that comes is authentic; only its end says that nothing was cut off."""
        cipher = AESGCM(self._key(owner, create=False))
        head = sealed.read(len(_MAGIC) + _PREFIX)
        if head[: len(_MAGIC)] != _MAGIC or len(head) != len(_MAGIC) + _PREFIX:
            raise BadSeal(f"contribution {owner.hex()}: not sealed rows")
        piece, number = sealed.read(_PIECE + _TAG), 0
        while True:
            following = sealed.read(_PIECE + _TAG)
            try:
                yield cipher.decrypt(_nonce(head[len(_MAGIC) :], number, last=not following), piece, None)
            except InvalidTag:
                raise BadSeal(f"contribution {owner.hex()}: piece {number} of its rows is not authentic") from None
            if not following:
                return
            piece, number = following, number + 1

    def exists(self, owner: bytes) -> bool:
        return self._keys.has(_key_name(owner)) and not self._keys.has(_mark_name(owner))

    def destroy(self, owner: bytes) -> None:
        """For ever. First the mark, then the key: whoever is killed in between has destroyed it."""
        self._keys.write(_mark_name(owner), BytesIO(b"destroyed\n"))
        self._keys.destroy(_key_name(owner))

    def _key(self, owner: bytes, create: bool) -> bytes:
        name = _key_name(owner)
        if create and not self._keys.has(_mark_name(owner)):
            nonce = secrets.token_bytes(12)
            fresh = nonce + self._master.encrypt(nonce, AESGCM.generate_key(256), owner)
            self._keys.create(name, BytesIO(fresh))
        wrapped: bytes | None
        try:
            wrapped = self._keys.read(name)
        except FileNotFoundError:
            wrapped = None
        # Asked after reading: of whoever destroys meanwhile, either the mark is seen or the key is still whole.
        if self._keys.has(_mark_name(owner)):
            self._keys.destroy(name)  # a restored folder, or a writer that raced with the destruction
            raise KeyDestroyed(f"contribution {owner.hex()}: its rows were erased, their key is destroyed")
        if wrapped is None:
            raise BadSeal(f"contribution {owner.hex()}: no key of its rows in {self._keys.url}; was the folder moved?")
        try:
            return self._master.decrypt(wrapped[:12], wrapped[12:], owner)
        except InvalidTag:
            raise BadSeal(f"contribution {owner.hex()}: its key was not wrapped by this master key") from None


def create_master_key(file: Path) -> bool:
    """Makes one where there is none, readable by its owner alone; says whether it did."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(secrets.token_hex(32) + "\n")
        opened.flush()
        os.fsync(opened.fileno())
    try:
        os.link(temporary, file)  # never over another one
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    return True


def read_master_key(file: Path) -> bytes:
    try:
        if file.stat().st_mode & 0o077:
            raise BadMasterKey(f"{file}: others may read it; chmod 600 {file}")
        key = bytes.fromhex(file.read_text(encoding="ascii").strip())
    except OSError as error:
        raise BadMasterKey(f"{file}: no master key ({error.strerror}); `openledger init` makes one") from None
    except ValueError:
        raise BadMasterKey(f"{file}: not a master key; it has to be 64 hexadecimal digits") from None
    if len(key) != 32:
        raise BadMasterKey(f"{file}: a master key has 64 hexadecimal digits, not {2 * len(key)}")
    return key


def _nonce(prefix: bytes, number: int, last: bool) -> bytes:
    return prefix + number.to_bytes(4, "big") + bytes([last])


def _key_name(owner: bytes) -> str:
    return f"{owner.hex()[-2:]}/{owner.hex()}.key"


def _mark_name(owner: bytes) -> str:
    return f"{owner.hex()[-2:]}/{owner.hex()}.destroyed"
