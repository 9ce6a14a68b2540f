"""Several nodes as one: failover, back-off, agreement on the chain. No socket, no waiting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import requests

from fixtures.nodes import Clock, Scripted, rpc_over
from oracle.chain.endpoint import BadAnswer, is_rate_limit, is_too_much
from oracle.chain.rpc import NodesUnavailable, TooMuch
from oracle.chain.transport import HttpTransport, NodeError, Unreachable, _unreachable
from oracle.errors import WrongChain


def failing(times: int, error: Exception, then: Any = "0x1") -> Callable[[str, Sequence[Any]], Any]:
    left = [times]

    def answer(method: str, params: Sequence[Any]) -> Any:
        if left[0] > 0:
            left[0] -= 1
            raise error
        return then

    return answer


def always(value: Any) -> Callable[[str, Sequence[Any]], Any]:
    return lambda method, params: value


def test_call__when_the_preferred_node_hangs__then_the_next_one_answers_at_once() -> None:
    clock = Clock()
    bad, good = Scripted(failing(99, Unreachable("no answer in time"))), Scripted(always("0x2"))
    assert rpc_over(bad, good, clock=clock).call("eth_blockNumber") == "0x2"
    assert clock.slept == []


def test_call__when_a_node_failed__then_it_is_asked_for_its_chain_before_anything_else() -> None:
    node = Scripted(failing(1, Unreachable("connection failed")))
    rpc = rpc_over(node)
    rpc.call("eth_blockNumber")
    rpc.call("eth_blockNumber")
    assert node.asked == ["eth_chainId", "eth_blockNumber", "eth_chainId", "eth_blockNumber", "eth_blockNumber"]


def test_call__when_some_minutes_have_passed__then_the_chain_is_asked_for_again() -> None:
    node, clock = Scripted(always("0x1")), Clock()
    rpc = rpc_over(node, clock=clock)
    rpc.call("eth_blockNumber")
    clock.now += 301
    node.chain = 1
    with pytest.raises(WrongChain, match=r"http://node is on chain 1, not on 31337.*OPENLEDGER_RPC_URLS"):
        rpc.call("eth_blockNumber")


def test_call__when_another_than_the_preferred_node_is_on_another_chain__then_it_is_left_out_for_good() -> None:
    dead = Scripted(failing(1, Unreachable("connection failed")))
    stranger = Scripted(always("0x2"), chain=5, name="http://stranger")
    rpc = rpc_over(dead, stranger)
    assert rpc.call("eth_blockNumber") == "0x1"
    assert stranger.asked == ["eth_chainId"]
    assert rpc.endpoints[1].excluded == "node http://stranger is on chain 5, not on 31337"


def test_chain__when_none_is_expected__then_is_that_of_the_first_node_that_answers() -> None:
    dead, alive = Scripted(failing(99, Unreachable("x")), chain=None), Scripted(always("0x7"), chain=7)
    assert rpc_over(dead, alive, chain=None).chain == 7


def test_call__when_every_node_fails__then_waits_longer_each_time_and_says_what_each_did() -> None:
    clock = Clock()
    node = Scripted(failing(99, Unreachable("HTTP 500")))
    with pytest.raises(NodesUnavailable, match=r"http://node: HTTP 500.*OPENLEDGER_RPC_URLS"):
        rpc_over(node, clock=clock).call("eth_blockNumber")
    assert clock.slept == [0.5, 1.0, 2.0, 4.0]


def test_call__when_a_node_says_when_to_come_back__then_is_left_alone_until_then() -> None:
    clock = Clock()
    node = Scripted(failing(1, Unreachable("HTTP 429", retry_after=7.0)))
    assert rpc_over(node, clock=clock).call("eth_blockNumber") == "0x1"
    assert clock.slept == [7.0]


def test_call__when_a_node_wants_to_be_left_alone_for_long__then_is_an_error_and_no_wait() -> None:
    clock = Clock()
    node = Scripted(failing(1, Unreachable("HTTP 429", retry_after=300.0)))
    with pytest.raises(NodesUnavailable):
        rpc_over(node, clock=clock).call("eth_blockNumber")
    assert clock.slept == []


def test_call__when_the_limit_comes_as_an_error_of_json_rpc__then_backs_off_just_the_same() -> None:
    answers = [NodeError(-32005, "rate limit exceeded"), "0x5"]
    clock = Clock()
    assert rpc_over(Scripted(lambda *_: answers.pop(0)), clock=clock).call("eth_blockNumber") == "0x5"
    assert clock.slept == [0.5]


def test_call__when_the_node_refuses__then_its_error_comes_through_and_is_no_failure_of_the_node() -> None:
    rpc = rpc_over(Scripted(always(NodeError(3, "execution reverted", "0x1234"))))
    with pytest.raises(NodeError, match="execution reverted"):
        rpc.call("eth_call")
    assert rpc.endpoints[0].failures == 0


def test_read__when_the_answer_contradicts_itself__then_another_node_is_asked() -> None:
    def understand(answers: list[Any]) -> str:
        if answers == ["half"]:
            raise BadAnswer("only half")
        return str(answers[0])

    half, whole = Scripted(always("half")), Scripted(always("whole"))
    assert rpc_over(half, whole).read([("eth_getLogs", [])], understand) == "whole"


def test_read__when_a_batch_times_out__then_less_is_to_be_asked() -> None:
    node = Scripted(failing(1, Unreachable("no answer in time", slow=True)))
    with pytest.raises(TooMuch, match="2 requests at once"):
        rpc_over(node).batch([("a", []), ("b", [])])


def test_each__when_one_node_is_down__then_the_others_are_heard() -> None:
    down, up = Scripted(failing(99, Unreachable("x"))), Scripted(always("0x1"), name="http://up")
    assert rpc_over(down, up).each([("eth_blockNumber", [])]) == [("http://up", ["0x1"])]


@pytest.mark.parametrize(
    "message",
    [
        "query returned more than 10000 results",
        "Log response size exceeded.",
        "block range is too wide",
        "exceeds the range allowed for your plan",
        "query timeout exceeded",
    ],
)
def test_is_too_much__in_the_words_of_providers__then_true(message: str) -> None:
    assert is_too_much(NodeError(-32000, message))
    assert not is_rate_limit(NodeError(-32000, message))


def test_transport__when_its_url_holds_a_key__then_neither_name_nor_error_shows_it() -> None:
    transport = HttpTransport("https://user:secret@node.example:8545/v3/secret?key=secret")
    assert (transport.name, repr(transport)) == (
        "https://node.example:8545",
        "HttpTransport(https://node.example:8545)",
    )
    error = requests.ConnectionError("https://user:secret@node.example refused")
    assert str(_unreachable(error)) == "connection failed (ConnectionError)"


def test_unreachable__of_a_429__then_carries_when_to_come_back() -> None:
    response = requests.Response()
    response.status_code = 429
    response.headers["Retry-After"] = "12"
    found = _unreachable(requests.HTTPError("429", response=response))
    assert (str(found), found.retry_after) == ("HTTP 429", 12.0)
    response.headers["Retry-After"] = "Wed, 21 Oct 2026 07:28:00 GMT"
    assert _unreachable(requests.HTTPError("429", response=response)).retry_after is None
