"""What the benchmark of serving serves: base models without weights of anybody's, adapters, and PEFT beside them."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import save_file
from transformers import LlamaConfig

from oracle.serving.layout import BaseShape

STEPS, QUICK_STEPS = 32, 12


@dataclass(frozen=True)
class Setting:
    """What is measured where: the reference model of 17M parameters, or one shaped like 8B."""

    device: str
    dtype: torch.dtype
    rank: int
    # By rows: how often this engine decodes with and without adapters, in turn. A round of 256 rows reads 32,768 tokens
    # of prompts before it measures anything.
    rounds: dict[int, int]
    # How often the other systems do, between two turns of this one: some take half a minute at each.
    seldom: int
    steps: int
    # Of how many adapters PEFT's mixed batch is asked: it holds them all in float32.
    most_in_peft: int
    # Pinned host memory for packed adapters; on a CPU the page cache does this job.
    host_bytes: int
    model: dict[str, int]

    @property
    def config(self) -> LlamaConfig:
        return LlamaConfig(**self.model, max_position_embeddings=2048, tie_word_embeddings=False)


def setting(quick: bool) -> Setting:
    steps = QUICK_STEPS if quick else STEPS
    if torch.cuda.is_available():
        names = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
        model = dict(zip(names, (128_256, 4096, 14_336, 32, 32)), num_key_value_heads=8)
        rounds = {8: 3, 64: 2, 256: 1} if quick else {8: 15, 64: 9, 256: 5}
        seldom, most = (1, 8) if quick else (3, 64)
        return Setting("cuda", torch.bfloat16, 16, rounds, seldom, steps, most, 10 << 30, model)
    model = {
        "vocab_size": 4096, "hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 4,
        "num_attention_heads": 8, "num_key_value_heads": 8,
    }  # fmt: skip
    rounds = {8: 12, 64: 3, 256: 1} if quick else {8: 60, 64: 15, 256: 5}
    seldom, most = (1, 8) if quick else (3, 256)
    return Setting("cpu", torch.float32, 8, rounds, seldom, steps, most, 0, model)


def publish(folder: Path, shape: BaseShape, rank: int, seed: int, dtype: torch.dtype, device: str = "cpu") -> Path:
    """A random adapter on all linear layers, in the files that PEFT writes."""
    generator, tensors = torch.Generator(device).manual_seed(seed), {}
    for layer in range(shape.layers):
        for module in shape.modules.values():
            part = "self_attn" if module.name in ("q_proj", "k_proj", "v_proj", "o_proj") else "mlp"
            key = f"base_model.model.model.layers.{layer}.{part}.{module.name}.lora_"
            a = torch.randn(rank, module.inputs, generator=generator, device=device) * module.inputs**-0.5
            b = torch.randn(module.outputs, rank, generator=generator, device=device) * 0.05
            tensors |= {f"{key}A.weight": a.to("cpu", dtype), f"{key}B.weight": b.to("cpu", dtype)}
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": 2 * rank}
    config["target_modules"] = sorted(shape.modules)
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def sharing(model: Any) -> Any:
    """A model of its own, to be taken apart by PEFT, over the same weights."""
    return copy.deepcopy(model, {id(weight): weight for weight in model.parameters()})


def mixed_peft(model: Any, folders: Sequence[Path]) -> Any:
    """All adapters in one PEFT model."""
    peft = PeftModel.from_pretrained(model, folders[0], adapter_name="0")
    for i, folder in enumerate(folders[1:], 1):
        peft.load_adapter(folder, str(i))
    return peft.eval()
