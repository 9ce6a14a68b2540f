"""Names of blobs: the CIDv1 that IPFS gives to the same bytes.

A file of one chunk is named by its hash; a longer one by the root of a balanced tree of chunks, in UnixFS, as
`ipfs add --cid-version 1` builds it. The libraries that speak UnixFS in Python are abandoned; these are two messages of
protobuf, checked against names that IPFS itself gave.
"""

from __future__ import annotations

from base64 import b32encode
from dataclasses import dataclass
from hashlib import sha256

from oracle.types import Cid

CHUNK = 256 * 1024
_LINKS = 174  # of one node

_RAW, _DAG_PB = 0x55, 0x70
_FILE = 2  # UnixFS' type of a file


@dataclass(frozen=True)
class _Node:
    cid: bytes
    content: int  # bytes of the file below
    stored: int  # bytes that the blocks of it take


class CidBuilder:
    """Takes a file piece by piece. It keeps a name per chunk, never the chunk."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._leaves: list[_Node] = []

    def update(self, piece: bytes) -> None:
        at = CHUNK - len(self._pending) if self._pending else 0
        if at:
            self._pending += piece[:at]
            if len(self._pending) < CHUNK:
                return
            self._leaves.append(_leaf(bytes(self._pending)))
            self._pending.clear()
        for begin in range(at, len(piece) - CHUNK + 1, CHUNK):
            self._leaves.append(_leaf(piece[begin : begin + CHUNK]))
            at = begin + CHUNK
        self._pending += piece[at:]

    def cid(self) -> Cid:
        nodes = list(self._leaves)
        if self._pending or not nodes:
            nodes.append(_leaf(bytes(self._pending)))
        while len(nodes) > 1:
            nodes = [_parent(nodes[at : at + _LINKS]) for at in range(0, len(nodes), _LINKS)]
        return Cid("b" + b32encode(nodes[0].cid).decode().lower().rstrip("="))


def cid_of(content: bytes) -> Cid:
    builder = CidBuilder()
    builder.update(content)
    return builder.cid()


def is_cid(name: str) -> bool:
    """Whether it is a name that this module gives: only such names ever become paths."""
    return len(name) == 59 and name[0] == "b" and set(name[1:]) <= set("abcdefghijklmnopqrstuvwxyz234567")


def _leaf(chunk: bytes) -> _Node:
    return _Node(_name(_RAW, chunk), len(chunk), len(chunk))


def _parent(children: list[_Node]) -> _Node:
    content = sum(child.content for child in children)
    # In the canonical order of dag-pb links stand before data, though their field has the higher number.
    links = b"".join(_link(child) for child in children)
    sizes = b"".join(_integer(4, child.content) for child in children)
    block = links + _bytes(1, _integer(1, _FILE) + _integer(3, content) + sizes)
    return _Node(_name(_DAG_PB, block), content, len(block) + sum(child.stored for child in children))


def _link(child: _Node) -> bytes:
    return _bytes(2, _bytes(1, child.cid) + _bytes(2, b"") + _integer(3, child.stored))


def _name(codec: int, block: bytes) -> bytes:
    return bytes((1, codec, 0x12, 32)) + sha256(block).digest()


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _integer(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
