"""Logs of the suite as events: by the ABI files, into canonical JSON.

Most events of the suite consist of words of 32 bytes. Those are written straight from the hexadecimal of the node into
JSON; a test holds this against eth_abi, which decodes all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from oracle.chain.contracts import CONTRACTS, AddressBook, read_abi
from oracle.errors import NeedsPerson
from oracle.store.arguments import stored_type, to_json
from oracle.store.event_table import Kind, NewEvent
from oracle.types import Address

Write = Callable[[str], str]
"""From the 64 digits of a word to JSON."""


class UnknownEvent(NeedsPerson):
    """A contract of the suite says something that its ABI file does not know."""


@lru_cache(maxsize=1 << 16)
def checksummed(digits: str) -> Address:
    """EIP-55 of 40 small digits; several times as fast as eth_utils, which was a fifth of all of the indexer's time."""
    hashed = keccak(digits.encode()).hex()
    return Address("0x" + "".join([d.upper() if h > "7" else d for d, h in zip(digits, hashed)]))


def abi_type(entry: Mapping[str, Any]) -> str:
    kind: str = entry["type"]
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(abi_type(part) for part in entry['components'])}){kind[5:]}"


def event_topic(entry: Mapping[str, Any]) -> bytes:
    return keccak(text=f"{entry['name']}({','.join(abi_type(part) for part in entry['inputs'])})")


def kinds(book: AddressBook, deployments: Path) -> list[Kind]:
    """Every event of every contract of the suite on this chain."""
    found = []
    for contract in CONTRACTS:
        for entry in read_abi(deployments, contract):
            if entry["type"] == "event" and not entry.get("anonymous"):
                address = book[contract]
                found.append(Kind(book.chain, address, event_topic(entry), contract, entry["name"], entry["inputs"]))
    return found


class Decoder:
    """From a log, as a node writes it, to a row of the table of events."""

    def __init__(self, kinds: Iterable[Kind], ids: Mapping[tuple[Address, bytes], int]) -> None:
        kinds = list(kinds)
        self._readers = {
            ("0x" + kind.address[2:].lower(), "0x" + kind.topic.hex()): (ids[kind.address, kind.topic], _reader(kind))
            for kind in kinds
        }
        self._names = {"0x" + kind.address[2:].lower(): kind.contract for kind in kinds}
        self.addresses = sorted(self._names)

    def row(self, block: int, log: Mapping[str, Any]) -> NewEvent | None:
        """None where the log is not of the suite."""
        if log["address"] not in self._names:
            return None
        topics: list[str] = log["topics"]
        reader = self._readers.get((log["address"], topics[0] if topics else ""))
        if reader is None:
            raise UnknownEvent(
                f"{self._names[log['address']]} ({log['address']}), block {block}: an event {topics[:1]} that"
                " deployments/abi does not know; write the ABI files anew (`make abis`) and start again."
                " Nothing was skipped"
            )
        kind, read = reader
        raw = [bytes.fromhex(topic[2:]) for topic in topics[1:]] + [None] * (4 - len(topics))
        return NewEvent(
            block,
            int(log["logIndex"], 16),
            kind,
            bytes.fromhex(log["transactionHash"][2:]),
            raw[0],
            raw[1],
            raw[2],
            read(topics, log["data"]),
        )


def _reader(kind: Kind) -> Callable[[Sequence[str], str], str]:
    writers = [_writer(stored_type(entry)) for entry in kind.inputs]
    if any(write is None for write in writers):
        return lambda topics, data: decoded(kind, topics, data)
    places: list[tuple[str, bool, int, Write]] = []
    topic, word = 1, 0
    for entry, write in zip(kind.inputs, writers):
        assert write is not None
        if entry["indexed"]:
            places.append((f'"{entry["name"]}":', True, topic, write))
            topic += 1
        else:
            places.append((f'"{entry["name"]}":', False, 2 + 64 * word, write))
            word += 1
    places.sort(key=lambda place: place[0])
    words, length = word, topic

    def read(topics: Sequence[str], data: str) -> str:
        if len(topics) != length or len(data) < 2 + 64 * words:
            return decoded(kind, topics, data)
        parts = [
            name + (write(topics[at][2:]) if indexed else write(data[at : at + 64]))
            for name, indexed, at, write in places
        ]
        return "{" + ",".join(parts) + "}"

    return read


def _writer(kind: str) -> Write | None:
    """For a type that fills one word, how it reads in JSON; None for the others."""
    if kind.endswith("]") or kind in ("string", "bytes") or kind.startswith("tuple"):
        return None
    if kind.startswith("uint"):
        return lambda digits: f'"{int(digits, 16)}"'
    if kind.startswith("int"):
        return lambda digits: f'"{_signed(int(digits, 16))}"'
    if kind == "address":
        return lambda digits: f'"{checksummed(digits[24:])}"'
    if kind == "bool":
        return lambda digits: "true" if int(digits, 16) else "false"
    if kind.startswith("bytes"):
        end = 2 * int(kind[5:])
        return lambda digits: f'"0x{digits[:end]}"'
    return None


def _signed(value: int) -> int:
    return value - 2**256 if value >= 2**255 else value


def decoded(kind: Kind, topics: Sequence[str], data: str) -> str:
    """The long way, by eth_abi, for every type there is."""
    try:
        indexed = [entry for entry in kind.inputs if entry["indexed"]]
        plain = [entry for entry in kind.inputs if not entry["indexed"]]
        args = {
            entry["name"]: _named(decode([stored_type(entry)], bytes.fromhex(topic[2:]))[0], entry, True)
            for entry, topic in zip(indexed, topics[1:], strict=True)
        }
        # Text is read as bytes first: a name that is not UTF-8 must not stop everybody's events.
        types = [abi_type(entry).replace("string", "bytes") for entry in plain]
        values = decode(types, bytes.fromhex(data[2:]), strict=False)
        args |= {entry["name"]: _named(value, entry) for entry, value in zip(plain, values)}
    except (DecodingError, ValueError) as error:
        raise UnknownEvent(
            f"{kind.contract}.{kind.name}: does not decode as deployments/abi says ({error}); write the ABI files anew"
            " (`make abis`) and start again. Nothing was skipped"
        ) from error
    return to_json(args)


def _named(value: Any, entry: Mapping[str, Any], indexed: bool = False) -> Any:
    """With the names of the ABI in the place of positions, and the capitals of addresses."""
    kind = stored_type(entry) if indexed else entry["type"]
    if kind.endswith("]"):
        inner = {**entry, "type": kind[: kind.rindex("[")], "indexed": False}
        return [_named(part, inner) for part in value]
    if kind == "tuple":
        return {part["name"]: _named(piece, part) for part, piece in zip(entry["components"], value)}
    if kind == "string":
        return value.decode("utf-8", errors="backslashreplace")
    return checksummed(value[2:].lower()) if kind == "address" else value
