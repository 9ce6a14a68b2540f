"""kill −9, by the kernel, at every edge of settlement and of the sender below it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select
from unit.settlement.stage import ATTESTORS, Stage

from fixtures.settling import House, deaths, live
from fixtures.suite import Suite
from oracle.errors import NeedsPerson, Retry
from oracle.settlement.opinions import accept
from oracle.store.batches import State
from oracle.store.database import Database
from oracle.store.intents import INTENTS

WHAT = ("open", "close", "publish", "settle", "attest", "post", "posted", "activate", "refill", "veto", "reopen")
EDGES = {f"{when} {what}" for what in WHAT for when in ("before", "in", "after")}


@pytest.fixture
def stage(suite: Suite, tmp_path: Path) -> Stage:
    return Stage(suite, Database(f"sqlite:///{tmp_path}/ledger.db"), tmp_path)


def test_settle__when_killed_by_the_kernel_at_every_edge__then_nothing_is_lost_or_paid_twice(
    stage: Stage, tmp_path: Path
) -> None:
    stage.sender.close()
    house = House(
        stage.suite.anvil.url,
        stage.suite.deployments,
        f"sqlite:///{tmp_path}/ledger.db",
        str(tmp_path / "blobs"),
        stage.world.operator.address,
        tmp_path / "died",
    )
    stage.serve()
    vetoed, killed = False, 0
    for life in range(1, 150):
        killed += live(house, stage.database, life) != 0
        _attest(stage)
        stage.suite.anvil.mine(3)
        current = stage.current()
        if current is not None and current.state == State.POSTED:
            if vetoed:
                stage.wait(700)
            else:
                stage.send("RewardDistributor", "veto", current.root)
                stage.suite.anvil.mine(3)
                vetoed = True
        if set(deaths(house)) >= EDGES:
            break
    assert set(deaths(house)) >= EDGES, f"never came to {sorted(EDGES - set(deaths(house)))}"
    assert killed == len(deaths(house)) > len(EDGES)  # those of the sender beside them
    for life in range(200, 212):
        live(house, stage.database, life)
        stage.suite.anvil.mine(3)
    stage.require_settled(stage.active())
    with stage.database.reading() as connection:
        done = [row.purpose for row in connection.execute(select(INTENTS.c.purpose).where(INTENTS.c.state == "final"))]
    assert sorted(done) == ["posts a root", "posts a root", "refills", "settles vouchers"]
    stage.database.close()


def _attest(stage: Stage) -> None:
    batch = stage.current()
    if batch is None or batch.state != State.PUBLISHED:
        return
    try:
        for one in ATTESTORS:
            accept(stage.database, stage.onchain, batch, stage.opinion(batch, one).signature)
    except (Retry, NeedsPerson):
        return
