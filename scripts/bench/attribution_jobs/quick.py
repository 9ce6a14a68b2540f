"""The same training as `batched.train`, one adapter at a time in C++: several times faster, where it can be had.

It needs a C++ compiler, a processor that multiplies bfloat16, rank 8 and a base in bfloat16 on the CPU; elsewhere
`batched.py` does the work. The program is compiled once, beside the cache of the retrainings.
"""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attribution_jobs.batched import LINEAR, Base, Encoded, order_of, rate_at
from attribution_jobs.instance import Recipe

SOURCE = Path(__file__).with_name("quick.cpp")
FLAGS = ("-O3", "-march=native", "-ffast-math", "-std=c++17", "-fPIC")
RANK = 8


def possible(base: Base, recipe: Recipe) -> bool:
    """Whether this run can be done so here."""
    config = base.config
    fits = config.num_key_value_heads == config.num_attention_heads and config.hidden_size % 16 == 0
    at_hand = base.dtype == torch.bfloat16 and base.device == "cpu" and shutil.which("c++") is not None
    return at_hand and fits and recipe.rank == RANK and "avx512_bf16" in _features()


class Quick:
    """A base opened by the program."""

    def __init__(self, base: Base, folder: Path) -> None:
        self._program = _program(folder)
        config = base.config
        self._kept = [base.embedding, base.head.float(), base.norm, base.frequencies]
        weights = [layer[name].float().contiguous() for layer in base.layers for name in (*LINEAR, "norm1", "norm2")]
        embedding, head, norm, frequencies = (_at(value.contiguous()) for value in self._kept)
        self._opened = self._program.quick_open(
            config.num_hidden_layers, config.hidden_size, config.intermediate_size, config.num_attention_heads,
            config.vocab_size, ctypes.c_float(config.rms_norm_eps), embedding, head, norm, _pointers(weights),
            frequencies,
        )  # fmt: skip

    def train(self, base: Base, rows: Encoded, recipe: Recipe, kept: Tensor, seed: int) -> list[Tensor]:
        """One adapter: A, B, A, B, … as `batched.train` gives them, without the first dimension."""
        adapter = base.fresh(recipe, seed)
        order = order_of(rows.count, recipe, seed)
        flat, ends = torch.cat(order).int(), torch.tensor([0, *(len(batch) for batch in order)]).cumsum(0).int()
        rates = torch.tensor([rate_at(recipe, step, len(order)) for step in range(len(order))])
        tokens, answer, length, keep = *_encoded(rows), kept.to(torch.uint8).contiguous()
        numbers = (recipe.batch, recipe.alpha / recipe.rank)
        betas = (recipe.beta1, recipe.beta2, recipe.epsilon)
        self._program.quick_train(
            self._opened, _at(tokens), _at(answer), _at(length), tokens.shape[1], _at(flat), _at(ends), len(order),
            _at(keep), _at(rates), *map(ctypes.c_float, numbers), int(recipe.optimizer == "adam"),
            *map(ctypes.c_float, betas), ctypes.c_float(recipe.rate_a), _pointers(adapter),
        )  # fmt: skip
        return adapter

    def measure(self, rows: Encoded, recipe: Recipe, adapter: Sequence[Tensor]) -> Tensor:
        """The log-probability of each row's answer."""
        losses = torch.zeros(rows.count)
        tokens, answer, length = _encoded(rows)
        self._program.quick_losses(
            self._opened, _at(tokens), _at(answer), _at(length), tokens.shape[1], rows.count,
            ctypes.c_float(recipe.alpha / recipe.rank), _pointers(adapter), _at(losses),
        )  # fmt: skip
        return -losses

    def close(self) -> None:
        self._program.quick_close(self._opened)


def _encoded(rows: Encoded) -> tuple[Tensor, Tensor, Tensor]:
    return rows.tokens.int().contiguous(), rows.answer.float().contiguous(), rows.length.int().contiguous()


def _at(values: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(values.data_ptr())


def _pointers(values: Sequence[Tensor]) -> Any:
    assert all(value.is_contiguous() and value.dtype == torch.float32 for value in values)
    return (ctypes.c_void_p * len(values))(*(value.data_ptr() for value in values))


@cache
def _features() -> frozenset[str]:
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return frozenset(next((line for line in lines if line.startswith("flags")), "").split())


@cache
def _program(folder: Path) -> Any:
    digest = hashlib.sha256(SOURCE.read_bytes() + " ".join(FLAGS).encode()).hexdigest()[:16]
    file = folder / f"quick-{digest}.so"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        half = file.with_suffix(".o")
        # Linked by itself: a library linked with fast mathematics would change how the whole process rounds.
        subprocess.run(["c++", *FLAGS, "-c", str(SOURCE), "-o", str(half)], check=True)
        subprocess.run(["c++", "-shared", str(half), "-o", str(file)], check=True)
        half.unlink()
    program = ctypes.CDLL(str(file))
    program.quick_open.restype = ctypes.c_void_p
    program.quick_open.argtypes = [ctypes.c_int] * 5 + [ctypes.c_float] + [ctypes.c_void_p] * 5
    program.quick_close.argtypes = [ctypes.c_void_p]
    program.quick_train.argtypes = (
        [ctypes.c_void_p] * 4 + [ctypes.c_int] + [ctypes.c_void_p] * 2 + [ctypes.c_int] + [ctypes.c_void_p] * 2
        + [ctypes.c_float] * 2 + [ctypes.c_int] + [ctypes.c_float] * 4 + [ctypes.c_void_p]
    )  # fmt: skip
    program.quick_losses.argtypes = (
        [ctypes.c_void_p] * 4 + [ctypes.c_int] * 2 + [ctypes.c_float] + [ctypes.c_void_p] * 2
    )
    return program
