"""kill -9 at every edge: whatever was done or not done before it, the intent is carried out once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from fixtures.anvil import ACCOUNTS
from fixtures.chain import outcome, plan, sender_on, transfer_intent
from fixtures.suite import Suite
from oracle.chain.indexer import Indexer
from oracle.chain.rpc import Rpc
from oracle.store.columns import METADATA
from oracle.store.database import Database
from oracle.store.event_table import count_events
from oracle.types import ChainId

CHAIN = ChainId(31337)
RECIPIENT = "0x00000000000000000000000000000000000A11cE"

WRITES = ("refuse", "reserve", "journal", "mined", "take back", "end")
SENDER_EDGES = [f"{when} {what}" for what in WRITES for when in ("before", "in", "after")] + [
    "before send",
    "after send",
]
INDEXER_EDGES = ["read", "unwound", "written", "committed"]


@pytest.fixture
def ledger(database: Database) -> Database:
    METADATA.create_all(database.engine)
    return database


def killed_at(edge: str, work: Callable[[Callable[[str], None]], None]) -> None:
    """Does the work in a process of its own, which the kernel kills at the edge."""

    def strike(here: str) -> None:
        if here == edge:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        try:
            work(strike)
        finally:
            os._exit(1)  # it was to be killed before
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, f"never came to {edge!r}"


def lived_through(suite: Suite, database: Database, edge: Callable[[str], None], now: float) -> None:
    """From planned to final, with a reorg on the way."""
    sender = sender_on(suite, database, edge=edge, now=lambda: now, holder=str(now))
    for change in (lambda: None, lambda: suite.anvil.reorg(1), lambda: None, lambda: suite.anvil.mine(3), lambda: None):
        sender.advance()
        change()
    sender.advance()


@pytest.mark.parametrize("edge", SENDER_EDGES)
def test_sender__when_killed_at_an_edge__then_the_next_one_does_it_once(
    edge: str, suite: Suite, ledger: Database, database_url: str
) -> None:
    before = suite.anvil.nonce(ACCOUNTS[0])
    plan(ledger, transfer_intent(suite, "good", RECIPIENT, 5), transfer_intent(suite, "bad", RECIPIENT, 10**30))
    ledger.engine.dispose()  # no connection is shared with the child

    killed_at(edge, lambda strike: lived_through(suite, Database(database_url), strike, 1000))
    lived_through(suite, ledger, lambda _: None, 2000)

    assert (outcome(ledger, "good").state, outcome(ledger, "bad").state) == ("final", "refused")
    assert suite.read("OpenToken", "balanceOf", RECIPIENT) == 5
    assert suite.anvil.nonce(ACCOUNTS[0]) == before + 1


def test_sender__when_it_runs__then_the_edges_above_are_all_there_are(suite: Suite, ledger: Database) -> None:
    seen = set()
    plan(ledger, transfer_intent(suite, "good", RECIPIENT, 5), transfer_intent(suite, "bad", RECIPIENT, 10**30))
    lived_through(suite, ledger, seen.add, 1000)
    assert seen == set(SENDER_EDGES)


@pytest.mark.parametrize("edge", INDEXER_EDGES)
def test_indexer__when_killed_at_an_edge__then_the_next_one_has_every_event_once(
    edge: str, suite: Suite, ledger: Database, database_url: str
) -> None:
    def indexer(database: Database, strike: Callable[[str], None]) -> Indexer:
        rpc = Rpc.of_urls([suite.anvil.url], CHAIN)
        return Indexer(rpc, database, suite.book, suite.deployments, "finalized", blocks_at_once=3, edge=strike)

    suite.send("OpenToken", "transfer", RECIPIENT, 1)
    suite.anvil.mine()
    indexer(ledger, lambda _: None).catch_up()
    suite.anvil.reorg(2)
    suite.send("OpenToken", "transfer", RECIPIENT, 2)
    ledger.engine.dispose()

    killed_at(edge, lambda strike: indexer(Database(database_url), strike).catch_up() and None)
    indexer(ledger, lambda _: None).catch_up()

    with ledger.reading() as connection:
        found = count_events(connection, CHAIN)
    logs = suite.anvil.ask("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"})
    ours = {address.lower() for address in suite.book.addresses.values()}
    assert found == len([log for log in logs if log["address"] in ours])
