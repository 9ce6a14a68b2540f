"""An attestor reads the answers in its own sample, and no others: on a real chain, through a real server, with a model
that was really trained and files that are really fetched."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import pytest
import requests
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers import models as kinds
from unit.settlement.stage import ATTESTORS, Stage
from unit.settlement.world import SPLIT, Person, account, text

from fixtures.anvil import CHAIN
from fixtures.attribution import FACTS, VOCABULARY, base, digest, model, recorded, rows
from fixtures.keystores import keystore
from fixtures.opened import LETTERS, PRICES, settings_of
from fixtures.shop import served
from fixtures.suite import Suite
from fixtures.waiting import eventually
from oracle.api.asking import canonical
from oracle.api.keys import Keyring
from oracle.attribution.answering import Answer, Attributable, load, write_limits
from oracle.attribution.calibration import limits_from
from oracle.attribution.gain import gains
from oracle.attribution.index import Index, write_index
from oracle.attribution.records import Query
from oracle.attribution.scoring import score
from oracle.chain.signer import KeystoreSigner
from oracle.commands.settlement import onchain_of, registries_of
from oracle.config import Settings
from oracle.daemon.attributing import as_weights
from oracle.daemon.fetching import Fetching
from oracle.daemon.ground import Ground
from oracle.daemon.processes import Process
from oracle.daemon.recomputing import recomputer_of
from oracle.daemon.registered import Registered
from oracle.errors import Retry
from oracle.settlement.attest import Opinion, Policy, TooLittleDisclosed
from oracle.settlement.disclosing import Request
from oracle.settlement.drawing import ChangedItsMind, Drawing
from oracle.settlement.hashing import NOTHING, keccak
from oracle.settlement.shares import shares_of
from oracle.settlement.watching import Publisher, Watching
from oracle.store import answers, batches, models, receipts
from oracle.store.answers import Exchange
from oracle.store.batches import Batch, State
from oracle.store.database import Database
from oracle.store.folder import Folder
from oracle.store.models import Version
from oracle.store.receipts import Attribution, Credit
from oracle.store.sealed import owner_of, seal_exchange
from oracle.store.vault import create_master_key
from oracle.types import Address, BlockNumber, ChainId, Hash32, Timestamp

PEOPLE = [account(number) for number in range(4)]
THIEF = account(666)
TAUGHT = [FACTS[i % 4] for i in range(16)]
FOREVER = Timestamp(10**10)


def contribution(number: int) -> str:
    return "0x" + bytes([number + 1] * 32).hex()


def tokenizer() -> Tokenizer:
    """A letter for each token that the model knows."""
    made = Tokenizer(kinds.WordLevel({LETTERS[i]: i for i in range(VOCABULARY)}, unk_token="?"))
    made.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    made.decoder = decoders.Fuse()
    return made


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base with its tokenizer, and an adapter that was taught sixteen rows, with its index."""
    root = tmp_path_factory.mktemp("trained")
    base().save_pretrained(root / "base")
    tokenizer().save(str(root / "base" / "tokenizer.json"))
    taught = model()
    record = recorded(taught, TAUGHT, [contribution(i % 4) for i in range(16)], rate=0.005, epochs=8, adam=True)
    taught.save_pretrained(root / "adapter")
    folder = root / "adapter" / "attribution"
    write_index(
        folder,
        record,
        digest(taught),
        {"holdings": {contribution(i): (contribution(i), PEOPLE[i], None) for i in range(4)}},
    )
    taught.eval()
    unrelated = [replace(query, id=f"unrelated-{i}") for i, query in enumerate(rows(12, seed=77))]
    index = Index(folder, digest(taught))
    write_limits(folder, limits_from(score(taught, index, unrelated), index.rows_of(), gains(taught, unrelated)))
    return root


def contents(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()
    }


def hashes(files: dict[str, bytes]) -> dict[str, str]:
    return {name: sha256(content).hexdigest() for name, content in files.items()}


@dataclass
class Operator:
    """A stage whose operator has answered by the trained model, and its server."""

    stage: Stage
    ground: Ground
    trained: Path
    url: str

    @property
    def settings(self) -> Settings:
        return self.ground.settings

    def publish(self) -> None:
        """The model's second version, whose manifest is on chain and whose files are public."""
        stage, blobs = self.stage, self.ground.blobs
        under, over = contents(self.trained / "base"), contents(self.trained / "adapter")
        manifest = json.dumps({"base": {"files": hashes(under)}, "files": hashes(over)}).encode()
        name, nothing = Hash32(sha256(manifest).digest()), Hash32(bytes(32))
        artifacts = (text("adapter"), name, text("evaluation"), text("accuracy"))
        stage.send("ModelRegistry", "publish", stage.model, artifacts, SPLIT, [], [], sender=stage.world.builder)
        first = Version("tiny", text("weights"), nothing, nothing, nothing, SPLIT, {}, is_base=True)
        tiny = replace(first, files={file: blobs.put(content) for file, content in under.items()})
        files = {file: blobs.put(content) for file, content in (over | {"manifest.json": manifest}).items()}
        with stage.database.transaction() as connection:
            models.prepare(connection, ChainId(CHAIN), "tiny", stage.world.builder, PRICES, tiny)
            models.prepare(connection, ChainId(CHAIN), "bees", stage.world.builder, PRICES, first)
            made = models.prepare(
                connection, ChainId(CHAIN), "bees", stage.world.builder, PRICES,
                replace(first, weights=text("adapter"), manifest=name, files=files, is_base=False),
            )  # fmt: skip
            models.move(connection, made.position, "published", model=stage.model)
        stage.suite.anvil.mine(3)
        now = stage.onchain.facts().now
        stage.world.version = 2
        stage.world.serve_under(stage.registries().terms(stage.model, 2, now), now)

    def serve(self, lie: Callable[[Attribution], Attribution] = lambda found: found, count: int = 9) -> None:
        """Questions that the rows teach, with what attribution says of them, or a lie."""
        opened = Attributable(
            load(self.trained / "base", self.trained / "adapter"), self.trained / "adapter" / "attribution"
        )
        world, keyring, vault = self.stage.world, Keyring(self.settings.master_key), self.ground.stores.vault
        letters = tokenizer()
        assert vault is not None
        with self.stage.database.transaction() as connection:
            receipts.put_terms(connection, world.terms_name, world.terms)
            for number in range(count):
                person, fact = world.people[number % len(world.people)], FACTS[number % 4]
                prompt, output = fact.tokens[: fact.answer_from], fact.tokens[fact.answer_from :]
                asked, told = letters.decode(list(prompt)), letters.decode(list(output))
                one = world.receipt(person)
                salt = keyring.salt(one.id)
                one = replace(
                    one, prompt=keccak(salt + canonical(asked)), output=keccak(salt + canonical([told])),
                    prompt_tokens=len(prompt), output_tokens=len(output), conditions=NOTHING,
                )  # fmt: skip
                name, signature = world.signed(one)
                query = Query(one.id.hex(), fact.tokens, fact.answer_from)
                paid = lie(as_weights(opened.explain([Answer(query)])[0]))
                exchange = Exchange(prompt, output, asked, told, (), asked, (told,))
                receipts.put_receipt(connection, ChainId(CHAIN), name, one, signature)
                receipts.fix_attribution(connection, ChainId(CHAIN), name, paid)
                answers.keep(
                    connection, ChainId(CHAIN), one.id, 3, seal_exchange(vault, person.address, exchange), FOREVER
                )
                for _, earner, amount in shares_of(one.fee, world.terms, paid):
                    world.owed[earner] += amount
            for person in world.people:
                receipts.keep_voucher(connection, ChainId(CHAIN), world.voucher(person))

    def published(self) -> Batch:
        """A batch that waits for attestors, whose vouchers are settled."""
        settler = self.stage.settler()
        batch = self.stage.until(settler, State.PUBLISHED, attesting=False)
        for _ in range(3):
            self.stage.step(settler, attesting=False)
        return batch

    def attestor(self, one: Person, **policy: int) -> Watching:
        """On a machine of its own: home, index, journal and key."""
        ground = Ground(settings_of(self.settings.home / one.name, self.stage.suite))
        publisher, onchain, signer = Publisher(self.url), onchain_of(ground), KeystoreSigner(one.eth)
        home = ground.settings.home
        journal, given = Folder(str(home / "attested")), home / "disclosed"
        known = Registered(ground, publisher)
        recompute = recomputer_of(home / "models", given, Fetching(publisher, known.manifest_of), known)
        return Watching(
            publisher, onchain, signer, journal, Policy(**policy), recompute, lambda: registries_of(ground),
            Drawing(publisher, onchain, signer, journal, given),
        )  # fmt: skip

    def opinion(self, watching: Watching) -> Opinion:
        """What it says in the end; meanwhile the chain goes on."""
        for _ in range(12):
            try:
                said = watching.turn()
            except Retry:
                self.stage.suite.anvil.mine(2)
            else:
                assert said is not None
                return said
        raise AssertionError("it never said anything")


@pytest.fixture
def operator(suite: Suite, tmp_path: Path, trained: Path) -> Iterator[Operator]:
    settings = settings_of(tmp_path / "operator", suite, disclose=16)
    create_master_key(settings.master_key)
    Database(settings.database).upgrade()
    ground = Ground(settings)
    stage = Stage(suite, ground.database, settings.home)
    with served(settings) as (url, _):
        made = Operator(stage, ground, trained, url)
        made.publish()
        yield made


def test_attestor__when_attribution_is_true__then_recomputes_its_whole_sample_and_keeps_no_text(
    operator: Operator,
) -> None:
    operator.serve()
    batch = operator.published()
    settled_at = operator.stage.onchain.facts().block
    watching = operator.attestor(ATTESTORS[0], sample=5)
    said = operator.opinion(watching)
    assert said.objection is None
    assert (said.said["sampled"], said.said["recomputed"], said.unable) == (5, 5, {})
    assert said.drawn_at is not None and said.drawn_at > settled_at
    home = operator.settings.home / ATTESTORS[0].name
    assert list((home / "disclosed").iterdir()) == []
    assert (home / "models" / f"{operator.stage.model}.2" / "adapter" / "attribution" / "index.json").exists()
    with operator.ground.database.reading() as connection:
        assert [one.signer for one in batches.attestations(connection, batch.id)] == [ATTESTORS[0].address]


def test_attest__as_a_process_that_watches__then_recomputes_what_is_disclosed_and_hands_in_its_opinion(
    operator: Operator, tmp_path: Path
) -> None:
    """With a home, a key, an index and a journal of its own; of others it has the node and a URL."""
    operator.serve()
    batch = operator.published()
    one, suite = ATTESTORS[0], operator.stage.suite
    home = tmp_path / "attestor"
    key, password = keystore(home, one.secret)
    environment = {
        "OPENLEDGER_HOME": str(home),
        "OPENLEDGER_RPC_URLS": suite.anvil.url,
        "OPENLEDGER_DEPLOYMENTS": str(suite.deployments),
        "OPENLEDGER_KEYSTORE": str(key),
        "OPENLEDGER_PASSWORD_FILE": str(password),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [sys.executable, "-m", "oracle", "attest", "--watch", "--from", operator.url, "--every", "1"]
    watching = Process("attestor", [*command, "--sample", "5", "--least", "5"], home / "log", environment)

    def given() -> list[Address]:
        suite.anvil.mine()  # the block that draws the sample comes, and becomes final
        assert watching.exit_code() is None, (home / "log").read_text()
        with operator.ground.database.reading() as connection:
            return [said.signer for said in batches.attestations(connection, batch.id)]

    try:
        assert eventually("the attestor's opinion", given, 180) == [one.address]
        eventually("what it says of it", lambda: "signature: 0x" in (home / "log").read_text())
        told = (home / "log").read_text()
        assert "5  sampled" in told and "5  recomputed" in told
        assert "not recomputed" not in told
        eventually("it keeps no text", lambda: not list((home / "disclosed").iterdir()))
    finally:
        watching.end(30)
    assert watching.exit_code() == 0


def test_attestors__when_the_operator_credits_a_thief__then_object_and_the_batch_is_stopped(operator: Operator) -> None:
    operator.serve(lambda found: Attribution((Credit(text("c"), THIEF, found.weight),)))
    operator.published()
    for one in ATTESTORS[:2]:
        said = operator.opinion(operator.attestor(one))
        assert said.kind == "attribution"
        assert "ppm claimed" in (said.objection or "")
    assert "stopped" in (operator.stage.settler().advance() or "")


def test_attestor__when_texts_are_gone__then_says_so_and_by_its_own_rule_does_not_sign(operator: Operator) -> None:
    operator.serve()
    operator.published()
    first, second, _ = operator.stage.world.people
    assert operator.ground.stores.vault is not None
    operator.ground.stores.vault.destroy(owner_of(first.address))
    with operator.ground.database.transaction() as connection:
        answers.forget_consumer(connection, ChainId(CHAIN), second.address)
    strict = operator.attestor(ATTESTORS[1], least=4)
    with pytest.raises(TooLittleDisclosed, match="3 of 9"):
        operator.opinion(strict)
    said = operator.opinion(operator.attestor(ATTESTORS[0]))
    assert said.objection is None
    assert said.said["recomputed"] == 3
    assert sorted(said.unable.values()) == [3, 3]
    assert all("erased" in why for why in said.unable)


def test_attestor__when_nothing_is_disclosed__then_asks_for_nothing_and_says_why(operator: Operator) -> None:
    operator.serve()
    operator.published()
    with served(settings_of(operator.settings.home, operator.stage.suite)) as (url, _):
        said = operator.opinion(replace(operator, url=url).attestor(ATTESTORS[0]))
    assert said.unable == {"its answer was not disclosed": 9}


def asked(operator: Operator, request: Request, one: Person) -> requests.Response:
    signature = one.sign(request.preimage(ChainId(CHAIN), operator.stage.onchain.distributor))
    return requests.post(f"{operator.url}/settlement/disclosures", data=request.signed(signature), timeout=30)


def test_disclosure__of_anything_but_the_sample_of_a_seat__then_refused(operator: Operator) -> None:
    operator.serve()
    batch = operator.published()
    assert batch.content_hash is not None and batch.round is not None
    ahead = BlockNumber(operator.stage.onchain.newest() + 2)
    mine = Request(batch.content_hash, batch.round, ahead, 4)
    assert asked(operator, mine, Person("a stranger")).status_code == 403
    assert asked(operator, replace(mine, content_hash=text("another")), ATTESTORS[0]).status_code == 403
    assert asked(operator, replace(mine, sample=17), ATTESTORS[0]).status_code == 403
    assert asked(operator, replace(mine, block=BlockNumber(ahead - 2)), ATTESTORS[0]).status_code == 425
    assert asked(operator, replace(mine, block=BlockNumber(ahead + 500)), ATTESTORS[0]).status_code == 425
    assert asked(operator, mine, ATTESTORS[0]).status_code == 202
    other = asked(operator, replace(mine, block=BlockNumber(ahead + 1)), ATTESTORS[0])
    assert (other.status_code, other.json()["fixed"]["block"]) == (409, ahead)
    operator.stage.suite.anvil.mine(6)
    given = asked(operator, mine, ATTESTORS[0]).json()["answers"]
    assert len(given) == 4
    assert asked(operator, replace(mine, block=BlockNumber(ahead + 1)), ATTESTORS[0]).status_code == 409
    assert requests.post(f"{operator.url}/settlement/disclosures", data=b"{}", timeout=30).status_code == 422


def test_drawing__when_the_journal_was_lost__then_goes_on_with_what_it_signed_and_with_nothing_else(
    operator: Operator,
) -> None:
    operator.serve()
    operator.published()
    with pytest.raises(Retry):
        operator.attestor(ATTESTORS[0]).turn()
    journal = operator.settings.home / ATTESTORS[0].name / "attested"
    kept = next(journal.rglob("drawn/*"))
    named = json.loads(kept.read_bytes())
    kept.write_bytes(json.dumps({**named, "block": named["block"] + 1}).encode())
    operator.stage.suite.anvil.mine(8)
    with pytest.raises(ChangedItsMind, match=str(named["block"])):
        operator.attestor(ATTESTORS[0]).turn()
    kept.unlink()
    said = operator.opinion(operator.attestor(ATTESTORS[0]))
    assert said.drawn_at == named["block"]


def test_fetching__when_a_public_file_is_another__then_it_is_not_used(operator: Operator) -> None:
    """The manifest's hash is on chain, so that an operator cannot show another model than it published."""
    operator.serve()
    operator.published()
    with operator.ground.database.transaction() as connection:
        made = models.by_number(connection, ChainId(CHAIN), operator.stage.model, 2)
        assert made is not None
        forged = operator.ground.blobs.put(b"other weights")
        content = models.MODELS.c.content
        row = connection.execute(models.MODELS.select().where(models.MODELS.c.position == made.position)).one()
        changed = row.content.replace(str(made.made.files["adapter_model.safetensors"]).encode(), str(forged).encode())
        connection.execute(
            models.MODELS.update().where(models.MODELS.c.position == made.position).values({content: changed})
        )
    said = operator.opinion(operator.attestor(ATTESTORS[0]))
    assert said.said["recomputed"] == 0
    assert "adapter_model.safetensors is not the one that its manifest names" in next(iter(said.unable))
