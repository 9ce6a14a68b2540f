"""The tables of the chain on both databases: what they refuse is what keeps money from being counted twice."""

from __future__ import annotations

import threading

import pytest

from oracle.chain import stops
from oracle.store import blocks, intents
from oracle.store.blocks import Block, Progress, ProgressMoved
from oracle.store.broadcasts import Broadcast, Fees, broadcasts_of, put_broadcast
from oracle.store.columns import METADATA
from oracle.store.cursors import CursorMoved, NotAsked, consumers_beyond
from oracle.store.database import Database
from oracle.store.event_table import Kind, NewEvent, put_events, register_kinds, remove_events_above
from oracle.store.events import Cursor, NotFinal, advance_cursor, events, final_events, topic
from oracle.store.intents import Intent, OtherContent, UnknownIntent, WrongState
from oracle.types import Address, BlockHash, BlockNumber, ChainId, Timestamp, TxHash, Wei

CHAIN = ChainId(5)
TOKEN = Address("0x00000000000000000000000000000000000A11cE")
KIND = Kind(CHAIN, TOKEN, b"\1" * 32, "OpenToken", "Transfer", [{"name": "value", "type": "uint256", "indexed": False}])


@pytest.fixture
def ledger(database: Database) -> Database:
    METADATA.create_all(database.engine)
    return database


def hash_of(number: int) -> BlockHash:
    return BlockHash(number.to_bytes(32, "big"))


def filled(ledger: Database, top: int, final: int, *, per_block: int = 2) -> None:
    """Blocks 1 to `top` with events whose value is block × 10 + place."""
    with ledger.transaction() as connection:
        kind = register_kinds(connection, [KIND])[TOKEN, KIND.topic]
        made = [Block(BlockNumber(n), hash_of(n), hash_of(n - 1), Timestamp(n), per_block) for n in range(1, top + 1)]
        blocks.put_blocks(connection, CHAIN, made)
        new = [
            NewEvent(n, place, kind, b"\2" * 32, topic(n % 3), None, None, f'{{"value":"{n * 10 + place}"}}')
            for n in range(1, top + 1)
            for place in range(per_block)
        ]
        put_events(connection, CHAIN, new)
        blocks.move(
            connection, None, Progress(CHAIN, BlockNumber(1), BlockNumber(top), hash_of(top), BlockNumber(final))
        )


def test_events__when_asked_for__then_in_the_order_of_the_log_and_only_those(ledger: Database) -> None:
    filled(ledger, 9, 5)
    with ledger.reading() as connection:
        by_topic = events(connection, CHAIN, "OpenToken", "Transfer", topic1=topic(1), limit=3)
        between = events(
            connection, CHAIN, "OpenToken", "Transfer", after=Cursor(BlockNumber(2), 0), until=BlockNumber(3)
        )
        assert events(connection, CHAIN, "OpenToken", "Approval") == []
        assert events(connection, ChainId(6), "OpenToken", "Transfer") == []
    assert [event.args["value"] for event in by_topic] == [10, 11, 40]
    assert [(event.args["value"], event.cursor) for event in between] == [(21, (2, 1)), (30, (3, 0)), (31, (3, 1))]
    assert by_topic[0].block_hash == hash_of(1) and by_topic[0].timestamp == 1


def test_positions__when_events_are_unwound__then_are_never_given_again(ledger: Database) -> None:
    filled(ledger, 3, 1)
    with ledger.reading() as connection:
        before = {event.position for event in events(connection, CHAIN, "OpenToken", "Transfer")}
    with ledger.transaction() as connection:
        assert remove_events_above(connection, CHAIN, 1) == 4
        put_events(connection, CHAIN, [NewEvent(2, 0, 1, b"\3" * 32, None, None, None, '{"value":"7"}')])
    with ledger.reading() as connection:
        after = {event.position for event in events(connection, CHAIN, "OpenToken", "Transfer")} - before
    assert min(after) > max(before)


def test_cursor__when_two_workers_count_at_once__then_each_event_is_counted_by_one(
    ledger: Database, database_url: str
) -> None:
    filled(ledger, 30, 30, per_block=3)
    counted: list[int] = []
    start = threading.Barrier(4)

    def work() -> None:
        own = Database(database_url)
        start.wait()
        while True:
            with own.transaction() as connection:
                found = final_events(connection, CHAIN, "pay", "OpenToken", ["Transfer"], 4)
                if found:
                    advance_cursor(connection, "pay", found[-1])
            counted.extend(event.args["value"] for event in found)
            if not found:
                break
        own.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert sorted(counted) == [n * 10 + place for n in range(1, 31) for place in range(3)]


def test_cursor__when_moved_wrongly__then_is_refused(ledger: Database) -> None:
    filled(ledger, 9, 5)
    with ledger.reading() as connection:
        all_of_them = events(connection, CHAIN, "OpenToken", "Transfer")
    by_value = {event.args["value"]: event for event in all_of_them}
    with pytest.raises(NotAsked, match="inside the transaction that counts"), ledger.transaction() as connection:
        advance_cursor(connection, "pay", by_value[10])

    def advanced(*values: int) -> None:
        with ledger.transaction() as connection:
            final_events(connection, CHAIN, "pay", "OpenToken", ["Transfer"], 9)
            for value in values:
                advance_cursor(connection, "pay", by_value[value])

    with pytest.raises(NotFinal, match="block 6 of chain 5 is not final"):
        advanced(60)
    advanced(10, 21)
    for value in (21, 20):
        with pytest.raises(CursorMoved, match="counted beyond block 2"):
            advanced(value)
    with ledger.reading() as connection:
        rest = final_events(connection, CHAIN, "pay", "OpenToken", ["Transfer"], 100)
        other = final_events(connection, CHAIN, "other", "OpenToken", ["Transfer"], 100)
        assert consumers_beyond(connection, CHAIN, BlockNumber(2)) == [("pay", "OpenToken", Cursor(BlockNumber(2), 1))]
    assert [event.args["value"] for event in rest] == [30, 31, 40, 41, 50, 51]
    assert len(other) == 10


def test_progress__when_another_indexer_was_faster__then_nothing_is_written(ledger: Database) -> None:
    filled(ledger, 3, 1)
    with ledger.reading() as connection:
        seen = blocks.progress(connection, CHAIN)
    assert seen is not None
    after = Progress(CHAIN, seen.first, BlockNumber(4), hash_of(4), seen.final)
    with ledger.transaction() as connection:
        blocks.move(connection, seen, after)
    for before in (seen, None):
        with pytest.raises(ProgressMoved, match="second daemon"), ledger.transaction() as connection:
            blocks.move(connection, before, after)


def test_clear__of_a_mark__then_what_was_read_from_there_is_gone_and_intents_go_on(ledger: Database) -> None:
    filled(ledger, 9, 7)
    with ledger.transaction() as connection:
        ended = {"final in 3": ("final", 3), "final in 6": ("final", 6)}
        ended |= {"passed in 6": ("refused", 6), "spent by another in 6": ("parked", 6)}
        for number, (key, (state, block)) in enumerate(ended.items()):
            intents.plan(connection, intent(key))
            values = {"state": state, "block": block, "tx": hash_of(block), "nonce": number, "sender": TOKEN}
            connection.execute(intents.INTENTS.update().where(intents.INTENTS.c.key == key).values(values))
        intents.plan(connection, intent("refused before"))
        intents.move(connection, "refused before", "refused")
        blocks.raise_stop(connection, CHAIN, BlockNumber(5), hash_of(5), hash_of(55), Timestamp(1))
        blocks.raise_stop(connection, CHAIN, BlockNumber(4), hash_of(4), hash_of(44), Timestamp(2))  # one is enough
    with ledger.transaction() as connection:
        mark = blocks.open_stop(connection, CHAIN)
        assert mark is not None and mark.block == 5
        assert stops.clear(connection, mark, "looked at it", Timestamp(9)) == 10
        assert stops.clear(connection, mark, "again", Timestamp(9)) == 0
    with ledger.reading() as connection:
        assert blocks.open_stop(connection, CHAIN) is None
        assert blocks.progress(connection, CHAIN) == Progress(
            CHAIN, BlockNumber(1), BlockNumber(4), hash_of(4), BlockNumber(4)
        )
        states = [intents.outcome(connection, key).state for key in [*ended, "refused before"]]
        assert states == ["final", "broadcast", "broadcast", "broadcast", "refused"]


def intent(key: str, **other: object) -> Intent:
    fields = {"key": key, "chain": CHAIN, "to": TOKEN, "data": b"\1", "value": Wei(2), "purpose": "test"} | other
    return Intent(**fields)  # type: ignore[arg-type]


def test_plan__when_repeated__then_once_and_with_other_content_refused(ledger: Database) -> None:
    with ledger.transaction() as connection:
        intents.plan(connection, intent("a"))
    with ledger.transaction() as connection:
        intents.plan(connection, intent("a"))
    with pytest.raises(OtherContent, match="another data, value"), ledger.transaction() as connection:
        intents.plan(connection, intent("a", data=b"\2", value=Wei(3)))
    with ledger.reading() as connection:
        assert len(intents.in_states(connection, CHAIN, ("planned",))) == 1
        with pytest.raises(UnknownIntent, match="b: never planned"):
            intents.outcome(connection, "b")


def test_plan__when_its_caller_fails__then_was_never_planned(ledger: Database) -> None:
    def caller() -> None:
        with ledger.transaction() as connection:
            intents.plan(connection, intent("a"))
            _ = 1 // 0

    with pytest.raises(ZeroDivisionError):
        caller()
    with ledger.reading() as connection:
        assert intents.in_states(connection, CHAIN, intents.OPEN_STATES) == []


def test_move__from_a_state_that_may_not_precede__then_is_refused(ledger: Database) -> None:
    with ledger.transaction() as connection:
        intents.plan(connection, intent("a"))
    for state in ("broadcast", "mined", "final", "failed", "planned"):
        with pytest.raises(WrongState, match=f"cannot become {state} from planned"), ledger.transaction() as connection:
            intents.move(connection, "a", state)


def test_nonces__when_two_intents_want_the_same__then_the_database_refuses(ledger: Database) -> None:
    with ledger.transaction() as connection:
        intents.plan(connection, intent("a"))
        intents.plan(connection, intent("b"))
        intents.move(connection, "a", "reserved", sender=TOKEN, nonce=7)
        assert intents.highest_nonce(connection, CHAIN, TOKEN) == 7
    with pytest.raises(Exception, match=r"(?i)unique"), ledger.transaction() as connection:
        intents.move(connection, "b", "reserved", sender=TOKEN, nonce=7)


def test_broadcasts__when_the_same_bytes_come_twice__then_are_one_row(ledger: Database) -> None:
    signed = Broadcast(
        TxHash(b"\4" * 32), "a", 7, 21_000, Fees(Wei(10**20), Wei(1)), b"raw", BlockNumber(3), Timestamp(4)
    )
    with ledger.transaction() as connection:
        put_broadcast(connection, signed)
        put_broadcast(connection, signed)
    with ledger.reading() as connection:
        assert broadcasts_of(connection, ["a", "b"]) == {"a": [signed], "b": []}
    assert "raw" not in repr(signed)
