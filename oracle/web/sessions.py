"""Who is signed in: a token in a cookie, with nothing kept for it but a key.

Only private actions need it: handing in a file, deciding a review. What moves money is signed by the wallet itself.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from oracle.datanets.announcing import BadSignature, recover
from oracle.datanets.canonical import keccak
from oracle.errors import NeedsPerson
from oracle.types import Address, ChainId, Digest

COOKIE = "openledger_session"
LASTS = 12 * 3600
_TO_SIGN = 600  # seconds between asking for a message and handing in its signature


class NotSignedIn(NeedsPerson):
    """The action is private, and nobody is signed in, or somebody else."""


@dataclass
class Sessions:
    """`key` is the same in every process of this oracle, so that any of them knows a session."""

    key: bytes = field(repr=False)
    clock: Callable[[], float] = time.time
    _used: dict[str, int] = field(default_factory=dict, repr=False)

    @classmethod
    def of_home(cls, master_key: Path) -> Sessions:
        """From the master key; without one, sessions end with the process."""
        secret = master_key.read_bytes() if master_key.exists() else secrets.token_bytes(32)
        return cls(hmac.digest(secret, b"openledger web sessions", sha256))

    def challenge(self, account: Address) -> tuple[str, int]:
        """(nonce, when it was given out); the nonce proves to us later that it was."""
        at, chance = int(self.clock()), secrets.token_hex(8)
        return chance + self._mark("nonce", account, chance, str(at)), at

    def begin(self, account: Address, nonce: str, at: int, message: str, signature: bytes) -> str:
        """A token, if the account signed the message that holds its nonce. A nonce serves once."""
        now = int(self.clock())
        known = _same(nonce[16:], self._mark("nonce", account, nonce[:16], str(at)))
        if not known or not at - 60 <= now <= at + _TO_SIGN or nonce in self._used:
            raise NotSignedIn("The message to sign has run out or was used before. Sign in again.")
        try:
            signer = recover(message_digest(message), signature)
        except BadSignature as error:
            raise NotSignedIn(f"The signature cannot be read: {error}.") from None
        if signer != account:
            raise NotSignedIn(f"This was signed by {signer}, not by {account}. Choose that account and sign again.")
        self._used = {used: until for used, until in self._used.items() if until > now} | {nonce: at + _TO_SIGN}
        until = str(now + LASTS)
        return f"{account}.{until}.{self._mark('session', account, until)}"

    def account(self, token: str | None) -> Address | None:
        account, _, rest = (token or "").partition(".")
        until, _, mark = rest.partition(".")
        if not _same(mark, self._mark("session", account, until)):
            return None
        return Address(account) if until.isdigit() and int(until) > self.clock() else None

    def require(self, token: str | None, account: str | None = None) -> Address:
        known = self.account(token)
        if known is None:
            raise NotSignedIn("Sign in with your wallet first.")
        if account is not None and known != account:
            raise NotSignedIn(f"You are signed in as {known}, not as {account}. Sign in with that account.")
        return known

    def _mark(self, *parts: str) -> str:
        return hmac.digest(self.key, "\0".join(parts).encode(), sha256).hex()[:32]


def _same(shown: str, mark: str) -> bool:
    """In a time that tells nothing; whatever characters a stranger sends."""
    return hmac.compare_digest(shown.encode(), mark.encode())


def message_to_sign(domain: str, uri: str, account: Address, chain: ChainId, nonce: str, at: int) -> str:
    """As ERC-4361 writes it."""
    issued, expires = (datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for when in (at, at + _TO_SIGN))
    return (
        f"{domain} wants you to sign in with your Ethereum account:\n{account}\n\n"
        "Sign in to hand in files and to decide reviews. It costs nothing and sends no transaction.\n\n"
        f"URI: {uri}\nVersion: 1\nChain ID: {chain}\nNonce: {nonce}\nIssued At: {issued}\nExpiration Time: {expires}"
    )


def message_digest(message: str) -> Digest:
    """What `personal_sign` signs (ERC-191)."""
    content = message.encode()
    return Digest(keccak(b"\x19Ethereum Signed Message:\n" + str(len(content)).encode() + content))
