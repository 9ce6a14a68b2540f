"""Statements: four figures, and a reason wherever one of them is nothing. Claims: advice before gas is lost."""

from __future__ import annotations

import csv
import json
from io import BytesIO, StringIO

import pytest
from unit.settlement.publishing import new_store, new_world, publish
from unit.settlement.world import World, account, text

from oracle.settlement.claims import ClaimBook, NothingEarned, NotWorthIt, require_worth, shown
from oracle.settlement.document import hexed
from oracle.settlement.forms import as_csv, as_html, as_json, as_text
from oracle.settlement.statement import Known, Part, combined, parts_of, statement
from oracle.store.blobs import Blobs
from oracle.types import OPEN, Address, Epoch, Hash32, Wei


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, bytes]:
    folder = tmp_path_factory.mktemp("store")
    database, _ = new_store(folder)
    world, blobs = new_world(), Blobs(str(folder / "blobs"))
    with database.transaction() as connection:
        world.serve(connection, 30)
    made, _ = publish(database, blobs, world)
    database.close()
    return world, blobs.read(made.document)


def test_statement__of_a_contributor__then_it_sums_to_the_wei_and_names_its_receipts(
    published: tuple[World, bytes],
) -> None:
    world, document = published
    who = account(3)
    found = statement(who, [(Epoch(1), BytesIO(document), True)], {}, Wei(7))
    assert found.earned == world.owed[who] and found.claimable == found.earned - 7 and found.pending == 0
    (line,) = found.lines
    assert line.name == hexed(text("contribution 3")) and line.influenced == len(line.receipts) > 0
    assert sum(amount for _, amount in line.receipts) == line.earned
    assert json.loads(as_json(found))["earned"] == str(found.earned)
    assert as_csv(found).count("\r\n") == 3 + len(line.receipts)
    assert "'" not in as_csv(found)  # only what begins like a formula is marked, not what is empty
    assert who in as_text(found)
    for receipt, amount in line.receipts:
        assert f"{shown(amount)} by {receipt}" in as_html(found) and f"{receipt},{amount}" in as_csv(found)


def test_statement__of_several_contributions_and_a_claim__then_lines_sum_to_the_accounts_figures(
    published: tuple[World, bytes],
) -> None:
    """The newer batch waits for its window; of the older one a part was claimed."""
    world, document = published
    who, other = account(3), text("another contribution")
    credited = Wei(world.owed[who] // 3)
    older = parts_of(BytesIO(document), who)[who]
    ((name, part),) = older.items()
    older[hexed(other)] = Part(1, 0, 1_000_003, 1, [])
    newer = parts_of(BytesIO(document), who)[who]
    found = combined(who, [(older, True), (newer, False)], {}, credited)
    for figure in ("earned", "claimable", "claimed", "pending"):
        assert sum(getattr(line, figure) for line in found.lines) == getattr(found, figure)
    assert (found.claimed, found.pending) == (credited, part.earned)
    assert found.claimable == part.earned + 1_000_003 - credited
    one = next(line for line in found.lines if line.name == name)
    assert one.pending == part.earned and one.claimable + one.claimed == part.earned
    row = next(csv.DictReader(StringIO(as_csv(found).splitlines()[0] + "\n" + as_csv(found).splitlines()[-1])))
    assert (row["contribution"], row["claimable (wei)"]) == (who, str(found.claimable))


def test_statement__of_whoever_earns_in_a_role__then_the_role_is_named(published: tuple[World, bytes]) -> None:
    world, document = published
    found = statement(world.builder, [(Epoch(1), BytesIO(document), False)], {}, Wei(0))
    assert [line.name for line in found.lines] == ["as builder"]
    assert (found.claimable, found.pending) == (0, world.owed[world.builder])


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        (Known(None, 10), "have not given its outcome"),
        (Known(0, 10), "none of its rows was accepted"),
        (Known(10, 10), "no published model was trained"),
        (Known(10, 10, ("model 1 version 1",)), "no answer was attributed to it"),
    ],
)
def test_statement__of_a_contribution_that_earned_nothing__then_the_reason_is_plain(known: Known, reason: str) -> None:
    found = statement(account(77), [], {Hash32(bytes(32)): known}, Wei(0))
    assert found.earned == 0 and reason in found.lines[0].reason


def test_csv__when_a_name_begins_like_a_formula__then_a_spreadsheet_does_not_run_it(
    published: tuple[World, bytes],
) -> None:
    found = statement(account(3), [], {}, Wei(0))
    found.lines = [*found.lines]
    from oracle.settlement.statement import Line

    found.lines.append(Line("=cmd()", "-", "–", 0, Wei(0), "+1"))
    assert "'=cmd()" in as_csv(found) and "'+1" in as_csv(found)


def test_book__of_the_published_bytes__then_every_account_has_its_claim(published: tuple[World, bytes]) -> None:
    world, document = published
    book = ClaimBook.of_document(BytesIO(document))
    for name, amount in world.owed.items():
        if amount:
            assert book.of(Address(name)).cumulative == amount
    with pytest.raises(NothingEarned):
        book.of(account(666))
    before = book.root
    place = next(at for at, (name, _) in enumerate(book._balances) if name == account(3))
    book.follow({place: (account(3), Wei(5)), len(book): (account(666), Wei(1))})
    assert book.root != before and book.of(account(666)).cumulative == 1 and book.of(account(3)).cumulative == 5


def test_claim__when_gas_would_eat_it__then_refused_with_the_amount_from_which_it_pays() -> None:
    gas_price, price = Wei(10**9), 2_000
    with pytest.raises(NotWorthIt, match=r"one claim from 1.43 OPEN"):
        require_worth(Wei(OPEN // 10), 71_500, gas_price, price)
    require_worth(Wei(2 * OPEN), 71_500, gas_price, price)
    assert shown(Wei(3 * OPEN + 2 * OPEN // 10)) == "3.2" and shown(Wei(1)) == "0.000000000000000001"
