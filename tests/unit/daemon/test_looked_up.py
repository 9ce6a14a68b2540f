"""An answer with passages in its prompt, by an attestor's own means: signed where it is true, and each lie is named."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from unit.settlement.publishing import new_world
from unit.settlement.world import account, text

from fixtures.attribution import FACTS
from fixtures.looked_up import Documents, train
from oracle.attribution.answering import Answer, Attributable, Placed, load
from oracle.attribution.records import Query
from oracle.attribution.result import Passage as Given
from oracle.daemon.attributing import as_weights
from oracle.daemon.looked_up import Named, OnChain
from oracle.daemon.recomputing import recomputer_of
from oracle.daemon.texts import Words
from oracle.datanets.merkle import RowTree
from oracle.retrieval.prompting import block
from oracle.retrieval.records import Passage
from oracle.settlement.differing import Difference
from oracle.settlement.document import hexed
from oracle.settlement.hashing import keccak
from oracle.settlement.recomputing import Unable, recomputed
from oracle.store.paid import Attribution, Receipt
from oracle.types import Address, ContributionId, DatanetId, Hash32

ADA, BO, THIEF = account(1), account(2), account(666)
SALT = bytes(range(32))
SAID = [{"role": "user", "content": "Who pays the pilot?"}]
PILOT = "The charterer pays the pilot, if the contract names no other party."
MOORING = "The vessel that was announced first moors first."
BALLAST = "Ballast water is exchanged far from land."
SAYS = '"R2$|4'  # to this model, both passages and what it was taught make this likelier


@dataclass
class Library:
    """What the registry has, and what a snapshot says of credits."""

    given: tuple[Documents, ...]
    holders: dict[tuple[bytes, int], Address] = field(default_factory=dict)

    def contribution(self, datanet: DatanetId, name: ContributionId) -> OnChain | None:
        for each in self.given:
            if (each.terms.datanet, each.name) == (datanet, name):
                return OnChain(each.terms, each.accepted(0))  # the first row of each was accepted
        return None

    def holder(self, passage: Named, snapshot: int) -> Address | Unable | None:
        return self.holders.get((passage.row, snapshot))


@dataclass
class Asked:
    """One answer of a model that looked up two passages, as its operator keeps and discloses it."""

    models: Path
    answers: Path
    documents: tuple[Documents, ...]
    conditions: dict[str, Any] = field(init=False)
    content: dict[str, Any] = field(init=False)
    receipt: Receipt = field(init=False)
    paid: Attribution = field(init=False)
    library: Library = field(init=False)

    def __post_init__(self) -> None:
        self.library = Library(self.documents)
        base = self.models / "1.1" / "base"
        words = Words.of_files({file.name: file.read_bytes() for file in base.iterdir()}, "tiny")
        found = block([self._passage(each) for each in self.documents], 1000, lambda text: len(words.encode(text)))
        made = words.prompt(SAID, found.prompt_block)
        logged = found.logged(made.text, made.offsets)
        output = words.encode(SAYS)
        one = new_world().receipt(new_world().people[0], 10)
        self.content = {
            "salt": hexed(SALT), "said": SAID, "texts": [words.decode(output)], "prompt_tokens": list(made.tokens),
            "output_tokens": list(output), "passages": [self._shown(each) for each in self.documents],
        }  # fmt: skip
        used = [
            {"number": n, "datanet": 1, "contribution": hexed(each.contribution), "row": hexed(each.row),
             "owner": each.owner, "licence": "CC-BY-4.0", "title": ""}
            for n, each in enumerate(logged, 1)
        ]  # fmt: skip
        self.conditions = {"retrieved": {"used": used, "considered": []}}
        self.receipt = replace(
            one, prompt=hashed(SAID), output=hashed(self.content["texts"]), prompt_tokens=len(made.tokens),
            output_tokens=len(output),
        )  # fmt: skip
        placed = tuple(
            Placed(Given(hexed(each.contribution), str(each.owner), hexed(each.row)), each.first, each.last)
            for each in logged
        )
        opened = Attributable(load(base, base.parent / "adapter"), base.parent / "adapter" / "attribution")
        query = Query("a", (*made.tokens, *output), len(made.tokens))
        self.paid = as_weights(opened.explain([Answer(query, placed)])[0])

    def _passage(self, given: Documents) -> Passage:
        row, owner = given.hashes[0], given.terms.contributor
        told = orjson.loads(given.rows[0])
        return Passage(DatanetId(1), given.name, row, 0, 0, owner, Hash32(row), "CC-BY-4.0", "", told["text"])

    def _shown(self, given: Documents) -> dict[str, Any]:
        row, owner = given.hashes[0], given.terms.contributor
        text = orjson.loads(given.rows[0])["text"] if given.manifest.private else given.rows[0].decode()
        return {
            "text": text, "part": 0, "manifest": given.manifest.as_json().decode(), "snapshot": None,
            "held": [hexed(each) for each in RowTree(owner, given.hashes).proof(row)],
            "accepted": [hexed(each) for each in RowTree(owner, [row]).proof(row)],
        }  # fmt: skip

    @property
    def used(self) -> list[dict[str, Any]]:
        used: list[dict[str, Any]] = self.conditions["retrieved"]["used"]
        return used

    @property
    def shown(self) -> list[dict[str, Any]]:
        shown: list[dict[str, Any]] = self.content["passages"]
        return shown

    def judged(self, paid: Attribution | None = None, registry: bool = True) -> tuple[int, dict[str, int]]:
        """By an attestor, as receipt and disclosure are now. Raises Difference."""
        written = orjson.dumps(self.conditions, option=orjson.OPT_SORT_KEYS)
        one = replace(self.receipt, conditions=Hash32(keccak(written)))
        content = {**self.content, "conditions": written.decode()}
        (self.answers / f"{one.id.hex()}.json").write_bytes(orjson.dumps(content))
        recompute = recomputer_of(self.models, self.answers, registry=self.library if registry else None)
        return recomputed([(one, paid or self.paid)], recompute, 20_000)

    def recomputed(self, one: Receipt | None = None) -> Attribution | Unable:
        """What was judged last, once more."""
        recompute = recomputer_of(self.models, self.answers, registry=self.library)
        if one is None:
            written = orjson.dumps(self.conditions, option=orjson.OPT_SORT_KEYS)
            one = replace(self.receipt, conditions=Hash32(keccak(written)))
        return recompute(one)

    def objection(self, paid: Attribution | None = None) -> str:
        with pytest.raises(Difference) as caught:
            self.judged(paid)
        return str(caught.value)


def hashed(content: Any) -> Hash32:
    return Hash32(keccak(SALT + orjson.dumps(content, option=orjson.OPT_SORT_KEYS)))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    holdings = {hexed(text(f"taught {i}")): (hexed(text(f"taught {i}")), account(10 + i), None) for i in range(4)}
    train(root / "1.1", holdings, FACTS)
    return root


@pytest.fixture
def asked(trained: Path, tmp_path: Path) -> Asked:
    return Asked(trained, tmp_path, (Documents(ADA, PILOT, BALLAST), Documents(BO, MOORING, BALLAST)))


def replaced(paid: Attribution, before: Address, after: Address) -> Attribution:
    """The same weights, one account's for another's."""
    instead = {before: after}
    return replace(paid, credits=tuple(c._replace(owner=instead.get(c.owner, c.owner)) for c in paid.credits))


def part_of(paid: Attribution, account: Address) -> int:
    return sum(credit.weight for credit in paid.credits if credit.account == account)


def test_answer__with_passages__then_its_attribution_is_the_same_to_the_millionth(asked: Asked) -> None:
    assert part_of(asked.paid, ADA) > 50_000 and part_of(asked.paid, BO) > 50_000
    assert asked.judged() == (1, {})
    first, second = asked.recomputed(), asked.recomputed()
    assert first == second == asked.paid


def test_passages__of_which_none_is_in_the_datanet__then_objected_to(asked: Asked) -> None:
    asked.used[1]["datanet"] = 2
    assert "passage [2]: the registry has no contribution" in asked.objection()
    asked.used[1] |= {"datanet": 1, "contribution": hexed(text("nobody's"))}
    assert "the registry has no contribution" in asked.objection()


def test_passage__that_is_no_row_of_its_contribution__then_objected_to(asked: Asked) -> None:
    forged = Documents(ADA, "The thief pays nobody.")
    asked.used[0]["row"] = hexed(forged.hashes[0])
    asked.shown[0]["text"] = forged.rows[0].decode()
    assert "passage [1]: row" in asked.objection()
    assert "not shown to be one of its contribution" in asked.objection()


def test_passage__that_was_rejected__then_objected_to(asked: Asked) -> None:
    given = asked.documents[0]
    asked.used[0]["row"] = hexed(given.hashes[1])
    asked.shown[0] |= {
        "text": given.rows[1].decode(),
        "held": [hexed(each) for each in RowTree(ADA, given.hashes).proof(given.hashes[1])],
    }
    assert "not shown to have been accepted" in asked.objection()


def test_passage__whose_text_is_another__then_objected_to(asked: Asked) -> None:
    asked.shown[0]["text"] = asked.documents[1].rows[0].decode()
    assert "its text is row" in asked.objection()
    asked.shown[0] |= {"text": asked.documents[0].rows[0].decode(), "part": 1}
    assert "has no passage of that number" in asked.objection()


def test_passage__of_another_owner__then_objected_to_unless_a_snapshot_says_so(asked: Asked) -> None:
    asked.used[0]["owner"] = THIEF
    stolen = replaced(asked.paid, ADA, THIEF)
    assert f"names {THIEF} as its owner" in asked.objection(stolen)
    asked.shown[0]["snapshot"] = 3
    assert f"names {THIEF} as its owner" in asked.objection(stolen)
    asked.library.holders[asked.documents[0].hashes[0], 3] = BO
    assert f"it is {BO}'s" in asked.objection(stolen)
    asked.library.holders[asked.documents[0].hashes[0], 3] = THIEF  # whose row of the same cluster came first
    assert asked.judged(stolen) == (1, {})


def test_attribution__that_pays_another_than_the_receipt_names__then_objected_to(asked: Asked) -> None:
    objection = asked.objection(replaced(asked.paid, ADA, THIEF))
    assert "ppm claimed" in objection and (ADA in objection or THIEF in objection)


def test_attribution__that_moves_weight_from_one_passage_to_another__then_objected_to(asked: Asked) -> None:
    def moved(by: int) -> Attribution:
        change = {ADA: -by, BO: by}
        kept = (each._replace(weight=each.weight + change.get(each.owner, 0)) for each in asked.paid.credits)
        return replace(asked.paid, credits=tuple(kept))

    assert asked.judged(moved(19_000)) == (1, {})  # within the tolerance that was declared
    assert "ppm claimed" in asked.objection(moved(21_000))


def test_passage__that_is_left_out__then_the_prompt_is_not_what_was_charged_for(asked: Asked) -> None:
    asked.shown.pop()
    assert "names 2 passages, and 1 are shown" in asked.objection()
    asked.used.pop()
    charged = asked.receipt.prompt_tokens
    assert f"with 1 passages, makes {charged - 4 - 2 - len(MOORING)} tokens; {charged} were" in asked.objection()
    asked.shown.clear()
    asked.conditions = {"stated": {}}
    assert "with 0 passages" in asked.objection()


def test_passages__in_another_order__then_the_prompt_is_another_and_so_is_who_is_paid(asked: Asked) -> None:
    asked.used.reverse()
    asked.shown.reverse()
    assert "attribution" in asked.objection()


def test_passage__of_a_private_row__then_all_is_recomputed_but_the_hash_of_its_text(
    trained: Path, tmp_path: Path
) -> None:
    asked = Asked(trained, tmp_path, (Documents(ADA, PILOT, BALLAST, private=True), Documents(BO, MOORING, BALLAST)))
    assert asked.shown[0]["text"] == PILOT
    assert asked.judged() == (1, {})
    asked.shown[0]["text"] = BALLAST + PILOT[len(BALLAST) :]  # as long as the true one: what is said is another thing
    assert "attribution" in asked.objection()
    asked.shown[0]["text"] = BALLAST
    assert "were charged for" in asked.objection()


def test_passage__that_is_said_to_be_private__then_its_manifest_on_chain_decides(asked: Asked) -> None:
    hidden = replace(asked.documents[0].manifest, private=True)
    asked.shown[0] |= {"text": PILOT, "manifest": hidden.as_json().decode()}
    assert "not the one that is on chain" in asked.objection()
    asked.shown[0]["manifest"] = "{}"
    assert "passage [1]" in asked.objection()


def test_answer__with_passages_and_no_index_of_the_registries__then_counted_with_its_reason(asked: Asked) -> None:
    done, why = asked.judged(registry=False)
    assert (done, list(why.values())) == (0, [1])
    assert "no index of the registries" in next(iter(why))


def test_answer__whose_conditions_are_not_the_receipts__then_it_proves_nothing(asked: Asked) -> None:
    asked.judged()
    assert "not the one that the receipt hashes" in str(asked.recomputed(replace(asked.receipt, conditions=text("x"))))
