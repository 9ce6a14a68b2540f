"""People of a local chain, with keys that are made from their names and guard nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from eth_account import Account
from eth_utils.crypto import keccak

from oracle.client.wallet import Wallet
from oracle.types import Address


@dataclass(frozen=True)
class Person:
    name: str

    key: bytes | None = None  # else it is made from the name

    @cached_property
    def secret(self) -> bytes:
        return self.key or keccak(text=f"openledger demonstration: {self.name}")

    @cached_property
    def wallet(self) -> Wallet:
        return Wallet(self.secret)

    @property
    def address(self) -> Address:
        return self.wallet.address

    def keystore(self, folder: Path) -> dict[str, str]:
        """Settings that name its encrypted key, written where only this account reads it."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key, password = folder / f"{self.name}.json", folder / f"{self.name}.password"
        for file, content in (
            (key, json.dumps(Account.encrypt(self.secret, "local", kdf="pbkdf2", iterations=2))),
            (password, "local"),
        ):
            file.touch(0o600)
            file.write_text(content, encoding="utf-8")
        return {"OPENLEDGER_KEYSTORE": str(key), "OPENLEDGER_PASSWORD_FILE": str(password)}


# The first account of every Anvil; its key is public and guards nothing. It deploys, and holds the whole supply.
FOUNDATION = Person("foundation", bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"))
STEWARD, REVIEWER, BUILDER, OPERATOR, CONSUMER, VISITOR = (
    Person(name) for name in ("steward", "reviewer", "builder", "operator", "consumer", "visitor")
)
ANNA, BEN, CLEO = CONTRIBUTORS = tuple(Person(name) for name in ("anna", "ben", "cleo"))
DORA = Person("dora")
COPYCAT, SPAMMER = Person("copycat"), Person("spammer")
ATTESTORS = tuple(Person(f"attestor {number}") for number in (1, 2, 3))
EVERYBODY = (
    STEWARD, REVIEWER, BUILDER, OPERATOR, CONSUMER, VISITOR, *CONTRIBUTORS, DORA, COPYCAT, SPAMMER, *ATTESTORS,
)  # fmt: skip
