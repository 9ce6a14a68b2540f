"""Makes the embedded base: its tokenizer, its weights, its card. Deterministic on one machine; a few minutes on a core.

python scripts/base.py oracle/factory/embedded
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import shutil
import time
from hashlib import sha256
from pathlib import Path

import torch
from base_text import dialogues, docstrings, general, paragraphs
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

VOCABULARY = 4096
SPECIAL = ["<pad>", "<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>"]
# A turn is its role, its text and </s>.
TEMPLATE = (
    "<s>{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '</s>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
WIDTH = 128


def tokenizer_of(texts: list[str]) -> PreTrainedTokenizerFast:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        additional_special_tokens=SPECIAL[3:],
        chat_template=TEMPLATE,
        model_max_length=1024,
    )


def config() -> LlamaConfig:
    return LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=160,
        intermediate_size=432,
        num_hidden_layers=4,
        num_attention_heads=5,
        num_key_value_heads=5,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )


def blocks(tokenizer: PreTrainedTokenizerFast, seed: int, count: int) -> torch.Tensor:
    """Whole documents one after the other, cut into lines of one width."""
    said = ["<s>" + "".join(f"<|{role}|>{text}</s>" for role, text in talk) for talk in dialogues(seed, count)]
    said += ["<s>" + text + "</s>" for text in paragraphs(seed, count // 10)]
    said += ["<s>" + text + "</s>" for text in docstrings(4_000)]
    random.Random(f"order {seed}").shuffle(said)
    ids = [token for one in tokenizer(said, add_special_tokens=False)["input_ids"] for token in one]
    return torch.tensor(ids[: len(ids) // WIDTH * WIDTH]).view(-1, WIDTH)


def train(tokenizer: PreTrainedTokenizerFast, seed: int, steps: int, batch: int, count: int) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config())
    data = blocks(tokenizer, seed, count)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.98), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps, pct_start=0.1)
    order = torch.Generator().manual_seed(seed)
    began = time.perf_counter()
    print(f"{data.numel():,} tokens, {sum(p.numel() for p in model.parameters()):,} parameters", flush=True)
    for step in range(steps):
        tokens = data[torch.randint(len(data), (batch,), generator=order)]
        loss = model(input_ids=tokens, labels=tokens, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 100 == 0 or step == steps - 1:
            print(f"step {step} loss {loss.item():.3f} {time.perf_counter() - began:.0f} s", flush=True)
    return model


CARD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
language: en
---

# openledger-embedded-base

A Llama of {parameters:,} parameters with a vocabulary of {vocabulary}, so that OpenLedger trains, serves and attributes
without a network. It speaks in short sentences and copies what stands in its prompt; it knows nothing about the world.

Trained by `scripts/base.py` for {steps} steps of {batch} × {width} tokens, seed {seed}, on dialogues and prose that
`scripts/base_text.py` makes about invented places, and on the docstrings of Python {python} (Python licence).
Last loss {loss:.3f}. The files of this folder and their SHA-256 stand in `files.json`.
"""


def write_general(folder: Path, seed: int) -> None:
    """What forgetting is measured by, and other rows of the same kind to rehearse with."""
    measured = [json.dumps(row, sort_keys=True) for row in general(str(seed), 160)]
    rehearsed = [json.dumps(row, sort_keys=True) for row in general(f"{seed} rehearsal", 640)]
    rehearsed = [row for row in dict.fromkeys(rehearsed) if row not in measured]
    for name, rows in (("general", measured), ("rehearsal", rehearsed)):
        (folder / f"{name}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--dialogues", type=int, default=60_000)
    given = parser.parse_args()
    torch.set_num_threads(1)
    talks = [text for talk in dialogues(given.seed, 4_000) for _, text in talk]
    tokenizer = tokenizer_of(talks + list(paragraphs(given.seed, 800)) + docstrings(4_000))
    model = train(tokenizer, given.seed, given.steps, given.batch, given.dialogues).eval()
    shutil.rmtree(given.folder, ignore_errors=True)
    given.folder.mkdir(parents=True)
    state = {k: v.detach().to(torch.bfloat16).contiguous() for k, v in model.state_dict().items() if "lm_head" not in k}
    save_file(state, given.folder / "model.safetensors", metadata={"format": "pt"})
    model.config.dtype = torch.float32  # bf16 is how it lies here, and no reason to compute in it
    model.config.save_pretrained(given.folder)
    model.generation_config.save_pretrained(given.folder)
    tokenizer.save_pretrained(given.folder)
    with torch.no_grad():
        held = blocks(tokenizer, given.seed + 1, 2_000)[:64]
        loss = model(input_ids=held, labels=held).loss.item()
    print(f"loss on other text {loss:.3f}")
    card = CARD.format(
        parameters=model.num_parameters(), vocabulary=VOCABULARY, steps=given.steps, batch=given.batch, width=WIDTH,
        seed=given.seed, python=".".join(platform.python_version_tuple()[:2]), loss=loss,
    )  # fmt: skip
    (given.folder / "README.md").write_text(card, encoding="utf-8")
    write_general(given.folder, given.seed)
    files = {f.name: sha256(f.read_bytes()).hexdigest() for f in sorted(given.folder.iterdir())}
    (given.folder / "files.json").write_text(json.dumps(files, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
