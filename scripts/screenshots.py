#!/usr/bin/env python3
"""Every page as a picture: wide and as on a phone, light and dark; and what pages show while something happens.

scripts/screenshots.py OUT [--url http://127.0.0.1:8000] [--only WORD]

Without a URL it fills a whole oracle on a chain of its own first, as the browser tests do, and takes the live states
as well: a choice of wallets, a transaction on its way, declined or refused, a file with its verdicts, an answer.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

SIZES = {"wide": (1280, 860), "phone": (390, 844)}
PAGES = (
    "/", "/datanets", "/datanets/1", "/contribute", "/review", "/models", "/models/harbour-law", "/ask", "/batches",
    "/batches/1", "/batches/3", "/attestors", "/governance", "/governance/propose", "/governance/propose/pool",
    "/search?q=harbour", "/system", "/nowhere",
)  # fmt: skip
# Pages that are known only by what others link to: the first link with this beginning, from this page.
LINKED = (
    ("/", "/receipts/"), ("/datanets/1", "/contributions/"), ("/datanets/1", "/a/"), ("/batches/1", "/a/"),
    ("/batches/1", "/transactions/"), ("/governance", "/governance/"), ("/models", "/runs/"),
)  # fmt: skip


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("out", type=Path)
    given.add_argument("--url")
    given.add_argument("--only", default="")
    asked = given.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        if asked.url is not None:
            count = shoot(browser, asked.url, asked.out, asked.only)
        else:
            count = shoot_own(browser, asked.out, asked.only)
        browser.close()
    print(f"{count} pictures in {asked.out}")


def shoot_own(browser: Browser, out: Path, only: str) -> int:
    """Of an oracle that is filled for this, and of one whose engine answers."""
    from fixtures.live_states import ASK_STATES, WALLET_STATES
    from fixtures.shop import running_shop
    from fixtures.site import serving
    from fixtures.suite import running_suite, state
    from fixtures.village import Village

    with running_suite(state()) as suite, tempfile.TemporaryDirectory() as folder:
        village = Village(suite, Path(folder)).fill()
        with serving(village.settings) as url:
            count = shoot(browser, url, out, only)
            count += shoot_states(WALLET_STATES, out, only, village, url, browser)
        village.close()
    with (
        running_suite(state()) as suite,
        tempfile.TemporaryDirectory() as folder,
        running_shop(Path(folder), suite, free=("law",)) as shop,
    ):
        return count + shoot_states(ASK_STATES, out, only, shop, browser)


def looks() -> Iterator[tuple[str, dict[str, Any]]]:
    for size, (width, height) in SIZES.items():
        for scheme in ("light", "dark"):
            yield f"{size}.{scheme}", {"viewport": {"width": width, "height": height}, "color_scheme": scheme}


def shoot(browser: Browser, url: str, out: Path, only: str) -> int:
    count = 0
    for look, options in looks():
        context = browser.new_context(**options)
        page = context.new_page()
        for path in [*PAGES, *linked(page, url)]:
            name = path.strip("/").split("?")[0].replace("/", "-")[:24] or "home"
            if only not in name:
                continue
            page.goto(url + path, wait_until="networkidle")
            page.screenshot(path=out / f"{name}.{look}.png", full_page=True)
            count += 1
        context.close()
    return count


def shoot_states(states: dict[str, Callable[..., Any]], out: Path, only: str, *where: Any) -> int:
    count = 0
    for look, options in looks():
        for name, state in states.items():
            if only not in name:
                continue
            with state(*where, **options) as page:
                whole = not page.locator("dialog[open]").count()  # a dialog lies over what one sees
                page.screenshot(path=out / f"live-{name}.{look}.png", full_page=whole)
            count += 1
    return count


def linked(page: Page, url: str) -> list[str]:
    found = []
    for start, beginning in LINKED:
        page.goto(url + start)
        every = [link.get_attribute("href") or "" for link in page.locator(f'main a[href^="{beginning}"]').all()]
        found += [path for path in every if path not in PAGES][:1]
    return list(dict.fromkeys(found))


if __name__ == "__main__":
    main()
