"""Settlement by itself: processes of an operator and of attestors, and nobody who types a command."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import update
from unit.settlement.stage import ATTESTORS, Stage
from unit.settlement.world import Person

from fixtures.anvil import ACCOUNTS, CHAIN
from fixtures.keystores import keystore
from fixtures.queues import Redis, children
from fixtures.suite import Suite
from fixtures.waiting import eventually
from oracle import jobs
from oracle.config import Settings
from oracle.daemon.processes import Process
from oracle.daemon.programs import free_port
from oracle.errors import NeedsPerson, Retry
from oracle.settlement.opinions import accept
from oracle.settlement.verify import DOCUMENT, STATEMENT, verify_bundle
from oracle.store import batches
from oracle.store.batches import Batch, State
from oracle.store.database import Database
from oracle.store.loops import LOOPS
from oracle.types import Address, ChainId

pytestmark = pytest.mark.slow

OPENLEDGER = (sys.executable, "-m", "oracle")


class House:
    """Processes of one machine, each with an environment of its own; none is left behind."""

    def __init__(self, stage: Stage, home: Path) -> None:
        self.stage, self.home = stage, home
        self.port = free_port("127.0.0.1")
        self.url = f"http://127.0.0.1:{self.port}"
        self._running: list[Process] = []

    def environment(self, home: Path, person: Person) -> dict[str, str]:
        key, password = keystore(home, person.secret)
        return {
            "OPENLEDGER_HOME": str(home),
            "OPENLEDGER_RPC_URLS": self.stage.suite.anvil.url,
            "OPENLEDGER_DEPLOYMENTS": str(self.stage.suite.deployments),
            "OPENLEDGER_KEYSTORE": str(key),
            "OPENLEDGER_PASSWORD_FILE": str(password),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }

    def operator(self) -> dict[str, str]:
        """Closes an epoch as soon as something waits."""
        settled = {"OPENLEDGER_SETTLE": "true", "OPENLEDGER_SETTLE_EVERY": "1", "OPENLEDGER_HTTP_PORT": str(self.port)}
        return self.environment(self.home, self.stage.world.operator) | settled

    def start(self, name: str, environment: dict[str, str], *words: str) -> Process:
        self._running.append(Process(name, [*OPENLEDGER, *words], self.home / "log" / f"{name}.log", environment))
        return self._running[-1]

    def attestors(self) -> None:
        """Each with its own folder, key, database and process."""
        for number, one in enumerate(ATTESTORS):
            environment = self.environment(self.home / f"a{number}", one)
            self.start(
                f"attestor-{number}", environment, "attest", "--watch", "--from", self.url, "--every", "1",
                "--operator", self.stage.world.operator.address,
            )  # fmt: skip

    def said(self, name: str) -> str:
        return (self.home / "log" / f"{name}.log").read_text()

    def end(self) -> None:
        for process in self._running:
            process.ask_to_end()
        for process in reversed(self._running):
            process.end(60)


@pytest.fixture
def house(suite: Suite, home: Path) -> Iterator[House]:
    database = Database(f"sqlite:///{home}/ledger.db")
    database.upgrade()
    stage = Stage(suite, database, home)
    suite.anvil.ask("anvil_setBalance", stage.world.operator.address, hex(10**20))
    opened = House(stage, home)
    yield opened
    opened.end()
    database.close()


def until(stage: Stage, what: str, look: Callable[[], Batch | None], seconds: float = 180) -> Batch:
    """The chain goes on, slowly, and its time flies once a root waits out its window."""
    pause = threading.Event()

    def turn() -> Batch | None:
        stage.suite.anvil.mine()
        current = stage.current()
        if current is not None and current.state == State.POSTED:
            stage.suite.anvil.ask("evm_increaseTime", 700)
        pause.wait(0.3)
        return look()

    return eventually(what, turn, seconds)


def active(stage: Stage, epoch: int) -> Callable[[], Batch | None]:
    def look() -> Batch | None:
        with stage.database.reading() as connection:
            last = batches.newest(connection, ChainId(CHAIN), State.ACTIVE)
        full = stage.suite.read("RewardDistributor", "ledger")[1] == sum(stage.world.totals.values())
        return last if last is not None and last.epoch >= epoch and full else None

    return look


def test_up__when_it_settles_by_itself_and_attestors_watch__then_receipts_become_claims(house: House) -> None:
    stage = house.stage
    house.start("up", house.operator(), "up", "--no-chain")
    house.attestors()
    stage.serve_under_true_terms()
    stage.serve()
    batch = until(stage, "the first epoch is active and its money in the pool", active(stage, 1))
    with urllib.request.urlopen(f"{house.url}/metrics", timeout=10) as answer:
        assert f'openledger_batches{{chain="{CHAIN}",state="active"}} 1' in answer.read().decode()
    assert all("9  judged by the registries" in house.said(f"attestor-{number}") for number in range(3))

    bundle = house.home / "bundle"
    bundle.mkdir()
    for name in (DOCUMENT, STATEMENT):
        with urllib.request.urlopen(f"{house.url}/settlement/batches/{batch.id}/{name}", timeout=10) as answer:
            (bundle / name).write_bytes(answer.read())
    replayed, said = verify_bundle(bundle)
    assert replayed.end.root == batch.root and len(said.signatures) == 3

    builder, earned = stage.world.builder, stage.world.owed[stage.world.builder]
    with urllib.request.urlopen(f"{house.url}/settlement/claims/{builder}", timeout=10) as answer:
        claim = json.loads(answer.read())
    assert claim["claimable"] == str(earned)
    stage.suite.anvil.send(claim["to"], claim["data"], sender=ACCOUNTS[2])
    stage.suite.anvil.mine()
    assert stage.suite.read("OpenToken", "balanceOf", builder) == earned
    stage.require_settled(batch)


def test_workers__when_all_goes_wrong_at_once__then_money_arrives_once_and_to_the_wei(
    house: House, private_redis: Redis
) -> None:
    """Two daemons on one store, tasks doubled and in any order, workers and Redis killed."""
    stage, chance = house.stage, random.Random(20_261)
    environment = house.operator()
    settings = Settings(home=house.home)
    for name in ("first", "second"):
        house.start(name, environment, "worker", "--name", name, "--queues", "settle")
    house.start("beat", environment, "beat")
    app = jobs.app(settings)

    def attest() -> None:
        batch = stage.current()
        if batch is not None and batch.state == State.PUBLISHED:
            with suppress(Retry, NeedsPerson):
                for one in ATTESTORS:
                    accept(stage.database, stage.onchain, batch, stage.opinion(batch, one).signature)

    def flood() -> None:
        """Hints that nobody needs."""
        names = ["settle.advance", "settle.send", "settle.advance", "settle.index", "settle.send"] * 4
        chance.shuffle(names)
        with suppress(Exception), app.connection_for_write() as connection:  # Redis may be away
            for name in names:
                app.send_task(name, queue="settle", connection=connection, retry=False)

    def worker_of(name: str) -> int | None:
        watchers = [process.pid for process in house._running if process.name == name]
        found = children(watchers[0])
        return found[0] if found else None

    def kill(name: str) -> None:
        """What a killed worker held runs out at once, so that nobody has to wait for it."""
        if (pid := worker_of(name)) is not None:
            os.kill(pid, signal.SIGKILL)
            with stage.database.transaction() as connection:
                connection.execute(update(LOOPS).values(lease_until=0))

    blows = [lambda: kill("first"), lambda: again(private_redis), lambda: kill("second"), flood]
    struck = 0

    def strike(look: Callable[[], Batch | None]) -> Callable[[], Batch | None]:
        def turn() -> Batch | None:
            nonlocal struck
            attest()
            if chance.random() < 0.15 and struck < 5:
                struck += 1
                blows[struck % len(blows)]()
            return look()

        return turn

    stage.serve()
    flood()
    until(stage, "the first epoch", strike(active(stage, 1)))
    stage.serve(5)
    batch = until(stage, "the second epoch", strike(active(stage, 2)))
    assert struck >= 4
    stage.require_settled(batch)


def again(server: Redis) -> None:
    server.kill()
    server.start()


def test_attest__when_the_operators_terms_name_a_thief__then_objects_and_nothing_is_posted(house: House) -> None:
    """The split is that of the registry, the signatures are good, every sum is right: only the builder is not."""
    stage = house.stage
    thief = Address(ACCOUNTS[3])
    stage.serve_under_true_terms()
    lie = stage.world.terms.__class__(**{**vars(stage.world.terms), "builder": thief})
    stage.world.serve_under(lie, stage.world.served_from)
    stage.serve()
    settler = stage.settler()
    batch = stage.until(settler, State.PUBLISHED, attesting=False)
    for _ in range(3):
        stage.step(settler, attesting=False)
    known = stage.registries()
    for one in ATTESTORS[:2]:
        said = stage.opinion(batch, one, registries=known)
        assert said.kind == "terms" and thief in (said.objection or "") and stage.world.builder in said.objection
        accept(stage.database, stage.onchain, batch, said.signature, said.objection)
    assert "stopped" in (settler.advance() or "")
    assert stage.suite.read("RewardDistributor", "state")[2] == 0
