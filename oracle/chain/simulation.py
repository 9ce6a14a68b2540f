"""Tries an intent on the state of one block before anything is signed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from oracle.chain import fees
from oracle.chain.reading import Finality, heads
from oracle.chain.reverts import Reverts, is_revert
from oracle.chain.rpc import Rpc
from oracle.chain.transport import NodeError
from oracle.store.intents import Intent
from oracle.types import Address


class Unclear(Exception):
    """The node could not say; the intent stays as it is."""


@dataclass(frozen=True)
class Simulated:
    gas: int


def simulate(rpc: Rpc, reverts: Reverts, intent: Intent, sender: Address, pinned: Mapping[str, str]) -> Simulated | str:
    """The gas to allow, or why the chain refuses."""
    call = {"from": sender, "to": intent.to, "data": "0x" + intent.data.hex(), "value": hex(intent.value)}
    asked = rpc.batch([("eth_call", [call, dict(pinned)]), ("eth_estimateGas", [call, dict(pinned)])])
    for answer in asked:
        if isinstance(answer, NodeError):
            if is_revert(answer):
                return reverts.words(answer)
            raise Unclear(f"the node cannot simulate it: {answer}")
    return Simulated(intent.gas_limit or fees.gas_limit(int(asked[1], 16)))


@dataclass(frozen=True)
class Rehearsed:
    """What would happen to an intent now: the gas it would take, or why it would not be sent."""

    key: str
    purpose: str
    gas: int | None
    refusal: str | None


def rehearse(
    rpc: Rpc, reverts: Reverts, intents: Sequence[Intent], sender: Address, finality: Finality
) -> list[Rehearsed]:
    """A dry run: all of them on the state of one block. Nothing is signed, written or sent."""
    pinned = {"blockHash": "0x" + heads(rpc, finality).head.hash.hex()}
    found = []
    for intent in intents:
        try:
            result: Simulated | str = simulate(rpc, reverts, intent, sender, pinned)
        except Unclear as error:
            result = str(error)
        gas = result.gas if isinstance(result, Simulated) else None
        found.append(Rehearsed(intent.key, intent.purpose, gas, None if gas is not None else str(result)))
    return found
