"""What a call is charged, whatever becomes of its reader: the tokens that were handed on, and no other."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from fixtures.anvil import CHAIN
from fixtures.escrowed import ESCROW, Counting, played
from oracle.api.app import create
from oracle.api.asking import ChatRequest, asked_chat
from oracle.api.calling import Running
from oracle.api.door import Door
from oracle.api.limits import Limits
from oracle.client.wallet import Wallet
from oracle.store.receipts import find
from oracle.types import ChainId

LIMIT = 8


class World:
    """The whole API but for HTTP, in the event loop of one test."""

    def __init__(self, home: Path) -> None:
        self.settings, self.ground, self.chain = played(home)
        self.app = create(self.settings, lambda ground: Counting())
        self.wallet = Wallet(b"\x07" * 32)
        self.chain.deposited(self.wallet.address, amount=10**24)
        self.total = 0

    async def begin(self, n: int = 1) -> Running:
        shop = await self.app.state.front.shop()
        messages: Any = [{"role": "user", "content": "Who wrote this?"}]
        body = ChatRequest(model="law", messages=messages, max_tokens=LIMIT, seed=1, n=n)
        door = Door(shop, Limits(10**6, "wallet"))
        header = self.wallet.lane(ChainId(CHAIN), ESCROW).header(self.total, self.total + 10**20)
        headers = [(name.lower().encode(), value.encode()) for name, value in header.items()]
        request = Request({"type": "http", "headers": headers, "client": ("127.0.0.1", 1)})
        running, _ = await door.reserve(request, await door.prepare(asked_chat(body, b"{}")), lambda _: lambda _: None)
        assert running is not None
        return running

    async def take(self, running: Running, tokens: int) -> None:
        """So many tokens, and then the reader goes away."""
        pieces, taken = running.pieces(), 0
        async for piece in pieces:
            taken += piece.token is not None
            if taken > tokens:
                break
        await pieces.aclose()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "home")


@pytest.mark.parametrize("n", [1, 2])
def test_charge__when_the_reader_leaves_after_any_number_of_tokens__then_those_are_charged_alone(
    world: World, n: int
) -> None:
    async def run() -> None:
        for tokens in range(LIMIT * n + 1):
            running = await world.begin(n)
            await world.take(running, tokens)
            signed = await running.settle()
            running.done()
            if not tokens:
                assert signed is None, "nothing was handed on, nothing is charged"
                continue
            assert signed is not None
            receipt, model = signed.receipt, running.offer.model
            due = receipt.prompt_tokens * model.input_price + tokens * model.output_price
            assert (receipt.output_tokens, receipt.fee) == (tokens, -(-due // 1000))
            assert receipt.lane_total == world.total + receipt.fee <= world.total + running.call.most
            world.total = receipt.lane_total
            with world.ground.database.reading() as connection:
                assert find(connection, ChainId(CHAIN), receipt.id) is not None
        await world.app.state.front.close()

    asyncio.run(run())


def test_settling__when_many_ask_for_it_at_once__then_one_receipt_is_made(world: World) -> None:
    async def run() -> None:
        running = await world.begin()
        await world.take(running, 3)
        made = await asyncio.gather(*(running.settle() for _ in range(5)))
        running.done()
        assert len({signed.hash for signed in made if signed is not None}) == 1
        await world.app.state.front.close()

    asyncio.run(run())
