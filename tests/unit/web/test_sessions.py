"""Signing in: what counts as a signature of one's own, and for how long."""

from __future__ import annotations

from pathlib import Path

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from fixtures.anvil import ACCOUNTS, KEYS
from oracle.types import Address, ChainId
from oracle.web.sessions import LASTS, NotSignedIn, Sessions, message_to_sign

ADA, BO = Address(ACCOUNTS[2]), Address(ACCOUNTS[3])
KEY = b"k" * 32


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(clock: Clock) -> Sessions:
    return Sessions(KEY, clock)


def signed(sessions: Sessions, who: Address = ADA, by: str = KEYS[2]) -> tuple[str, int, str, bytes]:
    nonce, at = sessions.challenge(who)
    message = message_to_sign("ledger.example", "https://ledger.example/", who, ChainId(1), nonce, at)
    return nonce, at, message, bytes(Account.sign_message(encode_defunct(text=message), by).signature)


def test_sign_in__with_ones_own_key__then_the_token_names_the_account_until_it_ends(
    sessions: Sessions, clock: Clock
) -> None:
    token = sessions.begin(ADA, *signed(sessions))
    assert sessions.account(token) == ADA == sessions.require(token, ADA)
    assert Sessions(KEY, clock).account(token) == ADA  # another process
    clock.now += LASTS + 1
    assert sessions.account(token) is None


def test_sign_in__twice_with_one_message__then_the_second_is_refused(sessions: Sessions) -> None:
    given = signed(sessions)
    sessions.begin(ADA, *given)
    with pytest.raises(NotSignedIn, match="used before"):
        sessions.begin(ADA, *given)


def test_sign_in__too_late__then_it_is_refused(sessions: Sessions, clock: Clock) -> None:
    given = signed(sessions)
    clock.now += 601
    with pytest.raises(NotSignedIn, match="has run out"):
        sessions.begin(ADA, *given)


def test_sign_in__with_somebody_elses_key__then_says_whose_it_is(sessions: Sessions) -> None:
    with pytest.raises(NotSignedIn, match=f"signed by {BO}"):
        sessions.begin(ADA, *signed(sessions, by=KEYS[3]))


def test_sign_in__with_a_nonce_for_another_account__then_it_is_refused(sessions: Sessions) -> None:
    nonce, at, message, signature = signed(sessions)
    with pytest.raises(NotSignedIn, match="used before"):
        sessions.begin(BO, nonce, at, message, signature)


@pytest.mark.parametrize(
    "change", [lambda t: t.replace(ADA, BO), lambda t: t[:-1] + "x", lambda t: "", lambda t: "a.b"]
)
def test_account__of_a_changed_token__then_it_is_nobodys(sessions: Sessions, change: object) -> None:
    token = sessions.begin(ADA, *signed(sessions))
    assert callable(change) and sessions.account(change(token)) is None


def test_require__of_another_account__then_says_who_is_signed_in(sessions: Sessions) -> None:
    token = sessions.begin(ADA, *signed(sessions))
    with pytest.raises(NotSignedIn, match=f"signed in as {ADA}, not as {BO}"):
        sessions.require(token, BO)


def test_sessions__of_a_home_without_a_master_key__then_they_are_of_one_process(tmp_path: Path) -> None:
    first, second = Sessions.of_home(tmp_path / "none"), Sessions.of_home(tmp_path / "none")
    assert second.account(first.begin(ADA, *signed(first))) is None
