"""What code stands at an address, and whether it is what would be deployed now."""

from __future__ import annotations

from typing import Any

from brownie import Contract, web3
from eth_abi import decode
from eth_utils import keccak
from hexbytes import HexBytes
from web3.exceptions import Web3Exception

PUSH1, PUSH32 = 0x60, 0x7F
LAUNCH_SELECTOR = keccak(text="launch(bytes32,bytes)")[:4]
LAUNCHED_TOPIC = keccak(text="Launched(bytes32,address)")
LOG_PAGE = 9_000


class NodeRefused(Exception):
    """The node did not answer a question."""


def ask(method: str, parameters: list[Any]) -> Any:
    answer = web3.provider.make_request(method, parameters)
    if answer.get("error"):
        raise NodeRefused(f"{method}: {answer['error'].get('message', answer['error'])}")
    return answer["result"]


def code_at(address: str) -> bytes:
    return bytes(web3.eth.get_code(address))


def created_by(sender: str, data: str, overrides: dict[str, Any] | None = None) -> bytes:
    """The runtime code that a creation by `sender` would leave, immutables filled in."""
    request = [{"from": sender, "data": data}, "latest"]
    return bytes(HexBytes(ask("eth_call", [*request, overrides] if overrides else request)))


def matches(standing: bytes, template: bytes) -> bool:
    """Whether two runtime codes are the same but for immutables, which the compiler leaves as PUSH32 of zeros."""
    if len(standing) != len(template):
        return False
    at = 0
    while at < len(template):
        size = template[at] - PUSH1 + 1 if PUSH1 <= template[at] <= PUSH32 else 0
        end = at + 1 + size
        immutable = template[at] == PUSH32 and not any(template[at + 1 : end])
        if standing[at : at + 1] != template[at : at + 1]:
            return False
        if not immutable and standing[at:end] != template[at:end]:
            return False
        at = end
    return True


def contract_at(compiled: Any, name: str, address: str) -> Any:
    """A contract of the suite, by its address and ABI alone.

    A project's own container would note it in Brownie's database and build folder. The first fails on public
    networks, the second keeps Brownie from connecting to another chain of the same id; deployments/ is the record.
    """
    return Contract.from_abi(name, address, getattr(compiled, name).abi, persist=False)


def template_of(container: Any) -> bytes:
    return bytes(HexBytes(container._build["deployedBytecode"]))


def logs(address: str, topics: list[Any], first: int) -> list[Any]:
    """All logs since a block. Public nodes answer for a limited number of blocks at a time."""
    found: list[Any] = []
    last = web3.eth.block_number
    for start in range(first, last + 1, LOG_PAGE):
        end = min(start + LOG_PAGE - 1, last)
        found.extend(web3.eth.get_logs({"address": address, "topics": topics, "fromBlock": start, "toBlock": end}))
    return found


def launched(launcher: str, salt: bytes, first: int) -> tuple[int, str, bytes | None] | None:
    """Block and transaction in which the launcher made a part, and the init code that was given, if it can be read."""
    found = logs(launcher, [HexBytes(LAUNCHED_TOPIC).to_0x_hex(), HexBytes(salt).to_0x_hex()], first)
    if not found:
        return None
    transaction = web3.eth.get_transaction(found[0]["transactionHash"])
    given = bytes(HexBytes(transaction["input"]))
    init_code = None
    if transaction["to"] == launcher and given[:4] == LAUNCH_SELECTOR:
        init_code = decode(["bytes32", "bytes"], given[4:])[1]
    return found[0]["blockNumber"], HexBytes(found[0]["transactionHash"]).to_0x_hex(), init_code


def first_block_with_code(address: str, low: int = 0) -> int:
    """The block that made a contract, or `low` where the node has forgotten the state of old blocks."""
    high = web3.eth.block_number
    earliest = low
    try:
        while low < high:
            middle = (low + high) // 2
            if web3.eth.get_code(address, block_identifier=middle):
                high = middle
            else:
                low = middle + 1
    except (ValueError, Web3Exception):
        # Too early a block only makes a reader of logs start sooner.
        return earliest
    return low


def creation_in(block: int, sender: str, nonce: int | None) -> str | None:
    """The transaction of a block with which `sender` created a contract at this nonce."""
    if nonce is None:
        return None
    for transaction in web3.eth.get_block(block, full_transactions=True)["transactions"]:
        if transaction["from"] == sender and transaction["nonce"] == nonce:
            return str(HexBytes(transaction["hash"]).to_0x_hex())
    return None
