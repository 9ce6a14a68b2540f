"""Each fault of a node by itself, all the time, in front of a real chain: with and without a second, honest node."""

from __future__ import annotations

import pytest

from fixtures.chain import outcome, plan, sender_on, transfer_intent
from fixtures.faulty_rpc import FAULTS, FaultyNode, faulty
from fixtures.nodes import Clock
from fixtures.suite import Suite
from oracle.chain.indexer import Indexer
from oracle.chain.rpc import NodesUnavailable, Rpc
from oracle.chain.stops import DeepReorg
from oracle.chain.transport import HttpTransport
from oracle.errors import Retry, WrongChain
from oracle.store import blocks
from oracle.store.columns import METADATA
from oracle.store.database import Database
from oracle.store.event_table import count_events
from oracle.types import ChainId

CHAIN = ChainId(31337)
RECIPIENT = "0x00000000000000000000000000000000000A11cE"


@pytest.fixture
def ledger(database: Database) -> Database:
    METADATA.create_all(database.engine)
    return database


def rpc_of(*urls: str) -> Rpc:
    clock = Clock()
    transports = [HttpTransport(url, 0.3) for url in urls]
    return Rpc(transports, CHAIN, rounds=2, clock=clock, sleep=clock.sleep, chance=lambda: 0.0)


def indexer(suite: Suite, ledger: Database, rpc: Rpc) -> Indexer:
    return Indexer(rpc, ledger, suite.book, suite.deployments, "finalized")


def events_stored(ledger: Database) -> int:
    with ledger.reading() as connection:
        return count_events(connection, CHAIN)


def events_of(suite: Suite) -> int:
    ours = [address.lower() for address in suite.book.addresses.values()]
    logs = suite.anvil.ask("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"})
    return sum(log["address"] in ours for log in logs)


@pytest.mark.parametrize("fault", FAULTS)
def test_daemon__when_one_of_two_nodes_is_always_faulty__then_reads_and_sends_all_the_same(
    fault: str, suite: Suite, ledger: Database
) -> None:
    plan(ledger, transfer_intent(suite, "one", RECIPIENT, 5))
    with faulty(suite.anvil.url, 1, 1.0, (fault,)) as node:
        # A lie about the chain by the preferred node stops the process: the next test.
        urls = [suite.anvil.url, node.url] if fault == "another chain" else [node.url, suite.anvil.url]
        rpc = rpc_of(*urls)
        if fault == "another chain":
            assert [name for name, _ in rpc.each([("eth_blockNumber", [])])] == [rpc.endpoints[0].name]
        reader, sender = indexer(suite, ledger, rpc), sender_on(suite, ledger, rpc)
        for act in [sender.advance, suite.anvil.mine] * 14:
            try:
                act()
            except Retry:  # a node that is one moment behind may contradict itself: the next call goes well
                continue
        for _ in range(20):
            try:
                if reader.catch_up().top == suite.anvil.height:
                    break
            except Retry:
                continue
        assert node.done[fault] > 0
    assert outcome(ledger, "one").state == "final"
    assert suite.read("OpenToken", "balanceOf", RECIPIENT) == 5
    assert events_stored(ledger) == events_of(suite)


def test_daemon__when_the_preferred_node_lies_about_its_chain__then_stops(suite: Suite, ledger: Database) -> None:
    plan(ledger, transfer_intent(suite, "one", RECIPIENT, 5))
    with faulty(suite.anvil.url, 1, 1.0, ("another chain",)) as node:
        for work in (indexer(suite, ledger, rpc_of(node.url)).step, sender_on(suite, ledger, rpc_of(node.url)).advance):
            with pytest.raises(WrongChain, match=r"is on chain \d+, not on 31337"):
                work()
    assert (events_stored(ledger), outcome(ledger, "one").state) == (0, "planned")


def test_step__when_the_only_node_returns_half_of_the_logs__then_nothing_is_written(
    suite: Suite, ledger: Database
) -> None:
    with (
        faulty(suite.anvil.url, 1, 1.0, ("half of the logs",)) as node,
        pytest.raises(NodesUnavailable, match=r"logs of block \d+ .*(gap|bloom|root)|root of its header"),
    ):
        indexer(suite, ledger, rpc_of(node.url)).step()
    assert events_stored(ledger) == 0


def test_step__when_nodes_disagree_about_a_final_block__then_no_mark_is_made(suite: Suite, ledger: Database) -> None:
    suite.send("OpenToken", "transfer", RECIPIENT, 1)
    suite.anvil.mine(4)
    indexer(suite, ledger, rpc_of(suite.anvil.url)).catch_up()
    final = suite.anvil.ask("eth_getBlockByNumber", hex(suite.anvil.height - 2), False)

    class Other(FaultyNode):
        """Still has the block that the first node has lost."""

        def ask(self, body: object) -> object:
            answer = super().ask(body)
            one = answer[0] if isinstance(answer, list) else answer
            if isinstance(one.get("result"), dict) and one["result"].get("number") == final["number"]:
                one["result"] = final
            return answer

    other = Other(suite.anvil.url, 1, 0.0)
    suite.anvil.reorg(5)
    import threading

    thread = threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        with pytest.raises(Retry, match=r"nodes disagree on final block \d+: .* remove the wrong one"):
            indexer(suite, ledger, rpc_of(suite.anvil.url, other.url)).step()
    finally:
        other.shutdown()
        other.server_close()
        thread.join(10)
    with ledger.reading() as connection:
        assert blocks.open_stop(connection, CHAIN) is None
    with pytest.raises(DeepReorg):
        indexer(suite, ledger, rpc_of(suite.anvil.url)).step()
    with pytest.raises(DeepReorg):
        sender_on(suite, ledger, rpc_of(suite.anvil.url)).advance()
