"""An exchange under seal is its consumer's alone, and is gone with their key."""

from __future__ import annotations

from pathlib import Path

import pytest

from oracle.store.answers import Exchange, Passage
from oracle.store.sealed import open_exchange, owner_of, seal_exchange
from oracle.store.vault import BadSeal, KeyDestroyed, Vault, create_master_key
from oracle.types import Address, Hash32

ANN = Address("0x00000000000000000000000000000000000A11cE")
BOB = Address("0x0000000000000000000000000000000000000B0b")
SAID = Exchange((1, 2), (3,), "why?", "bees", (Passage(7, Hash32(b"c" * 32), Hash32(b"r" * 32), 0, 1),))


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    create_master_key(tmp_path / "master")
    return Vault(str(tmp_path / "keys"), tmp_path / "master")


def test_open_exchange__of_the_consumer__then_it_is_what_was_sealed(vault: Vault) -> None:
    sealed = seal_exchange(vault, ANN, SAID)
    assert open_exchange(vault, ANN, sealed) == SAID
    assert b"bees" not in sealed
    assert owner_of(ANN) == bytes(29) + bytes.fromhex("0a11ce")


def test_open_exchange__of_somebody_else_or_changed__then_it_is_refused(vault: Vault) -> None:
    sealed = seal_exchange(vault, ANN, SAID)
    seal_exchange(vault, BOB, SAID)
    with pytest.raises(BadSeal):
        open_exchange(vault, BOB, sealed)
    with pytest.raises(BadSeal):
        open_exchange(vault, ANN, sealed[:-1])


def test_open_exchange__when_the_consumer_was_forgotten__then_it_is_gone(vault: Vault) -> None:
    sealed = seal_exchange(vault, ANN, SAID)
    vault.destroy(owner_of(ANN))
    with pytest.raises(KeyDestroyed):
        open_exchange(vault, ANN, sealed)
