"""Whatever happens to documents, in any order: what was erased or rejected is never found again, the rest is.

Documents come, are accepted or rejected, pass into snapshots, are indexed in pieces, are erased whole or row by row, by
request alone or carried out; the reader that answers lives through all of it.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from datanets_world import CONTRIBUTOR, DATANET, OPERATOR, World
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from retrieval_world import Library, texts

from oracle.datanets.canonical import row_hash
from oracle.datanets.policy import Policy
from oracle.store import snapshots
from oracle.store.database import Database
from oracle.types import Hash32, RowHash

ADJECTIVES = ("amber", "brisk", "calm", "dusty", "eager", "faint", "gaunt", "humid", "ivory", "jolly", "keen", "lunar")
NOUNS = ("anchor", "buoy", "crane", "dock", "engine", "ferry", "gale", "hull", "island", "jetty", "keel", "lantern")


def document(number: int, rejected: bool) -> str:
    """Each has words of its own; those with an address are held for the reviewer, who rejects them."""
    one, two = ADJECTIVES[number % 12], NOUNS[number // 12 % 12]
    mail = f" Write to {one}.{two}@gmail.com about it." if rejected else ""
    return f"Rule {number} of the {one} {two}: every {two} that is {one} is reported to office {number * 7919}.{mail}"


class Retrieval(RuleBasedStateMachine):
    @initialize(private=st.booleans())
    def begin(self, private: bool) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="retrieval"))
        database = Database(f"sqlite:///{self.folder}/ledger.db")
        self.library = Library(World(database, self.folder, policy=Policy(private=private)).create())
        self.number = 0
        self.alive: dict[str, tuple[Hash32, RowHash]] = {}  # accepted, and not asked to be erased
        self.never: set[str] = set()
        self.indexed: set[str] = set()  # alive when the last complete index was made

    @rule(kinds=st.lists(st.booleans(), min_size=1, max_size=4), mine=st.booleans())
    def contribute(self, kinds: list[bool], mine: bool) -> None:
        """True stands for a row that will be rejected."""
        written = [document(self.number + at, rejected) for at, rejected in enumerate(kinds)]
        self.number += len(kinds)
        key = self.library.add(*written, who=OPERATOR if mine else CONTRIBUTOR)
        self.library.world.review(lambda reason: False)
        self.library.settle()
        for text, rejected in zip(written, kinds):
            if rejected:
                self.never.add(text)
            else:
                self.alive[text] = key, row_hash(json.dumps({"text": text}, separators=(",", ":")).encode())

    @precondition(lambda self: self.alive)
    @rule(most=st.sampled_from([None, None, 1]))
    def index(self, most: int | None) -> None:
        self.library.snapshot(f"version {self.number}.{len(self.alive)}.{len(self.never)}")
        if self.library.builder.build(DATANET, most) == 0:
            with self.library.world.database.reading() as connection:
                made = snapshots.get_snapshot(connection, DATANET)
                held = set(snapshots.contents(connection, made.id))
            self.indexed = {text for text, (key, _) in self.alive.items() if key in held}

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), whole=st.booleans())
    def ask_to_erase(self, data: st.DataObject, whole: bool) -> None:
        key, row = self.alive[data.draw(st.sampled_from(sorted(self.alive)))]
        self.library.erase(key, *([] if whole else [row]))
        gone = {text for text, (of, hash_) in self.alive.items() if of == key and (whole or hash_ == row)}
        for text in gone:
            del self.alive[text]
        self.never |= gone
        self.indexed -= gone

    @rule()
    def carry_out(self) -> None:
        self.library.world.run()

    @invariant()
    def what_is_gone_is_not_found_and_what_stays_is(self) -> None:
        if not hasattr(self, "library") or not (self.library.folder / str(DATANET) / "contents.json").exists():
            return
        for asked in (*sorted(self.never)[-3:], *sorted(self.indexed)[-3:]):
            found = self.library.ask(asked)
            told = texts(found.passages + found.considered)
            assert not set(told) & self.never
            assert set(told) <= self.alive.keys()
            if asked in self.indexed:
                assert told[0] == asked

    @invariant()
    def what_was_never_accepted_lies_in_no_index(self) -> None:
        rejected = [text for text in getattr(self, "never", ()) if "@" in text]
        stored = self.library.everything_stored() if rejected else b""
        assert not any(text.encode() in stored for text in rejected)

    def teardown(self) -> None:
        if hasattr(self, "library"):
            self.library.world.database.close()
            shutil.rmtree(self.folder, ignore_errors=True)


TestRetrieval = Retrieval.TestCase
TestRetrieval.settings = settings(
    max_examples=30, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
