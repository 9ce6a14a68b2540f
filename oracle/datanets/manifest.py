"""What is said of a contribution besides its rows. Its hash is on chain, and names its own blob: who has the chain
finds the bytes."""

from __future__ import annotations

from base64 import b32encode
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

import orjson

from oracle.datanets.canonical import canonical
from oracle.errors import NeedsPerson
from oracle.store.cid import is_cid
from oracle.types import Address, Cid, DatanetId, Hash32

FORMAT = "openledger-rows/1"
_MOST = 64 * 1024


class BadManifest(NeedsPerson):
    """It is not what this version can read, or it contradicts the chain."""


@dataclass(frozen=True)
class Manifest:
    datanet: DatanetId
    contributor: Address
    kind: str
    count: int
    rows_root: str
    blob: Cid
    private: bool
    licence: str
    format: str = FORMAT

    def as_json(self) -> bytes:
        return canonical(asdict(self))

    @property
    def hash(self) -> Hash32:
        return Hash32(sha256(self.as_json()).digest())


def read_manifest(content: bytes) -> Manifest:
    """Raises BadManifest."""
    try:
        given: dict[str, Any] = orjson.loads(content) if len(content) <= _MOST else {}
        found = Manifest(**given)
    except (orjson.JSONDecodeError, TypeError) as error:
        raise BadManifest(f"the manifest cannot be read ({error}); its contributor has to publish it again") from None
    if found.format != FORMAT:
        raise BadManifest(f"the manifest is of the format {found.format!r}; this version reads {FORMAT}")
    if not isinstance(found.blob, str) or not is_cid(found.blob) or found.as_json() != content:
        raise BadManifest("the manifest is not in canonical form, or names no blob")
    return found


def cid_of_hash(hash_: Hash32) -> Cid:
    """The name of the one-chunk blob with this SHA-256."""
    return Cid("b" + b32encode(b"\x01\x55\x12\x20" + hash_).decode().lower().rstrip("="))
