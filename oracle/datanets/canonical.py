"""The bytes of a row, defined once: golden vectors in tests/vectors/rows.json.

A normalised row is a JSON object whose values are strings, or lists of such objects. Its canonical bytes are UTF-8,
without space, keys in the order of their code points, text in NFC with lines that end in \\n: what RFC 8785 makes of
it. Two files that a person would call the same have the same bytes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import sha3  # type: ignore[import-untyped]

from oracle.types import RowHash

_LONG = 16 * 1024


def keccak(content: bytes) -> bytes:
    """The C implementation: a fifth of the time of eth_utils, and four hashes are taken of every row."""
    digest: bytes = sha3.keccak_256(content).digest()
    return digest


def clean(text: str) -> str:
    """NFC, with \\n alone between lines. A text in ASCII without a carriage return is what nearly all of them are."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def canonical(content: Mapping[str, Any] | Sequence[Any]) -> bytes:
    """Canonical JSON of whatever holds no floats: rows, manifests, policies, reasons."""
    made = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    # A long one keeps sixteen times its length of memory for as long as it lives, unless it is copied.
    return made if len(made) < _LONG else made[:1] + made[1:]


def row_hash(row: bytes) -> RowHash:
    return RowHash(keccak(row))
