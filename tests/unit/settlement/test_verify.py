"""What was published is verified to the byte, and each kind of lie has its name."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from unit.settlement.publishing import DISTRIBUTOR, new_store, new_world, publish
from unit.settlement.world import World, account

from oracle.settlement.differing import CLASSES, Difference
from oracle.settlement.document import Reader, line_of, packed, unhexed
from oracle.settlement.replay import Replay
from oracle.settlement.verify import Signed, export, verify, verify_bundle
from oracle.store.cid import cid_of
from oracle.store.receipts import Receipt, Voucher
from oracle.types import Wei

Lines = list[dict[str, Any]]


@pytest.fixture(scope="module")
def epochs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, list[tuple[Signed, bytes]]]]:
    """Two batches in a row."""
    database, blobs = new_store(tmp_path_factory.mktemp("store"))
    world, made = new_world(), []
    for _ in range(2):
        with database.transaction() as connection:
            world.serve(connection, 9)
        published, signed = publish(database, blobs, world)
        made.append((signed, blobs.read(published.document)))
    yield world, made
    database.close()


def lines(published: bytes) -> Lines:
    return [orjson.loads(line) for line in Reader(BytesIO(published)).lines()]


def test_verify__of_two_batches_in_a_row__then_all_is_counted_and_the_money_is_who_earned_it(epochs: Any) -> None:
    world, made = epochs
    replayed = [verify(signed.as_json(), published)[0] for signed, published in made]
    assert replayed[0].checked["receipt"] == 9 and replayed[0].checked["signature"] == 12
    assert replayed[0].balances == replayed[1].before
    assert dict(replayed[1].balances) == {name: amount for name, amount in world.owed.items() if amount}
    assert replayed[1].end.total == sum(world.totals.values())
    assert replayed[1].head.previous_root == replayed[0].end.root


def test_publish__of_the_same_receipts__then_the_bytes_are_those_that_were_signed_by_older_code(epochs: Any) -> None:
    """Whoever makes this faster makes the same."""
    signed = [
        (Reader(BytesIO(published)), said.statement.root.hex(), said.statement.content_hash.hex())
        for said, published in epochs[1]
    ]
    assert [(_hash_of(reader), root, content) for reader, root, content in signed] == [
        (
            "03116c9b30b9db6f046af338f30be6baea8bbd828dfadfce284f51c6acaa2c0c",
            "f29b570cd4bd58cce83e22bc7093e39ee7370a016d498f387443c8f9604bcc31",
            "b09ef2df71758b6a597501c3c1e65866328e73d1f6fcaae32d1ddf0585ab54fc",
        ),
        (
            "d240086cd1b00178a9534f33cf4b46089796e6fb546cb9f66063ccf2ea663655",
            "47efc8cf52e4fd8f9393988fa1d11fd5efeaa4138510d92b42a5ac1b20bb290d",
            "a64051aad187d0ff146cc9acd4518a42b659f895fec42dc597fd1ebbd25a7152",
        ),
    ]


def _hash_of(document: Reader) -> str:
    assert all(document.lines())
    return document.document_hash.hex()


def test_verify__of_an_exported_bundle__then_two_files_are_enough(epochs: Any, tmp_path: Path) -> None:
    signed, published = epochs[1][1]
    export(tmp_path / "bundle", signed, published)
    replayed, read = verify_bundle(tmp_path / "bundle")
    assert read == signed and replayed.header.hash == signed.statement.content_hash
    (tmp_path / "bundle" / "document.jsonl.zst").unlink()
    with pytest.raises(Difference, match="bytes"):
        verify_bundle(tmp_path / "bundle")


def test_verify__when_any_byte_is_flipped__then_it_notices_thousands_of_times(epochs: Any) -> None:
    signed, published = epochs[1][1]
    written, chance = signed.as_json(), random.Random(8)
    for _ in range(1_500):  # what is signed, and by whom
        _noticed(flipped(written, chance), published)
    for _ in range(1_500):  # what is published
        _noticed(written, flipped(published, chance))
    whole = b"".join(line_of(one) for one in lines(published))
    for _ in range(500):  # what was packed, by somebody who gives the changed bytes their right name
        changed = flipped(whole, chance)
        frame = repacked(changed)
        _noticed(renamed(signed, frame).as_json(), frame)


def _noticed(written: bytes, published: bytes) -> None:
    with pytest.raises(Difference) as caught:
        verify(written, published)
    assert caught.value.kind in CLASSES


def flipped(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content))
    return content[:at] + bytes([content[at] ^ chance.randrange(1, 256)]) + content[at + 1 :]


def repacked(content: bytes) -> bytes:
    from oracle.settlement.document import Writer

    out = BytesIO()
    writer = Writer(out)
    writer.raw(content)
    writer.close()
    return out.getvalue()


def renamed(signed: Signed, published: bytes) -> Signed:
    return Signed(signed.chain, signed.distributor, cid_of(published), signed.statement, signed.signatures)


def test_verify__when_each_byte_of_a_line_is_changed_and_all_hashes_above_are_made_anew__then_it_still_notices(
    epochs: Any,
) -> None:
    """A lying operator writes canonical lines and right names; what is left to it is the content."""
    world, made = epochs
    signed, published = made[1]
    for lie, kind in LIES.items():
        told = copy.deepcopy(lines(published))
        lie(told, world)
        frame, _ = packed(told)
        with pytest.raises(Difference) as caught:
            Replay(BytesIO(frame)).run()
        assert caught.value.kind == kind, f"{lie.__name__}: {caught.value}"
        with pytest.raises(Difference):
            verify(renamed(signed, frame).as_json(), frame)


def only(told: Lines, kind: str) -> Lines:
    return [line for line in told if line["kind"] == kind]


def _richer_fee(told: Lines, world: World) -> None:
    receipt = only(told, "receipt")[0]["receipt"]
    receipt["fee"] = str(int(receipt["fee"]) + 1)


def _resigned_by_nobody(told: Lines, world: World) -> None:
    first, second = only(told, "receipt")[:2]
    first["signature"], second["signature"] = second["signature"], first["signature"]


def _share_to_a_thief(told: Lines, world: World) -> None:
    only(told, "receipt")[0]["shares"][0][1] = account(666)


def _credit_to_a_thief(told: Lines, world: World) -> None:
    only(told, "receipt")[0]["attribution"]["credits"][0][1] = account(666)


def _account_of_a_thief(told: Lines, world: World) -> None:
    line = only(told, "account")[-1]
    line["cumulative"] = str(int(line["cumulative"]) + 1)


def _new_account(told: Lines, world: World) -> None:
    told.insert(-1, {"kind": "account", "account": account(666), "before": "0", "cumulative": "5"})


def _old_balance(told: Lines, world: World) -> None:
    first, second = only(told, "account")[:2]
    for line, change in ((first, 1), (second, -1)):
        line["before"] = str(int(line["before"]) + change)
        line["cumulative"] = str(int(line["cumulative"]) + change)


def _lost_receipt(told: Lines, world: World) -> None:
    told.remove(only(told, "receipt")[0])


def _doubled_receipt(told: Lines, world: World) -> None:
    told.insert(told.index(only(told, "receipt")[0]), only(told, "receipt")[0])


def _shuffled(told: Lines, world: World) -> None:
    at = told.index(only(told, "receipt")[0])
    told[at], told[at + 1] = told[at + 1], told[at]


def _voucher_raised(told: Lines, world: World) -> None:
    line = only(told, "voucher")[0]
    line["cumulative"] = str(int(line["cumulative"]) + 1)


def _other_terms(told: Lines, world: World) -> None:
    only(told, "terms")[0]["terms"]["builder"] = account(666)


def _terms_missing(told: Lines, world: World) -> None:
    told.remove(only(told, "terms")[0])


def _wrong_root(told: Lines, world: World) -> None:
    told[-1]["root"] = told[-1]["receipts_root"]


def _wrong_receipts_root(told: Lines, world: World) -> None:
    told[-1]["receipts_root"] = told[-1]["root"]


def _wrong_vouchers_root(told: Lines, world: World) -> None:
    told[-1]["vouchers_root"] = told[-1]["root"]


def _wrong_sum(told: Lines, world: World) -> None:
    told[-1]["amounts"][0], told[-1]["amounts"][1] = told[-1]["amounts"][1], told[-1]["amounts"][0]


def _other_previous_root(told: Lines, world: World) -> None:
    told[0]["previous_root"] = told[-1]["root"]


def _no_end(told: Lines, world: World) -> None:
    told.pop()


def _extra_field(told: Lines, world: World) -> None:
    only(told, "receipt")[0]["receipt"]["note"] = "x"


LIES: dict[Callable[[Lines, World], None], str] = {
    _richer_fee: "receipt hash",
    _resigned_by_nobody: "operator's signature",
    _share_to_a_thief: "shares",
    _credit_to_a_thief: "shares",
    _account_of_a_thief: "accounts",
    _new_account: "accounts",
    _old_balance: "previous root",
    _lost_receipt: "lane",
    _doubled_receipt: "order",
    _shuffled: "order",
    _voucher_raised: "voucher",
    _other_terms: "terms",
    _terms_missing: "terms",
    _wrong_root: "root",
    _wrong_receipts_root: "receipts root",
    _wrong_vouchers_root: "vouchers root",
    _wrong_sum: "sums",
    _other_previous_root: "previous root",
    _no_end: "bytes",
    _extra_field: "form",
}


def test_verify__when_the_operator_signs_a_voucher_for_more_than_it_served__then_the_lane_differs(epochs: Any) -> None:
    """The consumer signed in advance for more; settlement may not take what was not delivered."""
    world, made = epochs
    told = copy.deepcopy(lines(made[1][1]))
    line = only(told, "voucher")[0]
    person = next(one for one in world.people if one.address == line["consumer"])
    greater: Voucher = world.voucher(person, int(line["cumulative"]) + 1)
    line["cumulative"], line["signature"] = str(greater.cumulative), "0x" + greater.signature.hex()
    with pytest.raises(Difference, match="lane"):
        Replay(BytesIO(packed(told)[0])).run()


def test_receipt__through_json__then_it_is_itself() -> None:
    world = new_world()
    receipt = world.receipt(world.people[0], 10**24)
    assert Receipt.from_json(orjson.loads(receipt.as_json())) == receipt
    assert receipt.fee == Wei(10**24) and unhexed("0x00ff") == b"\0\xff" and DISTRIBUTOR


@pytest.mark.parametrize("kind", ["truncated", "bomb", "empty", "second frame"])
def test_reader__of_bytes_that_are_no_document__then_says_so(epochs: Any, kind: str) -> None:
    published = epochs[1][0][1]
    bad = {
        "truncated": published[:-20],
        "bomb": repacked(b"x" * (64 << 20)),
        "empty": b"",
        "second frame": published + published,
    }[kind]
    with pytest.raises(Difference):
        Replay(BytesIO(bad)).run()
