"""The ground under every table, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import Column, MetaData, Table, insert, select
from sqlalchemy.exc import IntegrityError

from oracle.store.columns import AddressColumn, HashColumn, WeiColumn
from oracle.store.database import Database, is_duplicate

WORDS = Table(
    "words",
    MetaData(),
    Column("hash", HashColumn, primary_key=True),
    Column("amount", WeiColumn),
    Column("account", AddressColumn),
)


@pytest.fixture
def words(database: Database) -> Database:
    WORDS.create(database.engine)
    return database


def test_words__when_written_and_read__then_are_the_same_and_sort_as_numbers(words: Database) -> None:
    amounts = [2**256 - 1, 0, 10**18, 9, 2**63]
    with words.transaction() as connection:
        for number, amount in enumerate(amounts):
            connection.execute(
                insert(WORDS).values(
                    hash=bytes([number]) * 32, amount=amount, account="0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
                )
            )
    with words.reading() as connection:
        rows = connection.execute(select(WORDS).order_by(WORDS.c.amount)).all()
    assert [row.amount for row in rows] == sorted(amounts)
    assert rows[0].hash == b"\x01" * 32


@pytest.mark.parametrize(
    "column, value", [("hash", b"short"), ("amount", -1), ("amount", 2**256), ("account", "0x" + "ab" * 20)]
)
def test_words__when_out_of_bounds__then_are_refused(words: Database, column: str, value: object) -> None:
    row = {"hash": bytes(32), "amount": 0} | {column: value}
    with pytest.raises(Exception, match=r"32 bytes|amount|checksummed"), words.transaction() as connection:
        connection.execute(insert(WORDS).values(**row))


def test_transaction__when_its_body_fails__then_leaves_nothing(words: Database) -> None:
    def fail() -> None:
        with words.transaction() as connection:
            connection.execute(insert(WORDS).values(hash=bytes(32), amount=1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with words.reading() as connection:
        assert connection.execute(select(WORDS)).all() == []


def test_is_duplicate__when_a_key_comes_twice__then_says_so_of_that_alone(words: Database) -> None:
    def put() -> None:
        with words.transaction() as connection:
            connection.execute(insert(WORDS).values(hash=bytes(32), amount=1))

    put()
    with pytest.raises(IntegrityError) as caught:
        put()
    assert is_duplicate(caught.value)


def test_reading__when_somebody_writes_meanwhile__then_sees_one_state(words: Database) -> None:
    with words.reading() as before:
        assert before.execute(select(WORDS)).all() == []
        with words.transaction() as connection:
            connection.execute(insert(WORDS).values(hash=bytes(32), amount=1))
        assert before.execute(select(WORDS)).all() == []
