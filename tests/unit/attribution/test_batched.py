"""Adapters trained together are those that transformers and PEFT train one by one."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts" / "bench"))

from attribution_jobs import attributed, batched, quick, truth
from attribution_jobs.instance import Instance, QueryRow, Recipe, TrainRow, load, save
from attribution_jobs.world import ask, make

from oracle.attribution.layers import lora_matrices

RECIPE = Recipe("test", "adam", 1e-2, epochs=2, batch=4, rank=2, alpha=4.0)


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Instance:
    return made(tmp_path_factory.mktemp("instance"), hidden=16, inner=24)


def made(folder: Path, hidden: int, inner: int) -> Instance:
    words = {word: i for i, word in enumerate(["<pad>", "<s>", "</s>", *"abcdefgh"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>")
    fast.save_pretrained(folder / "base")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder / "base")
    said = [("a b c", "d"), ("b", "c d e"), ("e f", "g"), ("h", "a"), ("c c c c", "b"), ("g a", "h h")]
    rows = [TrainRow(f"row-{i}", f"c-{i % 2}", p, c, f"c-{i % 2}", f"row-{i}") for i, (p, c) in enumerate(said)]
    save(folder, rows, [QueryRow("query", "a b", "c", None, (), "direct")], RECIPE)
    return load(folder)


@pytest.mark.parametrize(
    "recipe",
    [
        RECIPE,
        replace(RECIPE, optimizer="sgd", rate=0.1, schedule="cosine", warmup=2),
        replace(RECIPE, rate_a=0.25),
        replace(RECIPE, optimizer="sgd", rate=0.3, rate_a=0.5),
    ],
)
def test_train__of_one_adapter__then_it_is_that_of_peft(instance: Instance, recipe: Recipe) -> None:
    base = batched.Base(instance.base, torch.float32)
    rows = batched.encode(base.tokenizer, [(row.prompt, row.completion) for row in instance.rows])
    start = base.fresh(recipe, 3)
    found = batched.train(base, rows, recipe, [torch.ones(6, dtype=torch.bool)], [3])
    model = attributed.train(instance, recipe, start, 3, None).model
    weights = {matrix.name: matrix.module.weight for matrix in lora_matrices(model)}
    names = [f"{name}.{side}" for name in attributed.layer_names(2) for side in ("lora_A", "lora_B")]
    moved = 0.0
    for name, mine, begun in zip(names, found, start):
        torch.testing.assert_close(mine[0], weights[name], rtol=1e-3, atol=1e-4)
        moved += float((mine[0] - begun).abs().sum())
    assert moved > 0.1


def test_train__of_many_adapters__then_each_is_as_if_alone(instance: Instance) -> None:
    base = batched.Base(instance.base, torch.float32)
    rows = batched.encode(base.tokenizer, [(row.prompt, row.completion) for row in instance.rows])
    kept = [torch.tensor([i != out for i in range(6)]) for out in (0, 3, 9)]
    together = batched.train(base, rows, RECIPE, kept, [1, 2, 1])
    for i, seed in enumerate((1, 2, 1)):
        alone = batched.train(base, rows, RECIPE, [kept[i]], [seed])
        for one, all_ in zip(alone, together):
            torch.testing.assert_close(all_[i], one[0], rtol=1e-3, atol=1e-5)


def test_train__of_a_that_begins_alike_and_stays__then_seeds_differ_in_b_alone(instance: Instance) -> None:
    base = batched.Base(instance.base, torch.float32)
    rows = batched.encode(base.tokenizer, [(row.prompt, row.completion) for row in instance.rows])
    recipe = replace(RECIPE, first_a="principal", rate_a=0.0)
    found = batched.train(base, rows, recipe, 2 * [torch.ones(6, dtype=torch.bool)], [3, 4])
    for i, (mine, begun) in enumerate(zip(found, base.fresh(recipe, 3))):
        assert torch.equal(mine[0], begun) == torch.equal(mine[0], mine[1]) == (i % 2 == 0)
    first = base.fresh(recipe, 3)[0]
    torch.testing.assert_close(first @ first.T, torch.eye(recipe.rank) / 3)


def test_digest__of_words_that_came_later__then_they_count_once_they_are_used() -> None:
    before = "782a1e1e81af35e5"
    assert replace(RECIPE, rate_a=1.0).digest() == RECIPE.digest() == before
    used = [replace(RECIPE, rate_a=0.0), replace(RECIPE, first_a="principal")]
    assert len({before, *(recipe.digest() for recipe in used)}) == 3


@pytest.mark.parametrize(("optimizer", "rate_a"), [("adam", 1.0), ("sgd", 1.0), ("adam", 0.5)])
def test_quick__of_one_adapter__then_it_is_that_of_the_batched_one(
    tmp_path: Path, optimizer: str, rate_a: float
) -> None:
    recipe = replace(RECIPE, optimizer=optimizer, rate=1e-2 if optimizer == "adam" else 0.1, rank=8, epochs=4)
    recipe = replace(recipe, rate_a=rate_a)
    found = made(tmp_path, hidden=32, inner=40)
    base, exact = (batched.Base(found.base, dtype) for dtype in (torch.bfloat16, torch.float32))
    if not quick.possible(base, recipe):
        pytest.skip("no C++ compiler, or no products in bfloat16 here")
    rows = batched.encode(base.tokenizer, [(row.prompt, row.completion) for row in found.rows])
    kept = torch.tensor([i != 2 for i in range(6)])
    opened = quick.Quick(base, tmp_path)
    mine = opened.train(base, rows, recipe, kept, 3)
    theirs = [value[0] for value in batched.train(exact, rows, recipe, [kept], [3])]
    for one, other, begun in zip(mine, theirs, base.fresh(recipe, 3)):
        # Rounding to bfloat16 is what they differ by; each moved from where it began.
        assert float((one - other).norm()) < 0.1 * float((other - begun).norm())
    measured = batched.measure(exact, rows, recipe, [value[None] for value in mine])[0]
    torch.testing.assert_close(opened.measure(rows, recipe, mine), measured, rtol=0.02, atol=0.02)
    opened.close()


def test_retrain__when_it_was_stopped__then_only_the_rest_is_done(instance: Instance, tmp_path: Path) -> None:
    subsets = truth.plan(instance, 0, 2)
    first = truth.retrain(instance, RECIPE, subsets[:2], [0], tmp_path, dtype=torch.float32, say=False)
    folder = truth.folder_of(instance, RECIPE, tmp_path, torch.float32)
    stamps = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    again = truth.retrain(instance, RECIPE, subsets, [0], tmp_path, dtype=torch.float32, say=False)
    assert (again.values[:, :2] == first.values).all()
    assert all((folder / name).stat().st_mtime_ns == stamp for name, stamp in stamps.items())
    other = replace(RECIPE, rate=2e-2)
    assert truth.folder_of(instance, other, tmp_path, torch.float32) != folder


def test_world__of_a_seed__then_it_is_the_same_and_has_the_sizes_that_are_stated() -> None:
    world = make(5)
    assert make(5).rows == world.rows and make(6).rows != world.rows
    assert make(5, 1).rows != world.rows and make(5, 1).known == world.known and make(5, 1).places == world.places
    assert (len(world.rows), len(world.planted)) == (816, 72)
    assert len({row.contributor for row in world.rows}) == 20
    asked = ask(world, 1)
    said = {row.prompt for row in world.rows}
    assert not any(query.prompt in said for query in asked)
    assert sum(query.kind == "alias" for query in asked) == 24
