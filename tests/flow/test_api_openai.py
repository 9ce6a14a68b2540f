"""OpenAI's protocol, with the stock client against a real engine: what apps rely on holds."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from fixtures.shop import Shop, running_shop

ASKED: Any = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Who wrote this?"}]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    with running_shop(folder, None, deployments=book(folder), free=("tiny", "law"), body_bytes=20_000) as opened:
        yield opened


def book(folder: Path) -> Path:
    """An address book of no chain: nothing here is paid for."""
    from oracle.chain.contracts import CONTRACTS

    entries = {name: {"address": f"0x{number:040x}"} for number, name in enumerate(CONTRACTS, 1)}
    target = folder / "deployments"
    target.mkdir()
    (target / "31337.json").write_text(json.dumps({"chain_id": 31337, "contracts": entries}))
    return target


@pytest.fixture
def client(shop: Shop) -> openai.OpenAI:
    return shop.openai()


def test_models__when_listed__then_each_version_is_one_and_answers_to_its_names(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["law@1", "tiny@1"]
    for name in ("law", "law@1", "tiny:law@1", "tiny@1:law"):
        assert client.models.retrieve(name).id == "law@1"
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="law@2", messages=ASKED)
    assert unknown.value.code == "model_not_found"


def test_chat__with_seed__then_it_repeats_and_another_seed_or_adapter_differs(client: openai.OpenAI) -> None:
    def said(model: str, seed: int) -> str:
        made = client.chat.completions.create(model=model, messages=ASKED, max_tokens=24, seed=seed)
        return made.choices[0].message.content or ""

    assert said("law", 7) == said("law", 7)
    assert len({said("law", 7), said("law", 8), said("tiny", 7)}) == 3


def test_chat__with_n_and_logprobs__then_each_choice_has_them_and_usage_counts_all(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="law", messages=ASKED, max_tokens=5, n=3, seed=2, logprobs=True, top_logprobs=2
    )
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert answer.usage is not None and answer.usage.completion_tokens == 15
    for choice in answer.choices:
        content = choice.logprobs.content if choice.logprobs else None
        assert content is not None and len(content) == 5
        assert all(len(token.top_logprobs) == 2 and token.logprob <= 0 for token in content)
        assert "".join(token.token for token in content) == choice.message.content


def test_stream__with_usage__then_it_is_the_whole_answer_in_pieces_and_ends_properly(client: openai.OpenAI) -> None:
    asked: Any = {"model": "law", "messages": ASKED, "max_tokens": 12, "seed": 4}
    whole = client.chat.completions.create(**asked)
    pieces = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in pieces if chunk.choices)
    assert text == whole.choices[0].message.content
    assert pieces[-1].choices == [] and pieces[-1].usage == whole.usage.model_copy() if whole.usage else False
    assert pieces[-2].choices[0].finish_reason == whole.choices[0].finish_reason == "length"
    assert "receipt" in (pieces[-2].model_extra or {})


def test_stop__when_the_text_comes_to_it__then_it_ends_before_it_and_less_is_counted(client: openai.OpenAI) -> None:
    asked: Any = {"model": "law", "messages": ASKED, "max_tokens": 30, "seed": 4}
    whole = client.chat.completions.create(**asked).choices[0].message.content or ""
    stop = whole[6:8]
    answer = client.chat.completions.create(**asked, stop=stop)
    assert answer.choices[0].message.content == whole[: whole.index(stop)]
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None and answer.usage.completion_tokens == whole.index(stop) + 2
    streamed = client.chat.completions.create(**asked, stop=[stop, "never"], stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in streamed) == answer.choices[0].message.content


def test_completions__of_text_and_of_tokens__then_they_are_the_same(client: openai.OpenAI) -> None:
    text = client.completions.create(model="law", prompt="Once", max_tokens=6, temperature=0, logprobs=2)
    from fixtures.shop import LETTERS

    tokens = client.completions.create(
        model="law", prompt=[LETTERS.index(letter) for letter in "Once"], max_tokens=6, temperature=0
    )
    assert text.choices[0].text == tokens.choices[0].text != ""
    assert text.choices[0].logprobs is not None and len(text.choices[0].logprobs.token_logprobs or []) == 6
    pieces = client.completions.create(model="law", prompt="Once", max_tokens=6, temperature=0, stream=True)
    assert "".join(piece.choices[0].text for piece in pieces) == text.choices[0].text


def test_responses__whole_and_streamed__then_the_stock_client_reads_them(client: openai.OpenAI) -> None:
    made = client.responses.create(
        model="law", instructions="Be short.", input="Who?", max_output_tokens=6, temperature=0
    )
    assert made.output_text and made.status == "incomplete" and made.usage is not None
    assert made.usage.output_tokens == 6
    events = list(client.responses.create(model="law", input="Who?", max_output_tokens=6, temperature=0, stream=True))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    last = events[-1]
    assert events[0].type == "response.created" and last.type == "response.incomplete"  # cut at six tokens
    assert "".join(deltas) == last.response.output_text != ""
    assert "receipt" in (last.response.model_extra or {})


def test_quote__of_a_call__then_it_says_the_most_and_what_is_in_it(shop: Shop) -> None:
    body = {"model": "law", "messages": ASKED, "max_tokens": 10, "n": 2}
    quote = httpx.post(f"{shop.url}/v1/quote", json=body).json()
    assert quote["max_output_tokens"] == 20 and quote["free"] and quote["most"] == "0"
    assert quote["included"]["attribution"]["most"] == "0" and quote["engine"]["adapter"] in ("warm", "near", "cold")


@pytest.mark.parametrize(
    "conditions, place",
    [
        ({"licences": ["MIT"]}, "licences"),
        ({"min_accuracy": 0.1}, "min_accuracy"),
        ({"min_evaluation": 0.5}, "min_evaluation"),
    ],
)
def test_conditions__when_one_does_not_hold__then_it_is_refused_with_the_reason(
    client: openai.OpenAI, conditions: Any, place: str
) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        client.chat.completions.create(model="law", messages=ASKED, extra_body={"conditions": conditions})
    assert refused.value.status_code == 412 and refused.value.param == f"conditions.{place}"


def test_conditions__when_they_hold__then_the_receipt_proves_it(shop: Shop, client: openai.OpenAI) -> None:
    from oracle.settlement.hashing import keccak

    stated = {"licences": ["CC-BY-4.0", "MIT"], "max_price": "100"}
    answer = client.chat.completions.create(
        model="law", messages=ASKED, max_tokens=2, extra_body={"conditions": stated}
    )
    receipt = (answer.model_extra or {})["receipt"]
    shown = httpx.get(shop.url + receipt["url"]).json()["documents"]["conditions"]
    assert shown["stated"] == stated and shown["held"]["licences"] == ["CC-BY-4.0"]
    written = json.dumps(shown, sort_keys=True, separators=(",", ":")).encode()
    assert "0x" + keccak(written).hex() == receipt["conditions"]


MESSAGE = '"model": "law", "messages": [{"role": "user", "content": "x"}]'


@pytest.mark.parametrize(
    "body, code",
    [
        ("{", "invalid_value"),
        ('{"model": "law"}', "invalid_value"),
        ('{"model": "law", "messages": []}', "invalid_value"),
        (MESSAGE.replace("x", "\\ud800").join("{}"), "invalid_value"),
        (f'{{{MESSAGE}, "n": 99}}', "invalid_value"),
        (f'{{{MESSAGE}, "max_tokens": 999}}', "context_length_exceeded"),
        (f'{{{MESSAGE}, "top_logprobs": 3}}', "invalid_value"),
    ],
)
def test_request__when_malformed__then_the_envelope_says_what_is_wrong(shop: Shop, body: str, code: str) -> None:
    answer = httpx.post(f"{shop.url}/v1/chat/completions", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert set(error) >= {"message", "type", "param", "code"} and error["code"] == code
    assert answer.headers["x-request-id"].startswith("req_")


def test_body__when_larger_than_allowed_or_slower_than_said__then_it_is_refused_unread(shop: Shop) -> None:
    big = httpx.post(f"{shop.url}/v1/chat/completions", content=b"x" * 20_001)
    assert (big.status_code, big.json()["error"]["code"]) == (413, "body_too_large")

    def pieces() -> Iterator[bytes]:
        for _ in range(30):
            yield b"x" * 1000

    chunked = httpx.post(f"{shop.url}/v1/chat/completions", content=pieces())
    assert chunked.status_code == 413
    wide = httpx.post(f"{shop.url}/v1/chat/completions", headers={"X-Wide": "x" * 40_000}, json={})
    assert wide.status_code in (400, 431)


def test_cors__when_a_strange_page_asks__then_nothing_allows_it(shop: Shop) -> None:
    preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answers = [
        httpx.options(f"{shop.url}/v1/chat/completions", headers=preflight),
        httpx.get(f"{shop.url}/v1/models", headers={"Origin": "https://evil.example"}),
    ]
    assert not any(name.startswith("access-control") for answer in answers for name in answer.headers)


def test_log__when_calls_go_well_and_badly__then_it_has_no_prompt_and_no_key(
    shop: Shop, client: openai.OpenAI, caplog: pytest.LogCaptureFixture
) -> None:
    secret, key = "my secret prompt 4711", "ol_abcdefghijklmnopqrstuvwxyz0123456789"
    with caplog.at_level(logging.DEBUG):
        client.completions.create(model="law", prompt=secret, max_tokens=2)
        httpx.post(f"{shop.url}/v1/completions", json={"model": "law", "prompt": [secret] * 3})
        httpx.post(f"{shop.url}/v1/completions", content=f'{{"prompt": "{secret}'.encode())
        bad = httpx.post(
            f"{shop.url}/v1/completions",
            json={"model": "law", "prompt": secret},
            headers={"Authorization": f"Bearer {key}"},
        )
    assert bad.status_code == 401
    said = [record for record in caplog.records if not record.name.startswith(("openai", "httpx", "httpcore"))]
    whole = "\n".join(record.getMessage() + str(record.exc_info or "") for record in said)
    assert secret not in whole and key not in whole
