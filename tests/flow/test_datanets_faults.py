"""Contributions whose bytes are missing, wrong or erased; logs with a hole; reviewers who saw something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from datanets_world import CHAIN, CONTRIBUTOR, COPIER, DATANET, NOW, OPERATOR, REGISTRY, REVIEWER, World, jsonl, plan
from eth_account import Account

from oracle.datanets import announcing, deciding, erasing, hearing
from oracle.datanets.announcing import BadSignature
from oracle.datanets.calls import Terms
from oracle.datanets.canonical import row_hash
from oracle.datanets.collecting import look_again
from oracle.datanets.intake import read
from oracle.datanets.kinds import Kind
from oracle.datanets.manifest import Manifest, cid_of_hash
from oracle.datanets.merkle import rows_root
from oracle.datanets.pipeline import Pipeline
from oracle.datanets.policy import Policy
from oracle.datanets.publishing import terms_of
from oracle.store import contributions, erasures, snapshots
from oracle.store.cid import cid_of
from oracle.store.database import Database
from oracle.store.snapshots import Use
from oracle.store.vault import KeyDestroyed
from oracle.types import Address, DatanetId, Hash32, RowHash

ROWS = [
    ("How do I reset the router?", "Hold the small button at the back for ten seconds until the lamp turns red."),
    ("May I open the case of the modem?", "No, there is nothing inside that anybody but the workshop could mend."),
    ("What does the blinking lamp mean?", "The device looks for its network; wait two minutes before you do anything."),
]


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    return World(database, tmp_path).create()


def stranger(rows: bytes, **said: Any) -> tuple[Terms, Manifest, bytes]:
    """A contribution that was never sent through this oracle: what is on chain, its manifest and its blob."""
    import io

    made = [row for batch in read(io.BytesIO(rows), "rows", Kind.TRAINING_ROW) for row in batch.rows]
    blob = b"".join(row + b"\n" for row in made)
    author = Address(CONTRIBUTOR.address)
    root = rows_root(author, [row_hash(row) for row in made])
    fields = {"count": len(made), "rows_root": "0x" + root.hex(), "blob": cid_of(blob)} | said
    manifest = Manifest(DATANET, author, "training-row", private=False, licence="CC0-1.0", **fields)
    count = fields["count"]
    return Terms(author, DATANET, Kind.TRAINING_ROW, root, count, manifest.hash), manifest, blob


def settled(world: World, *, private: bool = False) -> Hash32:
    key = world.upload(OPERATOR, jsonl(*ROWS))
    world.run()
    world.sign_outcomes()
    world.run()
    assert world.contribution(key).state == "settled"
    return key


def test_contribution__whose_blob_is_nowhere__then_waits_and_holds_nobody_up(world: World) -> None:
    terms, manifest, blob = stranger(jsonl(ROWS[0]))
    world.hear_contribution(terms)
    second = world.upload(OPERATOR, jsonl(ROWS[0], ROWS[1]))
    world.run()
    waiting = world.contribution(Hash32(terms.name))
    assert (waiting.state, waiting.place) == ("seen", 0)
    assert str(cid_of_hash(manifest.hash)) in (waiting.reason or "")
    assert world.verdicts(second) == ["accepted", "accepted"]
    world.stores.published.put(manifest.as_json())
    world.run()
    assert manifest.blob in (world.contribution(Hash32(terms.name)).reason or "")
    world.stores.published.put(blob)
    world.run()
    # It comes late, and a promise without its bytes holds no place.
    assert world.contribution(Hash32(terms.name)).rank == 1
    assert world.verdicts(Hash32(terms.name)) == ["exact_duplicate"]


@pytest.mark.parametrize(
    "said, tampered, why",
    [
        ({}, lambda blob: blob.replace(b"red", b"off"), "the chain says"),
        ({}, lambda blob: blob[:-1], "ends in the middle of line 2"),
        ({}, lambda blob: blob + blob, "goes on after its 2 rows"),
        ({}, lambda blob: blob[: blob.index(b"\n") + 1], "holds 1 rows, the chain says 2"),
        ({}, lambda blob: b"x" * (9 * 1024 * 1024), "longer than any row"),
        ({"count": 3}, lambda blob: blob, "holds 2 rows, the chain says 3"),
        ({"rows_root": "0x" + "00" * 32}, lambda blob: blob, "its manifest says rows_root"),
        ({"licence": 7}, lambda blob: blob, ""),
    ],
)
def test_contribution__whose_bytes_do_not_match__then_says_where(
    world: World, said: Any, tampered: Any, why: str
) -> None:
    _, _, blob = stranger(jsonl(ROWS[0], ROWS[1]))
    blob = tampered(blob)
    if "licence" in said:
        said = {"blob": "not a name"}
    terms, manifest, _ = stranger(jsonl(ROWS[0], ROWS[1]), **({"blob": cid_of(blob)} | said))
    world.stores.published.put(blob)
    world.stores.published.put(manifest.as_json())
    world.hear_contribution(terms)
    other = world.upload(OPERATOR, jsonl(ROWS[2]))
    world.run()
    found = world.contribution(Hash32(terms.name))
    assert found.state == "mismatched"
    assert why in (found.reason or "")
    assert world.verdicts(other) == ["accepted"]


def test_contribution__whose_stored_blob_was_damaged__then_is_looked_at_again_when_restored(
    world: World, tmp_path: Path
) -> None:
    terms, manifest, blob = stranger(jsonl(ROWS[0]))
    world.stores.published.put(manifest.as_json())
    cid = world.stores.published.put(blob)
    (stored,) = (tmp_path / "blobs").rglob(cid)
    stored.write_bytes(blob.replace(b"red", b"off"))
    world.hear_contribution(terms)
    world.run()
    assert world.contribution(Hash32(terms.name)).state == "mismatched"
    world.stores.published.put(blob)
    look_again(world.database, world.contribution(Hash32(terms.name)))
    world.run()
    assert world.verdicts(Hash32(terms.name)) == ["accepted"]


def test_contribution__with_rows_in_no_canonical_form__then_those_alone_are_rejected(world: World) -> None:
    good = b'{"completion":"Hold the button for ten seconds.","prompt":"How do I reset it?"}'
    bad = b'{"prompt":"How do I open the case of it?","completion":"You better do not do that."}'
    author = Address(CONTRIBUTOR.address)
    blob = good + b"\n" + bad + b"\nnot even JSON\n"
    root = rows_root(author, [row_hash(line) for line in blob.split(b"\n")[:-1]])
    manifest = Manifest(
        DATANET, author, "training-row", 3, "0x" + root.hex(), world.stores.published.put(blob), False, "MIT"
    )
    world.stores.published.put(manifest.as_json())
    terms = Terms(author, DATANET, Kind.TRAINING_ROW, root, 3, manifest.hash)
    world.hear_contribution(terms)
    world.run()
    assert world.verdicts(Hash32(terms.name)) == ["accepted", "not_canonical", "not_canonical"]


def test_contribution__that_is_seen_twice__then_its_first_place_counts(world: World) -> None:
    terms, manifest, blob = stranger(jsonl(ROWS[0]))
    world.stores.published.put(manifest.as_json())
    world.stores.published.put(blob)
    world.hear_contribution(terms)
    world.run()
    world.hear_contribution(terms)
    world.run()
    assert world.contribution(Hash32(terms.name)).place == 0
    assert world.verdicts(Hash32(terms.name)) == ["accepted"]
    assert world.state()["datanet"]["contributions"] == 2


def test_file__in_which_no_row_can_be_taken__then_is_refused_with_a_reason(world: World) -> None:
    for content in (b'{"prompt": "a"}\n', b"\x1f\x8bpacked", b""):
        key = world.upload(OPERATOR, content)
        world.run()
        given = world.contribution(key)
        assert given.state == "refused"
        assert given.reason


def test_file__that_was_contributed_before__then_the_second_is_refused(world: World) -> None:
    world.upload(OPERATOR, jsonl(ROWS[0]))
    world.run()
    again = world.upload(OPERATOR, jsonl(ROWS[0]) + b"\n")
    world.run()
    assert "contributed already" in (world.contribution(again).reason or "")


def test_secret__in_a_row__then_never_leaves_the_machine(world: World, tmp_path: Path) -> None:
    key = world.upload(
        OPERATOR, jsonl(ROWS[0], ("Which key?", "It is ghp_k3Jd8fQz1LmN5vXc7RtY2wBp9HsG4aUe6ToI, do not tell."))
    )
    world.run()
    assert world.contribution(key).count == 1
    for file in [*(tmp_path / "blobs").rglob("*"), *(tmp_path / "spool").rglob("*")]:
        assert not file.is_file() or b"ghp_" not in file.read_bytes()


def test_log__with_a_hole__then_it_is_found_out(world: World) -> None:
    key = world.upload(COPIER, jsonl(ROWS[0]))
    world.pipeline.run()
    given = terms_of(world.contribution(key))
    item = (
        int(given.contributor, 16) << 96 | given.kind << 88 | given.count << 40,
        given.rows_root,
        given.manifest_hash,
    )
    args = {"datanet": DATANET, "relayer": OPERATOR.address, "accumulator": b"\1" * 32, "contributions": [item]}
    with pytest.raises(hearing.LogIncomplete):
        world.hear("ContributionsRelayed", args)
    assert world.contribution(key).state == "published"


def test_signature__of_somebody_else__then_is_not_taken(world: World) -> None:
    key = world.upload(CONTRIBUTOR, jsonl(ROWS[0]))
    world.pipeline.run()
    with pytest.raises(BadSignature, match="its contributor is"):
        world.sign(COPIER, key)


def test_relay__of_a_signature_that_the_registry_refused__then_a_new_one_is_asked_for(world: World) -> None:
    key = world.upload(CONTRIBUTOR, jsonl(ROWS[0]))
    world.pipeline.run()
    world.sign(CONTRIBUTOR, key)
    world.pipeline.run()
    intent = world.contribution(key).intent
    assert intent is not None
    with world.database.transaction() as connection:
        announcing.returned(connection, intent)
    given = world.contribution(key)
    assert (given.state, given.signature) == ("published", None)
    assert "sign again" in (given.reason or "")


def test_signature__that_is_out_of_time__then_is_not_relayed(world: World) -> None:
    key = world.upload(CONTRIBUTOR, jsonl(ROWS[0]))
    world.pipeline.run()
    world.sign(CONTRIBUTOR, key)
    with world.database.transaction() as connection:
        assert announcing.relay(connection, DATANET, 2_000_000_000, plan) == []
    assert world.contribution(key).state == "published"


def test_outcome__that_reviewers_recorded_otherwise__then_a_person_is_asked(world: World) -> None:
    key = world.upload(OPERATOR, jsonl(*ROWS))
    world.run()
    given = world.contribution(key)
    recorded = {
        "datanet": DATANET,
        "contribution": given.name,
        "acceptedRoot": b"\1" * 32,
        "acceptedCount": 2,
        "reasonsHash": b"\2" * 32,
    }
    world.hear("OutcomeRecorded", recorded)
    world.run()
    given = world.contribution(key)
    assert given.state == "decided"
    assert "recorded 2 accepted rows" in (given.reason or "")


def test_outcome__signed_by_no_reviewer__then_is_not_counted(world: World) -> None:
    key = world.upload(OPERATOR, jsonl(*ROWS))
    world.run()
    given = world.contribution(key)
    digest = deciding.outcome_of(given).digest(DATANET, CHAIN, REGISTRY)
    signature = bytes(Account.unsafe_sign_hash(digest, COPIER.key).signature)
    with pytest.raises(deciding.NotAReviewer), world.database.transaction() as connection:
        deciding.sign_outcome(connection, given, signature, CHAIN, REGISTRY)
    assert REVIEWER.address != COPIER.address


def test_erasure__of_a_private_contribution__then_its_key_is_gone_and_the_next_snapshot_lacks_it(
    database: Database, tmp_path: Path
) -> None:
    world = World(database, tmp_path, policy=Policy(private=True)).create()
    key = settled(world)
    other = world.upload(
        OPERATOR, jsonl(("Is there a manual?", "Yes, it lies in the box under the charger and the cable."))
    )
    world.run()
    world.sign_outcomes()
    world.run()
    first = world.snapshot("first")
    world.run()
    with world.database.transaction() as connection:
        snapshots.put_use(connection, Use(DATANET, 1, Hash32(b"\7" * 32), "helper", True))
        erasing.ask(connection, contributions.get(connection, key), [], plan)
    world.run()
    given = world.contribution(key)
    assert given.erased
    assert not world.vault.exists(key)
    with pytest.raises(KeyDestroyed):
        list(world.vault.seal(key, [b"rows"]))
    second = world.snapshot("second")
    assert (first.count, second.count) == (4, 1)
    with world.database.reading() as connection:
        held, uses = erasing.touched(connection, given)
        assert [each.name for each in held] == ["first"]
        assert [use.name for use in uses] == ["helper"]
        assert contributions.get(connection, other).state == "included"
    # Copying what was erased does not inherit its credit.
    copy = world.upload(COPIER, jsonl(ROWS[0]))
    world.pipeline.run()
    world.sign(COPIER, copy)
    world.run()
    assert world.verdicts(copy) == ["exact_duplicate"]


@pytest.mark.parametrize("private", [False, True], ids=["public", "private"])
def test_erasure__of_some_rows__then_the_root_still_proves_the_rest(
    database: Database, tmp_path: Path, private: bool
) -> None:
    world = World(database, tmp_path, policy=Policy(private=private)).create()
    key = settled(world)
    given = world.contribution(key)
    with world.database.reading() as connection:
        from oracle.store import rows

        (chunk,) = rows.chunks(connection, key)
    with world.database.transaction() as connection:
        erasing.ask(connection, given, [chunk.hash_of(0)], plan)
    world.run()
    after = world.contribution(key)
    assert after.blob != given.blob and given.blob is not None and after.blob is not None
    assert not world.stores.published.has(given.blob)
    with world.stores.rows(world.stores.published, after.blob, after.seal) as content:
        lines = content.read().split(b"\n")
    assert lines[0] == b'{"erased":"0x' + chunk.hash_of(0).hex().encode() + b'"}'
    assert b"workshop" in lines[1]
    assert world.snapshot("after").count == 2
    with world.database.reading() as connection:
        assert [each.state for each in erasures.erasures_of(connection, Hash32(given.name or b""))] == ["done"]
    with pytest.raises(erasing.NotInTree), world.database.transaction() as connection:
        erasing.ask(connection, given, [RowHash(b"\3" * 32)], plan)


def test_pipeline__without_a_wallet__then_does_what_needs_no_chain_and_plans_nothing(world: World) -> None:
    quiet = Pipeline(world.database, world.stores, CHAIN, REGISTRY, plan, None, lambda: NOW)
    key = world.upload(OPERATOR, jsonl(*ROWS))
    quiet.run()
    assert world.contribution(key).state == "published"
    assert world.state()["calls"] == []
    assert DatanetId(1) == DATANET
