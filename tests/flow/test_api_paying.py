"""Stock clients pay a real engine over a real chain: by a spending cap, and by vouchers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.anvil import CHAIN
from fixtures.shop import OPEN, PRICES, Shop, running_shop
from fixtures.suite import Suite
from oracle.client.wallet import Wallet
from oracle.store import receipts
from oracle.types import ChainId, Hash32


@pytest.fixture
def shop(suite: Suite, tmp_path: Path) -> Iterator[Shop]:
    with running_shop(tmp_path, suite) as opened:
        yield opened


def test_voucher__when_a_stock_client_sends_one__then_gets_tokens_and_a_receipt_that_settlement_can_use(
    shop: Shop,
) -> None:
    wallet = Wallet.new()
    shop.deposit(wallet.address, OPEN)
    header = wallet.lane(ChainId(CHAIN), shop.ground.book["InferenceEscrow"]).header(OPEN // 10)
    answer = shop.openai(default_headers=header).chat.completions.create(
        model="law", messages=[{"role": "user", "content": "Who wrote this?"}], max_tokens=8, seed=1
    )
    assert answer.usage is not None and answer.usage.completion_tokens == 8
    said = answer.model_extra["receipt"]
    found = stored(shop, said["id"])
    assert found.receipt.fee == -(-(answer.usage.prompt_tokens * PRICES[0] + 8 * PRICES[1]) // 1000)
    assert found.receipt.lane_total == found.receipt.fee
    assert found.signature.hex() == said["signature"][2:]


def stored(shop: Shop, identity: str) -> receipts.Found:
    with shop.database.reading() as connection:
        found = receipts.find(connection, ChainId(CHAIN), Hash32(bytes.fromhex(identity[2:])))
    assert found is not None
    return found
