"""The one canonical document of a batch: JSON lines, in one order, with one way to write each.

    {"kind":"batch", …}       chain, contracts, epoch, previous root
    {"kind":"terms", …}       by hash
    {"kind":"voucher", …}     by (consumer, key)
    {"kind":"receipt", …}     by hash: the receipt, its attribution, its shares as [role, account, amount]
    {"kind":"account", …}     by index, which is the place in the reward tree: balance before and after
    {"kind":"end", …}         the roots and sums that follow

Keys are sorted, amounts are decimal strings, hashes and signatures 0x and small letters. `documentHash` is keccak of
these bytes; what is published is their Zstandard frame, named by its CID. A compressor of another version changes the
name under which the bytes are found, never what was signed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO

import orjson
import sha3  # type: ignore[import-untyped]
import zstandard

from oracle.errors import NeedsPerson
from oracle.settlement.hashing import Header
from oracle.types import Address, ChainId, Epoch, Hash32, Wei

VERSION = 1
RECEIPT_LINE = b'{"attribution":'
LONGEST_LINE = 4 * 1024 * 1024
_PIECE = 1 << 20


class BadDocument(NeedsPerson):
    """The bytes are no document: cut, changed, or written by somebody who did not keep to the form."""


@dataclass(frozen=True)
class Head:
    """What a batch stands on."""

    chain: ChainId
    epoch: Epoch
    escrow: Address
    distributor: Address
    models: Address
    operator: Address
    previous_root: Hash32
    previous_total: Wei

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": "batch",
            "version": VERSION,
            **vars(self),
            "previous_root": hexed(self.previous_root),
            "previous_total": str(self.previous_total),
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Head:
        values = {name: value for name, value in content.items() if name not in ("kind", "version")}
        if content["version"] != VERSION:
            raise BadDocument(f"version {content['version']}: this code reads version {VERSION}")
        values["previous_root"] = Hash32(unhexed(values["previous_root"], 32))
        values["previous_total"] = Wei(int(values["previous_total"]))
        return cls(**values)


@dataclass(frozen=True)
class End:
    """What a batch comes to. With the document's own hash it is the header."""

    receipts_root: Hash32
    receipt_count: int
    vouchers_root: Hash32
    fees: Wei
    amounts: tuple[Wei, ...]
    root: Hash32
    total: Wei

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": "end",
            "receipts_root": hexed(self.receipts_root),
            "receipt_count": self.receipt_count,
            "vouchers_root": hexed(self.vouchers_root),
            "fees": str(self.fees),
            "amounts": [str(amount) for amount in self.amounts],
            "root": hexed(self.root),
            "total": str(self.total),
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> End:
        return cls(
            Hash32(unhexed(content["receipts_root"], 32)),
            content["receipt_count"],
            Hash32(unhexed(content["vouchers_root"], 32)),
            Wei(int(content["fees"])),
            tuple(Wei(int(amount)) for amount in content["amounts"]),
            Hash32(unhexed(content["root"], 32)),
            Wei(int(content["total"])),
        )

    def header(self, epoch: Epoch, document_hash: Hash32) -> Header:
        return Header(
            epoch,
            self.receipts_root,
            self.receipt_count,
            self.vouchers_root,
            self.fees,
            self.amounts,
            document_hash,
        )


class Writer:
    """Lines in, compressed bytes out, and the hash of the lines."""

    def __init__(self, out: BinaryIO) -> None:
        # Hashes and signatures do not compress, so that higher levels cost time alone. The checksum lets a reader say
        # "damaged" before it says "different".
        self._frame = zstandard.ZstdCompressor(level=1, write_checksum=True).stream_writer(out, closefd=False)
        self._hash = sha3.keccak_256()
        self._pending: list[bytes] = []
        self._size = 0

    def line(self, content: dict[str, Any]) -> None:
        self.raw(line_of(content))

    def raw(self, line: bytes) -> None:
        """A line that is canonical already, with its end."""
        self._pending.append(line)
        self._size += len(line)
        if self._size > _PIECE:
            self._flush()

    def close(self) -> Hash32:
        self._flush()
        self._frame.close()  # type: ignore[no-untyped-call]
        return Hash32(self._hash.digest())

    def _flush(self) -> None:
        piece = b"".join(self._pending)
        self._hash.update(piece)
        self._frame.write(piece)
        self._pending, self._size = [], 0


class Reader:
    """The lines of published bytes; `document_hash` after the last one."""

    def __init__(self, published: BinaryIO) -> None:
        self._published = published
        self._hash = sha3.keccak_256()

    @property
    def document_hash(self) -> Hash32:
        return Hash32(self._hash.digest())

    def lines(self) -> Iterator[bytes]:
        rest = b""
        try:
            frame = zstandard.ZstdDecompressor().stream_reader(self._published, closefd=False)
            while piece := frame.read(_PIECE):
                self._hash.update(piece)
                *whole, rest = (rest + piece).split(b"\n")
                if len(rest) > LONGEST_LINE:
                    raise BadDocument(f"a line of more than {LONGEST_LINE} bytes; no batch has one")
                yield from whole
        except zstandard.ZstdError as error:
            raise BadDocument(f"the bytes do not unpack ({error}); fetch them again") from error
        if rest:
            raise BadDocument("the last line has no end: the bytes were cut")
        if self._published.read(1):
            raise BadDocument("something stands behind the end of the frame")


def line_of(content: dict[str, Any]) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def parsed(line: bytes) -> dict[str, Any]:
    """A line of the document, if it is written in the one canonical way."""
    try:
        content = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadDocument(f"a line is not JSON ({error}): {line[:80]!r}") from error
    if not isinstance(content, dict) or line_of(content)[:-1] != line:
        raise BadDocument(f"a line is not canonical JSON: {line[:80]!r}")
    return content


def hexed(value: bytes) -> str:
    return "0x" + value.hex()


def unhexed(value: Any, length: int | None = None) -> bytes:
    if not isinstance(value, str) or value[:2] != "0x" or value != value.lower():
        raise BadDocument(f"{value!r}: not bytes as 0x and small letters")
    try:
        found = bytes.fromhex(value[2:])
    except ValueError:
        raise BadDocument(f"{value!r}: not hexadecimal") from None
    if length is not None and len(found) != length:
        raise BadDocument(f"{value!r}: {len(found)} bytes in the place of {length}")
    return found


def packed(lines: Iterable[dict[str, Any]]) -> tuple[bytes, Hash32]:
    """A whole document in memory: for small ones, and for tests that write bad ones."""
    out = BytesIO()
    writer = Writer(out)
    for content in lines:
        writer.line(content)
    name = writer.close()
    return out.getvalue(), name
