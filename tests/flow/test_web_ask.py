"""Asking in a browser: a real engine answers, a receipt comes, and then whose rows shaped it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from fixtures.accessible import faults
from fixtures.browser import Wallet, chromium, connect, opened
from fixtures.chain import sender_on, signer_for_tests
from fixtures.live_states import ASK_STATES, ask, attribute
from fixtures.shop import Shop, running_shop
from fixtures.suite import running_suite
from fixtures.village import ADA, OPEN
from oracle.store import browsing
from oracle.store.receipts import Attribution, Credit
from oracle.types import Address, ChainId, Hash32

CHAIN = ChainId(31337)
CONTRIBUTION = Hash32(b"\x05" * 32)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened_browser:
        yield opened_browser


@pytest.fixture(scope="module")
def shop(suite_state: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    with running_suite(suite_state) as suite, running_shop(folder, suite, free=("law",)) as made:
        yield made


def test_ask__of_a_free_model__then_the_answer_streams_and_its_rows_are_underlined(
    shop: Shop, browser: Browser
) -> None:
    with opened(browser) as page:
        ask(page, shop)
        expect(page.locator("#said")).to_contain_text(re.compile("It cost 0 OPEN; this is its receipt"))
        expect(page.locator("#quote")).to_contain_text("This model is free.")
        answer = page.inner_text("#text")
        span = {"start": 2, "length": 5, "occurrences": 1, "rows": [], "bits": 9000}
        said = {"spans": [span], "rows": [], "method": "a method", "accuracy": None}
        found = attribute(shop, Attribution((Credit(CONTRIBUTION, Address(ADA), 700_000),), 300_000), said)
        expect(page.locator("#why .legend")).to_contain_text("70 %")
        expect(page.locator("#why")).to_contain_text("The accuracy of attribution was not measured")
        expect(page.locator("#text mark")).to_have_text(answer[2:7])
        assert page.inner_text("#text") == answer
        page.click("#receipt")
        page.wait_for_url(f"{shop.url}/receipts/0x{found.receipt.id.hex()}")
        expect(page.locator("main")).to_contain_text("0x3C44Cd…4293BC")


def test_ask__when_nobody_can_be_named__then_says_why_and_names_nobody(shop: Shop, browser: Browser) -> None:
    with opened(browser) as page:
        ask(page, shop)
        expect(page.locator("#receipt")).to_be_visible()
        attribute(shop, Attribution((), 1), {"abstained": "the adapter added nothing to this answer"})
        expect(page.locator("#why")).to_contain_text("Nobody in particular: the adapter added nothing to this answer.")


def test_ask__of_a_paid_model_without_a_key__then_says_what_is_needed(shop: Shop, browser: Browser) -> None:
    with opened(browser) as page:
        ask(page, shop, "tiny@1")
        expect(page.locator("#said")).to_contain_text("get a key with your wallet")
        expect(page.locator("#go")).to_be_enabled()


def test_ask__of_a_paid_model_with_a_key_from_the_wallet__then_the_cap_pays(shop: Shop, browser: Browser) -> None:
    assert shop.suite is not None
    shop.deposit(ADA, 5 * OPEN)
    wallet = Wallet(shop.suite.anvil, [ADA])
    with opened(browser, wallet) as page:
        page.goto(f"{shop.url}/ask?model=tiny")
        connect(page)
        page.click("summary")
        page.fill("#cap", "0.5")
        page.click("#get-key")
        expect(page.locator("#key-said")).to_contain_text("Here is your key")
        sender = sender_on(shop.suite, shop.database, signer=signer_for_tests(1))
        for _ in range(12):
            sender.advance()
            shop.suite.anvil.mine(2)
        sender.close()
        shop.index()
        if shop.front is not None:
            shop.front.escrow._looked = None  # it is looked at once a second
        ask(page, shop, "tiny@1")
        expect(page.locator("#said")).to_contain_text(re.compile(r"It cost 0\.0\d+ OPEN"))
    with shop.database.reading() as connection:
        found = browsing.newest_receipts(connection, CHAIN, 1)[0].receipt
    assert (found.consumer, found.fee > 0, found.key != ADA) == (ADA, True, True)


@pytest.mark.parametrize("state", ASK_STATES)
def test_ask__while_an_answer_comes_and_once_it_is_there__then_axe_finds_nothing_and_nothing_sticks_out(
    shop: Shop, browser: Browser, state: str
) -> None:
    look = {"color_scheme": "dark", "viewport": {"width": 360, "height": 800}, "bypass_csp": True}
    with ASK_STATES[state](shop, browser, **look) as page:
        assert faults(page, state) == []
