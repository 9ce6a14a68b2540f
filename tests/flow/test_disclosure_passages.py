"""An answer that looked passages up, from the question to an attestor's signature: a real chain with a datanet, and
the real API, engine, attribution and settlement; the attestor has nothing but a node and a URL."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from disclosure_world import Operator
from unit.settlement.stage import ATTESTORS
from unit.settlement.world import account

from fixtures.anvil import CHAIN
from fixtures.attribution import FACTS
from fixtures.looked_up import train
from fixtures.shop import OPEN, served
from fixtures.suite import Suite
from fixtures.village import ADA, BO, COPYCAT, DAEMON, Village
from oracle.client.paying import Vouchers
from oracle.client.wallet import Wallet
from oracle.daemon.attributing import Attributing
from oracle.daemon.engines import inference_of
from oracle.daemon.steps import Runner
from oracle.datanets import erasing, publishing
from oracle.datanets.kinds import Kind
from oracle.datanets.policy import Policy
from oracle.settlement.pace import Pace
from oracle.settlement.post import Settler
from oracle.store import answers, receipts
from oracle.store.receipts import Attribution, Found
from oracle.store.sealed import open_exchange, seal_exchange
from oracle.types import Address, ChainId, DatanetId, Hash32

PILOT = "The charterer pays the pilot, if the contract names no other party to it."
COPIED = "The charterer pays the pilot, unless the contract names no other party to it."
MOORING = "The vessel that was announced first moors first, unless the harbour master says otherwise."
SECRET = "Whoever pays the night watch is told by the harbour master at the gate."
THIEF = account(666)
ASKED = [{"role": "user", "content": "Who pays the pilot, unless the contract names the night watch?"}]


@dataclass
class Harbour:
    """A village with documents, a model that looks them up, and a server."""

    village: Village
    operator: Operator
    keys: list[Hash32] = field(default_factory=list)

    def lend(self, who: str, *texts: str, private: bool = False) -> Hash32:
        """Documents, as far as having a verdict each."""
        ground = self.village.ground
        lines = b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts)
        key = publishing.receive(
            ground.database, ground.stores, iter([lines]), contributor=Address(who), datanet=self.village.datanet,
            kind=Kind.DOCUMENT, private=private, file="documents.jsonl", licence="CC-BY-4.0",
        )  # fmt: skip
        ground.pipeline.run()
        if who != DAEMON:  # whose wallet is the daemon's own, and needs nobody to relay it
            self.village.sign(key)
        self.village.until(lambda: self.village.contribution(key).state == "decided")
        return key

    def ask(self, times: int) -> list[Hash32]:
        """By a consumer who pays: the vouchers of each call settle the one before it."""
        stage, wallet = self.village.stage, Wallet.new()
        stage._deposited(wallet, 10 * OPEN)  # type: ignore[arg-type]
        stage.suite.anvil.mine(3)
        self.village.ground.indexer.catch_up()
        lane = wallet.lane(ChainId(CHAIN), self.village.ground.book["InferenceEscrow"])
        client = openai.OpenAI(
            base_url=f"{self.operator.url}/v1", api_key="none", max_retries=0,
            http_client=httpx.Client(auth=Vouchers(lane, 10 * OPEN), timeout=60),
        )  # fmt: skip
        given = [
            client.chat.completions.create(model="bees", messages=ASKED, max_tokens=6, seed=number)  # type: ignore[call-overload]
            for number in range(times)
        ]
        self.looked: dict[str, Any] = given[0].model_extra["retrieval"]
        return [Hash32(bytes.fromhex(each.model_extra["receipt"]["id"][2:])) for each in given]

    def attribute(self, identity: Hash32) -> Attribution:
        ground = self.village.ground
        attributing = Attributing(ground.database, ground.stores, ChainId(CHAIN), ground.settings.home / "models")
        ended = Runner(ground.database, time.time).run("attribute.answer", identity.hex(), attributing.take)
        found = self.found(identity)
        assert ended == "done" and found.attribution is not None
        return found.attribution

    def found(self, identity: Hash32) -> Found:
        with self.village.ground.database.reading() as connection:
            found = receipts.find(connection, ChainId(CHAIN), identity)
        assert found is not None
        return found

    def attribute_to(self, thief: Address, identity: Hash32) -> Attribution:
        """By books in which all passages are the thief's, and which are put right again afterwards."""
        ground, consumer = self.village.ground, self.found(identity).receipt.consumer
        vault, mine = ground.stores.vault, answers.ANSWERS.c.receipt == identity
        with ground.database.transaction() as connection:
            kept = answers.find(connection, ChainId(CHAIN), identity)
            assert kept is not None and kept.sealed is not None
            true = open_exchange(vault, consumer, kept.sealed)
            forged = replace(true, passages=tuple(replace(each, owner=thief) for each in true.passages))
            sealed = seal_exchange(vault, consumer, forged)
            connection.execute(answers.ANSWERS.update().where(mine).values(sealed=sealed))
        paid = self.attribute(identity)
        with ground.database.transaction() as connection:
            connection.execute(answers.ANSWERS.update().where(mine).values(sealed=kept.sealed))
        return paid

    def erase(self, key: Hash32) -> None:
        given, ground = self.village.contribution(key), self.village.ground
        with ground.database.transaction() as connection:
            erasing.ask(connection, given, [], None)
        ground.pipeline.run()

    def settler(self) -> Settler:
        ground = self.village.ground
        assert ground.signer is not None
        stage = self.village.stage
        return Settler(ground.database, ground.blobs, stage.onchain, ground.signer.address, Pace())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = ["0x" + bytes([number + 1] * 32).hex() for number in range(4)]
    holdings = {name: (name, account(number), None) for number, name in enumerate(names)}
    return train(tmp_path_factory.mktemp("trained"), holdings, FACTS)


@pytest.fixture
def harbour(suite: Suite, tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Harbour]:
    village = Village(suite, tmp_path, {"disclose": 16, "retrieval_model": "none", "domain": "api.test"})
    village.found_datanet(policy=Policy(near="accept", facts="same"))
    operator = Operator(village.stage, village.ground, trained, "")
    made = Harbour(village, operator)
    lent = ((ADA, PILOT, False), (DAEMON, MOORING, False), (COPYCAT, COPIED, False), (BO, SECRET, True))
    keys = made.keys = [made.lend(who, text, private=private) for who, text, private in lent]
    village.review()
    village.until(lambda: {village.contribution(key).state for key in keys} == {"settled"})
    village.snapshot()
    village.ground.builder.build(village.datanet)
    operator.publish(DatanetId(1))
    village.ground.indexer.catch_up()
    ahead, clock = village.stage.onchain.facts().now - time.time(), time.time
    monkeypatch.setattr(time, "time", lambda: clock() + ahead)  # the chain of the tests is in another year
    with served(village.settings, inference_of) as (operator.url, _):
        yield made
    village.close()


def test_answer__with_passages__then_from_question_to_signature_all_of_it_is_recomputed(harbour: Harbour) -> None:
    """One passage is a copy whose credit another holds, and one is of a private row. Then a document is erased."""
    asked = harbour.ask(3)
    used = harbour.looked["used"]
    assert {(each["owner"], each["text"]) for each in used} == {(ADA, COPIED), (DAEMON, MOORING), (BO, None)}
    paid = [harbour.attribute(each) for each in asked]
    assert {credit.account for each in paid for credit in each.credits} & {ADA, BO, DAEMON}
    harbour.operator.published(harbour.settler())
    said = harbour.operator.opinion(harbour.operator.attestor(ATTESTORS[0], least=3))
    assert (said.objection, said.unable) == (None, {})
    assert (said.said["sampled"], said.said["recomputed"]) == (3, 3)
    harbour.erase(harbour.keys[2])
    said = harbour.operator.opinion(harbour.operator.attestor(ATTESTORS[1]))
    assert (said.objection, said.said["recomputed"]) == (None, 0)
    assert said.unable == {"the operator says: a passage of its prompt was erased": 3}


def test_answer__whose_passages_pay_another_than_its_receipt_names__then_objected_to(harbour: Harbour) -> None:
    asked = harbour.ask(2)
    paid = [harbour.attribute_to(THIEF, each) for each in asked]
    assert THIEF in {credit.account for credit in paid[0].credits}
    harbour.operator.published(harbour.settler())
    said = harbour.operator.opinion(harbour.operator.attestor(ATTESTORS[0]))
    assert said.kind == "attribution"
    assert "ppm claimed" in (said.objection or "")
