"""An attestor reads the answers in its own sample, and no others: on a real chain, through a real server, with a model
that was really trained and files that are really fetched."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from disclosure_world import Operator, tokenizer
from unit.settlement.stage import ATTESTORS, Stage
from unit.settlement.world import Person, account, text

from fixtures.anvil import CHAIN
from fixtures.attribution import FACTS, base
from fixtures.keystores import keystore
from fixtures.looked_up import train
from fixtures.opened import settings_of
from fixtures.shop import served
from fixtures.suite import Suite
from fixtures.waiting import eventually
from oracle.daemon.ground import Ground
from oracle.daemon.processes import Process
from oracle.errors import Retry
from oracle.settlement.attest import TooLittleDisclosed
from oracle.settlement.disclosing import Request
from oracle.settlement.drawing import ChangedItsMind
from oracle.store import answers, batches, models
from oracle.store.database import Database
from oracle.store.receipts import Attribution, Credit
from oracle.store.sealed import owner_of
from oracle.store.vault import create_master_key
from oracle.types import Address, BlockNumber, ChainId

PEOPLE = [account(number) for number in range(4)]
THIEF = account(666)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = ["0x" + bytes([number + 1] * 32).hex() for number in range(4)]
    holdings = {name: (name, person, None) for name, person in zip(names, PEOPLE)}
    return train(tmp_path_factory.mktemp("trained"), holdings, FACTS, base, tokenizer)


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
