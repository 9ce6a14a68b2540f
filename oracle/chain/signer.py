"""Who signs: a key in an encrypted file, a web3signer, or nobody (then nothing is sent).

There is one thing to ask for: the signature over the hash of some bytes. Transactions and EIP-712 messages are both
such bytes. Every signature is checked against the account before it leaves this module.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, Protocol
from urllib.parse import urlsplit

import coincurve
import requests
from eth_account import Account
from eth_keys.datatypes import PrivateKey, PublicKey
from eth_keys.datatypes import Signature as KeySignature
from eth_keys.exceptions import BadSignature
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError

from oracle.chain.transaction import Signature
from oracle.chain.typed_data import preimage
from oracle.config import Settings
from oracle.errors import NeedsPerson, Retry
from oracle.types import Address, ChainId


class NoUsableKey(NeedsPerson):
    """The keystore, its password file or the remote signer cannot be used as configured."""


class SignerUnavailable(Retry):
    """The remote signer does not answer now."""


class Signer(Protocol):
    @property
    def address(self) -> Address: ...

    def sign(self, content: bytes) -> Signature:
        """Over keccak(content)."""


class KeystoreSigner:
    """A key that was read from an encrypted file. It is neither shown nor copied nor pickled."""

    def __init__(self, key: PrivateKey) -> None:
        # Not an attribute: whoever prints the object, or its fields, must not print the key.
        fast = coincurve.PrivateKey(key.to_bytes())
        self._sign: Callable[[bytes], bytes] = lambda digest: fast.sign_recoverable(digest, hasher=None)
        self.address = _address(key.public_key)

    @classmethod
    def open(cls, keystore: Path, password_file: Path) -> KeystoreSigner:
        _private(password_file)
        _private(keystore)
        try:
            content = json.loads(keystore.read_text(encoding="utf-8"))
            password = password_file.read_text(encoding="utf-8").rstrip("\r\n")
            return cls(PrivateKey(bytes(Account.decrypt(content, password))))
        except (ValueError, TypeError, KeyError) as error:
            # Without the cause: an error that quotes its input would quote a secret.
            why = "the password does not fit" if "MAC" in str(error) else "it is no keystore (Web3 Secret Storage)"
            raise NoUsableKey(f"{keystore}: {why}; look at OPENLEDGER_KEYSTORE and OPENLEDGER_PASSWORD_FILE") from None
        except OSError as error:
            raise NoUsableKey(f"{error.filename}: cannot be read ({error.strerror})") from error

    def sign(self, content: bytes) -> Signature:
        made = self._sign(keccak(content))
        return Signature(made[64], int.from_bytes(made[:32], "big"), int.from_bytes(made[32:64], "big"))

    def __repr__(self) -> str:
        return f"KeystoreSigner({self.address})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled")


class RemoteSigner:
    """A web3signer, by its ETH1 REST interface: it gets the bytes and hashes them itself."""

    def __init__(self, url: str, address: Address, timeout_s: float = 10.0) -> None:
        self._url = url.rstrip("/")
        parts = urlsplit(url)
        self.name = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
        self.address = address
        self._timeout_s = timeout_s
        self._session = requests.Session()
        self._key: str | None = None

    def sign(self, content: bytes) -> Signature:
        key = self._key or self._find_key()
        answer = self._ask("POST", f"/api/v1/eth1/sign/{key}", {"data": "0x" + content.hex()})
        try:
            raw = bytes.fromhex(answer.text.strip().strip('"').removeprefix("0x"))
            parity = raw[64] - 27 if raw[64] >= 27 else raw[64]
            made = Signature(parity, int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:64], "big"))
            signed_by = KeySignature(vrs=(made.parity, made.r, made.s)).recover_public_key_from_msg_hash(
                keccak(content)
            )
        except (ValueError, IndexError, BadSignature, ValidationError):
            raise NoUsableKey(f"remote signer {self.name}: what it answers is no signature of 65 bytes") from None
        if _address(signed_by) != self.address:
            raise NoUsableKey(f"remote signer {self.name}: signs as another account than {self.address}")
        return made

    def _find_key(self) -> str:
        listed = self._ask("GET", "/api/v1/eth1/publicKeys").json()
        for name in listed if isinstance(listed, list) else []:
            digits = str(name).removeprefix("0x")
            digits = digits[2:] if len(digits) == 130 else digits
            if len(digits) == 128 and _address(PublicKey(bytes.fromhex(digits))) == self.address:
                self._key = str(name)
                return self._key
        raise NoUsableKey(
            f"remote signer {self.name}: holds no key of {self.address}; load it there or mend"
            " OPENLEDGER_REMOTE_SIGNER_ADDRESS"
        )

    def _ask(self, method: str, path: str, body: Any = None) -> requests.Response:
        try:
            answer = self._session.request(method, self._url + path, json=body, timeout=self._timeout_s)
        except requests.RequestException as error:
            raise SignerUnavailable(f"remote signer {self.name}: {type(error).__name__}; it is tried again") from None
        if answer.status_code >= 500 or answer.status_code == 429:
            raise SignerUnavailable(f"remote signer {self.name}: HTTP {answer.status_code}; it is tried again")
        if answer.status_code != 200:
            raise NoUsableKey(f"remote signer {self.name}: HTTP {answer.status_code}; look at its log")
        return answer

    def __repr__(self) -> str:
        return f"RemoteSigner({self.name}, {self.address})"


def signer_of(settings: Settings) -> Signer | None:
    """As configured; None means dry run."""
    if settings.keystore is not None:
        assert settings.password_file is not None, "settings that name a keystore name its password file"
        return KeystoreSigner.open(settings.keystore, settings.password_file)
    if settings.remote_signer is not None:
        assert settings.remote_signer_address is not None, "settings that name a remote signer name its account"
        return RemoteSigner(settings.remote_signer, Address(settings.remote_signer_address))
    return None


def sign_message(
    signer: Signer, contract: str, message: str, content: dict[str, Any], chain: ChainId, address: Address
) -> bytes:
    """65 bytes over an EIP-712 message of the suite (oracle.chain.typed_data)."""
    return signer.sign(preimage(contract, message, content, chain, address)).as_bytes()


def _address(key: PublicKey) -> Address:
    return Address(key.to_checksum_address())


def _private(file: Path) -> None:
    try:
        mode = file.stat().st_mode
    except OSError as error:
        raise NoUsableKey(
            f"{file}: {error.strerror}; look at OPENLEDGER_KEYSTORE and OPENLEDGER_PASSWORD_FILE"
        ) from error
    if stat.S_IMODE(mode) & 0o077:
        raise NoUsableKey(f"{file}: others than its owner may read it (mode {stat.S_IMODE(mode):o}); chmod 600 {file}")
