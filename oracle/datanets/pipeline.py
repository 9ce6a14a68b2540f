"""Every step that a contribution can take, one method each: load, take it, save. Each may be killed anywhere and
called again.

What `due` lists is work for a queue; `run` does all of it here and now.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Connection

from oracle.datanets import announcing, checking, collecting, deciding, publishing
from oracle.datanets.announcing import Plan
from oracle.datanets.erasing import erase_requested
from oracle.datanets.founding import Indexes
from oracle.datanets.policy import Policy, read_policy
from oracle.datanets.stores import Stores
from oracle.errors import Retry
from oracle.store import contributions, datanets
from oracle.store.contributions import Contribution
from oracle.store.database import Database
from oracle.telemetry import about
from oracle.types import Address, ChainId, DatanetId, Hash32

log = logging.getLogger(__name__)

Step = tuple[str, str]  # what to do, and with what


@dataclass
class Pipeline:
    database: Database
    stores: Stores
    chain: ChainId
    registry: Address
    plan: Plan
    sender: Address | None  # the oracle's own wallet; None: nothing is sent
    clock: Callable[[], int]
    indexes: Indexes = field(default_factory=Indexes)

    # Steps

    def intake(self, key: Hash32) -> None:
        """received → parsed → published → announced, as far as it goes without the contributor."""
        given = self._get(key)
        if given.state == "received":
            publishing.parse(self.database, self.stores, given, self.policy(given.datanet))
            given = self._get(key)
        if given.state == "parsed":
            publishing.publish(self.database, self.stores, given)
            given = self._get(key)
        if given.state == "published" and given.signature is None and given.contributor == self.sender:
            with self.database.transaction() as connection:
                if contributions.is_still(connection, given):
                    announcing.announce(connection, given, self.plan)
        if given.state == "refused" or given.state in ("published", "announced"):
            publishing.clear(self.database, self.stores, given)

    def relay(self, datanet: DatanetId) -> None:
        """Signed contributions go on chain together."""
        if self.sender is None:
            return
        with self.database.transaction() as connection:
            announcing.relay(connection, datanet, self.clock(), self.plan)

    def collect(self, key: Hash32) -> None:
        """seen → on_chain or mismatched."""
        given = self._get(key)
        if given.state == "seen":
            collecting.collect(self.database, self.stores, given)

    def check(self, datanet: DatanetId) -> None:
        """on_chain → checking → checked, for all of a datanet, in order."""
        policy = self.policy(datanet)
        while (given := checking.begin(self.database, datanet)) is not None:
            with self._about(given.key):
                checking.check(self.database, self.stores, self.indexes, given, policy)

    def decide(self, datanet: DatanetId) -> None:
        """checked → decided → settled, for all of a datanet, in order: rows may wait for those of earlier
        contributions."""
        policy = self.policy(datanet)
        with self.database.reading() as connection:
            checked = contributions.in_state(connection, "checked", datanet=datanet)
        for given in sorted(checked, key=lambda each: each.rank or 0):
            with self._about(given.key):
                deciding.decide(self.database, self.stores, given, policy)
        settled = []
        with self.database.transaction() as connection:
            for given in contributions.in_state(connection, "decided", datanet=datanet):
                if deciding.settle(connection, given):
                    settled.append(given.key)
                elif self.sender is not None and given.recorded is None:
                    deciding.record(connection, given, policy, self.chain, self.registry, self.plan)

        for key in settled:
            log.info("decided → settled", extra={"contribution": key})

    def erase(self) -> None:
        erase_requested(self.database, self.stores)

    # What there is to do

    def due(self) -> list[Step]:
        with self.database.reading() as connection:
            return list(self._due(connection))

    def take(self, step: Step) -> None:
        name, subject = step
        if name in ("intake", "collect"):
            key = Hash32(bytes.fromhex(subject))
            with self._about(key):
                getattr(self, name)(key)
        elif name == "erase":
            self.erase()
        else:
            getattr(self, name)(DatanetId(int(subject)))

    def run(self) -> None:
        """Until nothing changes any more. What has to be tried again later stands in nobody's way."""
        before: list[Step] = []
        while (now := self.due()) != before:
            for step in now:
                try:
                    self.take(step)
                except Retry as error:
                    log.warning("%s %s: %s", *step, error)
            before = now

    def policy(self, datanet: DatanetId) -> Policy:
        with self.database.reading() as connection:
            hash_ = datanets.get_datanet(connection, datanet).policy
            content = datanets.policy_content(connection, hash_)
        if content is None:
            content = self.stores.policy(hash_).as_json()
            with self.database.transaction() as connection:
                datanets.put_policy(connection, hash_, content)
        return read_policy(content)

    def _due(self, connection: Connection) -> Iterator[Step]:
        for given in contributions.in_state(connection, "received", "parsed", "published"):
            if given.state != "published" or (given.signature is None and given.contributor == self.sender):
                yield "intake", given.key.hex()
        signed = [each for each in contributions.in_state(connection, "published") if each.signature is not None]
        for number in sorted({each.datanet for each in signed}):
            yield "relay", str(number)
        for given in contributions.in_state(connection, "seen"):
            yield "collect", given.key.hex()
        for state, step in (("on_chain", "check"), ("checking", "check"), ("checked", "decide"), ("decided", "decide")):
            for number in sorted({each.datanet for each in contributions.in_state(connection, state)}):
                yield step, str(number)
        yield "erase", ""

    @contextmanager
    def _about(self, key: Hash32) -> Iterator[None]:
        """Lines of the log name the contribution, and one says what became of it."""
        before = self._get(key).state
        with about(contribution=key):
            yield
            after = self._get(key).state
            if after != before:
                log.info("%s → %s", before, after)

    def _get(self, key: Hash32) -> Contribution:
        with self.database.reading() as connection:
            return contributions.get(connection, key)
