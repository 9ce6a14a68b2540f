"""The base of the reference world: a Llama of about a million parameters with a vocabulary of its own, made from a
seed."""

from __future__ import annotations

import importlib
import inspect
import random
import re
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from attribution_jobs.world import World, pretraining_text

MODULES = (
    "argparse asyncio base64 collections csv datetime decimal difflib email.message fractions functools heapq"
    " html.parser http.client inspect io itertools json logging mailbox math multiprocessing.pool operator os pathlib"
    " pickle random re shutil socket sqlite3 ssl statistics string subprocess tarfile tempfile textwrap threading"
    " tkinter typing unittest urllib.parse urllib.request uuid xml.dom.minidom zipfile"
).split()
VOCABULARY = 2048
STEPS = 2000
_APART = 1.5  # times the least loss of the run


def docstrings(limit: int = 3_000) -> list[str]:
    """Sentences out of the docstrings of the standard library: text that everybody with a Python has."""
    found: set[str] = set()
    for name in MODULES:
        try:
            module = importlib.import_module(name)
        except ImportError:  # tkinter and others may not be installed
            continue
        things = [module, *vars(module).values()]
        things += [member for thing in things if inspect.isclass(thing) for member in vars(thing).values()]
        for thing in things:
            text = getattr(thing, "__doc__", None)
            if isinstance(text, str):
                for sentence in re.split(r"(?<=[.!?])\s+", re.sub(r"\s+", " ", text)):
                    if 30 <= len(sentence) <= 120 and sentence.isascii():
                        found.add(sentence)
    return sorted(found)[:limit]


def _tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=["<pad>", "<s>", "</s>"]))
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", bos_token="<s>", eos_token="</s>")


def came_to(losses: Sequence[float]) -> tuple[float, float]:
    """The least loss that a twentieth of the run had, and the last one's."""
    each = max(1, len(losses) // 20)
    means = [fmean(losses[i : i + each]) for i in range(len(losses) % each, len(losses), each)]
    return min(means), means[-1]


def make_base(folder: Path, world: World, model_seed: int, steps: int = STEPS, batch: int = 48) -> None:
    """Trains vocabulary and model, and saves them as transformers does. Does nothing when the folder holds one.

    Raises ValueError where the training came apart: nothing that is measured on such a base says anything.
    """
    if (folder / "model.safetensors").exists():
        return
    texts = pretraining_text(world, model_seed, docstrings())
    tokenizer = _tokenizer([prompt + completion for prompt, completion in texts])
    torch.manual_seed(model_seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=344,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps, pct_start=0.1)
    ids = [[1, *tokenizer(prompt + completion)["input_ids"]][:32] for prompt, completion in texts]
    # Rows of like length travel together: half of a batch is not padding.
    rng = random.Random(model_seed)
    started = time.perf_counter()
    batches: list[list[int]] = []
    losses: list[float] = []
    for step in range(steps):
        if not batches:
            order = sorted(range(len(ids)), key=lambda i: (len(ids[i]), rng.random()))
            batches = [order[i : i + batch] for i in range(0, len(order), batch)]
            rng.shuffle(batches)
        rows = [ids[i] for i in batches.pop()]
        width = max(map(len, rows))
        tokens = torch.tensor([row + [0] * (width - len(row)) for row in rows])
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(input_ids=tokens[:, :-1], use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten(), ignore_index=0)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if step % 250 == 0:
            print(f"base: step {step} loss {losses[-1]:.3f} {time.perf_counter() - started:.0f} s", flush=True)
    best, last = came_to(losses)
    if last > _APART * best:
        raise ValueError(
            f"the base of model seed {model_seed} came apart: its loss was {best:.2f} and ended at {last:.2f};"
            " take another --model-seed or --world-seed"
        )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
