"""The indexer on a real chain: everything is read once, and what the chain takes back is taken back."""

from __future__ import annotations

import pytest

from fixtures.anvil import ACCOUNTS
from fixtures.suite import Suite
from oracle.chain.indexer import Indexer
from oracle.chain.rpc import Rpc
from oracle.chain.stops import DeepReorg
from oracle.store import blocks
from oracle.store.blocks import ProgressMoved
from oracle.store.columns import METADATA
from oracle.store.database import Database
from oracle.store.event_table import count_events
from oracle.store.events import advance_cursor, events, final_events, topic
from oracle.types import ChainId

CHAIN = ChainId(31337)


@pytest.fixture
def ledger(database: Database) -> Database:
    METADATA.create_all(database.engine)
    return database


def indexer(suite: Suite, ledger: Database, **options: object) -> Indexer:
    rpc = Rpc.of_urls([suite.anvil.url], CHAIN)
    return Indexer(rpc, ledger, suite.book, suite.deployments, "finalized", **options)  # type: ignore[arg-type]


def transfer(suite: Suite, amount: int) -> str:
    return suite.send("OpenToken", "transfer", ACCOUNTS[1], amount)


def amounts(ledger: Database) -> list[int]:
    with ledger.reading() as connection:
        found = events(connection, CHAIN, "OpenToken", "Transfer", topic1=topic(ACCOUNTS[0]))
        return [event.args["value"] for event in found]


def test_catch_up__on_a_suite__then_every_event_is_there_with_its_words(suite: Suite, ledger: Database) -> None:
    transfer(suite, 7)
    step = indexer(suite, ledger).catch_up()
    assert step.top == suite.anvil.height and step.final == step.top - 2
    with ledger.reading() as connection:
        minted, sent = events(connection, CHAIN, "OpenToken", "Transfer")
    assert minted.args == {"from": "0x" + "00" * 20, "to": ACCOUNTS[0], "value": 10**27}
    assert sent.args == {"from": ACCOUNTS[0], "to": ACCOUNTS[1], "value": 7}
    assert sent.position > minted.position
    there = suite.w3.eth.get_block(sent.block)
    assert (sent.block_hash, sent.timestamp) == (bytes(there["hash"]), there["timestamp"])


def test_step__when_blocks_are_replaced__then_their_events_are_too(suite: Suite, ledger: Database) -> None:
    reader = indexer(suite, ledger)
    suite.anvil.mine(3)
    transfer(suite, 1)
    transfer(suite, 2)
    reader.catch_up()
    assert amounts(ledger) == [1, 2]
    suite.anvil.reorg(2)
    step = reader.catch_up()
    assert (step.unwound, amounts(ledger)) == (2, [])
    transfer(suite, 3)
    reader.catch_up()
    assert amounts(ledger) == [3]


def test_step__when_a_final_block_is_replaced__then_settlement_stops_until_a_person_clears_it(
    suite: Suite, ledger: Database
) -> None:
    reader = indexer(suite, ledger)
    transfer(suite, 1)
    suite.anvil.mine(4)
    reader.catch_up()
    suite.anvil.reorg(5)
    for attempt in (reader, indexer(suite, ledger)):  # also after a restart
        with pytest.raises(DeepReorg, match=r"reorg deeper than finality: block \d+ .* was 0x.*, now 0x.*clear"):
            attempt.step()
    assert amounts(ledger) == [1]


def test_final_events__when_counted__then_come_once_and_only_when_final(suite: Suite, ledger: Database) -> None:
    reader = indexer(suite, ledger)

    def counted() -> list[int]:
        with ledger.transaction() as connection:
            found = final_events(connection, CHAIN, "settlement", "OpenToken", ["Transfer"], 10)
            for event in found:
                advance_cursor(connection, "settlement", event)
            return [event.args["value"] for event in found]

    transfer(suite, 5)
    reader.catch_up()
    assert counted() == [10**27]
    suite.anvil.mine(2)
    reader.catch_up()
    assert (counted(), counted()) == ([5], [])
    with ledger.reading() as connection:
        reached = blocks.progress(connection, CHAIN)
    assert reached is not None and reached.final == reached.top - 2


def test_catch_up__by_logs__then_the_same_events_as_by_every_header(suite: Suite, ledger: Database) -> None:
    for amount in range(5):
        transfer(suite, amount)
        suite.anvil.mine(7)
    reader = Indexer(
        Rpc.of_urls([suite.anvil.url], CHAIN), ledger, suite.book, suite.deployments, "finalized", by_logs=True
    )
    step = reader.catch_up()
    assert (step.top, amounts(ledger)) == (suite.anvil.height, [0, 1, 2, 3, 4])
    logs = suite.anvil.ask("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"})
    ours = {address.lower() for address in suite.book.addresses.values()}
    with ledger.reading() as connection:
        assert count_events(connection, CHAIN) == sum(log["address"] in ours for log in logs)


def test_step__with_finality_by_number__then_nothing_above_is_final(suite: Suite, ledger: Database) -> None:
    suite.anvil.mine(20)
    rpc = Rpc.of_urls([suite.anvil.url], CHAIN)
    reader = Indexer(rpc, ledger, suite.book, suite.deployments, 5)
    assert reader.catch_up().final == suite.anvil.height - 5
    for depth in range(1, 6):
        suite.anvil.reorg(depth)
        assert reader.catch_up().unwound == depth
    suite.anvil.reorg(6)
    with pytest.raises(DeepReorg):
        reader.step()


def test_step__when_a_second_indexer_runs_by_mistake__then_no_event_is_there_twice(
    suite: Suite, ledger: Database
) -> None:
    second = [indexer(suite, ledger, blocks_at_once=2)]

    def step_of_another(edge: str) -> None:
        if edge == "read" and second:
            second.pop().step()

    first = indexer(suite, ledger, blocks_at_once=2, edge=step_of_another)
    with pytest.raises(ProgressMoved, match="second daemon"):
        first.step()
    first.catch_up()
    logs = suite.anvil.ask("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"})
    ours = {address.lower() for address in suite.book.addresses.values()}
    with ledger.reading() as connection:
        assert count_events(connection, CHAIN) == sum(log["address"] in ours for log in logs)
