"""Stock clients pay a real engine over a real chain: by a spending cap, by vouchers, by x402."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from eth_account import Account
from x402 import x402Client
from x402.http.clients.httpx import x402AsyncTransport
from x402.mechanisms.evm.exact import ExactEvmClientScheme

from fixtures.anvil import CHAIN
from fixtures.chain import sender_on, signer_for_tests
from fixtures.shop import OPEN, PRICES, Shop, running_shop
from fixtures.suite import running_suite
from oracle.api import x402_payments
from oracle.client.account import Refused, open_key
from oracle.client.paying import OverLimit, Vouchers
from oracle.client.receipts import check
from oracle.client.wallet import Lane, Wallet
from oracle.serving.errors import Busy
from oracle.settlement.coverage import LATEST, Funds, covered
from oracle.store import calls, owing, receipts, work
from oracle.types import Address, ChainId, Hash32, Timestamp, Wei

ASKED = [{"role": "user", "content": "Who wrote this?"}]
HOURS = 3600


@pytest.fixture(scope="module")
def shop(suite_state: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with (
        running_suite(suite_state) as suite,
        running_shop(tmp_path_factory.mktemp("shop"), suite, x402=True, free=("tiny",)) as opened,
    ):
        yield opened


@pytest.fixture
def consumer(shop: Shop) -> Wallet:
    wallet = Wallet.new()
    shop.deposit(wallet.address, OPEN)
    read_anew(shop)
    return wallet


def lane(shop: Shop, wallet: Wallet) -> Lane:
    return wallet.lane(ChainId(CHAIN), escrow(shop))


def escrow(shop: Shop) -> Address:
    return shop.ground.book["InferenceEscrow"]


def paying(shop: Shop, wallet: Wallet, limit: int = OPEN) -> openai.OpenAI:
    client = httpx.Client(auth=Vouchers(lane(shop, wallet), limit), timeout=60)
    return openai.OpenAI(base_url=f"{shop.url}/v1", api_key="none", http_client=client, max_retries=0)


def found(shop: Shop, identity: str) -> receipts.Found:
    with shop.database.reading() as connection:
        one = receipts.find(connection, ChainId(CHAIN), Hash32(bytes.fromhex(identity[2:])))
    assert one is not None
    return one


def of_wallet(shop: Shop, wallet: Wallet) -> list[receipts.LaneStep]:
    with shop.database.reading() as connection:
        steps = list(owing.lane_steps(connection, ChainId(CHAIN)))
    return [step for step in steps if step.lane.consumer == wallet.address]


def total(shop: Shop, wallet: Wallet) -> int:
    with shop.database.transaction() as connection:
        states = calls.lanes_of(connection, ChainId(CHAIN), wallet.address)
    return sum(state.total for state in states.values())


def code(failure: openai.APIStatusError) -> str:
    return str(failure.response.json()["error"]["code"])


# Vouchers


def test_vouchers__when_a_stock_client_signs_them_by_itself__then_receipts_are_signed_and_ready_for_settlement(
    shop: Shop, consumer: Wallet
) -> None:
    client = paying(shop, consumer)
    for _ in range(3):
        answer = client.chat.completions.create(model="law", messages=ASKED, max_tokens=8, seed=1)
    said = answer.model_extra["receipt"]
    assert answer.usage is not None and answer.usage.completion_tokens == 8
    one = found(shop, said["id"])
    assert one.receipt.fee == -(-(answer.usage.prompt_tokens * PRICES[0] + 8 * PRICES[1]) // 1000)
    texts = [choice.message.content or "" for choice in answer.choices]
    operator = signer_for_tests(1).address
    assert check(said, ChainId(CHAIN), escrow(shop), operator, said=ASKED, texts=texts).hash == one.hash
    # The two first receipts end where a voucher does: settlement can take the lane that far.
    ends = [step.total for step in of_wallet(shop, consumer)]
    with shop.database.reading() as connection:
        kept = receipts.vouchers(connection, ChainId(CHAIN))[one.receipt.lane]
    assert {voucher.cumulative for voucher in kept} >= set(ends[:2])
    with shop.database.reading() as connection:
        waiting = {item.subject for item in work.due(connection, int(time.time()) + 1, 1000)}  # type: ignore[arg-type]
    assert said["id"][2:] in waiting


def test_vouchers__when_the_call_may_cost_more_than_the_owner_allows__then_nothing_is_signed(
    shop: Shop, consumer: Wallet
) -> None:
    with pytest.raises(OverLimit):
        paying(shop, consumer, limit=10).chat.completions.create(model="law", messages=ASKED, max_tokens=8)
    assert of_wallet(shop, consumer) == []


def test_voucher__when_too_low_expired_foreign_or_of_another_chain__then_its_error_is_precise_and_nothing_runs(
    shop: Shop, consumer: Wallet
) -> None:
    own = lane(shop, consumer)
    other_chain = consumer.lane(ChainId(1), escrow(shop))
    forged = {**own.voucher(OPEN), "consumer": Wallet.new().address, "key": Wallet.new().address}
    cases = [
        (own.header(1), 402, "voucher_too_low"),
        (own.header(OPEN, deadline=int(time.time()) + 60), 402, "voucher_expired"),
        (other_chain.header(OPEN), 402, "voucher_wrong_signer"),
        (header_of(forged), 402, "voucher_wrong_signer"),
        ({"OpenLedger-Voucher": "no base64 of anything"}, 400, "voucher_invalid"),
        ({}, 402, "payment_required"),
        ({"Authorization": "Bearer ol_stranger"}, 401, "invalid_api_key"),
    ]
    for header, status, name in cases:
        answer = ask(shop, header)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, name), header
        assert answer.json()["error"]["message"]
    assert of_wallet(shop, consumer) == []


def test_voucher__when_the_escrow_holds_too_little__then_nothing_runs(shop: Shop) -> None:
    poor = Wallet.new()
    answer = ask(shop, lane(shop, poor).header(OPEN))
    assert (answer.status_code, answer.json()["error"]["code"]) == (402, "insufficient_funds")
    assert of_wallet(shop, poor) == []


def test_withdrawal__when_announced_but_not_final__then_it_counts_already(shop: Shop, consumer: Wallet) -> None:
    shop.send("InferenceEscrow", "requestWithdrawal", OPEN, sender=consumer.address)
    shop.ground.indexer.catch_up()  # at the head: no block on top of it
    read_anew(shop)
    answer = ask(shop, lane(shop, consumer).header(OPEN))
    assert answer.json()["error"]["code"] == "insufficient_funds"


def test_lane__when_answers_are_never_signed_for__then_it_is_closed_until_they_are(
    shop: Shop, consumer: Wallet
) -> None:
    header = lane(shop, consumer).header(OPEN // 2)
    said = [ask(shop, header).status_code for _ in range(shop.settings.unsigned_receipts + 1)]
    assert said == [200] * shop.settings.unsigned_receipts + [402]
    closed = ask(shop, header).json()["error"]
    assert closed["code"] == "voucher_missing" and closed["details"]["total"] == str(total(shop, consumer))
    signed = lane(shop, consumer).header(total(shop, consumer), OPEN // 2)
    assert ask(shop, signed).status_code == 200


# A spending cap behind an API key


def test_spending_cap__when_signed_once__then_a_stock_client_pays_by_its_key_up_to_it(
    shop: Shop, consumer: Wallet
) -> None:
    ready = httpx.Client(base_url=shop.url)
    expires = chain_time(shop) + 1000 * HOURS
    one = ask(shop, lane(shop, consumer).header(OPEN // 2)).json()["receipt"]
    key = open_key(ready, consumer, 3 * int(one["fee"]) + 1, expires, "tests")
    with pytest.raises(openai.APIStatusError) as early:
        shop.openai(key.api_key).chat.completions.create(model="law", messages=ASKED, max_tokens=8)
    assert code(early.value) == "session_not_open"
    mined(shop)
    client = shop.openai(key.api_key)
    answers = [client.chat.completions.create(model="law", messages=ASKED, max_tokens=8, seed=1) for _ in range(3)]
    with pytest.raises(openai.APIStatusError) as capped:
        client.chat.completions.create(model="law", messages=ASKED, max_tokens=8, seed=1)
    assert code(capped.value) == "spending_cap_reached"
    # Each receipt has the voucher that ends where it does, signed by the session's key.
    of_key = [step for step in of_wallet(shop, consumer) if step.lane.key == key.key]
    with shop.database.reading() as connection:
        kept = receipts.vouchers(connection, ChainId(CHAIN))[of_key[0].lane]
    assert [voucher.cumulative for voucher in kept] == [step.total for step in of_key]
    assert answers[0].choices[0].message.content == answers[1].choices[0].message.content  # the same seed
    assert settleable(shop, of_key) == of_key[-1].total
    again = ready.get("/v1/account", headers={"Authorization": f"Bearer {key.api_key}"}).json()
    assert again["lane"]["total"] == str(sum(int(a.model_extra["receipt"]["fee"]) for a in answers))


def test_spending_cap__of_a_wallet_without_a_deposit__then_nobody_pays_gas_for_it(shop: Shop) -> None:
    with pytest.raises(Refused, match="insufficient_funds"):
        open_key(httpx.Client(base_url=shop.url), Wallet.new(), OPEN, chain_time(shop) + 1000 * HOURS)


def test_api_key__at_rest__then_only_a_keyed_hash_of_it_is_there(shop: Shop, consumer: Wallet) -> None:
    key = open_key(httpx.Client(base_url=shop.url), consumer, OPEN, chain_time(shop) + 1000 * HOURS)
    content = b"".join(file.read_bytes() for file in shop.settings.home.glob("ledger.db*"))
    assert key.api_key.encode() not in content and key.api_key[3:].encode() not in content


def test_sign_in__when_its_message_is_sent_again__then_it_is_refused(shop: Shop, consumer: Wallet) -> None:
    from oracle.client.account import sign_in

    client = httpx.Client(base_url=shop.url)
    signed = sign_in(client, consumer)
    assert client.post("/v1/keys/list", json=signed).status_code == 200
    assert client.post("/v1/keys/list", json=signed).json()["error"]["code"] == "sign_in_replayed"


# Once


def test_idempotency_key__when_sent_many_times_at_once__then_the_model_runs_once_and_one_answer_is_charged(
    shop: Shop, consumer: Wallet
) -> None:
    header = {**lane(shop, consumer).header(OPEN // 2), "Idempotency-Key": "once"}
    answers: list[httpx.Response] = []
    threads = [threading.Thread(target=lambda: answers.append(ask(shop, header))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["receipt"]["hash"] for answer in answers}) == 1
    assert len(of_wallet(shop, consumer)) == 1
    other = ask(shop, header, max_tokens=9)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_key_reused")


def test_stream__when_the_same_idempotency_key_comes_again__then_the_same_text_is_streamed(
    shop: Shop, consumer: Wallet
) -> None:
    header = {**lane(shop, consumer).header(OPEN // 2), "Idempotency-Key": "stream"}
    texts = []
    for _ in range(2):
        stream = shop.openai(default_headers=header).chat.completions.create(
            model="law", messages=ASKED, max_tokens=8, seed=3, stream=True
        )
        texts.append("".join(chunk.choices[0].delta.content or "" for chunk in stream))
    assert texts[0] == texts[1] != ""
    assert len(of_wallet(shop, consumer)) == 1


def test_stream__when_its_reader_goes_away__then_only_what_was_delivered_is_charged(
    shop: Shop, consumer: Wallet
) -> None:
    header = lane(shop, consumer).header(OPEN // 2)
    with httpx.stream("POST", f"{shop.url}/v1/chat/completions", headers=header, json=body(60, stream=True)) as answer:
        lines = (line for line in answer.iter_lines() if line.startswith("data: {"))
        seen = [json.loads(next(lines)[6:]) for _ in range(3)]
        identity = answer.headers["openledger-receipt"]
    assert all(chunk["choices"] for chunk in seen)
    receipt = until(lambda: receipt_of(shop, identity))
    assert 3 <= receipt.output_tokens < 60
    assert receipt.fee == -(-(receipt.prompt_tokens * PRICES[0] + receipt.output_tokens * PRICES[1]) // 1000)


# x402


def test_x402__when_a_stock_client_pays__then_it_streams_once_and_the_money_is_settled(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The chain of the tests lives in the future: an authorisation has to be good for so long.
    monkeypatch.setattr(x402_payments, "SECONDS", chain_time(shop) - int(time.time()) + 1000 * HOURS)
    account = Account.create()
    shop.deposit(account.address, 1)
    shop.send("OpenToken", "transfer", account.address, OPEN)
    sent, said = asyncio.run(stream_by_x402(shop, account))
    receipt = said[-1]["receipt"]
    assert [c["choices"][0]["delta"].get("content") for c in said[:-1] if c["choices"]] and receipt[
        "output_tokens"
    ] == 8
    again = httpx.post(f"{shop.url}/v1/chat/completions", headers=sent, json=body(8, stream=True, n=2))
    assert (again.status_code, again.json()["error"]["code"]) == (402, "payment_invalid")  # another price
    again = httpx.post(f"{shop.url}/v1/chat/completions", headers=sent, json=body(8, stream=True))
    assert (again.status_code, again.json()["error"]["code"]) == (409, "already_answered")
    mined(shop)
    hub = signer_for_tests(1).address
    assert shop.suite.read("InferenceEscrow", "accountOf", hub)[0] == int(receipt["fee"])
    nonce = shown_conditions(shop, receipt)["payment"]["nonce"]
    payment = httpx.get(f"{shop.url}/v1/payments/{account.address}/{nonce}").json()
    assert payment["state"] == "final" and payment["fee"] == receipt["fee"]
    assert shop.suite.read("InferenceEscrow", "accountOf", account.address)[0] == 1 + int(payment["rest"])


def test_x402__when_the_call_failed_and_the_payer_has_spent_the_money_since__then_it_is_refused_the_second_time(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(x402_payments, "SECONDS", chain_time(shop) - int(time.time()) + 1000 * HOURS)
    account = Account.create()
    shop.deposit(account.address, 1)
    shop.send("OpenToken", "transfer", account.address, OPEN)
    with monkeypatch.context() as failing:
        failing.setattr(shop.front.engine, "ask", broken)
        sent = asyncio.run(refused_by_x402(shop, account))
    assert sent
    shop.send("OpenToken", "transfer", Wallet.new().address, OPEN, sender=account.address)
    again = httpx.post(f"{shop.url}/v1/chat/completions", headers=sent, json=body(8, stream=True))
    assert (again.status_code, again.json()["error"]["code"]) == (402, "payment_invalid")


def broken(*_: Any) -> int:
    raise Busy("the engine is away", 1.0)


async def refused_by_x402(shop: Shop, account: Any) -> dict[str, str]:
    """What was signed for a call that came to nothing."""
    client = x402Client().set_spend_controls({"allowed_assets": True})
    client.register(f"eip155:{CHAIN}", ExactEvmClientScheme(account))
    wire = Recording()
    async with httpx.AsyncClient(transport=x402AsyncTransport(client, wire), timeout=60) as http:
        answer = await http.post(f"{shop.url}/v1/chat/completions", json=body(8, stream=True))
        assert answer.status_code >= 429, answer.text
    return wire.paid


class Recording(httpx.AsyncHTTPTransport):
    """What went over the wire last."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.paid = {name: value for name, value in request.headers.items() if name.startswith("payment")}
        return await super().handle_async_request(request)


async def stream_by_x402(shop: Shop, account: Any) -> tuple[dict[str, str], list[dict[str, Any]]]:
    client = x402Client().set_spend_controls({"allowed_assets": True})
    client.register(f"eip155:{CHAIN}", ExactEvmClientScheme(account))
    wire = Recording()
    async with (
        httpx.AsyncClient(transport=x402AsyncTransport(client, wire), timeout=60) as http,
        http.stream("POST", f"{shop.url}/v1/chat/completions", json=body(8, stream=True)) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        lines = [line async for line in answer.aiter_lines()]
    assert lines[-2] == "data: [DONE]"
    return wire.paid, [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


# Free


def test_free_model__when_nobody_pays__then_it_answers_with_a_receipt_of_nothing(shop: Shop) -> None:
    answer = shop.openai().chat.completions.create(model="tiny", messages=ASKED, max_tokens=4)
    assert answer.model_extra["receipt"]["fee"] == "0"


# What the tests say shortly


def settleable(shop: Shop, steps: list[receipts.LaneStep]) -> int:
    """How far settlement could take this lane now, once its receipts are attributed."""
    done = [step._replace(final=True) for step in steps]
    lane = steps[0].lane
    with shop.database.reading() as connection:
        kept = receipts.vouchers(connection, ChainId(CHAIN))
    funds = {lane: Funds(Wei(0), cap=Wei(OPEN), closes_at=LATEST)}
    found = covered(done, {}, kept, funds, {lane.consumer: Wei(OPEN)}, Timestamp(int(time.time()) + HOURS))
    return found.reach.get(lane, 0)


def body(max_tokens: int = 8, **more: Any) -> dict[str, Any]:
    return {"model": "law", "messages": ASKED, "max_tokens": max_tokens, "seed": 1, **more}


def ask(shop: Shop, headers: dict[str, str], max_tokens: int = 8) -> httpx.Response:
    return httpx.post(f"{shop.url}/v1/chat/completions", headers=headers, json=body(max_tokens), timeout=60)


def header_of(voucher: dict[str, str]) -> dict[str, str]:
    import base64

    return {"OpenLedger-Voucher": base64.b64encode(json.dumps(voucher).encode()).decode()}


def receipt_of(shop: Shop, identity: str) -> receipts.Receipt | None:
    with shop.database.reading() as connection:
        one = receipts.find(connection, ChainId(CHAIN), Hash32(bytes.fromhex(identity[2:])))
    return None if one is None else one.receipt


def until(look: Any) -> Any:
    from fixtures.waiting import eventually

    return eventually("it is there", look, 20)


def shown_conditions(shop: Shop, receipt: dict[str, Any]) -> Any:
    return httpx.get(shop.url + receipt["url"]).json()["documents"]["conditions"]


def chain_time(shop: Shop) -> int:
    assert shop.suite is not None
    return int(shop.suite.anvil.ask("eth_getBlockByNumber", "latest", False)["timestamp"], 16)


def mined(shop: Shop) -> None:
    """What the API has planned is sent, mined, final and read."""
    assert shop.suite is not None
    if shop.sender is None:  # one holds the lane of a key
        shop.sender = sender_on(shop.suite, shop.database, signer=signer_for_tests(1))
    for _ in range(12):
        shop.sender.advance()
        shop.suite.anvil.mine(2)
    shop.index()
    read_anew(shop)


def read_anew(shop: Shop) -> None:
    """The escrow is looked at once a second; a test does not wait for that."""
    if shop.front is not None:
        shop.front.escrow._looked = None
