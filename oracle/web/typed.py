"""What people type into a form, read exactly or refused with how to write it."""

from __future__ import annotations

import re
from decimal import Decimal

from eth_utils.address import is_checksum_address, to_checksum_address

from oracle.errors import NeedsPerson
from oracle.types import OPEN, Address, Hash32, Wei

_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 7 * 86_400}


class NotAValue(NeedsPerson):
    """The message is for the person who typed it."""


def wei(text: str, least: int = 1) -> Wei:
    """Of an amount in OPEN. A comma is refused: it parts thousands for some and decimals for others."""
    if "," in text:
        raise NotAValue(f"{text!r} is no amount. Write it with a point and without commas, like 1234.5.")
    try:
        amount = Decimal(text.strip()) * OPEN
    except ArithmeticError:  # no number, or one beyond all numbers
        raise NotAValue(f"{text!r} is no amount. Write it like 12.5.") from None
    if not amount.is_finite() or not least <= amount < 2**96 or amount != int(amount):
        more = "more than nothing" if least else "not less than nothing"
        raise NotAValue(f"{text!r} is no amount that can be paid: {more}, and at most 18 decimals.")
    return Wei(int(amount))


def address(text: str) -> Address:
    """In lower case too, as some wallets show it; where it has capitals, they are its checksum."""
    text = text.strip()
    if not re.fullmatch("0x[0-9a-fA-F]{40}", text):
        raise NotAValue("an address is 0x and 40 hexadecimal digits.")
    if text[2:] not in (text[2:].lower(), text[2:].upper()) and not is_checksum_address(text):
        raise NotAValue("its capitals do not fit the rest: a character of this address is wrong. Copy it once more.")
    return Address(to_checksum_address(text))


def duration(text: str) -> int:
    """In seconds."""
    found = re.fullmatch(r"([0-9]{1,9})\s*(second|minute|hour|day|week|s)?s?", text.strip().lower())
    if found is None:
        raise NotAValue("write a time like “2 days” or “600 seconds”.")
    return int(found[1]) * _UNITS.get(found[2] or "second", 1)


def whole(text: str) -> int:
    if not re.fullmatch("[0-9]{1,18}", text.strip()):
        raise NotAValue("write a whole number.")
    return int(text)


def percent(text: str) -> int:
    """In basis points."""
    try:
        points = Decimal(text.strip().rstrip("%").strip()) * 100
    except ArithmeticError:
        raise NotAValue("write a percentage like 12.5.") from None
    if not points.is_finite() or points != int(points) or not 0 <= points <= 10_000:
        raise NotAValue("a percentage lies between 0 and 100 and has at most two decimals.")
    return int(points)


def hash32(text: str) -> Hash32:
    if not re.fullmatch("0x[0-9a-fA-F]{64}", text.strip()):
        raise NotAValue("a root is 0x and 64 hexadecimal digits.")
    return Hash32(bytes.fromhex(text.strip()[2:]))
