"""An answer of a really trained adapter, from its receipt in the store to weights that settlement reads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import insert
from unit.settlement.world import World, account

from fixtures.attribution import FACTS, base, digest, model, recorded, rows
from oracle.attribution.answering import write_limits
from oracle.attribution.audit import AuditPlan, begin, finish, write_shard
from oracle.attribution.calibration import limits_from
from oracle.attribution.errors import CorruptShard
from oracle.attribution.gain import gains
from oracle.attribution.index import Index, write_index
from oracle.attribution.records import Query
from oracle.attribution.result import WHOLE, Result
from oracle.attribution.scoring import score
from oracle.attribution.spans import build_spans
from oracle.daemon.attributing import FORGOTTEN, Attributing
from oracle.daemon.steps import Runner
from oracle.datanets.stores import Stores
from oracle.store import answers, models, receipts, work
from oracle.store.answers import Exchange, Passage
from oracle.store.blobs import Blobs
from oracle.store.contributions import CONTRIBUTIONS
from oracle.store.database import Database
from oracle.store.models import Version
from oracle.store.receipts import Receipt
from oracle.store.sealed import owner_of, seal_exchange
from oracle.store.vault import Vault, create_master_key
from oracle.types import Address, BasisPoints, ChainId, Cid, ContributionId, Hash32, Timestamp, Wei

CHAIN = ChainId(5)
PEOPLE = [account(number) for number in range(4)]
PRICES = (Wei(1), Wei(2))
TAUGHT = [FACTS[i % 4] for i in range(16)]  # each contributor says one, four times


def contribution(number: int) -> str:
    return "0x" + bytes([number] * 32).hex()


@dataclass
class Oracle:
    """A store with one published model, and its consumer's receipts."""

    database: Database
    stores: Stores
    folder: Path
    world: World
    version: Version

    def publish(self, version: Version) -> None:
        with self.database.transaction() as connection:
            made = models.prepare(connection, CHAIN, "bees", PEOPLE[0], PRICES, version)
            models.move(connection, made.position, "announced")
            models.move(connection, made.position, "published", model=self.world.model)
        self.world.version = made.version

    def serve(self, said: Exchange) -> Receipt:
        """As the API does it: receipt, sealed answer and the work in one transaction."""
        person = self.world.people[0]
        receipt = self.world.receipt(person)
        name, signature = self.world.signed(receipt)
        sealed = seal_exchange(self.stores.vault, person.address, said)
        with self.database.transaction() as connection:
            receipts.put_receipt(connection, CHAIN, name, receipt, signature)
            answers.keep(connection, CHAIN, receipt.id, receipt.model, sealed, Timestamp(10**10))
            work.request(connection, "attribute.answer", receipt.id.hex(), Timestamp(0))
        return receipt

    def attribute(self, receipt: Receipt) -> str:
        attributing = Attributing(self.database, self.stores, CHAIN, self.folder)
        return Runner(self.database).run("attribute.answer", receipt.id.hex(), attributing.take)

    def explained(self, receipt: Receipt) -> Result:
        with self.database.reading() as connection:
            kept = answers.find(connection, CHAIN, receipt.id)
            found = receipts.find(connection, CHAIN, receipt.id)
        assert kept is not None and kept.explanation is not None
        assert found is not None and found.state == "final" and found.attribution is not None
        result = Result.from_json(kept.explanation)
        assert found.attribution.weight == WHOLE
        assert found.attribution.unattributed == result.unattributed
        return result


def put(blobs: Blobs, folder: Path) -> dict[str, Cid]:
    return {str(file.relative_to(folder)): blobs.put(file.read_bytes()) for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, an adapter that was taught sixteen rows, and all that attribution keeps of it."""
    root = tmp_path_factory.mktemp("trained")
    base().save_pretrained(root / "base")
    taught = model()
    owners = [contribution(i % 4) for i in range(16)]
    record = recorded(taught, TAUGHT, owners, rate=0.005, epochs=8, adam=True)
    taught.save_pretrained(root / "adapter")
    folder = root / "adapter" / "attribution"
    holdings = {contribution(i): (contribution(i), PEOPLE[i], None) for i in range(4)}
    write_index(folder, record, digest(taught), {"holdings": holdings})
    build_spans(folder / "spans", [row.tokens for row in TAUGHT], 40)
    (folder / "rows.txt").write_text("\n".join(f"{owner}:{i // 4}" for i, owner in enumerate(owners)))
    unrelated = [replace(query, id=f"unrelated-{i}") for i, query in enumerate(rows(12, seed=77))]
    taught.eval()
    index = Index(folder, digest(taught))
    begin(folder / "audit", taught, index, TAUGHT, AuditPlan(lines=2048, kept=8))
    write_shard(folder / "audit", taught, index, TAUGHT, 0)
    finish(folder / "audit")
    limits = limits_from(score(taught, index, unrelated), index.rows_of(), gains(taught, unrelated))
    write_limits(folder, limits)
    return root


@pytest.fixture
def oracle(database: Database, trained: Path, tmp_path: Path) -> Oracle:
    create_master_key(tmp_path / "keys" / "master")
    vault = Vault(str(tmp_path / "keys" / "people"), tmp_path / "keys" / "master")
    blobs = Blobs(str(tmp_path / "blobs"))
    nothing = Hash32(bytes(32))
    split = tuple(BasisPoints(part) for part in (5000, 2000, 0, 1000, 500, 1500))
    ground = Version("tiny", Hash32(b"b" * 32), nothing, nothing, nothing, split, put(blobs, trained / "base"), True)
    made = replace(ground, weights=Hash32(b"a" * 32), files=put(blobs, trained / "adapter"), is_base=False)
    with database.transaction() as connection:
        models.prepare(connection, CHAIN, "tiny", PEOPLE[0], PRICES, ground)
    world = World(CHAIN, Address("0x00000000000000000000000000000000000E5c00"))
    return Oracle(database, Stores(blobs, blobs, vault), tmp_path / "models", world, made)


def said(query: Query) -> Exchange:
    return Exchange(query.tokens[: query.answer_from], query.tokens[query.answer_from :], "a question", "an answer")


def learned() -> Query:
    return FACTS[2]


def test_attribute__of_an_answer_that_was_learned__then_its_teacher_is_paid_and_the_spans_are_shown(
    oracle: Oracle,
) -> None:
    oracle.publish(oracle.version)
    query = learned()
    teacher = contribution(2)
    receipt = oracle.serve(said(query))
    assert oracle.attribute(receipt) == "done"
    found = oracle.explained(receipt)
    assert found.abstained is None
    assert found.credits[0].contribution == teacher
    assert any(row.startswith(teacher) for row in found.spans[0].rows)
    assert found.alike and found.alike[0].row.startswith(teacher)
    assert [row.row.partition(":")[0] for row in found.rows[:4]] == [teacher] * 4
    assert found.adapter and found.method == "checkpointed-influence/2"
    assert oracle.attribute(receipt) == "busy"  # done is done


def test_attribute__by_an_index_of_an_older_method__then_that_one_is_named(oracle: Oracle) -> None:
    files, blobs = dict(oracle.version.files), oracle.stores.published
    index = next(name for name in files if name.endswith("attribution/index.json"))
    files[index] = blobs.put(blobs.read(files[index]).replace(b"influence/2", b"influence/1"))
    oracle.publish(replace(oracle.version, files=files))
    waiting = oracle.serve(said(learned())), oracle.serve(replace(said(FACTS[0]), prompt_tokens=(1,) * 99))
    assert [oracle.attribute(receipt) for receipt in waiting] == ["done", "done"]
    explained, abstained = (oracle.explained(receipt) for receipt in waiting)
    assert explained.credits and abstained.abstained
    assert explained.method == abstained.method == "checkpointed-influence/1"


def test_attribute__when_others_of_the_model_wait__then_they_are_explained_in_the_same_passes(oracle: Oracle) -> None:
    oracle.publish(oracle.version)
    first, second = oracle.serve(said(FACTS[2])), oracle.serve(said(FACTS[1]))
    damaged = oracle.serve(replace(said(FACTS[0]), prompt_tokens=(1,) * 99))  # longer than the context: it abstains
    attributing = Attributing(oracle.database, oracle.stores, CHAIN, oracle.folder)
    assert attributing.take(first.id.hex()).save is not None
    ready = dict(attributing._ready)
    assert second.id in ready and first.id not in ready
    assert "context" in str(ready[damaged.id].abstained)
    alone = Attributing(oracle.database, oracle.stores, CHAIN, oracle.folder)
    assert Runner(oracle.database).run("attribute.answer", second.id.hex(), attributing.take) == "done"
    found = oracle.explained(second)
    assert found == ready[second.id] and second.id not in attributing._ready
    assert Runner(oracle.database).run("attribute.answer", first.id.hex(), alone.take) == "done"
    assert oracle.explained(first).credits[0].contribution == contribution(2)


def test_attribute__of_an_answer_that_has_nothing_to_do_with_the_rows__then_it_abstains(oracle: Oracle) -> None:
    oracle.publish(oracle.version)
    receipt = oracle.serve(said(Query("other", (1, 1, 1, 1, 1, 1), 3)))
    assert oracle.attribute(receipt) == "done"
    found = oracle.explained(receipt)
    assert found.abstained is not None and found.unattributed == WHOLE
    assert len(found.considered) == 4


def test_attribute__when_the_texts_are_gone__then_the_receipt_is_final_and_says_why(oracle: Oracle) -> None:
    oracle.publish(oracle.version)
    receipt = oracle.serve(said(learned()))
    with oracle.database.transaction() as connection:
        answers.forget(connection, Timestamp(10**11))
    assert oracle.attribute(receipt) == "done"
    assert oracle.explained(receipt).abstained == FORGOTTEN
    forgotten = oracle.serve(said(learned()))
    oracle.stores.vault.destroy(owner_of(forgotten.consumer))
    assert oracle.attribute(forgotten) == "done"
    assert oracle.explained(forgotten).abstained == FORGOTTEN


def test_attribute__without_an_index_or_limits__then_it_abstains_with_the_reason(oracle: Oracle) -> None:
    files = {name: cid for name, cid in oracle.version.files.items() if "attribution" not in name}
    oracle.publish(replace(oracle.version, files=files))
    receipt = oracle.serve(said(learned()))
    assert oracle.attribute(receipt) == "done"
    assert "without an attribution index" in str(oracle.explained(receipt).abstained)
    files = {name: cid for name, cid in oracle.version.files.items() if "limits" not in name}
    oracle.publish(replace(oracle.version, files=files, weights=Hash32(b"c" * 32)))
    receipt = oracle.serve(said(learned()))
    assert oracle.attribute(receipt) == "done"
    assert "limits.json" in str(oracle.explained(receipt).abstained)


def test_attribute__when_the_index_is_damaged__then_it_waits_for_a_person_and_nothing_is_final(oracle: Oracle) -> None:
    name = "attribution/checkpoint-1.safetensors"
    damaged = bytearray(oracle.stores.published.read(oracle.version.files[name]))
    damaged[-1] ^= 1
    files = {**oracle.version.files, name: oracle.stores.published.put(bytes(damaged))}
    oracle.publish(replace(oracle.version, files=files))
    receipt = oracle.serve(said(learned()))
    assert oracle.attribute(receipt) == "parked"
    with oracle.database.reading() as connection:
        found = receipts.find(connection, CHAIN, receipt.id)
        parked = work.parked(connection, 10)
    assert found is not None and found.attribution is None
    assert "checkpoint-1" in str(parked[0].reason)
    assert CorruptShard.__name__ not in str(parked[0].reason)


def test_attribute__when_a_document_stood_in_the_prompt__then_it_is_ablated_and_its_giver_is_listed(
    oracle: Oracle,
) -> None:
    oracle.publish(oracle.version)
    given = ContributionId(b"d" * 32)
    with oracle.database.transaction() as connection:
        row = {"key": given, "name": given, "contributor": PEOPLE[3], "state": "included", "datanet": 7, "kind": 0}
        connection.execute(insert(CONTRIBUTIONS).values(private=False, erased=False, **row))
    query = learned()
    prompt = (5, 6, 7, *query.tokens[: query.answer_from])
    passages = (
        Passage(7, Hash32(given), Hash32(b"r" * 32), 0, 3),
        Passage(7, Hash32(given), Hash32(b"s" * 32), 0, 0, owner=PEOPLE[1]),
    )
    receipt = oracle.serve(replace(said(query), prompt_tokens=prompt, passages=passages))
    assert oracle.attribute(receipt) == "done"
    found = oracle.explained(receipt)
    listed = [(document.row[:4], document.owner) for document in found.documents]
    assert listed == [
        ("0x72", PEOPLE[3]),
        ("0x73", PEOPLE[1]),  # who holds the credit of its cluster
    ]
    assert found.passes == 2 and found.documents[0].effect != 0 and found.documents[1].effect == 0
