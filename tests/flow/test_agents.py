"""The stock MCP client over stdio, against the real API with a real engine and a real chain."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from sqlalchemy import func, select

from fixtures.anvil import CHAIN
from fixtures.shop import OPEN, Shop, running_shop
from fixtures.suite import Suite
from oracle.agents.calling import Api, Unreachable
from oracle.agents.purse import VoucherPurse
from oracle.agents.tools import Tools, wei_of
from oracle.client.wallet import Wallet
from oracle.store import receipts
from oracle.store.calls import CALLS
from oracle.types import ChainId, Hash32

SECRET = bytes(31) + b"\x07"


@pytest.fixture
def shop(suite: Suite, tmp_path: Path) -> Iterator[Shop]:
    with running_shop(tmp_path, suite) as opened:
        yield opened


@dataclass
class Agent:
    """Whoever starts `openledger mcp` with a wallet of its own and asks for its tools."""

    shop: Shop
    folder: Path
    cap: str = "5"

    def __post_init__(self) -> None:
        self.wallet = Wallet(SECRET)
        self.keystore, self.password = self.folder / "wallet.json", self.folder / "wallet password"
        self.keystore.write_text(json.dumps(Account.encrypt(SECRET, "sesame", kdf="pbkdf2", iterations=2)))
        self.password.write_text("sesame\n")

    def use(self, *calls: tuple[str, dict[str, Any]]) -> list[Any]:
        """What each call came to; a text where it was refused."""
        command = [
            "-m", "oracle", "mcp", "--api", self.shop.url, "--keystore", str(self.keystore),
            "--password-file", str(self.password), "--cap", self.cap,
        ]  # fmt: skip
        return talk(command, *calls)


def talk(command: list[str], *calls: tuple[str, dict[str, Any]]) -> list[Any]:
    async def conversation() -> list[Any]:
        started = StdioServerParameters(command=sys.executable, args=command, env=dict(os.environ))
        answers = []
        async with Client(stdio_client(started)) as client:
            offered = {tool.name for tool in (await client.list_tools()).tools}
            assert offered == {"list_models", "quote", "infer", "why", "verify_receipt"}
            for name, arguments in calls:
                result = await client.call_tool(name, arguments)
                text = "".join(part.text for part in result.content if part.type == "text")
                answers.append(text if result.is_error else json.loads(text))
        return answers

    return asyncio.run(asyncio.wait_for(conversation(), 120))


QUESTION = {"model": "law", "question": "Who moors first?", "max_tokens": 6}


def test_agent__that_asks__then_it_pays_what_was_delivered_and_its_receipt_holds(shop: Shop, tmp_path: Path) -> None:
    agent = Agent(shop, tmp_path)
    shop.deposit(agent.wallet.address, OPEN)
    models, quote, answer = agent.use(("list_models", {}), ("quote", QUESTION), ("infer", QUESTION))
    assert "law@1" in {each["id"] for each in models["models"]}
    with shop.database.reading() as connection:
        kept = receipts.find(connection, ChainId(CHAIN), Hash32(bytes.fromhex(answer["receipt_id"][2:])))
    assert kept is not None
    assert 0 < kept.receipt.fee <= int(quote["most"])
    assert round(float(answer["paid_in_open"]) * OPEN) == pytest.approx(kept.receipt.fee)


def test_agent__that_asked__then_it_verifies_its_receipt_and_asks_whose_rows_it_came_from(
    shop: Shop, tmp_path: Path
) -> None:
    agent = Agent(shop, tmp_path)
    shop.deposit(agent.wallet.address, OPEN)
    (answer,) = agent.use(("infer", QUESTION))
    verified, why, unknown = agent.use(
        ("verify_receipt", {"receipt_id": answer["receipt_id"]}),
        ("why", {"receipt_id": answer["receipt_id"], "wait": False}),
        ("verify_receipt", {"receipt_id": "0x" + "00" * 32}),
    )
    assert verified["valid"], verified["checks"]
    assert {check["what"] for check in verified["checks"]} == {"hash", "signature", "price", "lane"}
    assert why["state"] == "pending"  # no worker attributes here
    assert "no_such_receipt" in unknown


def test_agent__that_verifies_in_the_session_it_asked_in__then_question_and_answer_are_compared_too(
    shop: Shop, tmp_path: Path
) -> None:
    agent = Agent(shop, tmp_path)
    shop.deposit(agent.wallet.address, OPEN)
    tools = Tools(Api(shop.url), VoucherPurse(agent.wallet, Api(shop.url), wei_of("5")))

    async def session() -> dict[str, Any]:
        answer = await tools.infer(**QUESTION)
        return await tools.verify_receipt(answer["receipt_id"])

    verified = asyncio.run(session())
    assert verified["valid"], verified["checks"]
    assert {check["what"] for check in verified["checks"]} >= {"question", "answer"}


def test_agent__whose_call_may_cost_more_than_its_cap__then_nothing_is_signed_and_nothing_runs(
    shop: Shop, tmp_path: Path
) -> None:
    agent = Agent(shop, tmp_path, cap="0.000000000000000001")
    shop.deposit(agent.wallet.address, OPEN)
    (refused,) = agent.use(("infer", QUESTION))
    assert "of the cap of 0.000000000000000001 are" in refused
    with shop.database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(CALLS)).scalar_one() == 0


def test_agent__that_states_a_lower_price__then_it_is_refused_with_the_reason(shop: Shop, tmp_path: Path) -> None:
    agent = Agent(shop, tmp_path)
    shop.deposit(agent.wallet.address, OPEN)
    refused, wrong, unknown = agent.use(
        ("infer", {**QUESTION, "max_price_in_open": "0.000000000000000001"}),
        ("infer", {**QUESTION, "max_price_in_open": "cheap"}),
        ("infer", {**QUESTION, "model": "astrology"}),
    )
    assert "max_price" in refused
    assert "'cheap' is no amount of OPEN" in wrong
    assert "astrology" in unknown


def test_agent__without_anything_to_pay_with__then_it_is_told_how(shop: Shop) -> None:
    (refused,) = talk(["-m", "oracle", "mcp", "--api", shop.url], ("infer", QUESTION))
    assert "--api-key-file or --keystore" in refused


def test_agent__when_nobody_answers__then_it_is_told_so() -> None:
    with pytest.raises(Unreachable, match="is the API up"):
        asyncio.run(Api("http://127.0.0.1:1").get("/models"))
