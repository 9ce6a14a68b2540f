"""A datanet's page shows a sample of its rows only where its rules let it, and says why not elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from fixtures.site import serving
from fixtures.suite import Suite
from fixtures.village import ADA, ROWS, Village
from oracle.datanets.policy import Policy

SHOWN = 'figure class="row"'


@pytest.fixture
def village(suite: Suite, tmp_path: Path) -> Iterator[Village]:
    made = Village(suite, tmp_path)
    yield made
    made.close()


def accepted(village: Village, private: bool) -> None:
    """One contribution whose rows were compared and taken."""
    key = village.upload(ADA, ROWS["ada"], private=private)
    village.sign(key)
    village.until(lambda: village.contribution(key).state in ("checked", "decided"))
    assert village.contribution(key).accepted_count


def page_of(village: Village) -> str:
    with serving(village.settings) as url, urlopen(f"{url}/datanets/1") as answer:
        return str(answer.read().decode())


def test_sample__of_a_private_datanet__then_there_is_none_and_the_page_says_why(village: Village) -> None:
    """Not even of rows that somebody handed in elsewhere without hiding them."""
    village.found_datanet(policy=Policy(private=True))
    accepted(village, private=False)
    page = page_of(village)
    assert "The rows of this datanet are private: its policy shows none." in page
    assert SHOWN not in page and _words(page) == []


def test_sample__of_a_private_contribution_to_a_public_datanet__then_only_the_public_one_is_shown(
    village: Village,
) -> None:
    village.found_datanet()
    accepted(village, private=True)
    page = page_of(village)
    assert "No accepted row that may be shown yet." in page
    assert SHOWN not in page and _words(page) == []


def test_sample__of_a_public_datanet__then_rows_are_shown(village: Village) -> None:
    village.found_datanet()
    accepted(village, private=False)
    page = page_of(village)
    assert SHOWN in page and _words(page)


def test_sample__where_the_rules_were_not_published__then_there_is_none_and_the_page_says_why(
    village: Village,
) -> None:
    """They may say that rows are private: what is not known is not shown."""
    village.found_datanet(policy=Policy(private=True), published=False)
    assert "the steward has not published them where this oracle looks" in page_of(village)


def _words(page: str) -> list[str]:
    """Answers of the uploaded rows that stand on the page."""
    return [answer for _, answer in ROWS["ada"] if answer in page]
