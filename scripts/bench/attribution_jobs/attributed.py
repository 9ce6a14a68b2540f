"""The run that is attributed: an ordinary training with transformers and PEFT, which drives the recorder."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from attribution_jobs.batched import order_of, rate_at
from attribution_jobs.instance import Instance, Recipe
from oracle.attribution.layers import lora_matrices
from oracle.attribution.queries import answer_losses
from oracle.attribution.recorder import Record, Recorder, Scale
from oracle.attribution.records import Plan, Query


@dataclass(frozen=True)
class Run:
    model: PeftModel
    record: Record | None
    seconds: float
    loss: float
    by_rows: Record | None = None
    beside: tuple[Record, ...] = ()


def as_query(tokenizer: PreTrainedTokenizerFast, name: str, prompt: str, completion: str) -> Query:
    head = [tokenizer.bos_token_id, *tokenizer(prompt)["input_ids"]]
    return Query(name, (*head, *tokenizer(completion)["input_ids"]), len(head))


def tokenizer_of(instance: Instance) -> PreTrainedTokenizerFast:
    return AutoTokenizer.from_pretrained(instance.base)


def rows_of(instance: Instance) -> list[Query]:
    """As the model reads them."""
    tokenizer = tokenizer_of(instance)
    return [as_query(tokenizer, row.id, row.prompt, row.completion) for row in instance.rows]


def queries_of(instance: Instance) -> list[Query]:
    tokenizer = tokenizer_of(instance)
    return [as_query(tokenizer, query.id, query.prompt, query.completion) for query in instance.queries]


def adapted(instance: Instance, recipe: Recipe, start: Sequence[torch.Tensor], dtype: torch.dtype) -> PeftModel:
    """The base with the adapter that the batched trainer begins with: A, B, A, B, … in the order of its layers."""
    base = LlamaForCausalLM.from_pretrained(instance.base, dtype=dtype)
    config = LoraConfig(r=recipe.rank, lora_alpha=recipe.alpha, target_modules="all-linear", lora_dropout=0.0)
    model = get_peft_model(base, config)
    matrices = {matrix.name: matrix.module.weight for matrix in lora_matrices(model)}
    weights = iter(start)
    with torch.no_grad():
        for name in layer_names(len(base.model.layers)):
            for side in ("lora_A", "lora_B"):
                weight = matrices[f"{name}.{side}"]
                assert isinstance(weight, torch.Tensor)
                weight.copy_(next(weights))
    assert isinstance(model, PeftModel)
    return model


def layer_names(layers: int) -> list[str]:
    linear = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
    linear += ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
    return [f"model.layers.{i}.{name}" for i in range(layers) for name in linear]


def clock_of(device: str) -> Callable[[], float]:
    """One thread's own time on a CPU, which neighbours do not stretch; elsewhere the time on the wall."""
    return time.process_time if device == "cpu" else time.perf_counter


def train(
    instance: Instance,
    recipe: Recipe,
    start: Sequence[torch.Tensor],
    seed: int,
    plan: Plan | None,
    *,
    by_rows: bool = False,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    after: Callable[[int, PeftModel], None] | None = None,
    scales: Sequence[Scale] = (),
) -> Run:
    """With a plan the run is recorded, on request row by row as well, and once more by each of the other scales;
    without one it is the same training alone, for comparing the times."""
    model = adapted(instance, recipe, start, dtype).to(device)
    model.train()
    rows = rows_of(instance)
    sides = {side: [p for name, p in model.named_parameters() if side in name] for side in ("lora_A", "lora_B")}
    groups = [{"params": sides["lora_A"], "times": recipe.rate_a}, {"params": sides["lora_B"], "times": 1.0}]
    if recipe.optimizer == "sgd":
        optimizer: torch.optim.Optimizer = torch.optim.SGD(groups, lr=recipe.rate, momentum=recipe.beta1)
    else:
        betas = (recipe.beta1, recipe.beta2)
        optimizer = torch.optim.Adam(groups, lr=recipe.rate, betas=betas, eps=recipe.epsilon)
    recorders: list[Recorder] = []
    if plan is not None:
        owners = [row.owner for row in instance.rows]
        recorders = [Recorder(model, plan, owners)]
        if by_rows:
            recorders.append(Recorder(model, plan, [row.id for row in instance.rows]))
        recorders += [Recorder(model, plan, owners, scale=scale) for scale in scales]
    order = order_of(len(rows), recipe, seed)
    clock = clock_of(device)
    started, loss = clock(), torch.zeros(())
    for step, batch in enumerate(order):
        chosen = batch.tolist()
        for group in optimizer.param_groups:
            group["lr"] = rate_at(recipe, step, len(order)) * group["times"]
        with ExitStack() as watched:
            for recorder in recorders:
                watched.enter_context(recorder.step(step, chosen, recipe.batch))
            loss = answer_losses(model, [rows[i] for i in chosen]).sum() / recipe.batch
            loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if after is not None:
            after(step, model)
    records = [recorder.finish() for recorder in recorders]
    seconds = clock() - started
    beside = tuple(records.pop() for _ in scales)[::-1]
    first, second = (*records, None, None)[:2]
    return Run(model, first, seconds, float(loss.detach()), second, beside)
