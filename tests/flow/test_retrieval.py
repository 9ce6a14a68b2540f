"""From documents in a datanet to passages in a prompt, on both databases."""

from __future__ import annotations

from pathlib import Path

import pytest
from datanets_world import CONTRIBUTOR, COPIER, DATANET, World
from retrieval_world import BALLAST, DOCUMENTS, MOORING, PILOT, Library, texts

from oracle.datanets.policy import Policy
from oracle.retrieval.errors import DamagedIndex, NotIndexed
from oracle.store import rows
from oracle.store.database import Database
from oracle.types import Address


@pytest.fixture
def library(database: Database, tmp_path: Path) -> Library:
    return Library(World(database, tmp_path).create())


@pytest.fixture
def private(database: Database, tmp_path: Path) -> Library:
    return Library(World(database, tmp_path, policy=Policy(private=True)).create())


@pytest.fixture(params=["public", "private"])
def any_library(request: pytest.FixtureRequest, database: Database, tmp_path: Path) -> Library:
    return Library(World(database, tmp_path, policy=Policy(private=request.param == "private")).create())


def test_question__to_a_datanet__then_its_best_passages_stand_in_the_prompt_with_their_owner(library: Library) -> None:
    library.add(*DOCUMENTS, who=CONTRIBUTOR)
    library.shelve("first")
    found = library.ask("Who pays the pilot?")
    assert found.passages[0].text == PILOT
    assert found.passages[0].owner == Address(CONTRIBUTOR.address)
    assert found.passages[0].licence == "CC-BY-4.0"
    assert f"[1] {PILOT}" in found.prompt_block


def test_question__with_a_small_budget__then_what_was_looked_at_and_left_out_is_told(library: Library) -> None:
    library.add(*DOCUMENTS)
    library.shelve("first")
    everything = library.ask("the vessel, the pilot and the ballast")
    budget = len(everything.prompt_block) - 1
    found = library.ask("the vessel, the pilot and the ballast", budget)
    assert (len(found.passages), len(found.considered)) == (2, 1)
    assert set(texts(found.passages + found.considered)) == set(DOCUMENTS)


def test_question__before_an_index_was_made__then_it_is_told_what_to_wait_for(library: Library) -> None:
    library.add(*DOCUMENTS)
    with pytest.raises(NotIndexed, match="openledger retrieval build 1"):
        library.ask("pilot")


def test_question__about_a_licence_that_is_not_allowed__then_nothing_is_looked_up(library: Library) -> None:
    library.add(*DOCUMENTS)
    library.shelve("first")
    allowed = library.reader.find("pilot", [DATANET], 4000, len, frozenset({"CC-BY-4.0"}))
    refused = library.reader.find("pilot", [DATANET], 4000, len, frozenset({"CC0-1.0"}))
    assert (len(allowed.passages), refused.passages, refused.considered) == (1, (), ())


def test_index__of_a_second_snapshot__then_only_what_is_new_is_made(library: Library) -> None:
    library.add(*DOCUMENTS[:2])
    library.shelve("first")
    (before,) = library.stored()
    written = before.stat().st_ino
    library.add(BALLAST)
    library.shelve("second")
    assert len(library.stored()) == 2
    assert before.stat().st_ino == written
    assert texts(library.ask("ballast water").passages) == [BALLAST]


def test_index__of_the_same_snapshot__then_nothing_is_due(library: Library) -> None:
    library.add(*DOCUMENTS)
    library.settle()
    library.snapshot("first")
    assert library.builder.is_due(DATANET)
    assert library.builder.build(DATANET) == 0
    assert not library.builder.is_due(DATANET)


def test_index__that_is_made_in_pieces__then_what_is_made_is_found_and_the_rest_stays_due(library: Library) -> None:
    library.add(PILOT)
    library.add(MOORING)
    library.settle()
    library.snapshot("first")
    assert library.builder.build(DATANET, most=1) == 1
    assert texts(library.ask("pilot, vessel").passages) == [PILOT]
    assert library.builder.is_due(DATANET)
    assert library.builder.build(DATANET, most=1) == 0
    assert not library.builder.is_due(DATANET)
    assert set(texts(library.ask("pilot, vessel").passages)) == {PILOT, MOORING}


def test_erasure__between_index_and_question__then_the_document_is_not_found(any_library: Library) -> None:
    library = any_library
    gone, stays = library.add(PILOT), library.add(MOORING)
    library.shelve("first")
    assert texts(library.ask("pilot").passages) == [PILOT]
    library.erase(gone)  # asked for, and not even carried out
    found = library.ask("the pilot and the vessel")
    assert (texts(found.passages), found.considered) == ([MOORING], ())
    library.world.run()
    assert library.builder.is_due(DATANET)
    library.builder.build(DATANET)
    assert len(library.stored()) == 1
    assert texts(library.ask("the pilot and the vessel").passages) == [MOORING]
    assert library.world.contribution(stays).state == "included"


def test_erasure__of_one_row__then_its_neighbours_are_still_found(any_library: Library) -> None:
    library = any_library
    key = library.add(*DOCUMENTS)
    library.shelve("first")
    (pilot,) = (p.row for p in library.ask("charterer").passages)
    library.erase(key, pilot)
    assert set(texts(library.ask("vessel pilot ballast").passages)) == {MOORING, BALLAST}
    library.world.run()
    library.builder.build(DATANET)
    assert set(texts(library.ask("vessel pilot ballast").passages)) == {MOORING, BALLAST}
    assert b"charterer" not in library.everything_stored()


def test_rejection__of_an_indexed_row__then_it_is_not_found(library: Library) -> None:
    key = library.add(*DOCUMENTS)
    library.shelve("first")
    place = next(p.place for p in library.ask("charterer").passages)
    with library.world.database.transaction() as connection:
        chunk = rows.chunk(connection, key, 0)
        verdicts = bytearray(chunk.verdicts)
        verdicts[place] = 2
        rows.put_verdicts(connection, rows.Chunk(key, 0, 0, chunk.hashes, bytes(verdicts), chunk.codes))
    assert PILOT not in texts(library.ask("charterer pilot").passages)


def test_copy__of_an_accepted_document__then_one_speaks_and_its_first_owner_has_the_credit(
    database: Database, tmp_path: Path
) -> None:
    library = Library(World(database, tmp_path, policy=Policy(near="hold")).create())
    library.add(BALLAST, who=CONTRIBUTOR)
    library.settle()
    library.add(BALLAST.replace("exchanged at", "exchanged  at").replace("nearest", "closest"), who=COPIER)
    library.shelve("first")
    found = library.ask("ballast water exchanged")
    assert len(found.passages) + len(found.considered) == 1
    assert found.passages[0].owner == Address(CONTRIBUTOR.address)


def test_index__of_private_documents__then_their_words_lie_nowhere_in_clear(private: Library) -> None:
    private.add(*DOCUMENTS)
    private.shelve("first")
    assert texts(private.ask("charterer").passages) == [PILOT]
    assert private.stored()
    assert not any(word in private.everything_stored() for word in (b"pilot", b"vessel", b"Ballast"))


def test_index__with_a_damaged_segment__then_it_is_told_which_and_made_anew(library: Library) -> None:
    library.add(*DOCUMENTS)
    library.shelve("first")
    (file,) = library.stored()
    file.write_bytes(file.read_bytes().replace(b"pilot", b"pirate"))
    with pytest.raises(DamagedIndex, match=file.name):
        library.ask("pirate")
    file.unlink()
    library.builder.build(DATANET)
    assert texts(library.ask("pilot").passages) == [PILOT]


def test_index__whose_builder_is_killed__then_the_next_one_goes_on(library: Library) -> None:
    class Killed(BaseException):
        pass

    class Deadly:
        name = "deadly"

        def encode(self, texts: object) -> None:
            raise Killed

    library.add(*DOCUMENTS)
    library.settle()
    library.snapshot("first")
    builder = library.builder
    with pytest.raises(Killed):
        type(builder)(builder.database, builder.stores, builder.segments, Deadly()).build(DATANET)  # type: ignore[arg-type]
    assert builder.is_due(DATANET)
    builder.build(DATANET)
    assert texts(library.ask("pilot").passages) == [PILOT]
