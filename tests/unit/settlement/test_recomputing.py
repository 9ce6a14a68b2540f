"""Attribution by an attestor's own means: within tolerance, or an objection; and said where it cannot be."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from unit.settlement.publishing import new_world
from unit.settlement.world import account, text

from fixtures.opened import tokenizer
from oracle.daemon.looked_up import Named, Shown
from oracle.daemon.recomputing import Disclosed, Rebuilt, disclosed, rebuilt, recomputer_of
from oracle.settlement.differing import Difference
from oracle.settlement.hashing import NOTHING, keccak
from oracle.settlement.recomputing import Unable, recomputed, unable
from oracle.store.paid import Attribution, Credit, Receipt
from oracle.types import ContributionId, DatanetId, Hash32, RowHash

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

SAID: list[Any] = [{"role": "user", "content": "What is the capital?"}]
SALT = bytes(range(32))


def paid(weight: int, unattributed: int = 0) -> Attribution:
    return Attribution((Credit(text("c"), account(1), weight),), unattributed)


def receipt() -> Receipt:
    return replace(new_world().receipt(new_world().people[0], 10), conditions=NOTHING)


def hashed(content: Any) -> Hash32:
    return keccak(SALT + orjson.dumps(content, option=orjson.OPT_SORT_KEYS))


def test_recomputed__when_within_the_tolerance__then_counted_and_else_an_objection() -> None:
    sample = [(receipt(), paid(500_000, 500_000))]
    assert recomputed(sample, lambda one: paid(515_000, 485_000), 20_000) == (1, {})
    with pytest.raises(Difference, match="500000 ppm claimed, 470000 computed") as caught:
        recomputed(sample, lambda one: paid(530_000, 470_000), 20_000)
    assert caught.value.kind == "attribution"


def test_recomputed__of_weights_on_another_scale__then_parts_are_what_counts() -> None:
    assert recomputed([(receipt(), paid(1, 1))], lambda one: paid(7_000, 7_000), 0) == (1, {})


def test_recomputed__when_it_cannot_be_done__then_says_why_and_how_often() -> None:
    sample = [(receipt(), paid(1)) for _ in range(3)]
    answers = iter([Unable("its answer was not disclosed"), paid(1), Unable("its answer was not disclosed")])
    assert recomputed(sample, lambda one: next(answers), 0) == (1, {"its answer was not disclosed": 2})
    assert recomputed(sample, unable("no model"), 0) == (0, {"no model": 3})


def test_recomputer__without_files__then_every_receipt_has_the_reason(tmp_path: Path) -> None:
    for models, answers in ((None, None), (tmp_path, None), (None, tmp_path)):
        found = recomputer_of(models, answers)(receipt())
        assert isinstance(found, Unable) and found.why


def test_disclosed__when_it_is_not_what_the_receipt_hashes__then_it_proves_nothing(tmp_path: Path) -> None:
    one = replace(receipt(), prompt=hashed(SAID), output=hashed(["Paris"]), prompt_tokens=2, output_tokens=1)
    file = tmp_path / f"{one.id.hex()}.json"

    def told(**changed: Any) -> object:
        content = {
            "salt": "0x" + SALT.hex(), "said": SAID, "texts": ["Paris"], "prompt_tokens": [1, 2], "output_tokens": [3],
            "conditions": "", "passages": [],
        }  # fmt: skip
        file.write_bytes(orjson.dumps(content | changed))
        return disclosed(tmp_path, one)

    assert disclosed(tmp_path, one) == Unable("its answer was not disclosed")
    assert told() == Disclosed(SAID, ("Paris",), (1, 2), (3,))
    assert "not the one that the receipt hashes" in str(told(texts=["London"]))
    assert "not the one that the receipt hashes" in str(told(said=[]))
    assert "not as many" in str(told(prompt_tokens=[1, 2, 3]))
    assert "fields" in str(told(more=1))
    assert "not as many" in str(told(output_tokens=[3, 4]))
    assert "cannot be read" in str(told(passages=[{"text": "Paris"}]))
    assert "not the one that the receipt hashes" in str(told(conditions="{}"))
    assert told(gone="its texts were erased") == Unable("the operator says: its texts were erased")
    file.write_bytes(b"{")
    assert "cannot be read" in str(disclosed(tmp_path, one))


def test_disclosed__of_several_choices__then_the_first_of_them_is_what_attribution_explained(tmp_path: Path) -> None:
    """All texts are hashed and all tokens charged for; the tokens of the first alone are disclosed."""
    texts = ["Paris", "Lyon"]
    one = replace(receipt(), prompt=hashed(SAID), output=hashed(texts), prompt_tokens=2, output_tokens=3)
    content = {
        "salt": "0x" + SALT.hex(), "said": SAID, "texts": texts, "prompt_tokens": [1, 2], "output_tokens": [3],
        "conditions": "", "passages": [],
    }  # fmt: skip
    file = tmp_path / f"{one.id.hex()}.json"
    file.write_bytes(orjson.dumps(content))
    assert disclosed(tmp_path, one) == Disclosed(SAID, ("Paris", "Lyon"), (1, 2), (3,))
    file.write_bytes(orjson.dumps(content | {"texts": ["Lyon", "Paris"]}))
    assert "not the one that the receipt hashes" in str(disclosed(tmp_path, one))
    file.write_bytes(orjson.dumps(content | {"output_tokens": [3, 4, 5, 6]}))
    assert "not as many" in str(disclosed(tmp_path, one))


def test_recomputer__with_the_files_and_the_answer__then_it_is_what_the_operator_found(tmp_path: Path) -> None:
    """The same model, index and tokens, on another machine."""
    answering = pytest.importorskip("oracle.attribution.answering")
    import random

    import campaign_farmers as world

    chance = random.Random(1)
    rows = [world.row(chance, account(n // 4)) for n in range(24)]
    said = [row.query(f"row {number}") for number, row in enumerate(rows)]
    folder = tmp_path / "1.1"
    model = world.taught_model(1)
    world.taught_model(1).unload().save_pretrained(folder / "base")
    record = world.recorded(model, said, [row.owner for row in rows])
    model.save_pretrained(folder / "adapter")
    digest = world.digest_of(model)
    holdings = {owner: (f"0x{text(owner).hex()}", owner) for owner in record.contributors}
    world.write_index(folder / "adapter" / "attribution", record, digest, {"holdings": holdings})
    limits = world.Datanet(rows, 1).asked[0]
    answering.write_limits(folder / "adapter" / "attribution", limits)

    asked = said[3]
    prompt, output = asked.tokens[: asked.answer_from], asked.tokens[asked.answer_from :]
    one = replace(
        receipt(), prompt=hashed(SAID), output=hashed(["x"]), prompt_tokens=len(prompt), output_tokens=len(output)
    )
    content = {
        "salt": "0x" + SALT.hex(),
        "said": SAID,
        "texts": ["x"],
        "prompt_tokens": prompt,
        "output_tokens": output,
        "conditions": "",
        "passages": [],
    }
    (tmp_path / f"{one.id.hex()}.json").write_bytes(orjson.dumps(content))
    recompute = recomputer_of(tmp_path, tmp_path)
    found = recompute(one)
    assert isinstance(found, Attribution) and found.weight == 1_000_000
    own = sum(credit.weight for credit in found.credits if credit.account == rows[3].owner)
    assert own > 400_000
    assert recomputed([(one, found)], recompute, 0) == (1, {})
    with pytest.raises(Difference, match="attribution"):
        recomputed([(one, Attribution((Credit(text("c"), account(666), 1),)))], recompute, 20_000)
    assert isinstance(recompute(replace(one, model=9)), Unable)


def test_rebuilt__of_what_was_asked__then_the_bases_own_tokenizer_makes_prompt_and_text(tmp_path: Path) -> None:
    """Nobody takes the operator's word for tokens."""
    tokenizer().save(str(tmp_path / "tokenizer.json"))
    letters = tokenizer()

    def tokens(text: str) -> tuple[int, ...]:
        return tuple(letters.encode(text, add_special_tokens=False).ids)

    def made(said: Any, asked: str, output: str) -> object:
        one = replace(receipt(), prompt_tokens=len(asked))
        return rebuilt(tmp_path, one, Disclosed(said, ("bees",), tokens("whatever"), tokens(output)), None)

    messages = [{"role": "user", "content": "why?"}]
    asked = "user: why?\nassistant:"
    assert made(messages, asked, "bees") == Rebuilt(tokens(asked))
    assert made(messages, asked, "bees\nEND") == Rebuilt(tokens(asked))  # a stop sequence ended the text
    assert made(messages, asked, "wasps") == Unable("its disclosed tokens are not those of its texts")
    assert made("why?", "why?", "bees") == Rebuilt(tokens("why?"))
    assert made([1, 2], "ab", "bees") == Rebuilt((1, 2))
    with pytest.raises(Difference, match="with 0 passages, makes 4 tokens; 16 were charged for"):
        made("why?", "[1] A bee.\n\nwhy?", "bees")
    with pytest.raises(Difference, match="makes 2 tokens; 3 were charged for"):
        made([1, 2], "abc", "bees")
    more = Disclosed("why?", ("bees",), (), (), (), (Shown("A bee.", 0, "", (), (), None),))
    with pytest.raises(Difference, match="names 0 passages, and 1 are shown"):
        rebuilt(tmp_path, receipt(), more, None)
    (tmp_path / "tokenizer.json").unlink()
    assert rebuilt(tmp_path, receipt(), Disclosed([1, 2], ("bees",), (1, 2), (3,)), None) == Rebuilt((1, 2))
    named = Named(DatanetId(1), ContributionId(text("c")), RowHash(text("r")), account(1))
    found = rebuilt(tmp_path, receipt(), Disclosed([1, 2], ("bees",), (1, 2), (3,), (named,)), None)
    assert isinstance(found, Unable) and "no tokenizer" in found.why
