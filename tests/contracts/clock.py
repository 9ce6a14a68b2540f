"""The chain's clock, set to the second: boundaries are proven one second before and one second after."""

from __future__ import annotations

from brownie import chain, web3

HOUR = 3_600
DAY = 86_400
FOREVER = 2**256 - 1


def now() -> int:
    return chain[-1].timestamp


def at(timestamp: int) -> None:
    """The next transaction happens at this second."""
    answer = web3.provider.make_request("evm_setNextBlockTimestamp", [timestamp])
    assert "error" not in answer, answer


def mine_at(timestamp: int) -> None:
    """An empty block at this second, for what is only read."""
    at(timestamp)
    chain.mine()
