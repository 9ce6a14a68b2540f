"""Keys: an encrypted file, a web3signer, or none. Whoever signs, the chain and the contracts recognise the account."""

from __future__ import annotations

import json
import logging
import pickle
from pathlib import Path

import pytest
from eth_account import Account
from eth_keys.datatypes import PrivateKey

from fixtures.anvil import ACCOUNTS, CHAIN, KEYS
from fixtures.chain import outcome, plan, sender_on, signer_for_tests, transfer_intent
from fixtures.suite import Suite
from fixtures.web3signer import web3signer
from oracle.chain.signer import (
    KeystoreSigner,
    NoUsableKey,
    RemoteSigner,
    Signer,
    SignerUnavailable,
    sign_message,
    signer_of,
)
from oracle.chain.typed_data import digest, typed_data
from oracle.config import Settings
from oracle.store.columns import METADATA
from oracle.store.database import Database
from oracle.types import Address, ChainId

KEY = PrivateKey(bytes.fromhex(KEYS[0][2:]))
RECIPIENT = "0x00000000000000000000000000000000000A11cE"
VOUCHER = {"consumer": ACCOUNTS[0], "key": ACCOUNTS[0], "cumulative": 12, "deadline": 2**40}


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    keystore, password = tmp_path / "key.json", tmp_path / "password"
    encrypted = Account.encrypt(KEYS[0], "correct horse", kdf="pbkdf2", iterations=10)
    for file, content in ((keystore, json.dumps(encrypted)), (password, "correct horse\n")):
        file.write_text(content)
        file.chmod(0o600)
    return keystore, password


def test_open__of_a_keystore__then_signs_as_its_account_and_shows_no_key(
    files: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    signer = KeystoreSigner.open(*files)
    assert signer.address == ACCOUNTS[0]
    logging.getLogger("test").info("%r %s %s", signer, signer, vars(signer))
    assert KEYS[0][2:] not in caplog.text
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(signer)


def test_open__when_others_may_read_the_password__then_is_refused(files: tuple[Path, Path]) -> None:
    for file in files:
        file.chmod(0o640)
        with pytest.raises(NoUsableKey, match=r"mode 640\); chmod 600"):
            KeystoreSigner.open(*files)
        file.chmod(0o600)


def test_open__with_what_does_not_fit__then_says_what_without_the_secret(files: tuple[Path, Path]) -> None:
    keystore, password = files
    password.write_text("secret battery")
    with pytest.raises(NoUsableKey, match="the password does not fit") as caught:
        KeystoreSigner.open(keystore, password)
    assert "secret" not in str(caught.value) and caught.value.__cause__ is None
    keystore.write_text('{"key": "' + KEYS[0] + '"}')
    with pytest.raises(NoUsableKey, match="no keystore") as caught:
        KeystoreSigner.open(keystore, password)
    assert KEYS[0][2:] not in str(caught.value)
    with pytest.raises(NoUsableKey, match="No such file"):
        KeystoreSigner.open(keystore.with_name("absent"), password)


def test_signer_of__without_any_key__then_is_a_dry_run(tmp_path: Path) -> None:
    assert signer_of(Settings(home=tmp_path)) is None


def test_sign_message__by_either_signer__then_the_contract_recognises_the_consumer(suite: Suite) -> None:
    escrow = Address(suite.book["InferenceEscrow"])
    expected = digest("OpenLedger InferenceEscrow", "Voucher", VOUCHER, ChainId(CHAIN), escrow)
    assert expected == bytes(suite.read("InferenceEscrow", "voucherDigest", *VOUCHER.values()))
    full = typed_data("OpenLedger InferenceEscrow", "Voucher", VOUCHER, ChainId(CHAIN), escrow)
    by_wallet = bytes(Account.sign_typed_data(KEYS[0], full_message=full).signature)
    with web3signer(KEY) as server:
        signers: list[Signer] = [signer_for_tests(), RemoteSigner(server.url, Address(ACCOUNTS[0]))]
        for signer in signers:
            made = sign_message(signer, "OpenLedger InferenceEscrow", "Voucher", VOUCHER, ChainId(CHAIN), escrow)
            assert made == by_wallet


def test_advance__with_a_remote_signer__then_the_chain_takes_it(suite: Suite, database: Database) -> None:
    METADATA.create_all(database.engine)
    plan(database, transfer_intent(suite, "one", RECIPIENT, 5))
    with web3signer(KEY) as server:
        sender = sender_on(suite, database, signer=RemoteSigner(server.url, Address(ACCOUNTS[0])))
        server.status = 503
        with pytest.raises(SignerUnavailable, match="HTTP 503"):
            sender.advance()
        assert outcome(database, "one").state == "reserved"
        server.status = 200
        sender.advance()
        sender.advance()
    assert outcome(database, "one").state == "mined"
    assert suite.read("OpenToken", "balanceOf", RECIPIENT) == 5


def test_sign__when_the_remote_signer_is_set_up_wrongly__then_nothing_leaves_it(suite: Suite) -> None:
    with web3signer(KEY) as server:
        with pytest.raises(NoUsableKey, match=f"holds no key of {ACCOUNTS[1]}"):
            RemoteSigner(server.url, Address(ACCOUNTS[1])).sign(b"x")
        signer = RemoteSigner(server.url, Address(ACCOUNTS[0]))
        server.signs_with = PrivateKey(bytes.fromhex(KEYS[1][2:]))
        with pytest.raises(NoUsableKey, match="signs as another account"):
            signer.sign(b"x")
        server.status = 404
        with pytest.raises(NoUsableKey, match="HTTP 404"):
            signer.sign(b"x")
    with pytest.raises(SignerUnavailable, match="tried again"):
        RemoteSigner(server.url, Address(ACCOUNTS[0])).sign(b"x")
    assert "secret" not in repr(RemoteSigner("http://user:secret@signer:9000", Address(ACCOUNTS[0])))
