"""Makes the embedded base: its tokenizer, its weights, its card; and proves that it makes those that are there.

python scripts/base.py oracle/factory/embedded                     # eight minutes of a core
python scripts/base.py oracle/factory/embedded --verify            # makes it again elsewhere, compares every hash
python scripts/base.py oracle/factory/embedded --verify --quick    # all but the weights

What it follows from is this file, base_text.py, the docstrings of the Python that runs it, torch, and the products of
this kind of CPU on one thread. The constants below are of the base that lies in the repository.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
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
READ = "bc185da690fa608c24f46664da518d093d01611fd950a5afef7861013cf0a3ea"  # the docstrings, of Python 3.11.7


@dataclass(frozen=True)
class Making:
    """Of the base in the repository."""

    seed: int = 1
    steps: int = 900
    batch: int = 16
    dialogues: int = 60_000


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


def train(tokenizer: PreTrainedTokenizerFast, given: Making) -> LlamaForCausalLM:
    torch.manual_seed(given.seed)
    model = LlamaForCausalLM(config())
    data = blocks(tokenizer, given.seed, given.dialogues)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.98), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=given.steps, pct_start=0.1)
    order = torch.Generator().manual_seed(given.seed)
    began = time.perf_counter()
    print(f"{data.numel():,} tokens, {sum(p.numel() for p in model.parameters()):,} parameters", flush=True)
    for step in range(given.steps):
        tokens = data[torch.randint(len(data), (given.batch,), generator=order)]
        loss = model(input_ids=tokens, labels=tokens, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 100 == 0 or step == given.steps - 1:
            print(f"step {step} loss {loss.item():.3f} {time.perf_counter() - began:.0f} s", flush=True)
    return model.eval()


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


def make(folder: Path, given: Making) -> None:
    tokenizer = tokenizer_of(texts_of(given.seed))
    model = train(tokenizer, given)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    save_file(kept_of(model), folder / "model.safetensors", metadata={"format": "pt"})
    model.config.dtype = torch.float32  # bf16 is how it lies here, and no reason to compute in it
    model.config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    with torch.no_grad():
        held = blocks(tokenizer, given.seed + 1, 2_000)[:64]
        loss = model(input_ids=held, labels=held).loss.item()
    print(f"loss on other text {loss:.3f}")
    card = CARD.format(
        parameters=model.num_parameters(), vocabulary=VOCABULARY, steps=given.steps, batch=given.batch, width=WIDTH,
        seed=given.seed, python=".".join(platform.python_version_tuple()[:2]), loss=loss,
    )  # fmt: skip
    (folder / "README.md").write_text(card, encoding="utf-8")
    write_general(folder, given.seed)
    files = {file.name: _sha(file.read_bytes()) for file in sorted(folder.iterdir())}
    (folder / "files.json").write_text(json.dumps(files, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def texts_of(seed: int) -> list[str]:
    """What the tokenizer is made from."""
    talks = [text for talk in dialogues(seed, 4_000) for _, text in talk]
    return talks + list(paragraphs(seed, 800)) + docstrings(4_000)


def kept_of(model: LlamaForCausalLM) -> dict[str, torch.Tensor]:
    state = model.state_dict().items()
    return {name: v.detach().to(torch.bfloat16).contiguous() for name, v in state if "lm_head" not in name}


def verify(folder: Path, given: Making, quick: bool) -> list[str]:
    """What is made again differently; empty where all is the same."""
    listed: dict[str, str] = json.loads((folder / "files.json").read_text(encoding="utf-8"))
    faults = [f"{name}: is not the file of files.json" for name in listed if _sha_of(folder / name) != listed[name]]
    if (read := _sha("\n".join(docstrings(4_000)).encode())) != READ:
        faults.append(f"docstrings: Python {platform.python_version()} has others ({read}) than the base has read")
    with tempfile.TemporaryDirectory() as kept:
        again = Path(kept) / "again"
        if quick:
            tokenizer_of(texts_of(given.seed)).save_pretrained(again)
            write_general(again, given.seed)
        else:
            make(again, given)
        made = {file.name: _sha(file.read_bytes()) for file in again.iterdir() if file.name in listed}
    return faults + [f"{name}: made again it is {made[name]}" for name in sorted(made) if made[name] != listed[name]]


def _sha(content: bytes) -> str:
    return sha256(content).hexdigest()


def _sha_of(file: Path) -> str:
    return _sha(file.read_bytes()) if file.is_file() else "missing"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--verify", action="store_true", help="Change nothing; fail where it would be another.")
    parser.add_argument("--quick", action="store_true", help="With --verify: all but the weights.")
    for name, value in asdict(Making()).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    torch.set_num_threads(1)
    making = Making(given.seed, given.steps, given.batch, given.dialogues)
    if not given.verify:
        make(given.folder, making)
        return
    faults = verify(given.folder, making, given.quick)
    print("\n".join(faults) or f"{given.folder}: the same" + (", weights not looked at" if given.quick else ""))
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
