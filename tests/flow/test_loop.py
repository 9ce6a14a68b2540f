"""From a file to a snapshot on a real chain: intake, sender, indexer and registry, nothing played.

The operator's own contribution goes by its wallet; a contributor without gas signs, and the operator relays. On the way
the chain is reorganised and the daemon's state is lost between any two rounds.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from eth_account import Account

from fixtures.anvil import ACCOUNTS, KEYS
from fixtures.suite import Suite
from oracle.config import Settings
from oracle.daemon import intake
from oracle.daemon.ground import Ground
from oracle.datanets import announcing, deciding, publishing, snapshotting
from oracle.datanets.kinds import Kind
from oracle.datanets.policy import Policy
from oracle.store import contributions, datanets, snapshots
from oracle.store.database import Database
from oracle.store.vault import create_master_key
from oracle.types import Address, DatanetId, Hash32

OPEN = 10**18
FOREVER = 2**40 - 1
OPERATOR, OPERATOR_KEY = ACCOUNTS[0], KEYS[0]
CONTRIBUTOR, CONTRIBUTOR_KEY = ACCOUNTS[1], KEYS[1]
REVIEWER, REVIEWER_KEY = ACCOUNTS[2], KEYS[2]

ROWS = (
    ("Who moors first?", "The vessel that was announced first, unless the harbour master says otherwise."),
    ("Who pays for the pilot?", "The charterer, if the contract names no other party."),
)


class Loop:
    """One oracle and one datanet. Every round is run by a daemon that was just started."""

    def __init__(self, suite: Suite, database: Database, folder: Path) -> None:
        self.suite = suite
        keystore, password = folder / "key.json", folder / "password"
        for file, content in (
            (keystore, json.dumps(Account.encrypt(OPERATOR_KEY, "x", iterations=2))),
            (password, "x"),
        ):
            file.touch(0o600)
            file.write_text(content)
        self.settings = Settings(
            home=folder,
            database_url=database.url.render_as_string(hide_password=False),
            rpc_urls=suite.anvil.url,
            deployments=suite.deployments,
            keystore=keystore,
            password_file=password,
            finality=2,
        )
        create_master_key(self.settings.master_key)
        self.policy = Policy()
        self.datanet = self._create_datanet()

    @property
    def ground(self) -> Ground:
        return Ground(self.settings)

    def _create_datanet(self) -> DatanetId:
        self.ground.stores.published.put(self.policy.as_json())
        bond = 10_000 * OPEN
        self.suite.send("OpenToken", "approve", self.suite.book["DatanetRegistry"], bond)
        self.suite.send(
            "DatanetRegistry", "createDatanet", self.policy.hash, "Harbour law", "CC-BY-4.0", "qa", [REVIEWER], 1, bond
        )
        return DatanetId(1)

    def upload(self, who: str, *pairs: tuple[str, str]) -> Hash32:
        ground = self.ground
        lines = b"".join(json.dumps({"prompt": p, "completion": c}).encode() + b"\n" for p, c in pairs)
        return publishing.receive(
            ground.database, ground.stores, iter([lines]), contributor=Address(who), datanet=self.datanet,
            kind=Kind.TRAINING_ROW, private=False, file="rows.jsonl", licence="CC-BY-4.0",
        )  # fmt: skip

    def turn(self, reorg: int = 0) -> None:
        """One of every round, as the workers take them."""
        ground = self.ground
        ground.pipeline.run()
        assert ground.sender is not None
        ground.sender.advance()
        ground.sender.close()
        self.suite.anvil.mine()
        if reorg:
            self.suite.anvil.reorg(reorg)
        ground.indexer.catch_up()
        intake.hear(ground)

    def until(self, reached: Callable[[], bool], reorg: int = 0) -> None:
        """The first turns meet a reorg."""
        for number in range(12):
            if reached():
                return
            self.turn(reorg if number < 2 else 0)
        raise AssertionError("nothing moves any more")

    def knows_the_datanet(self) -> bool:
        with self.ground.database.reading() as connection:
            return bool(datanets.all_datanets(connection))

    def all_are(self, state: str, *keys: Hash32) -> Callable[[], bool]:
        return lambda: {self.contribution(key).state for key in keys} == {state}

    def contribution(self, key: Hash32) -> contributions.Contribution:
        with self.ground.database.reading() as connection:
            return contributions.get(connection, key)

    def stored(self, made: snapshots.Snapshot) -> snapshots.Snapshot:
        with self.ground.database.reading() as connection:
            return snapshots.get_snapshot(connection, self.datanet, made.number)

    def sign(self, key: Hash32) -> None:
        ground, given = self.ground, self.contribution(key)
        registry = ground.book["DatanetRegistry"]
        digest = publishing.terms_of(given).digest(FOREVER, ground.rpc.chain, registry)
        signature = bytes(Account.unsafe_sign_hash(digest, CONTRIBUTOR_KEY).signature)
        with ground.database.transaction() as connection:
            announcing.sign(connection, key, FOREVER, signature, ground.rpc.chain, registry)

    def sign_outcomes(self) -> None:
        ground = self.ground
        registry = ground.book["DatanetRegistry"]
        with ground.database.transaction() as connection:
            for given in contributions.in_state(connection, "decided"):
                digest = deciding.outcome_of(given).digest(self.datanet, ground.rpc.chain, registry)
                signature = bytes(Account.unsafe_sign_hash(digest, REVIEWER_KEY).signature)
                deciding.sign_outcome(connection, given, signature, ground.rpc.chain, registry)

    def snapshot(self) -> snapshots.Snapshot:
        ground = self.ground
        made = snapshotting.build(ground.database, ground.stores, self.datanet, "first", self.policy)
        with ground.database.transaction() as connection:
            snapshotting.announce(connection, made, ground.pipeline.plan)
        return made


@pytest.fixture
def loop(suite: Suite, database: Database, tmp_path: Path) -> Loop:
    return Loop(suite, database, tmp_path)


@pytest.mark.parametrize("reorg", [0, 1])
def test_loop__of_two_contributions__then_both_are_on_chain_settled_and_in_a_snapshot(loop: Loop, reorg: int) -> None:
    loop.until(loop.knows_the_datanet)
    own, signed = loop.upload(OPERATOR, ROWS[0]), loop.upload(CONTRIBUTOR, ROWS[1])
    loop.turn()
    loop.sign(signed)
    loop.until(loop.all_are("decided", own, signed), reorg)
    loop.sign_outcomes()
    loop.until(loop.all_are("settled", own, signed), reorg)
    made = loop.snapshot()
    loop.until(lambda: loop.stored(made).state == "published", reorg)
    assert (loop.stored(made).version, loop.stored(made).count) == (1, 2)
    assert loop.all_are("included", own, signed)()
    assert loop.suite.read("DatanetRegistry", "snapshotRoot", loop.datanet, 1) == made.root
