"""The pages in a real browser: read without a wallet, then with wallets that behave and misbehave as wallets do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect

from fixtures.anvil import ACCOUNTS
from fixtures.browser import Wallet, chromium, connect, opened
from fixtures.site import serving
from fixtures.suite import running_suite
from fixtures.village import ADA, BO, NEWCOMER, OPEN, Village
from fixtures.waiting import eventually

OTHER = "org.example.other"


@dataclass
class Place:
    """A filled oracle with its site, and a browser before it."""

    village: Village
    url: str
    browser: Browser

    def wallet(self, account: str = ADA, **options: object) -> Wallet:
        return Wallet(self.village.suite.anvil, [account, ACCOUNTS[0]], **options)  # type: ignore[arg-type]

    def balance(self, account: str) -> int:
        found: int = self.village.suite.read("OpenToken", "balanceOf", account)
        return found


@pytest.fixture(scope="module")
def settled(suite_state: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with chromium() as browser, running_suite(suite_state) as suite:  # type: ignore[arg-type]
        village = Village(suite, tmp_path_factory.mktemp("village")).fill()
        with serving(village.settings) as url:
            yield Place(village, url, browser)
        village.close()


@pytest.fixture
def place(settled: Place) -> Iterator[Place]:
    """As it was filled: the chain goes back after each test."""
    kept = settled.village.suite.anvil.ask("evm_snapshot")
    yield settled
    settled.village.suite.anvil.ask("evm_revert", kept)


def statement(place: Place, page: Page, account: str = ADA) -> None:
    page.goto(f"{place.url}/a/{account}")
    expect(page.locator("#connect, #account")).to_have_count(1)


def said(page: Page, words: str) -> None:
    expect(page.locator('[data-action="claim"] .said')).to_contain_text(re.compile(words))


def test_claim__with_a_wallet__then_the_balance_is_there(place: Place) -> None:
    before = place.balance(ADA)
    with opened(place.browser, place.wallet()) as page:
        statement(place, page)
        connect(page)
        claimable = int(page.get_attribute('[data-action="claim"] [data-go]', "data-wei") or 0)
        page.click('[data-action="claim"] [data-go]')
        said(page, "Done: claim")
        page.wait_for_load_state()
        expect(page.locator(".figures").first).to_contain_text("claimed")
    assert claimable > 0 and place.balance(ADA) == before + claimable


def test_connect__when_declined__then_says_so_and_nothing_is_connected(place: Place) -> None:
    with opened(place.browser, place.wallet(declines={"eth_requestAccounts"})) as page:
        statement(place, page)
        page.click("#connect")
        page.click('[data-wallet="org.example.test"]')
        expect(page.locator("#wallets .said")).to_contain_text("You declined it in your wallet.")
        expect(page.locator("#connect")).to_have_count(1)


def test_connect__without_a_wallet__then_says_what_to_install(place: Place) -> None:
    with opened(place.browser) as page:
        statement(place, page)
        page.click("#connect")
        expect(page.locator("#wallets")).to_contain_text("There is no wallet in this browser.")


def test_connect__with_two_wallets__then_the_chosen_one_is_asked_alone_and_is_there_after_a_reload(
    place: Place,
) -> None:
    first, second = place.wallet(), place.wallet(BO, name="Other wallet", rdns=OTHER)
    with opened(place.browser, first, second) as page:
        statement(place, page)
        connect(page, OTHER)
        expect(page.locator("#account")).to_have_attribute("title", BO)
        page.reload()
        expect(page.locator("#account")).to_have_attribute("title", BO)
        page.click("#disconnect")
        expect(page.locator("#connect")).to_have_count(1)
        page.reload()
        expect(page.locator("#connect")).to_have_count(1)
    assert "eth_requestAccounts" not in first.asked and "wallet_revokePermissions" in second.asked


def test_connect__with_a_wallet_that_does_not_announce_itself__then_it_is_found_all_the_same(place: Place) -> None:
    with opened(place.browser, place.wallet(announces=False)) as page:
        page.clock.install()
        statement(place, page)
        page.clock.run_for(500)
        connect(page, "injected")
        expect(page.locator("#account")).to_have_attribute("title", ADA)


def test_account__when_switched_in_the_wallet__then_the_page_follows_without_a_reload(place: Place) -> None:
    wallet = place.wallet()
    with opened(place.browser, wallet) as page:
        statement(place, page)
        connect(page)
        wallet.switch(page, BO)
        expect(page.locator("#account")).to_have_attribute("title", BO)
        wallet.move(page, 1)
        expect(page.locator("#other-chain")).to_be_visible()


def test_claim__when_declined__then_nothing_is_sent(place: Place) -> None:
    wallet = place.wallet(declines={"eth_sendTransaction"})
    with opened(place.browser, wallet) as page:
        statement(place, page)
        connect(page)
        page.click('[data-action="claim"] [data-go]')
        said(page, "You declined it in your wallet. Nothing was sent.")
        expect(page.locator('[data-action="claim"] [data-go]')).to_be_enabled()


@pytest.mark.parametrize("known", [True, False])
def test_claim__on_the_wrong_chain__then_the_wallet_is_moved_and_it_goes_on(place: Place, known: bool) -> None:
    wallet = place.wallet(chain=1)
    if not known:
        wallet.known_chains = {1}
    with opened(place.browser, wallet) as page:
        statement(place, page)
        connect(page)
        page.click('[data-action="claim"] [data-go]')
        said(page, "Done: claim")
    assert ("wallet_addEthereumChain" in wallet.asked) is not known


def test_claim__when_the_change_of_chain_is_declined__then_says_which_network_is_needed(place: Place) -> None:
    wallet = place.wallet(chain=1, declines={"wallet_switchEthereumChain"})
    with opened(place.browser, wallet) as page:
        statement(place, page)
        connect(page)
        page.click('[data-action="claim"] [data-go]')
        said(page, "You declined the change. This site works on Local chain")
    assert "eth_sendTransaction" not in wallet.asked


def test_claim__when_the_account_changes_in_the_middle__then_nothing_is_sent(place: Place) -> None:
    wallet = place.wallet()
    with opened(place.browser, wallet) as page:
        statement(place, page)
        connect(page)
        page.evaluate(
            """([rdns, account]) => { const wallet = window.wallets[rdns], ask = wallet.request;
            wallet.request = async (asked) => { const answer = await ask.call(wallet, asked);
              if (asked.method === "eth_gasPrice") wallet.emit("accountsChanged", [account]); return answer; }; }""",
            [wallet.rdns, BO],
        )
        page.click('[data-action="claim"] [data-go]')
        said(page, "changed to another account in the middle of it. Nothing was sent")
    assert "eth_sendTransaction" not in wallet.asked


def test_claim__when_it_would_revert__then_says_why_before_anything_is_signed(place: Place) -> None:
    """Somebody has claimed for the account since the page was made."""
    wallet = place.wallet()
    with opened(place.browser, wallet) as page:
        statement(place, page)
        connect(page)
        place.village.claim_for(ADA)
        page.click('[data-action="claim"] [data-go]')
        said(page, "claimed")
    assert "eth_sendTransaction" not in wallet.asked


def test_claim__when_it_reverts_on_the_chain__then_says_so(place: Place) -> None:
    """Between the try and the block somebody else was faster."""
    wallet = place.wallet()
    with opened(place.browser, wallet) as page:
        statement(place, page)
        connect(page)
        wallet.meets["eth_sendTransaction"] = lambda: place.village.claim_for(ADA)
        page.click('[data-action="claim"] [data-go]')
        said(page, "It was included, and the contract refused it. All of it has been claimed already")


def test_claim__when_the_receipt_is_slow__then_waits_and_says_so(place: Place) -> None:
    wallet = place.wallet(holds={"eth_getTransactionReceipt"})
    with opened(place.browser, wallet) as page:
        page.clock.install()
        statement(place, page)
        connect(page)
        page.click('[data-action="claim"] [data-go]')
        said(page, "Waiting for the network")
        line = page.locator('[data-action="claim"] .said')

        def a_second_later() -> bool:
            page.clock.run_for(1000)
            return "It takes longer than usual" in line.inner_text()

        eventually("it says that it takes longer", a_second_later)
        wallet.holds.clear()
        page.clock.run_for(2000)
        said(page, "Done: claim")


def test_claim__when_it_is_done__then_the_page_that_is_loaded_anew_still_says_so(place: Place) -> None:
    with opened(place.browser, place.wallet()) as page:
        statement(place, page)
        connect(page)
        page.click('[data-action="claim"] [data-go]')
        expect(page.locator("#notices")).to_contain_text("Figures here count it as soon as its block is final")


def test_claim__when_the_page_is_left_while_it_is_pending__then_it_goes_on_after_the_reload(place: Place) -> None:
    wallet, anvil = place.wallet(), place.village.suite.anvil
    before = place.balance(ADA)
    with opened(place.browser, wallet) as page:
        statement(place, page)
        connect(page)
        anvil.ask("evm_setAutomine", False)
        try:
            page.click('[data-action="claim"] [data-go]')
            said(page, "Waiting for the network")
            page.reload()
            expect(page.locator("#notices")).to_contain_text("Waiting for the network")
            anvil.ask("evm_mine")
            expect(page.locator("#notices")).to_contain_text("Done: claim")
        finally:
            anvil.ask("evm_setAutomine", True)
    assert place.balance(ADA) > before


def test_claim__when_the_network_forgets_it__then_says_so_and_that_nothing_was_paid(place: Place) -> None:
    anvil = place.village.suite.anvil
    with opened(place.browser, place.wallet()) as page:
        page.clock.install()
        statement(place, page)
        connect(page)
        anvil.ask("evm_setAutomine", False)
        try:
            page.click('[data-action="claim"] [data-go]')
            said(page, "Waiting for the network")
            anvil.ask("anvil_dropAllTransactions")
            line = page.locator('[data-action="claim"] .said')

            def a_minute_later() -> bool:
                page.clock.fast_forward(60_000)
                return "The network has forgotten this transaction" in line.inner_text()

            eventually("it says that it was forgotten", a_minute_later)
        finally:
            anvil.ask("evm_setAutomine", True)


def test_claim__while_the_network_cannot_be_asked__then_says_so_and_goes_on_when_it_can(place: Place) -> None:
    wallet = place.wallet(declines={"eth_getTransactionReceipt"})
    with opened(place.browser, wallet) as page:
        statement(place, page)
        connect(page)
        page.click('[data-action="claim"] [data-go]')
        said(page, "The network cannot be asked just now. Your transaction is not lost")
        wallet.declines.clear()
        said(page, "Done: claim")


def test_claim__when_the_wallet_replaces_it__then_says_so(place: Place) -> None:
    wallet, anvil = place.wallet(), place.village.suite.anvil
    with opened(place.browser, wallet) as page:
        statement(place, page)
        connect(page)
        anvil.ask("evm_setAutomine", False)
        try:
            page.click('[data-action="claim"] [data-go]')
            said(page, "Waiting for the network")
            sent = anvil.ask("eth_getBlockByNumber", "pending", True)["transactions"][-1]
            price = hex(int(sent["gasPrice"], 16) * 3)
            anvil.ask(
                "eth_sendTransaction",
                {"from": ADA, "to": ADA, "value": "0x0", "nonce": sent["nonce"], "gasPrice": price, "gas": "0x5208"},
            )
            anvil.ask("evm_mine")
            said(page, "Your wallet replaced this transaction")
        finally:
            anvil.ask("evm_setAutomine", True)


def test_claim__when_there_is_nothing_for_gas__then_says_how_much_is_needed(place: Place) -> None:
    anvil = place.village.suite.anvil
    with opened(place.browser, place.wallet()) as page:
        statement(place, page)
        connect(page)
        anvil.ask("anvil_setBalance", ADA, "0x0")
        page.click('[data-action="claim"] [data-go]')
        said(page, "not enough ETH for the gas")


def test_claim__when_the_amount_is_stale__then_says_the_new_one_and_claims_it_at_the_second_press(place: Place) -> None:
    with opened(place.browser, place.wallet()) as page:
        statement(place, page)
        connect(page)
        page.evaluate("document.querySelector('[data-action=claim] [data-go]').dataset.wei = '5'")
        page.click('[data-action="claim"] [data-go]')
        said(page, "The amount has changed since this page was made")
        page.click('[data-action="claim"] [data-go]')
        said(page, "Done: claim")


def test_vote__with_a_wallet__then_the_tally_has_it(place: Place) -> None:
    suite = place.village.suite
    with opened(place.browser, place.wallet(NEWCOMER)) as page:
        page.goto(f"{place.url}/governance")
        page.click("main article h3 a")
        connect(page)
        page.click('[data-action="vote"] [data-go="1"]')
        expect(page.locator('[data-action="vote"] .said')).to_contain_text("Done: vote for")
        page.goto(f"{place.url}/governance")
        page.click('[data-action="delegate"] [data-go]')
        expect(page.locator('[data-action="delegate"] .said')).to_contain_text("Done: delegate")
    assert suite.read("OpenToken", "delegates", NEWCOMER) == NEWCOMER


def test_deposit__with_a_wallet__then_the_escrow_has_it(place: Place) -> None:
    suite = place.village.suite
    with opened(place.browser, place.wallet(BO)) as page:
        page.goto(f"{place.url}/a/{BO}")
        connect(page)
        page.fill('[data-action="deposit"] input', "2.5")
        page.click('[data-action="deposit"] [data-go]')
        expect(page.locator('[data-action="deposit"] .said')).to_contain_text("Done: deposit 2.5 OPEN")
    assert suite.read("InferenceEscrow", "accountOf", BO)[0] == 5 * OPEN // 2


def test_deposit__when_its_owner_takes_time_between_its_two_transactions__then_both_are_sent(place: Place) -> None:
    """The first alone would show on the page, which must not be made anew before the second is through."""
    suite, wallet = place.village.suite, place.wallet(BO)
    with opened(place.browser, wallet) as page:
        page.clock.install()
        page.goto(f"{place.url}/a/{BO}")
        connect(page)
        page.evaluate(
            """(rdns) => { const wallet = window.wallets[rdns], ask = wallet.request; let asked = 0;
            wallet.request = async (one) => {
              if (one.method === "eth_sendTransaction" && asked++) await new Promise((wake) => setTimeout(wake, 5000));
              return ask.call(wallet, one); }; }""",
            wallet.rdns,
        )
        page.fill('[data-action="deposit"] input', "2.5")
        page.click('[data-action="deposit"] [data-go]')

        def a_second_later() -> bool:
            page.clock.run_for(1000)
            return bool(suite.read("InferenceEscrow", "accountOf", BO)[0] == 5 * OPEN // 2)

        eventually("both are sent", a_second_later)
