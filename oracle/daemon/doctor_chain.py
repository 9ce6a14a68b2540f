"""The doctor's look at the chain: nodes, contracts, who owns them, the key that writes, the clock."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from eth_abi.abi import decode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from oracle.chain.contracts import CONTRACTS, AddressBook, read_abi, read_address_book
from oracle.chain.reading import heads
from oracle.chain.rpc import Rpc
from oracle.chain.signer import signer_of
from oracle.chain.transport import HttpTransport, Request
from oracle.config import Settings
from oracle.daemon.findings import Finding
from oracle.types import ChainId, Timestamp

# What a contract calls another one, and which one that has to be.
NEIGHBOURS = {
    "TOKEN": "OpenToken",
    "DISTRIBUTOR": "RewardDistributor",
    "ATTESTORS": "AttestorSet",
    "ESCROW": "InferenceEscrow",
    "DATANETS": "DatanetRegistry",
    "MODELS": "ModelRegistry",
    "GOVERNANCE": "OpenTimelock",
    "TIMELOCK": "OpenTimelock",
}
_LATE = 120  # seconds
_PATIENCE = 5.0
_POOR = 10**16  # wei: some hundred transactions on a cheap chain
_REDEPLOY = (
    "take deployments/ of the version that was deployed; `brownie run scripts/deploy check` shows the difference"
)


def examine_chain(settings: Settings, now: Timestamp) -> Iterator[Finding]:
    urls = [url.get_secret_value() for url in settings.rpc_urls]
    # Asked once: whoever sees a doctor wants an answer now.
    expected = None if settings.chain_id is None else ChainId(settings.chain_id)
    rpc = Rpc([HttpTransport(url, _PATIENCE) for url in urls], expected, rounds=1)
    yield from _nodes(rpc)
    book = read_address_book(settings.deployments, rpc.chain)
    yield Finding("chain", "well", f"id {rpc.chain}, the suite from block {book.first_block} on")
    yield from _contracts(rpc, book, settings)
    yield from _roles(rpc, book, settings)
    yield from _key(rpc, settings)
    yield from _clock(rpc, settings, now)


def _nodes(rpc: Rpc) -> Iterator[Finding]:
    said = {name: answers[0] for name, answers in rpc.each([("eth_blockNumber", [])])}
    for endpoint in rpc.endpoints:
        if endpoint.name in said:
            yield Finding(f"node {endpoint.name}", "well", f"at block {int(said[endpoint.name], 16)}")
        else:
            found = endpoint.excluded or endpoint.last_failure or "no answer"
            yield Finding(f"node {endpoint.name}", "wrong", found, "mend it, or take it out of OPENLEDGER_RPC_URLS")


def _contracts(rpc: Rpc, book: AddressBook, settings: Settings) -> Iterator[Finding]:
    """Code and ABI against the seals that the deployment left."""
    record = json.loads((settings.deployments / f"{book.chain}.json").read_text(encoding="utf-8"))
    seals = record.get("seals", {})
    codes = rpc.batch([("eth_getCode", [book[name], "latest"]) for name in CONTRACTS])
    for name, code in zip(CONTRACTS, codes):
        sealed = seals.get(name)
        abi = "0x" + keccak((settings.deployments / "abi" / f"{name}.json").read_bytes()).hex()
        if code == "0x":
            yield Finding(name, "wrong", f"nothing stands at {book[name]}", "was the chain reset? deploy again")
        elif sealed is None:
            yield Finding(name, "unsure", "its record bears no seal", "`brownie run scripts/deploy` adds it")
        elif "0x" + keccak(bytes.fromhex(code[2:])).hex() != sealed["code"]:
            yield Finding(name, "wrong", f"other code stands at {book[name]} than was deployed", _REDEPLOY)
        elif abi != sealed["abi"]:
            yield Finding(name, "wrong", "its ABI file is not the one of the deployment", _REDEPLOY)
        else:
            yield Finding(name, "well", f"{book[name]}, code and ABI as deployed")


@dataclass(frozen=True)
class _Role:
    contract: str
    name: str
    expected: str


def _roles(rpc: Rpc, book: AddressBook, settings: Settings) -> Iterator[Finding]:
    """Each contract knows the right neighbours, and governance is the timelock."""
    roles = [
        _Role(contract, entry["name"], NEIGHBOURS[entry["name"]])
        for contract in CONTRACTS
        for entry in read_abi(settings.deployments, contract)
        if entry["type"] == "function" and entry["name"] in NEIGHBOURS and not entry["inputs"]
    ]
    asked: list[Request] = [
        ("eth_call", [{"to": book[role.contract], "data": "0x" + keccak(text=f"{role.name}()")[:4].hex()}, "latest"])
        for role in roles
    ]
    wrong = []
    for role, answer in zip(roles, rpc.batch(asked)):
        raw = bytes.fromhex(answer[2:]) if isinstance(answer, str) else b""
        found = to_checksum_address(decode(["address"], raw)[0]) if len(raw) == 32 else "no answer"
        if found != book[role.expected]:
            wrong.append(f"{role.contract}.{role.name} is {found}, not {role.expected}")
    if wrong:
        yield Finding("roles", "wrong", "; ".join(wrong), _REDEPLOY)
    else:
        yield Finding("roles", "well", f"{len(roles)} references between contracts; the timelock governs")


def _key(rpc: Rpc, settings: Settings) -> Iterator[Finding]:
    signer = signer_of(settings)
    if signer is None:
        found = "none: a dry run, intents are planned and not sent"
        yield Finding("key", "unsure", found, "OPENLEDGER_KEYSTORE and OPENLEDGER_PASSWORD_FILE, or _REMOTE_SIGNER")
        return
    balance = int(rpc.call("eth_getBalance", signer.address, "latest"), 16)
    found = f"{signer.address} holds {balance / 10**18:.4f} ether"
    if balance < _POOR:
        yield Finding("key", "wrong", found, "send ether to it: nothing can be settled without")
    else:
        yield Finding("key", "well", found)


def _clock(rpc: Rpc, settings: Settings, now: Timestamp) -> Iterator[Finding]:
    head = heads(rpc, settings.finality).head
    apart = now - head.timestamp
    if apart < -_LATE:
        yield Finding("clock", "wrong", f"{-apart} s behind the chain", "is this machine's time synchronised (NTP)?")
    elif apart > 3600:
        yield Finding("clock", "unsure", f"{apart} s ahead of the last block", "does the chain stand still?")
    else:
        yield Finding("clock", "well", f"{apart} s from the last block")
