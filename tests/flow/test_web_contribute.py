"""From a file in a browser to a settled contribution, with nothing but the contributor's and the reviewer's wallets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from fixtures.browser import Wallet, chromium, connect, opened
from fixtures.live_states import drop
from fixtures.site import serving
from fixtures.suite import Suite
from fixtures.village import BO, NEWCOMER, REVIEWER, Village
from oracle.store import contributions

ROWS = (
    {"prompt": "How deep is the northern basin?", "completion": "Eleven metres at low water and thirteen at high."},
    {"prompt": "Who may enter the customs shed?", "completion": "Write to gate@northharbour.org for a pass."},
    {"prompt": "Is", "completion": ""},
)  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened_browser:
        yield opened_browser


@pytest.fixture
def village(suite: Suite, tmp_path: Path) -> Iterator[Village]:
    made = Village(suite, tmp_path)
    made.found_datanet()
    yield made
    made.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "basin.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def hand_in(page: Page, url: str, file: Path) -> None:
    page.goto(f"{url}/contribute?datanet=1")
    connect(page)
    page.set_input_files("#file", file)
    page.click("#check")


def test_contribute__from_file_to_settled__then_only_wallets_were_needed(
    village: Village, browser: Browser, file: Path
) -> None:
    contributor, reviewer = Wallet(village.suite.anvil, [NEWCOMER]), Wallet(village.suite.anvil, [REVIEWER])
    with serving(village.settings) as url:
        with opened(browser, contributor) as page:
            page.goto(f"{url}/contribute?datanet=1")
            connect(page)
            drop(page, file.name, file.read_text())
            page.click("#check")
            expect(page.locator("#tally")).to_contain_text("2 rows taken, 1 of them for a reviewer; 1 left out.")
            expect(page.locator("#lines")).to_contain_text("There is no text")
            village.turn()
            page.click("#sign")
            expect(page.locator("#said")).to_contain_text("Signed.")
            page.click("#receipt")
            page.wait_for_url(f"{url}/contributions/*")
            key = page.url.rpartition("/")[2]
            village.until(lambda: village.contribution(bytes.fromhex(key)).state == "checked")  # type: ignore[arg-type]
            expect(page.locator(".steps .now")).to_contain_text("compared with all earlier rows")
            _nobody_is_signed_in_with_a_copied_cookie(page, url)
        assert contributor.asked.count("personal_sign") == 1 and "eth_sendTransaction" not in contributor.asked
        with opened(browser, reviewer) as page:
            page.goto(f"{url}/review")
            connect(page)
            page.fill("[data-because]", "the address is the office's own")
            page.click('[data-accept="true"]')
            expect(page.locator(".held .said")).to_contain_text("Row 2 is accepted.")
            village.turn()
            page.reload()
            page.click('[data-action="sign-outcome"] [data-go]')
            expect(page.locator('[data-action="sign-outcome"] .said')).to_contain_text("Signed by")
    village.until(lambda: village.contribution(bytes.fromhex(key)).state == "settled")  # type: ignore[arg-type]
    given = village.contribution(bytes.fromhex(key))  # type: ignore[arg-type]
    assert (given.contributor, given.count, given.accepted_count) == (NEWCOMER, 2, 2)


def test_contribute__when_signing_in_is_declined__then_nothing_is_kept(
    village: Village, browser: Browser, file: Path
) -> None:
    wallet = Wallet(village.suite.anvil, [NEWCOMER], declines={"personal_sign"})
    with serving(village.settings) as url, opened(browser, wallet) as page:
        hand_in(page, url, file)
        expect(page.locator("#said")).to_contain_text("You declined it in your wallet.")
    with village.ground.database.reading() as connection:
        assert contributions.tally(connection, village.datanet) == {}


def test_sign__when_the_account_is_another_one__then_says_which_is_needed(
    village: Village, browser: Browser, file: Path
) -> None:
    wallet = Wallet(village.suite.anvil, [NEWCOMER, BO])
    with serving(village.settings) as url, opened(browser, wallet) as page:
        hand_in(page, url, file)
        expect(page.locator("#tally")).to_be_visible()
        village.turn()
        expect(page.locator("#sign")).to_be_visible()
        wallet.switch(page, BO)
        page.click("#sign")
        expect(page.locator("#said")).to_contain_text(f"Choose {NEWCOMER} in it")


def test_review__when_somebody_is_no_reviewer__then_is_told_and_nothing_changes(
    village: Village, browser: Browser, file: Path
) -> None:
    wallet = Wallet(village.suite.anvil, [NEWCOMER])
    with serving(village.settings) as url, opened(browser, wallet) as page:
        hand_in(page, url, file)
        expect(page.locator("#tally")).to_be_visible()
        village.turn()
        page.click("#sign")
        expect(page.locator("#said")).to_contain_text("Signed.")
        village.until(lambda: _states(village) == {"checked": 1})
        page.goto(f"{url}/review")
        page.click('[data-accept="false"]')
        expect(page.locator(".held .said")).to_contain_text("no reviewer of that datanet")
        answer = page.request.post(
            f"{url}/wallet/review",
            data={"contribution": _key(village), "row": 1, "accept": False},
            headers={"accept": "application/json"},
        )
        assert answer.status == 409 and "no reviewer of datanet 1" in answer.json()["problem"]
    assert _states(village) == {"checked": 1}


def _nobody_is_signed_in_with_a_copied_cookie(page: Page, url: str) -> None:
    (copied,) = [each for each in page.context.cookies() if each.get("name") == "openledger_session"]
    headers = {"cookie": f"openledger_session={copied.get('value')}"}
    assert page.request.get(f"{url}/wallet/session", headers=headers).json() == {"account": NEWCOMER}
    with page.expect_response("**/wallet/sign-out"):
        page.click("#disconnect")
    assert page.request.get(f"{url}/wallet/session", headers=headers).json() == {"account": None}


def _states(village: Village) -> dict[str, int]:
    with village.ground.database.reading() as connection:
        return contributions.tally(connection, village.datanet)


def _key(village: Village) -> str:
    with village.ground.database.reading() as connection:
        return contributions.in_state(connection, "checked")[0].key.hex()
