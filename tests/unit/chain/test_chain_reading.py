"""Is every log there? A node that leaves some out is found out, whatever it leaves out."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.nodes import Scripted, rpc_over
from oracle.chain.endpoint import BadAnswer
from oracle.chain.headers import Header, bloom_bits, bloom_of, header, may_hold
from oracle.chain.history import History
from oracle.chain.reading import Receipts, headers, heads, proven
from oracle.chain.receipts_root import receipts_root
from oracle.chain.rpc import NodesUnavailable, TooMuch
from oracle.chain.transport import NodeError
from oracle.types import Address

OURS, OTHER = "0x" + "aa" * 20, "0x" + "bb" * 20


def word(number: int) -> str:
    return f"0x{number:064x}"


class Chain:
    """Blocks in memory, each with transactions that emit logs: [[(account, topic), …], …]."""

    def __init__(self, blocks: Sequence[Sequence[Sequence[tuple[str, int]]]]) -> None:
        self.headers: list[dict[str, Any]] = []
        self.receipts: list[list[dict[str, Any]]] = []
        for number, transactions in enumerate(blocks):
            at = word(1000 + number)
            index = 0
            receipts = []
            for place, emitted in enumerate(transactions):
                tx = word(10**6 + 1000 * number + place)
                logs = []
                for account, topic in emitted:
                    logs.append(
                        {"address": account, "topics": [word(topic)], "data": "0x", "logIndex": hex(index),
                         "blockHash": at, "blockNumber": hex(number), "transactionHash": tx}
                    )  # fmt: skip
                    index += 1
                logs_bloom = f"0x{bloom_of(logs):0512x}"
                receipts.append(
                    {"transactionHash": tx, "logs": logs, "type": "0x2", "status": "0x1", "logsBloom": logs_bloom,
                     "cumulativeGasUsed": hex(21_000 * (place + 1))}
                )  # fmt: skip
            self.receipts.append(receipts)
            bloom = bloom_of(log for receipt in receipts for log in receipt["logs"])
            self.headers.append(
                {"number": hex(number), "hash": at, "parentHash": word(999 + number), "timestamp": hex(number),
                 "logsBloom": hex(bloom), "transactions": [receipt["transactionHash"] for receipt in receipts],
                 "receiptsRoot": "0x" + (receipts_root(receipts) or b"").hex()}
            )  # fmt: skip

    def __call__(self, method: str, params: Sequence[Any]) -> Any:
        if method == "eth_getBlockByNumber":
            height = len(self.headers) - 1
            number = {"latest": height, "finalized": max(0, height - 2)}.get(params[0])
            number = int(params[0], 16) if number is None else number
            return copy.deepcopy(self.headers[number]) if number <= height else None
        if method == "eth_getBlockReceipts":
            return copy.deepcopy(self.receipts[int(params[0], 16) - 1000])
        if method == "eth_getTransactionReceipt":
            found = [r for receipts in self.receipts for r in receipts if r["transactionHash"] == params[0]]
            return copy.deepcopy(found[0]) if found else None
        if method == "eth_getLogs":
            wanted = range(int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16) + 1)
            logs = [log for number in wanted for receipt in self.receipts[number] for log in receipt["logs"]]
            return [log for log in logs if log["address"] in [a.lower() for a in params[0]["address"]]]
        return NodeError(-32601, "the method does not exist")


LOG = st.tuples(st.sampled_from([OURS, OTHER]), st.integers(0, 3))
BLOCK = st.lists(st.lists(LOG, max_size=3), max_size=3)


def of(number: int, chain: Chain) -> Header:
    return header(chain.headers[number])


@given(BLOCK)
def test_proven__of_all_receipts__then_their_logs(block: Any) -> None:
    chain = Chain([block])
    assert [log["topics"] for log in proven(of(0, chain), chain.receipts[0])] == [
        [word(topic)] for emitted in block for _, topic in emitted
    ]


@given(BLOCK, st.data())
def test_proven__when_anything_is_left_out__then_is_refused(block: Any, data: st.DataObject) -> None:
    chain = Chain([block])
    receipts = chain.receipts[0]
    kept = [
        {**receipt, "logs": [log for log in receipt["logs"] if data.draw(st.booleans(), "kept")]}
        for receipt in receipts
    ]
    if data.draw(st.booleans(), "whole receipts are lost, too"):
        kept = [receipt for receipt in kept if data.draw(st.booleans(), "kept")]
    before = [log for receipt in receipts for log in receipt["logs"]]
    after = [log for receipt in kept for log in receipt["logs"]]
    if after == before and len(kept) == len(receipts):
        return
    with pytest.raises(BadAnswer):
        proven(of(0, chain), kept)


def test_proven__when_the_last_log_repeats_another__then_its_absence_is_noticed_all_the_same() -> None:
    chain = Chain([[[(OURS, 1)], [(OURS, 1)]]])
    lost = [chain.receipts[0][0], {**chain.receipts[0][1], "logs": []}]
    with pytest.raises(BadAnswer, match="root of its header"):
        proven(of(0, chain), lost)


def test_receipts_root__of_nothing__then_that_of_the_empty_trie() -> None:
    assert receipts_root([]) is not None
    assert (receipts_root([]) or b"").hex() == "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"


def test_receipts_root__of_a_transaction_that_is_a_chains_own__then_is_not_known() -> None:
    chain = Chain([[[(OURS, 1)]]])
    receipts = [{**chain.receipts[0][0], "type": "0x68"}]
    assert receipts_root(receipts) is None
    assert len(proven(of(0, chain), receipts)) == 1


def test_logs__when_one_node_leaves_half_out__then_those_of_the_other_are_taken() -> None:
    chain = Chain([[[(OURS, 1)]], [[(OURS, 1), (OURS, 2)]]])

    def half(method: str, params: Sequence[Any]) -> Any:
        answer = chain(method, params)
        for receipt in answer:
            del receipt["logs"][1:]
        return answer

    rpc = rpc_over(Scripted(half), Scripted(chain))
    assert [len(logs) for logs in Receipts(rpc).logs([of(0, chain), of(1, chain)]).values()] == [1, 2]


def test_logs__when_a_node_has_no_receipts_of_blocks__then_asks_for_those_of_transactions() -> None:
    chain = Chain([[[(OURS, 1)], [(OTHER, 2)]], [[]]])

    def old(method: str, params: Sequence[Any]) -> Any:
        return (
            NodeError(-32601, "the method does not exist")
            if method == "eth_getBlockReceipts"
            else chain(method, params)
        )

    node = Scripted(old)
    found = Receipts(rpc_over(node)).logs([of(0, chain), of(1, chain)])
    assert {number: len(logs) for number, logs in found.items()} == {0: 2, 1: 0}
    assert node.asked.count("eth_getTransactionReceipt") == 3


def test_logs__when_it_is_too_much__then_less_is_asked_and_later_slowly_more() -> None:
    chain = Chain([[[(OURS, 1)]] for _ in range(20)])
    sizes = []

    class Small(Scripted):
        def send(self, requests: Any) -> list[Any]:
            if requests[0][0] == "eth_getBlockReceipts":
                sizes.append(len(requests))
                if len(requests) > 4:
                    return [NodeError(-32005, "response size exceeded")] * len(requests)
            return super().send(requests)

    reader = Receipts(rpc_over(Small(chain)), transactions=16)
    assert len(reader.logs([of(number, chain) for number in range(20)])) == 20
    assert sizes == [16, 8, 4, 5, 2, 3, 4, 5, 2, 3, 2]
    assert reader.span.size == 5


def test_headers__when_a_block_does_not_follow_from_the_one_before__then_the_node_is_not_believed() -> None:
    chain = Chain([[], [], []])
    chain.headers[2]["parentHash"] = word(5)
    with pytest.raises(NodesUnavailable, match="block 2 does not follow from block 1"):
        headers(rpc_over(Scripted(chain)), [0, 1, 2])


def test_headers__of_a_node_that_is_behind__then_another_is_asked() -> None:
    behind, ahead = Scripted(Chain([[]])), Scripted(Chain([[], []]))
    assert [block.number for block in headers(rpc_over(behind, ahead), [0, 1])] == [0, 1]


def test_heads__by_tag_and_by_number__then_where_the_chain_is_final() -> None:
    rpc = rpc_over(Scripted(Chain([[]] * 10)))
    assert (heads(rpc, "finalized").final, heads(rpc, 4).final, heads(rpc, 40).final) == (7, 5, 0)


@given(st.lists(LOG, max_size=5))
def test_bloom__of_logs__then_holds_each_of_their_accounts(logs: list[tuple[str, int]]) -> None:
    bloom = bloom_of({"address": account, "topics": [word(topic)]} for account, topic in logs)
    for account in {account for account, _ in logs}:
        assert may_hold(bloom, [bloom_bits(account)])
    assert not may_hold(0, [bloom_bits(OURS)])


def history(*nodes: Scripted, at_once: int = 100) -> History:
    return History(rpc_over(*nodes), [Address(OURS)], at_once, 1000)


BUSY = Chain([[[(OURS, 1)]] if number % 10 == 3 else [[(OTHER, 1)]] for number in range(40)])


def test_history__of_a_range__then_names_the_blocks_with_our_logs_and_the_last_one() -> None:
    assert [block.number for block in history(Scripted(BUSY)).blocks(5, 35)] == [13, 23, 33, 35]


def test_history__when_one_of_two_nodes_forgets__then_what_the_other_knows_is_read() -> None:
    def forgetful(method: str, params: Sequence[Any]) -> Any:
        return [] if method == "eth_getLogs" else BUSY(method, params)

    assert [block.number for block in history(Scripted(forgetful), Scripted(BUSY)).blocks(0, 20)] == [3, 13, 20]


def test_history__when_only_one_of_two_nodes_answers__then_waits_for_the_second() -> None:
    def silent(method: str, params: Sequence[Any]) -> Any:
        return NodeError(-32000, "no such index") if method == "eth_getLogs" else BUSY(method, params)

    with pytest.raises(NodesUnavailable, match="only 1 of 2 nodes"):
        history(Scripted(silent), Scripted(BUSY)).blocks(0, 20)


def test_history__when_a_node_refuses_wide_ranges__then_narrows_until_it_agrees() -> None:
    def narrow(method: str, params: Sequence[Any]) -> Any:
        if method == "eth_getLogs" and int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) >= 10:
            return NodeError(-32602, "block range is too wide")
        return BUSY(method, params)

    reader = history(Scripted(narrow), at_once=64)
    assert [block.number for block in reader.blocks(0, 39)] == [3, 7]
    assert reader.span.size == 9


def test_history__when_even_one_block_is_too_much__then_says_so() -> None:
    def never(method: str, params: Sequence[Any]) -> Any:
        return NodeError(-32005, "query returned more than 10000 results")

    with pytest.raises(TooMuch, match=r"query returned more than 10000 results.*for 1 blocks"):
        history(Scripted(never), at_once=4).blocks(0, 39)
