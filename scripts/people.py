"""People of a local chain, with keys that are made from their names and guard nothing."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from brownie import accounts
from eth_account import Account
from eth_utils import keccak


@dataclass(frozen=True)
class Person:
    """A role. `account` sends transactions, `sign` signs digests."""

    name: str
    account: Any

    @property
    def address(self) -> str:
        return self.account.address

    def sign(self, digest: bytes) -> bytes:
        """65 bytes (r, s, v) over a digest."""
        return bytes(Account.unsafe_sign_hash(bytes(digest), self.account.private_key).signature)

    def vrs(self, digest: bytes) -> tuple[int, bytes, bytes]:
        signature = self.sign(digest)
        return signature[64], signature[:32], signature[32:64]


def person(name: str) -> Person:
    return Person(name, accounts.add(keccak(text=f"openledger local person {name}").hex()))


def people(names: str) -> SimpleNamespace:
    """One by each name, as attributes; each holds 20 ether."""
    made = {name: person(name) for name in names.split()}
    for one in made.values():
        accounts[0].transfer(one.account, "20 ether", silent=True)
    return SimpleNamespace(**made)
