"""A model of two layers with an adapter, rows, and a training loop that drives the recorder: what the tests share."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from oracle.attribution.index import Index, adapter_digest, write_index
from oracle.attribution.layers import lora_matrices
from oracle.attribution.queries import answer_losses
from oracle.attribution.recorder import Record, Recorder
from oracle.attribution.records import Plan, Query, Window

VOCABULARY = 40
EPOCHS = 3
BATCH = 4


def model(seed: int = 0) -> PeftModel:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=32,
    )
    made = get_peft_model(LlamaForCausalLM(config), LoraConfig(r=2, lora_alpha=4, target_modules="all-linear"))
    assert isinstance(made, PeftModel)
    return made


def rows(count: int = 16, seed: int = 0) -> list[Query]:
    rng = random.Random(seed)
    made = []
    for i in range(count):
        length = rng.randint(4, 9)
        made.append(
            Query(f"row-{i}", tuple(rng.randrange(VOCABULARY) for _ in range(length)), rng.randint(1, length - 1))
        )
    return made


def plan(count: int, batch: int = BATCH, damping: float = 0.01) -> Plan:
    each = -(-count // batch)
    return Plan((Window(each, 2 * each - 1, 1.0), Window(2 * each, 3 * each - 1, 0.5)), damping)


def recorded(
    taught: PeftModel,
    said: Sequence[Query],
    owners: Sequence[str],
    *,
    rate: float = 0.02,
    order: Sequence[int] | None = None,
    batch: int = BATCH,
    times: float = 1.0,
) -> Record:
    """Three epochs of plain descent in one order; the last two are recorded."""
    recorder = Recorder(taught, plan(len(said), batch), owners)
    places = list(order if order is not None else range(len(said)))
    optimizer = torch.optim.SGD([p for p in taught.parameters() if p.requires_grad], lr=rate)
    taught.eval()
    step = 0
    for _ in range(EPOCHS):
        for at in range(0, len(places), batch):
            chosen = places[at : at + batch]
            divisor = len(chosen) / times
            with recorder.step(step, chosen, divisor):
                (answer_losses(taught, [said[i] for i in chosen]).sum() / divisor).backward()
            optimizer.step()
            optimizer.zero_grad()
            step += 1
    return recorder.finish()


def digest(taught: PeftModel) -> str:
    return adapter_digest({m.name: m.module.weight for m in lora_matrices(taught)})


def index_of(folder: Path, taught: PeftModel, record: Record) -> Index:
    write_index(folder, record, digest(taught))
    return Index(folder, digest(taught))
