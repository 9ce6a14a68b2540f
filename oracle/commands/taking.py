"""What commands are given: accounts, hashes and signatures, refused where they are typed and not ten calls later."""

from __future__ import annotations

import click

from oracle.types import Address
from oracle.web.typed import NotAValue, address


class _Account(click.ParamType[Address]):
    """Read as the pages read it."""

    name = "account"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        try:
            return address(value)
        except NotAValue as error:
            self.fail(f"{value!r}: {error}", param, ctx)


class _Hex(click.ParamType[bytes]):
    """Bytes in hexadecimal, with or without 0x; of a length that is known, or of any."""

    def __init__(self, name: str, length: int | None = None) -> None:
        self.name, self._length = name, length

    def convert(self, value: str | bytes, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        if isinstance(value, bytes):  # click may ask twice
            return value
        try:
            read = bytes.fromhex(value.removeprefix("0x"))
        except ValueError:
            read = b""
        if not read or self._length not in (None, len(read)):
            count = f"{2 * self._length} " if self._length else ""
            self.fail(f"{value!r}: it is {count}hexadecimal digits.", param, ctx)
        return read


ACCOUNT = _Account()
HASH = _Hex("hash", 32)
SIGNATURE = _Hex("signature")
