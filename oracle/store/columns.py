"""How the words of the domain lie in a database: the same on SQLite and PostgreSQL."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import JSON, BigInteger, Integer, LargeBinary, MetaData, Numeric, String
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

# Constraints have names, so that a migration can speak of them on either database.
METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_DIGITS = 78  # of 2^256 − 1
_ACCOUNT = re.compile("0x[0-9a-fA-F]{40}")
_ALL_DIGITS = re.compile("0x[0-9]{40}")  # no letter to capitalise


class WeiColumn(TypeDecorator[int]):
    """An unsigned integer of up to 256 bits.

    On SQLite, whose integers end at 63 bits, it is text of one width and sorts as numbers do.
    """

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Numeric(_DIGITS, 0))
        return dialect.type_descriptor(String(_DIGITS))

    def process_bind_param(self, value: int | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if not 0 <= value < 2**256:
            raise ValueError(f"{value} is not an amount: it has to lie between 0 and 2^256 − 1")
        return value if dialect.name == "postgresql" else f"{value:0{_DIGITS}d}"

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        return None if value is None else int(value)


class HashColumn(TypeDecorator[bytes]):
    """Exactly 32 bytes."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        if value is not None and len(value) != 32:
            raise ValueError(f"a hash has 32 bytes, not {len(value)}: {value.hex()}")
        return value

    def process_result_value(self, value: Any, dialect: Dialect) -> bytes | None:
        return None if value is None else bytes(value)


class AddressColumn(TypeDecorator[str]):
    """An account, with the capitals of its checksum."""

    impl = String(42)
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if (
            value is None
            or _ALL_DIGITS.fullmatch(value)
            or (_ACCOUNT.fullmatch(value) and value[2:].lower() != value[2:])
        ):
            return value
        raise ValueError(f"{value} is not a checksummed address")


Time = BigInteger  # Timestamp: seconds, UTC
Document = JSON().with_variant(postgresql.JSONB(), "postgresql")  # small and canonical: what nobody searches inside
Id = BigInteger().with_variant(Integer(), "sqlite")  # SQLite counts rows by itself only in a column called INTEGER
