"""From people's files to a snapshot on chain: checks, a review, and what came of the copycat and the spammer."""

from __future__ import annotations

import time
from collections import Counter
from io import BytesIO

from oracle.daemon.ground import Ground
from oracle.datanets import announcing, deciding, intake, publishing, snapshotting
from oracle.datanets.calls import CONTRACT, Call
from oracle.datanets.kinds import Kind
from oracle.datanets.policy import Policy
from oracle.datanets.verdicts import CODES, Verdict
from oracle.store import contributions, datanets, rows, snapshots
from oracle.store.contributions import Contribution
from oracle.store.snapshots import Snapshot
from oracle.types import DatanetId, Hash32, Timestamp
from playing import rows as told
from playing.people import ANNA, BEN, CLEO, COPYCAT, DORA, REVIEWER, SPAMMER, STEWARD, Person
from playing.rows import Fact
from playing.stage import OPEN, Stage
from playing.telling import Teller, until

FACTS, GAZETTEER = DatanetId(1), DatanetId(2)
_NAMES = {FACTS: ("Lost places", "qa"), GAZETTEER: ("Gazetteer of lost places", "documents")}
_GIVERS = (ANNA, BEN, CLEO, DORA, STEWARD)
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
        """The steward publishes rules and founds two datanets with her own bonds."""
        stage, bond = self._stage, 1_000 * OPEN
        stage.ground(STEWARD).stores.published.put(POLICY.as_json())
        stage.pay(STEWARD, len(_NAMES) * bond)
        registry = stage.address(CONTRACT)
        stage.send(STEWARD, "OpenToken", "approve", registry, len(_NAMES) * bond)
        for name, datatype in _NAMES.values():
            stage.send(
                STEWARD, CONTRACT, "createDatanet", POLICY.hash, name, "CC-BY-4.0", datatype, [REVIEWER.address], 1,
                bond,
            )  # fmt: skip
        until("the daemon has heard of the datanets", self._are_known, 60)
        self._tell.step("the steward founds “Lost places” (to train on) and a gazetteer (to look up): public rules,")
        self._tell.step("and a bond of 1,000 OPEN each")

    def give(self, facts: list[Fact]) -> None:
        for person, given in (
            (ANNA, told.of(ANNA, facts)),
            (BEN, told.with_address(facts)),
            (CLEO, told.of(CLEO, facts)),
        ):
            self._upload(person, given)
        self._upload(DORA, [entry.document for entry in told.GAZETTEER], Kind.DOCUMENT, GAZETTEER)
        self._upload(STEWARD, told.items(facts), Kind.EVALUATION_ITEM)
        for person in _GIVERS:
            self._sign(person)
        until("they stand on chain", lambda: self._all(_SEEN, *_GIVERS))
        self._tell.step("anna, ben and cleo give 8 facts each in two wordings, dora 4 pages of the gazetteer, the")
        self._tell.step("steward questions to examine with; each signs in the wallet, and the operator relays all of")
        self._tell.step("it in one transaction: no gas of theirs")

    def cheat(self, facts: list[Fact]) -> None:
        self._upload(COPYCAT, told.copied(facts))
        self._upload(SPAMMER, told.spam())
        self._sign(COPYCAT)
        until("the spammer's file is read", lambda: self._all(("refused",), SPAMMER))
        self._tell.step("the copycat hands in anna's rows in other capitals; the spammer sends words without sense")

    def review(self) -> None:
        everybody = (*_GIVERS, COPYCAT)
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
                digest = deciding.outcome_of(given).digest(given.datanet, chain, registry)
                deciding.sign_outcome(connection, given, REVIEWER.wallet.sign(digest), chain, registry)
        until("the outcomes stand on chain", lambda: self._all(("settled",), *everybody))
        for person in everybody:
            given = self.contribution(person)
            self._tell.step(f"{person.name}: {given.accepted_count} of {given.count} rows accepted")

    def snapshots(self) -> int:
        """The steward puts a root of each datanet on chain. Returns the number of the one to train on."""
        ground = self._stage.ground(STEWARD)
        made = {datanet: self._snapshot(ground, datanet) for datanet in _NAMES}

        def published() -> bool:
            with ground.database.reading() as connection:
                return all(
                    snapshots.get_snapshot(connection, datanet, each.number).state == "published"
                    for datanet, each in made.items()
                )

        until("the snapshots are final", published, 60)
        for datanet, each in made.items():
            rows_of = f"{each.count} rows, root 0x{each.root.hex()[:16]}… on chain"
            self._tell.step(f"snapshot {each.number} of “{_NAMES[datanet][0]}”: {rows_of}")
        return made[FACTS].number

    def _snapshot(self, ground: Ground, datanet: DatanetId) -> Snapshot:
        made = snapshotting.build(ground.database, ground.stores, datanet, "first", POLICY)
        calls: list[Call] = []
        with ground.database.transaction() as connection:
            snapshotting.announce(connection, made, lambda _, call: calls.append(call))
        self._stage.transact(STEWARD.secret, ground.book[CONTRACT], "0x" + calls[0].data.hex())
        return made

    def why_nothing(self, person: Person) -> str:
        """In the words that the contributor reads."""
        given = self.contribution(person)
        if given.state == "refused":
            read = intake.read(BytesIO(told.as_file(told.spam())), given.file or "", Kind.TRAINING_ROW)
            tally = publishing.preview(read, POLICY, Kind.TRAINING_ROW)
            return f"{given.reason}: {'; '.join(sorted({line.sentence for line in tally.lines}))}"
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

    def _upload(
        self, person: Person, given: list[dict[str, object]], kind: Kind = Kind.TRAINING_ROW, datanet: DatanetId = FACTS
    ) -> None:
        ground = self._stage.ground(person)
        self.keys[person.name] = publishing.receive(
            ground.database, ground.stores, iter([told.as_file(given)]), contributor=person.address, datanet=datanet,
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

    def _are_known(self) -> bool:
        self._stage.watch()
        with self._stage.ground(STEWARD).database.reading() as connection:
            return len(datanets.all_datanets(connection)) == len(_NAMES)
