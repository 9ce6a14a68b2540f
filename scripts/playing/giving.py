"""From people's files to a snapshot on chain: checks, a review, and what came of the copycat and the spammer."""

from __future__ import annotations

import time
from collections import Counter
from io import BytesIO

from oracle.datanets import announcing, deciding, intake, publishing, snapshotting
from oracle.datanets.calls import CONTRACT, Call
from oracle.datanets.kinds import Kind
from oracle.datanets.policy import Policy
from oracle.datanets.verdicts import CODES, Verdict
from oracle.store import contributions, datanets, rows, snapshots
from oracle.store.contributions import Contribution
from oracle.types import DatanetId, Hash32, Timestamp
from playing import rows as told
from playing.people import ANNA, BEN, CLEO, COPYCAT, REVIEWER, SPAMMER, STEWARD, Person
from playing.rows import Fact
from playing.stage import OPEN, Stage
from playing.telling import Teller, until

DATANET = DatanetId(1)
# So few rows are all trained on; the steward's own questions are the examination.
POLICY = Policy(held_out=0, validation=0, boilerplate="accept", languages=("en",), language_unsure="accept")
_SEEN = ("seen", "on_chain", "checking", "checked", "decided", "settled", "included")
_HOURS = 7 * 24 * 3600


class Giving:
    """Everybody's contribution, by name. The operator's daemon does the work; here are the people."""

    def __init__(self, stage: Stage, teller: Teller) -> None:
        self._stage, self._tell = stage, teller
        self.keys: dict[str, Hash32] = {}

    def found(self) -> None:
        """The steward publishes rules and founds a datanet with her own bond."""
        stage, bond = self._stage, 1_000 * OPEN
        stage.ground(STEWARD).stores.published.put(POLICY.as_json())
        stage.pay(STEWARD, bond)
        registry = stage.address(CONTRACT)
        stage.send(STEWARD, "OpenToken", "approve", registry, bond)
        stage.send(
            STEWARD, CONTRACT, "createDatanet", POLICY.hash, "Lost places", "CC-BY-4.0", "qa", [REVIEWER.address], 1,
            bond,
        )  # fmt: skip
        until("the daemon has heard of the datanet", self._is_known, 60)
        self._tell.step("the steward founds the datanet “Lost places” with a bond of 1,000 OPEN; its rules are public")

    def give(self, facts: list[Fact]) -> None:
        for person, given in (
            (ANNA, told.of(ANNA, facts)),
            (BEN, told.with_address(facts)),
            (CLEO, told.of(CLEO, facts)),
        ):
            self._upload(person, given)
        self._upload(STEWARD, told.items(facts), Kind.EVALUATION_ITEM)
        for person in (ANNA, BEN, CLEO, STEWARD):
            self._sign(person)
        until("they stand on chain", lambda: self._all(_SEEN, ANNA, BEN, CLEO, STEWARD))
        self._tell.step("anna, ben and cleo give 8 facts each in two wordings, the steward questions to examine with;")
        self._tell.step(
            "each signs in the wallet, and the operator relays all of it in one transaction: no gas of theirs"
        )

    def cheat(self, facts: list[Fact]) -> None:
        self._upload(COPYCAT, told.copied(facts))
        self._upload(SPAMMER, told.spam())
        self._sign(COPYCAT)
        until("the spammer's file is read", lambda: self._all(("refused",), SPAMMER))
        self._tell.step("the copycat hands in anna's rows in other capitals; the spammer sends words without sense")

    def review(self) -> None:
        everybody = (ANNA, BEN, CLEO, STEWARD, COPYCAT)
        until("all rows are checked", lambda: self._all(("checked", "decided", "settled"), *everybody))
        ground = self._stage.ground(REVIEWER)
        for person in everybody:
            given = self.contribution(person)
            with ground.database.reading() as connection:
                held = rows.reasons(connection, given.key, Verdict.HELD)
            for each in (row for row in held if row.code != "waits_for_earlier"):
                with ground.database.transaction() as connection:
                    deciding.review(
                        connection, given, POLICY, each.row, False, "names a person's address", REVIEWER.address,
                        Timestamp(int(time.time())),
                    )  # fmt: skip
                self._tell.step(f"the reviewer rejects a row of {person.name}: {each.code.replace('_', ' ')}")
        until("every row is decided", lambda: self._all(("decided", "settled"), *everybody))
        registry, chain = ground.book[CONTRACT], ground.rpc.chain
        with ground.database.transaction() as connection:
            for person in everybody:
                given = contributions.get(connection, self.keys[person.name])
                digest = deciding.outcome_of(given).digest(DATANET, chain, registry)
                deciding.sign_outcome(connection, given, REVIEWER.wallet.sign(digest), chain, registry)
        until("the outcomes stand on chain", lambda: self._all(("settled",), *everybody))
        for person in everybody:
            given = self.contribution(person)
            self._tell.step(f"{person.name}: {given.accepted_count} of {given.count} rows accepted")

    def snapshot(self) -> int:
        """The steward puts its root on chain. Returns its number."""
        ground = self._stage.ground(STEWARD)
        made = snapshotting.build(ground.database, ground.stores, DATANET, "first", POLICY)
        calls: list[Call] = []
        with ground.database.transaction() as connection:
            snapshotting.announce(connection, made, lambda _, call: calls.append(call))
        self._stage.transact(STEWARD.secret, ground.book[CONTRACT], "0x" + calls[0].data.hex())

        def published() -> bool:
            with ground.database.reading() as connection:
                return snapshots.get_snapshot(connection, DATANET, made.number).state == "published"

        until("the snapshot is final", published, 60)
        self._tell.step(f"snapshot {made.number}: {made.count} rows, root 0x{made.root.hex()[:16]}… on chain")
        return made.number

    def why_nothing(self, person: Person) -> str:
        """In the words that the contributor reads."""
        given = self.contribution(person)
        if given.state == "refused":
            read = intake.read(BytesIO(told.as_file(told.spam())), given.file or "", Kind.TRAINING_ROW)
            tally = publishing.preview(read, POLICY, Kind.TRAINING_ROW)
            return f"{given.reason}: {'; '.join(sorted({sentence for _, _, sentence in tally.lines}))}"
        ground = self._stage.ground(person)
        with ground.database.reading() as connection:
            counted = Counter(
                code
                for chunk in rows.chunks(connection, given.key)
                for code, verdict in zip(chunk.codes, chunk.verdicts)
                if verdict != Verdict.ACCEPTED
            )
        named = ", ".join(f"{count} × {CODES[code][0].replace('_', ' ')}" for code, count in counted.most_common())
        return f"{given.accepted_count} of {given.count} rows accepted: {named}"

    def contribution(self, person: Person) -> Contribution:
        ground = self._stage.ground(person)
        with ground.database.reading() as connection:
            return contributions.get(connection, self.keys[person.name])

    def _upload(self, person: Person, given: list[dict[str, object]], kind: Kind = Kind.TRAINING_ROW) -> None:
        ground = self._stage.ground(person)
        self.keys[person.name] = publishing.receive(
            ground.database, ground.stores, iter([told.as_file(given)]), contributor=person.address, datanet=DATANET,
            kind=kind, private=False, file=f"{person.name}.jsonl", licence="CC-BY-4.0",
        )  # fmt: skip

    def _sign(self, person: Person) -> None:
        """As the wallet does with what the page shows it."""
        until(f"the rows of {person.name} are published", lambda: self._all(("published",), person))
        ground, given = self._stage.ground(person), self.contribution(person)
        registry, chain = ground.book[CONTRACT], ground.rpc.chain
        deadline = int(time.time()) + _HOURS
        signature = person.wallet.sign(publishing.terms_of(given).digest(deadline, chain, registry))
        with ground.database.transaction() as connection:
            announcing.sign(connection, given.key, deadline, signature, chain, registry)

    def _all(self, states: tuple[str, ...], *people: Person) -> bool:
        self._stage.watch()
        return all(self.contribution(person).state in states for person in people)

    def _is_known(self) -> bool:
        self._stage.watch()
        with self._stage.ground(STEWARD).database.reading() as connection:
            return bool(datanets.all_datanets(connection))
