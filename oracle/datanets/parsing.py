"""One JSON value, strictly: no key twice, no NaN, no bomb of brackets. orjson parses; what it would let pass is looked
for."""

from __future__ import annotations

import json
from typing import Any

import orjson

from oracle.datanets.shapes import BadRow

_DEEPEST = 64


class _TwiceTheKey(Exception):
    pass


def parse(content: bytes) -> dict[str, Any]:
    """The object in it; raises BadRow."""
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise _why(content, error) from None
    if type(found) is not dict:
        raise BadRow("wrong_type", "A row has to be an object with keys, not a list or a single value.")
    keys = _keys(found, _DEEPEST)
    # Between a key and its colon there is a quote or white space. Where such places are no more than the keys that were
    # kept, no key was dropped; else somebody has to look closely, which takes fifty times as long.
    if content.count(b'":') != keys or _spaced(content):
        _require_unique(content)
    return found


def _spaced(content: bytes) -> bool:
    return b" :" in content or b"\t:" in content or b"\n:" in content or b"\r:" in content


def _keys(value: Any, deepest: int) -> int:
    if deepest == 0:
        raise BadRow("nested_too_deep", "")
    count = 0
    if type(value) is dict:
        count = len(value)
        for inner in value.values():
            if type(inner) is dict or type(inner) is list:
                count += _keys(inner, deepest - 1)
    else:
        for inner in value:
            if type(inner) is dict or type(inner) is list:
                count += _keys(inner, deepest - 1)
    return count


def _require_unique(content: bytes) -> None:
    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        kept = dict(found)
        if len(kept) != len(found):
            seen: set[str] = set()
            raise _TwiceTheKey(next(key for key, _ in found if key in seen or seen.add(key)))  # type: ignore[func-returns-value]
        return kept

    try:
        json.loads(content, object_pairs_hook=pairs)
    except _TwiceTheKey as error:
        raise BadRow("duplicate_key", str(error)[:80]) from None
    except RecursionError:
        raise BadRow("nested_too_deep", "") from None


def _why(content: bytes, error: orjson.JSONDecodeError) -> BadRow:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as damage:
        return BadRow("encoding", f"byte {damage.start} of the line is 0x{content[damage.start]:02x}")
    if "depth" in str(error) or "recursion" in str(error):
        return BadRow("nested_too_deep", "")
    for word in (b"NaN", b"Infinity"):
        if word in content:
            return BadRow("not_json", f"{word.decode()} is no number in JSON, or: {error.msg}")
    return BadRow("not_json", f"{error.msg} at character {error.pos}")
