"""After the answer: its receipt for everybody, its texts for the consumer alone, attribution, and corrections."""

from __future__ import annotations

import json
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import openai
import pytest

from fixtures.anvil import CHAIN
from fixtures.escrowed import Chain, Counting, played
from fixtures.shop import OPEN, Shop, served
from fixtures.waiting import eventually
from oracle.api.keys import Keyring, SessionKey
from oracle.client.wallet import Wallet
from oracle.daemon.forgetting import forget
from oracle.datanets.policy import Policy
from oracle.serving.errors import Busy
from oracle.serving.types import Finish, Finished, Generated, RequestId, Token
from oracle.settlement.hashing import keccak
from oracle.store import answers, api_keys, contributions, datanets, owing
from oracle.store.api_keys import ApiKey
from oracle.types import ChainId, DatanetId, Hash32, Timestamp, Wei

EXPIRES = 2**39


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Any]:
    settings, ground, chain = played(tmp_path / "home")
    with served(settings, lambda _: Counting()) as (url, app):
        yield SimpleNamespace(url=url, app=app, settings=settings, ground=ground, chain=chain, database=ground.database)


def opened_key(world: Any, wallet: Wallet) -> str:
    """As after sign-in and the wallet's signature under the cap, in a final block."""
    keyring, session = Keyring(world.settings.master_key), SessionKey(secret := secrets.token_bytes(32))
    shown = keyring.new_api_key()
    made = ApiKey(
        ChainId(CHAIN), wallet.address, session.address, keyring.hash(shown),
        keyring.seal(bytes.fromhex(session.address[2:]), secret), "", Wei(OPEN), Timestamp(EXPIRES), "open",
        Timestamp(1),
    )  # fmt: skip
    with world.database.transaction() as connection:
        api_keys.put_key(connection, made)
    chain: Chain = world.chain
    opened = {"consumer": wallet.address, "key": session.address, "cap": OPEN, "expiresAt": EXPIRES}
    chain.happened("SessionOpened", **opened)
    chain.deposited(wallet.address, amount=OPEN)
    return shown


def ask(world: Any, key: str, **more: Any) -> dict[str, Any]:
    client = Shop(world.settings, world.ground, None, world.url).openai(key)
    answer = client.chat.completions.create(
        model="law", messages=[{"role": "user", "content": "Who?"}], max_tokens=5, **more
    )
    receipt: dict[str, Any] = (answer.model_extra or {})["receipt"]
    return receipt


def get(world: Any, path: str, key: str | None = None) -> httpx.Response:
    return httpx.get(world.url + path, headers={"Authorization": f"Bearer {key}"} if key else {}, timeout=30)


def test_exchange__when_asked_for__then_its_consumer_reads_it_and_nobody_else(world: Any) -> None:
    key, other = (opened_key(world, Wallet.new()) for _ in range(2))
    receipt = ask(world, key)
    texts = get(world, receipt["url"] + "/exchange", key).json()
    assert texts["prompt"] == "user: Who?" and len(texts["output"]) == 5
    assert (
        "0x" + keccak(bytes.fromhex(texts["salt"][2:]) + json.dumps([texts["output"]]).encode()).hex()
        == (receipt["output"])
    )
    assert get(world, receipt["url"] + "/exchange", other).status_code == 403
    assert get(world, receipt["url"] + "/exchange").status_code == 401
    public = get(world, receipt["url"]).text
    assert texts["output"] not in public and texts["salt"] not in public
    at_rest = b"".join(file.read_bytes() for file in world.settings.home.glob("ledger.db*"))
    assert b"user: Who?" not in at_rest


def test_texts__when_their_time_is_over_or_their_consumer_wishes__then_they_are_gone_and_the_receipt_stays(
    world: Any,
) -> None:
    key = opened_key(world, Wallet.new())
    first, second = ask(world, key), ask(world, key)
    with world.database.transaction() as connection:
        ended = answers.ANSWERS.update().where(answers.ANSWERS.c.receipt == bytes.fromhex(first["id"][2:]))
        connection.execute(ended.values(keep_until=int(time.time()) - 1))
    assert forget(world.ground) == 1
    assert get(world, first["url"] + "/exchange", key).status_code == 410
    assert get(world, second["url"] + "/exchange", key).status_code == 200
    gone = httpx.delete(world.url + "/v1/exchanges", headers={"Authorization": f"Bearer {key}"})
    assert gone.json()["forgotten"] == 1
    assert get(world, second["url"] + "/exchange", key).status_code == 410
    assert get(world, second["url"]).json()["hash"] == second["hash"]


def test_attribution__before_and_after_it_has_come__then_it_is_pending_and_then_whole(world: Any) -> None:
    receipt = ask(world, opened_key(world, Wallet.new()))
    assert get(world, receipt["url"] + "/attribution").json()["state"] == "pending"
    said = {"abstained": "a base answered", "credits": [], "rows": [], "unattributed": 1_000_000}
    with world.database.transaction() as connection:
        identity = Hash32(bytes.fromhex(receipt["id"][2:]))
        answers.explain(connection, ChainId(CHAIN), identity, json.dumps(said).encode())
    found = get(world, receipt["url"] + "/attribution?wait=true").json()
    assert found["state"] == "done" and found["attribution"]["unattributed"] == 1_000_000


def test_correction__of_an_answer__then_it_is_a_contribution_of_the_wallet_that_only_it_can_sign(world: Any) -> None:
    wallet = Wallet.new()
    key = opened_key(world, wallet)
    receipt = ask(world, key)
    policy = Policy()
    with world.database.transaction() as connection:
        name = Hash32(keccak(policy.as_json()))
        datanets.put_policy(connection, name, policy.as_json())
        datanets.put_datanet(connection, DatanetId(3), wallet.address, "law", "CC-BY-4.0", "text", name)
    better = {"datanet": 3, "correction": "The court of appeal wrote this judgment, in the spring of that year."}
    said = httpx.post(
        world.url + receipt["url"] + "/feedback", json=better, headers={"Authorization": f"Bearer {key}"}, timeout=30
    ).json()
    assert said["kind"] == "correction" and said["to_sign"]["message"]["contribution"]["contributor"] == wallet.address
    with world.database.reading() as connection:
        given = contributions.get(connection, Hash32(bytes.fromhex(said["contribution"][2:])))
    assert given.contributor == wallet.address and given.count == 1
    stranger = httpx.post(
        world.url + receipt["url"] + "/feedback",
        json=better,
        headers={"Authorization": f"Bearer {opened_key(world, Wallet.new())}"},
    )
    assert stranger.status_code == 403


def test_api_key__when_revoked__then_it_pays_nothing_more(world: Any) -> None:
    wallet = Wallet.new()
    key = opened_key(world, wallet)
    ask(world, key)
    with world.database.transaction() as connection:
        for made in api_keys.keys_of(connection, ChainId(CHAIN), wallet.address):
            api_keys.revoke(connection, wallet.address, made.key)
    world.app.state.front._opened.api_keys.forget()
    assert get(world, "/v1/account", key).json()["error"]["code"] == "api_key_revoked"
    with world.database.reading() as connection:
        assert len(list(owing.lane_steps(connection, ChainId(CHAIN)))) == 1


class Endless(Counting):
    """Says one letter, and then nothing until it is cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.sinks: dict[int, Any] = {}

    def ask(self, model: Any, request: Any, sink: Any) -> int:
        self.asked += 1
        self.sinks[self.asked] = sink
        sink(Generated(RequestId(self.asked), Token(40)))
        return self.asked

    def cancel(self, ticket: int) -> None:
        if sink := self.sinks.pop(ticket, None):
            sink(Finished(RequestId(ticket), Finish.CANCELLED))


@pytest.mark.parametrize("stream, charged", [(False, 0), (True, 1)])
def test_client__when_it_goes_away_in_the_middle__then_it_pays_what_it_got_and_the_engine_is_freed(
    tmp_path: Path, stream: bool, charged: int
) -> None:
    settings, ground, chain = played(tmp_path / "home")
    engine = Endless()
    with served(settings, lambda _: engine) as (url, app):
        world = SimpleNamespace(settings=settings, ground=ground, chain=chain, database=ground.database)
        key = opened_key(world, Wallet.new())
        asked = {"model": "law", "messages": [{"role": "user", "content": "Who?"}], "max_tokens": 9, "stream": stream}
        body = json.dumps(asked).encode()
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as wire:
            wire.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: api\r\nContent-Type: application/json\r\n"
                + f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            eventually("the call runs", lambda: engine.sinks)
            if stream:
                seen = b""
                while b'"content":"' not in seen:
                    seen += wire.recv(4096)
        eventually("the engine is free", lambda: not engine.sinks)
        eventually("the call is over", lambda: not app.state.front._opened.running)
        with ground.database.reading() as connection:
            assert len(list(owing.lane_steps(connection, ChainId(CHAIN)))) == charged


class Full(Counting):
    def ask(self, model: Any, request: Any, sink: Any) -> int:
        sink(Finished(RequestId(1), Finish.ERROR, Busy("9 requests wait", 2.5)))
        return 1


def test_engine__when_its_line_is_full__then_the_stock_client_is_told_when_to_come_and_nothing_is_charged(
    tmp_path: Path,
) -> None:
    settings, ground, chain = played(tmp_path / "home")
    with served(settings, lambda _: Full()) as (url, _):
        world = SimpleNamespace(
            url=url, settings=settings, ground=ground, chain=chain, database=ground.database
        )  # fmt: skip
        with pytest.raises(openai.RateLimitError) as full:
            ask(world, opened_key(world, Wallet.new()))
        assert full.value.response.headers["retry-after"] == "3" and full.value.code == "engine_busy"
        with ground.database.reading() as connection:
            assert list(owing.lane_steps(connection, ChainId(CHAIN))) == []
