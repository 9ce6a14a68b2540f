"""Arguments of events as canonical JSON: integers as decimal strings, bytes as 0x…, accounts with their checksum.

What a value was is told by its ABI type, which is kept beside the event; the JSON alone could not say whether
"0x00…" was an account, bytes, or somebody's text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

Inputs = Sequence[Mapping[str, Any]]  # as in an ABI: name, type, components

_ARRAY = re.compile(r"^(.*)\[(\d*)\]$")


def to_json(args: Mapping[str, Any]) -> str:
    return json.dumps(_freeze(args), sort_keys=True, separators=(",", ":"))


def from_json(text: str, inputs: Inputs) -> dict[str, Any]:
    found = json.loads(text)
    return {entry["name"]: _thaw(found[entry["name"]], stored_type(entry), entry) for entry in inputs}


def stored_type(entry: Mapping[str, Any]) -> str:
    """Of an indexed argument without a fixed size the chain itself keeps the hash alone."""
    kind: str = entry["type"]
    if entry.get("indexed") and (kind in ("string", "bytes") or kind.startswith("tuple") or kind.endswith("]")):
        return "bytes32"
    return kind


def _freeze(value: Any) -> Any:
    if isinstance(value, (str, bool)):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, Mapping):
        return {name: _freeze(part) for name, part in value.items()}
    return [_freeze(part) for part in value]


def _thaw(value: Any, kind: str, entry: Mapping[str, Any]) -> Any:
    array = _ARRAY.match(kind)
    if array:
        return [_thaw(part, array[1], entry) for part in value]
    if kind == "tuple":
        return {part["name"]: _thaw(value[part["name"]], part["type"], part) for part in entry["components"]}
    if kind.startswith(("uint", "int")):
        return int(value)
    if kind.startswith("bytes"):
        return bytes.fromhex(value[2:])
    return value
