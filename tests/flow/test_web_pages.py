"""Every page in a real browser: it opens, fits a phone, needs no script, loads nothing foreign, and passes axe."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from fixtures.accessible import faults
from fixtures.anvil import ROOT
from fixtures.browser import Wallet, chromium, connect, opened
from fixtures.live_states import WALLET_STATES
from fixtures.site import serving
from fixtures.suite import running_suite
from fixtures.village import ADA, Village
from oracle.store import browsing
from oracle.store.receipts import Found
from oracle.types import Hash32
from oracle.web.words import percent

sys.path.insert(0, str(ROOT / "scripts"))

import screenshots


@dataclass
class Place:
    village: Village
    url: str
    browser: Browser

    def receipts(self) -> list[Found]:
        with self.village.ground.database.reading() as connection:
            return list(browsing.newest_receipts(connection, self.village.ground.rpc.chain, 30))


@pytest.fixture(scope="module")
def place(suite_state: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with chromium() as browser, running_suite(suite_state) as suite:
        village = Village(suite, tmp_path_factory.mktemp("village")).fill()
        with serving(village.settings) as url:
            yield Place(village, url, browser)
        village.close()


@pytest.fixture(scope="module")
def paths(place: Place) -> list[str]:
    with opened(place.browser) as page:
        found = [*screenshots.PAGES, *screenshots.linked(page, place.url)]
    assert len(found) == len(screenshots.PAGES) + len(screenshots.LINKED)
    return found


@pytest.mark.parametrize(
    ("scheme", "width"),
    [
        ("light", 1280),
        ("dark", 360),
        pytest.param("dark", 1280, marks=pytest.mark.slow),
        pytest.param("light", 360, marks=pytest.mark.slow),
    ],
)
def test_pages__in_either_scheme_and_width__then_axe_finds_nothing_and_nothing_sticks_out(
    place: Place, paths: list[str], scheme: str, width: int
) -> None:
    found: list[str] = []
    with opened(place.browser, color_scheme=scheme, viewport={"width": width, "height": 800}, bypass_csp=True) as page:
        for path in paths:
            page.goto(place.url + path)
            found += faults(page, path)
    assert found == []


@pytest.mark.parametrize("state", WALLET_STATES)
def test_pages__while_something_happens__then_axe_finds_nothing_and_nothing_sticks_out(
    place: Place, state: str
) -> None:
    look = {"color_scheme": "dark", "viewport": {"width": 360, "height": 800}, "bypass_csp": True}
    with WALLET_STATES[state](place.village, place.url, place.browser, **look) as page:
        assert faults(page, state) == []


def test_pages__without_scripts__then_all_of_them_say_what_they_have_to(place: Place, paths: list[str]) -> None:
    with opened(place.browser, java_script_enabled=False) as page:
        for path in paths:
            page.goto(place.url + path)
            assert page.locator("main h1").count() == 1, path
            assert page.locator("button:visible").count() in (0, page.locator("form button:visible").count()), path
        page.goto(f"{place.url}/datanets/1")
        assert "near duplicate" in page.locator("main").inner_text()


def test_pages__with_the_keyboard_alone__then_the_content_and_every_link_can_be_reached(place: Place) -> None:
    with opened(place.browser) as page:
        page.goto(place.url)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.getElementById('main').contains(document.activeElement)")
        page.focus("nav a")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"


def test_hashes__on_every_page__then_each_is_a_link_that_leads_somewhere_and_can_be_copied(
    place: Place, paths: list[str]
) -> None:
    seen: set[str] = set()
    with opened(place.browser, permissions=["clipboard-read", "clipboard-write"]) as page:
        for path in paths:
            page.goto(place.url + path)
            for link in page.locator(".hash a").all():
                seen.add((link.get_attribute("href") or "").partition("#")[0])
            assert page.locator(".hash:visible").count() == page.locator(".hash .copy:visible").count(), path
        for target in sorted(seen - {""}):
            answer = page.request.get(place.url + target, headers={"accept": "text/html"})
            assert answer.ok, target
            assert "Nothing for" not in answer.text(), target
        page.goto(f"{place.url}/a/{ADA}")
        page.locator(".hash .copy").first.click()
        assert page.evaluate("navigator.clipboard.readText()") == ADA


def test_receipt__once_attributed__then_rows_have_their_texts_and_spans_their_owners(
    place: Place,
) -> None:
    found = next(one for one in place.receipts() if one.attribution and one.attribution.credits)
    assert found.attribution is not None
    path = f"{place.url}/receipts/0x{found.receipt.id.hex()}"
    with opened(place.browser) as page:
        page.goto(path)
        expect(page.locator("figure.row .fields").first).to_contain_text("prompt")
        expect(page.locator("figure.row figcaption").first).to_contain_text("by 0x")
        told = page.request.get(f"{path}/spans").json()["spans"]
    assert [span["accounts"] for span in told] == [[found.attribution.credits[0].owner]]
    assert all(span["tone"] != "7" for span in told)


def test_receipt__of_a_contribution_credited_twice__then_it_stands_there_once(place: Place) -> None:
    """By its rows in training and by a passage of the prompt: one part of the answer, and paid as one."""

    def named(one: Found) -> list[Hash32]:
        return [credit.contribution for credit in one.attribution.credits] if one.attribution else []

    found = next(one for one in place.receipts() if len(set(named(one))) < len(named(one)))
    page = httpx.get(f"{place.url}/receipts/0x{found.receipt.id.hex()}").text
    assert page.count('data-label="Contribution"') == len(set(named(found)))
    assert found.attribution is not None
    parts = Counter[Hash32]()
    for credit in found.attribution.credits:
        parts[credit.contribution] += credit.weight
    assert all(percent(weight, found.attribution.weight) in page for weight in parts.values())


def test_verify__in_the_browser__then_the_root_is_recomputed_and_the_chain_has_it(place: Place) -> None:
    wallet = Wallet(place.village.suite.anvil, [ADA])
    with opened(place.browser, wallet) as page:
        page.goto(f"{place.url}/batches/2")
        connect(page)
        page.click("#verify [data-go]")
        expect(page.locator("#verdict")).to_contain_text("It holds")
        expect(page.locator(".checks .good")).to_have_count(7)


def test_verify__of_changed_bytes__then_says_that_it_does_not_hold(place: Place, tmp_path: Path) -> None:
    """One wei is moved from one account to another, in the shares and in the balances."""
    with opened(place.browser) as page:
        published = page.request.get(f"{place.url}/batches/1/document").text()
        page.goto(f"{place.url}/batches/1")
        lines = published.splitlines(keepends=True)
        accounts = [at for at, line in enumerate(lines) if line.startswith('{"account"')]
        first, second = accounts[:2]
        for at, by in ((first, 1), (second, -1)):
            amount = lines[at].split('"cumulative":"')[1].split('"')[0]
            lines[at] = lines[at].replace(f'"cumulative":"{amount}"', f'"cumulative":"{int(amount) + by}"')
        for content, word in (
            (published, "It holds"),
            ("".join(lines), "It does not hold"),
            (published[:5000], "no batch|not hold"),
        ):
            file = tmp_path / "batch.jsonl"
            file.write_text(content)
            page.set_input_files("#own", file)
            expect(page.locator("#verify [data-result]")).to_contain_text(re.compile(word))


def test_search__of_anything__then_it_leads_to_its_page(place: Place) -> None:
    ground = place.village.ground
    with ground.database.reading() as connection:
        from oracle.store import browsing, contributions, rows

        given = contributions.in_state(connection, "included")[0]
        row = rows.chunks(connection, given.key)[0].hash_of(1)
        receipt = browsing.newest_receipts(connection, ground.rpc.chain, 1)[0]
    batch = place.village.stage.active()
    wanted = {
        ADA: f"/a/{ADA}",
        ADA.lower(): f"/a/{ADA.lower()}",
        "harbour law": "/datanets/1",
        "harbour-base": "/models/harbour-base",
        "0x" + (given.name or b"").hex(): f"/contributions/{given.key.hex()}",
        row.hex(): f"/contributions/{given.key.hex()}#row-2",
        "0x" + receipt.hash.hex(): f"/receipts/0x{receipt.receipt.id.hex()}",
        "0x" + (batch.root or b"").hex(): f"/batches/{batch.id}",
    }
    with opened(place.browser) as page:
        for asked, path in wanted.items():
            page.goto(place.url)
            page.fill("#q", asked)
            page.keyboard.press("Enter")
            page.wait_for_url(place.url + path)
        page.fill("#q", "0x" + "ab" * 32)
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_contain_text("Nothing for")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages__once_a_wallet_has_changed_them__then_axe_still_finds_nothing(place: Place, scheme: str) -> None:
    wallet, found = Wallet(place.village.suite.anvil, [ADA], declines={"eth_sendTransaction"}), list[str]()
    with opened(place.browser, wallet, color_scheme=scheme, bypass_csp=True) as page:
        page.goto(f"{place.url}/a/{ADA}")
        page.click("#connect")
        found += faults(page, "the choice of a wallet")
        page.click("#wallets [data-wallet]")
        page.wait_for_selector("#account")
        page.click('[data-action="claim"] [data-go]')
        expect(page.locator('[data-action="claim"] .said')).to_contain_text("declined")
        wallet.move(page, 1)
        expect(page.locator("#other-chain")).to_be_visible()
        found += faults(page, "another network, and a refusal")
        wallet.move(page, place.village.ground.rpc.chain)
        page.goto(f"{place.url}/batches/1")
        page.click("#verify [data-go]")
        expect(page.locator("#verdict")).to_be_visible()
        for details in page.locator("details").all():
            details.locator("summary").click()
        found += faults(page, "a verified batch")
        page.goto(f"{place.url}/models/harbour-law")
        for details in page.locator("details").all():
            details.locator("summary").click()
        found += faults(page, "a model with everything open")
    assert found == []
