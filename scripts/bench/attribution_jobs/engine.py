"""The engine itself, measured: its run, its index, its scores, its pay, and what each of them costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from attribution_jobs import attackers, attributed, figures
from attribution_jobs.attributed import clock_of
from attribution_jobs.figures import Array
from attribution_jobs.instance import Instance, Recipe
from attribution_jobs.truth import Truth
from oracle.attribution.audit import Audit, AuditPlan, begin, finish, write_shard
from oracle.attribution.audit import asked as lines_of
from oracle.attribution.calibration import limits_from
from oracle.attribution.gain import gains
from oracle.attribution.index import Index, adapter_digest, write_index
from oracle.attribution.layers import lora_matrices
from oracle.attribution.records import Query, Scores, plan_for
from oracle.attribution.scoring import score
from oracle.attribution.shares import Limits, Proposal, propose

GENERATED = 16  # tokens: what a query's cost is compared with


@dataclass(frozen=True)
class Found:
    figures: dict[str, float]
    accuracy: dict[str, float]
    adapters: list[list[Tensor]]  # at each checkpoint, and the final one


def measure(
    instance: Instance, recipe: Recipe, truth: Truth, start: Sequence[Tensor], seed: int, folder: Path, device: str
) -> Found:
    asked = [i for i, query in enumerate(instance.queries) if query.kind != "control"]
    controls = [i for i, query in enumerate(instance.queries) if query.kind == "control"]
    steps = recipe.epochs * -(-len(instance.rows) // recipe.batch)
    plan = plan_for(steps, recipe.epochs)
    adapters: list[list[Tensor]] = []
    middles = {window.middle for window in plan.windows} | {steps - 1}

    def keep(step: int, model: torch.nn.Module) -> None:
        if step in middles:
            adapters.append(_in_order(model, instance))

    plain = attributed.train(instance, recipe, start, seed, None, device=device)
    by_people = attributed.train(instance, recipe, start, seed, plan, device=device)
    by_rows = attributed.train(
        instance, recipe, start, seed, plan, [row.id for row in instance.rows], device=device, after=keep
    )
    assert by_people.record is not None
    assert by_rows.record is not None
    digest = adapter_digest({m.name: m.module.weight for m in lora_matrices(by_people.model)})  # type: ignore[misc]
    write_index(folder / "people", by_people.record, digest, {"recipe": recipe.digest(), "seed": seed})
    write_index(folder / "rows", by_rows.record, digest, {"recipe": recipe.digest(), "seed": seed})
    index, row_index = Index(folder / "people", digest), Index(folder / "rows", digest)
    tokenizer = attributed.tokenizer_of(instance)
    queries = [attributed.as_query(tokenizer, q.id, q.prompt, q.completion) for q in instance.queries]
    score(by_people.model, index, queries[:4], half=True)  # once before, so that nobody's first call is counted
    clock = clock_of(device)
    started = clock()
    scores = score(by_people.model, index, queries, half=True)
    query_seconds = (clock() - started) / len(queries)
    row_scores = score(by_people.model, row_index, [queries[i] for i in asked])
    order = {name: i for i, name in enumerate(row_scores.contributors)}
    columns = [order[row.id] for row in instance.rows]
    values = np.array(scores.values)
    rows = np.array(row_scores.values)[:, columns]
    accuracy = figures.accuracy(instance, truth, rows, values[asked])
    raised = gains(by_people.model, queries)
    known, fresh = controls[::2], controls[1::2]  # limits are measured on one half, and tried on the other
    limits = limits_from(attackers.some(scores, [queries[i].id for i in known]), index.rows_of(), raised)
    found = {key: accuracy[key] for key in accuracy}
    found |= pay(instance, truth, scores, queries, raised, limits, asked, fresh)
    found["splitter_gain"] = attackers.splitter_gain(instance, rows, scores, queries, raised, limits, asked, seed)
    found |= audited(instance, truth, by_people.model, index, folder / "audit", accuracy, asked, queries)
    found["build_over_training"] = by_people.seconds / plain.seconds
    found["query_seconds"] = query_seconds
    found["query_over_generation"] = query_seconds / generation_seconds(by_people.model, queries[:8], device)
    found["training_seconds"] = plain.seconds
    return Found(found, accuracy, adapters)


def audited(
    instance: Instance,
    truth: Truth,
    model: torch.nn.Module,
    index: Index,
    folder: Path,
    exact: dict[str, float],
    asked: Sequence[int],
    queries: Sequence[Query],
) -> dict[str, float]:
    """Rows in two kilobytes, beside the rows' own sums in full. Once the directions are found by all rows, once by
    every second one, which is how rows fare that are not among those they were found by."""
    kept, values = truth.of("examples")
    tokenizer = attributed.tokenizer_of(instance)
    rows = [attributed.as_query(tokenizer, row.id, row.prompt, row.completion) for row in instance.rows]
    found: dict[str, float] = {}
    for name, sample in (("", len(rows)), ("_unseen", len(rows) // 2)):
        begin(folder, model, index, rows, AuditPlan(sample=sample))
        file = write_shard(folder, model, index, rows, 0)
        finish(folder)
        audit = Audit(folder, index.adapter)
        asked_lines = lines_of(model, index, audit, [queries[i] for i in asked])
        scores = audit.products(asked_lines, 0).numpy().astype(np.float64)
        found["audit_bytes_per_example"] = file.stat().st_size / len(rows)
        if len(kept):
            each = figures.lds(kept.astype(float), values.mean(0)[:, asked], scores)
            found[f"audit_lds_loss{name}"] = exact["lds_examples"] - float(each.mean())
    return found


def pay(
    instance: Instance,
    truth: Truth,
    scores: Scores,
    queries: Sequence[Query],
    raised: dict[str, float],
    limits: Limits,
    asked: Sequence[int],
    unrelated: Sequence[int],
) -> dict[str, float]:
    """What the rule pays, beside what the same rule pays on what retraining shows."""
    people = instance.contributors

    def paid(query: str) -> Proposal:
        return propose(scores.of(query), scores.length(query), raised[query], limits)

    proposals = [paid(queries[i].id) for i in asked]
    ours = np.array([[found.of(person) for person in people] for found in proposals])
    effects = figures.left_out(instance, truth, asked)
    mean, seeds = effects.mean(0), len(truth.seeds)
    # The same rule on what happened: what is not above its own noise does not pay.
    noise = effects.std(0, ddof=1).mean() / np.sqrt(seeds) if seeds > 1 else 0.0
    real = figures.shares_of(np.maximum(mean - limits.threshold * noise, 0.0))
    both = (ours.sum(1) > 0) & (real.sum(1) > 0)
    credited = [paid(queries[i].id) for i in unrelated]
    return {
        "payout_tv": figures.total_variation(figures.shares_of(ours[both]), real[both]) if both.any() else 1.0,
        "paid_share": float(ours.sum(1).mean()),
        "abstained": float((ours.sum(1) == 0).mean()),
        "false_credit": float(np.mean([found.abstained is None for found in credited])),
        "truth_noise": float(noise),
        "least_gain": limits.least_gain,
        "least_strength": limits.least_strength,
    }


@torch.no_grad()
def generation_seconds(model: torch.nn.Module, queries: Sequence[Query], device: str) -> float:
    """Of answering one query with 16 tokens, alone."""
    model.eval()
    clock = clock_of(device)
    started = clock()
    for query in queries:
        prompt = torch.tensor([query.tokens[: query.answer_from]], device=device)
        model.generate(  # type: ignore[operator]
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=GENERATED,
            min_new_tokens=GENERATED,
            do_sample=False,
        )
    return (clock() - started) / len(queries)


def _in_order(model: torch.nn.Module, instance: Instance) -> list[Tensor]:
    """The adapter as the batched trainer keeps it."""
    weights = {matrix.name: matrix.module.weight for matrix in lora_matrices(model)}
    names = attributed.layer_names(max(int(name.split(".")[2]) for name in weights) + 1)
    return [weights[f"{name}.{side}"].detach().clone() for name in names for side in ("lora_A", "lora_B")]  # type: ignore


@torch.no_grad()
def hidden_cosine(instance: Instance, asked: Sequence[int]) -> Array:
    """Mean last hidden states of the base, compared: what a plain retriever would do."""
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(instance.base, dtype=torch.float32)
    tokenizer = attributed.tokenizer_of(instance)

    def means(texts: Sequence[str]) -> Tensor:
        found = []
        for text in texts:
            tokens = torch.tensor([[tokenizer.bos_token_id, *tokenizer(text)["input_ids"]]])
            found.append(model.model(input_ids=tokens).last_hidden_state[0].mean(0))
        values = torch.stack(found)
        return values / values.norm(dim=1, keepdim=True)

    wanted = means([instance.queries[i].prompt + instance.queries[i].completion for i in asked])
    return (wanted @ means([row.prompt + row.completion for row in instance.rows]).T).numpy().astype(np.float64)
