"""The engine itself, measured: its run, its index, its scores, its pay, and what each of them costs."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import oracle.attribution
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
from oracle.attribution.records import Plan, Query, Scores, plan_for
from oracle.attribution.scoring import score
from oracle.attribution.shares import Limits, Proposal, propose

ENGINE = Path(oracle.attribution.__file__).parent
GENERATED = 16  # tokens: what a query's cost is compared with


@dataclass(frozen=True)
class Found:
    figures: dict[str, float]
    accuracy: dict[str, float]
    adapters: list[list[Tensor]]  # at each checkpoint, and the final one


@dataclass(frozen=True)
class Scored:
    """What the engine says of one run: all questions by contributors, those on planted facts by rows as well."""

    scores: Scores
    rows: Array
    gains: dict[str, float]
    held: dict[str, int]


def measure(
    instance: Instance, recipe: Recipe, truth: Truth, start: Sequence[Tensor], seed: int, folder: Path, device: str
) -> Found:
    """The engine, its audit, and the adapters by which the simple methods are measured beside it."""
    adapters: list[list[Tensor]] = []
    plan = plan_of(instance, recipe)
    steps = recipe.epochs * -(-len(instance.rows) // recipe.batch)
    middles = {window.middle for window in plan.windows} | {steps - 1}

    def keep(step: int, model: torch.nn.Module) -> None:
        if step in middles:
            adapters.append(_in_order(model, instance))

    run = attributed.train(instance, recipe, start, seed, plan, by_rows=True, device=device, after=keep)
    scored = _scored(instance, run, folder)
    accuracy, found = judged(instance, truth, scored, seed)
    index = Index(folder / "people", _digest(run))
    found |= audited(instance, truth, run.model, index, folder / "audit", accuracy)
    return Found(found, accuracy, adapters)


def alone(instance: Instance, recipe: Recipe, truth: Truth, start: Sequence[Tensor], seed: int, cache: Path) -> Found:
    """The engine without its audit, on a CPU."""
    accuracy, found = judged(instance, truth, said(instance, recipe, start, seed, cache), seed)
    return Found(found, accuracy, [])


def said(instance: Instance, recipe: Recipe, start: Sequence[Tensor], seed: int, cache: Path) -> Scored:
    """What the engine says, kept by the digest of the instance, the recipe and the engine's own code."""
    code = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(ENGINE.glob("*.py")))).hexdigest()[:16]
    file = cache / "scores" / f"{instance.digest()}-{recipe.digest()}-{seed}-{code}.json"
    if not file.exists():
        with tempfile.TemporaryDirectory() as folder:
            run = attributed.train(instance, recipe, start, seed, plan_of(instance, recipe), by_rows=True)
            scored = _scored(instance, run, Path(folder))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(scored) | {"rows": scored.rows.round(6).tolist()}), encoding="utf-8")
    content = json.loads(file.read_text(encoding="utf-8"))
    parts = content["scores"] | {
        name: tuple(content["scores"][name]) for name in ("queries", "contributors", "lengths")
    }
    parts["values"] = tuple(map(tuple, parts["values"]))
    return Scored(Scores(**parts), np.array(content["rows"]), content["gains"], content["held"])


def judged(instance: Instance, truth: Truth, scored: Scored, seed: int) -> tuple[dict[str, float], dict[str, float]]:
    """Its accuracy, and that with its pay and the splitter's."""
    asked = [i for i, query in enumerate(instance.queries) if query.kind != "control"]
    controls = [i for i, query in enumerate(instance.queries) if query.kind == "control"]
    known, fresh = controls[::2], controls[1::2]  # limits are measured on one half, and tried on the other
    unrelated = attackers.some(scored.scores, [instance.queries[i].id for i in known])
    limits = limits_from(unrelated, scored.held, scored.gains)
    accuracy = figures.accuracy(instance, truth, scored.rows, np.array(scored.scores.values)[asked])
    found = accuracy | pay(instance, truth, scored, limits, asked, fresh)
    found["splitter_gain"] = attackers.splitter_gain(
        instance, scored.rows, scored.scores, scored.gains, limits, asked, seed
    )
    return accuracy, found


def plan_of(instance: Instance, recipe: Recipe) -> Plan:
    return plan_for(recipe.epochs * -(-len(instance.rows) // recipe.batch), recipe.epochs)


def _digest(run: attributed.Run) -> str:
    return adapter_digest({m.name: m.module.weight for m in lora_matrices(run.model)})  # type: ignore[misc]


def _scored(instance: Instance, run: attributed.Run, folder: Path) -> Scored:
    assert run.record is not None
    assert run.by_rows is not None
    digest = _digest(run)
    write_index(folder / "people", run.record, digest)
    write_index(folder / "rows", run.by_rows, digest)
    index, row_index = Index(folder / "people", digest), Index(folder / "rows", digest)
    tokenizer = attributed.tokenizer_of(instance)
    queries = [attributed.as_query(tokenizer, q.id, q.prompt, q.completion) for q in instance.queries]
    scores = score(run.model, index, queries, half=True)
    by_rows = score(run.model, row_index, [queries[i] for i, q in enumerate(instance.queries) if q.kind != "control"])
    order = {name: i for i, name in enumerate(by_rows.contributors)}
    rows = np.array(by_rows.values)[:, [order[row.id] for row in instance.rows]]
    return Scored(scores, rows, dict(gains(run.model, queries)), dict(index.rows_of()))


def audited(
    instance: Instance,
    truth: Truth,
    model: torch.nn.Module,
    index: Index,
    folder: Path,
    exact: dict[str, float],
) -> dict[str, float]:
    """Rows in two kilobytes, beside the rows' own sums in full. Once the directions are found by all rows, once by
    every second one, which is how rows fare that are not among those they were found by."""
    kept, values = truth.of("examples")
    tokenizer = attributed.tokenizer_of(instance)
    rows = [attributed.as_query(tokenizer, row.id, row.prompt, row.completion) for row in instance.rows]
    asked = [i for i, query in enumerate(instance.queries) if query.kind != "control"]
    wanted = [instance.queries[i] for i in asked]
    queries = [attributed.as_query(tokenizer, q.id, q.prompt, q.completion) for q in wanted]
    found: dict[str, float] = {}
    for name, sample in (("", len(rows)), ("_unseen", len(rows) // 2)):
        begin(folder, model, index, rows, AuditPlan(sample=sample))
        file = write_shard(folder, model, index, rows, 0)
        finish(folder)
        audit = Audit(folder, index.adapter)
        asked_lines = lines_of(model, index, audit, queries)
        scores = audit.products(asked_lines, 0).numpy().astype(np.float64)
        found["audit_bytes_per_example"] = file.stat().st_size / len(rows)
        if len(kept):
            each = figures.lds(kept.astype(float), values.mean(0)[:, asked], scores)
            found[f"audit_lds_loss{name}"] = exact["lds_examples"] - float(each.mean())
    return found


def pay(
    instance: Instance,
    truth: Truth,
    scored: Scored,
    limits: Limits,
    asked: Sequence[int],
    unrelated: Sequence[int],
) -> dict[str, float]:
    """What the rule pays, beside what the same rule pays on what retraining shows."""
    people, scores, queries = instance.contributors, scored.scores, instance.queries

    def paid(query: str) -> Proposal:
        return propose(scores.of(query), scores.length(query), scored.gains[query], limits)

    proposals = [paid(queries[i].id) for i in asked]
    ours = np.array([[found.of(person) for person in people] for found in proposals])
    credited = [paid(queries[i].id) for i in unrelated]
    return _beside(instance, truth, limits, ours, asked) | {
        "paid_share": float(ours.sum(1).mean()),
        "abstained": float((ours.sum(1) == 0).mean()),
        "false_credit": float(np.mean([found.abstained is None for found in credited])),
        "least_gain": limits.least_gain,
        "least_strength": limits.least_strength,
    }


def _beside(instance: Instance, truth: Truth, limits: Limits, ours: Array, asked: Sequence[int]) -> dict[str, float]:
    """The same rule on what happened: what is not above its own noise does not pay."""
    if not len(truth.of("without")[0]):
        return {}
    effects = figures.left_out(instance, truth, asked)
    mean, seeds = effects.mean(0), len(truth.seeds)
    noise = effects.std(0, ddof=1).mean() / np.sqrt(seeds) if seeds > 1 else 0.0
    real = figures.shares_of(np.maximum(mean - limits.threshold * noise, 0.0))
    both = (ours.sum(1) > 0) & (real.sum(1) > 0)
    apart = figures.total_variation(figures.shares_of(ours[both]), real[both]) if both.any() else 1.0
    return {"payout_tv": apart, "truth_noise": float(noise)}


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
