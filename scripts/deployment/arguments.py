"""Constructor arguments by name. Many readers of JSON lose digits of large numbers, so numbers are text too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eth_abi import decode
from eth_utils import is_hex_address, to_checksum_address

Entry = Mapping[str, Any]


def named_arguments(container: Any, arguments: Sequence[Any]) -> dict[str, Any]:
    return _named(_inputs(container), arguments)


def decoded_arguments(container: Any, encoded: bytes) -> dict[str, Any]:
    inputs = _inputs(container)
    return _named(inputs, decode([_type(item) for item in inputs], encoded))


def _inputs(container: Any) -> Sequence[Entry]:
    constructor: Entry = next((item for item in container.abi if item["type"] == "constructor"), {"inputs": []})
    return list(constructor["inputs"])


def _named(inputs: Sequence[Entry], values: Sequence[Any]) -> dict[str, Any]:
    return {item["name"]: _plain(item, value) for item, value in zip(inputs, values, strict=True)}


def _plain(item: Entry, value: Any) -> Any:
    if item["type"] == "tuple":
        return _named(item["components"], value)
    if isinstance(value, (list, tuple)):
        return [_text(entry) for entry in value]
    return _text(value)


def _text(value: Any) -> str:
    return to_checksum_address(value) if is_hex_address(value) else str(value)


def _type(item: Entry) -> str:
    if item["type"].startswith("tuple"):
        inner = ",".join(_type(part) for part in item["components"])
        return f"({inner}){item['type'].removeprefix('tuple')}"
    return str(item["type"])
