"""Recipes: every fault at once, and what is left out."""

from __future__ import annotations

import pytest

from oracle.factory.errors import BadRecipe, Licences
from oracle.factory.licences import combined
from oracle.factory.recipe import parse

LEAST = "name: bees\nsnapshots: [{datanet: 1}]\n"


def test_parse__of_the_least__then_the_preset_says_the_rest() -> None:
    found = parse(LEAST + "preset: quick\n")
    assert (found.base, found.training.rank, found.training.epochs) == ("embedded", 8, 4)
    assert found.training.alpha == 16
    assert sum(found.split) == 10_000
    assert parse(LEAST + "preset: thorough\nrank: 4").training.rank == 4


def test_parse__of_many_faults__then_all_are_named() -> None:
    with pytest.raises(BadRecipe) as caught:
        parse(
            "name: Bees!\nsnapshots: []\nrank: 0\nlearning_rate: .nan\nprecision: fp8\ncolour: red\ngate: {metric: x}"
        )
    for named in ("name", "snapshots", "rank", "learning_rate", "precision", "colour: no such value", "gate.metric"):
        assert f"  {named}" in str(caught.value)


@pytest.mark.parametrize(
    "added, said",
    [
        ("split: {contributors: 9000}", "sum to 13000"),
        ("packing: true", "attribution: false"),
        ("gradient_checkpointing: true", "attribution: false"),
        ("parent: wasps@1", "split.upstream is 0"),
        ("snapshots: [{datanet: 1, folder: x}]", "either a datanet"),
        ("price: {input: '-1'}", "price.input"),
    ],
)
def test_parse__of_a_contradiction__then_says_what_to_do(added: str, said: str) -> None:
    content = LEAST + added if "snapshots" not in added else f"name: bees\n{added}"
    with pytest.raises(BadRecipe, match=said):
        parse(content)


def test_parse__of_several_contradictions__then_all_are_named() -> None:
    with pytest.raises(BadRecipe) as caught:
        parse(LEAST + "parent: wasps@1\npacking: true\ngradient_checkpointing: true")
    for named in ("split.upstream is 0", "packing:", "gradient_checkpointing:"):
        assert named in str(caught.value)


def test_parse__of_no_yaml__then_says_so() -> None:
    with pytest.raises(BadRecipe, match="not YAML"):
        parse("name: [")
    with pytest.raises(BadRecipe, match="mapping"):
        parse("- a\n- b")


def test_digest__when_only_the_price_changes__then_it_is_the_same() -> None:
    assert parse(LEAST).digest == parse(LEAST + "price: {input: '7'}").digest
    assert parse(LEAST).digest != parse(LEAST + "seed: 2").digest


def test_combined__of_what_goes_together__then_the_strictest_holds() -> None:
    assert combined(["MIT", "CC-BY-4.0"]) == "Apache-2.0"
    assert combined(["MIT", "CC-BY-SA-4.0", "CC-BY-SA-4.0"]) == "CC-BY-SA-4.0"
    assert combined(["House-1.0"], ["House-1.0"]) == "Apache-2.0"


def test_combined__of_what_does_not__then_every_reason_is_said() -> None:
    with pytest.raises(Licences) as caught:
        combined(["CC-BY-NC-4.0", "CC-BY-ND-4.0", "CC-BY-SA-4.0", "ODbL-1.0", "Shrug-1.0"])
    for said in ("commercial", "derived works", "CC-BY-SA-4.0 and ODbL-1.0", "Shrug-1.0 is not known"):
        assert said in str(caught.value)
