"""Many adapters trained in one pass: they share the base's products, and only their LoRA matrices differ.

A step takes the same place of the same order for each of them, with the rows that each has left out missing. The
forward pass is Llama's, written out, so that the rows of all adapters are one matrix for the base and a batched product
for LoRA; `tests` compare it with transformers and PEFT.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from attribution_jobs.instance import Recipe

LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Encoded:
    """Rows of tokens; `answer` marks the tokens that are to be said."""

    tokens: Tensor  # rows × width
    answer: Tensor  # rows × width, float: the weight of a token as a target
    length: Tensor

    @property
    def count(self) -> int:
        return self.tokens.shape[0]


def encode(tokenizer: PreTrainedTokenizerFast, said: Sequence[tuple[str, str]]) -> Encoded:
    ids, marks = [], []
    for prompt, completion in said:
        head = [tokenizer.bos_token_id, *tokenizer(prompt)["input_ids"]]
        tail = tokenizer(completion)["input_ids"]
        ids.append([*head, *tail])
        marks.append([0.0] * len(head) + [1.0] * len(tail))
    width = max(map(len, ids))
    pad = tokenizer.pad_token_id or 0
    tokens = torch.tensor([row + [pad] * (width - len(row)) for row in ids])
    answer = torch.tensor([row + [0.0] * (width - len(row)) for row in marks])
    return Encoded(tokens, answer, torch.tensor([len(row) for row in ids]))


class Base:
    """The frozen weights, in the type that products are computed in."""

    def __init__(self, folder: Path, dtype: torch.dtype, device: str = "cpu") -> None:
        model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self.config = model.config
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.dtype, self.device = dtype, device
        state = {name: value.detach().to(device) for name, value in model.state_dict().items()}
        self.embedding = state["model.embed_tokens.weight"]
        self.head = state["lm_head.weight"].to(dtype)
        self.norm = state["model.norm.weight"]
        self.layers: list[dict[str, Tensor]] = []
        for i in range(self.config.num_hidden_layers):
            prefix = f"model.layers.{i}."
            named = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
            linear = {n: next(v for k, v in named.items() if k.endswith(f"{n}.weight")).to(dtype) for n in LINEAR}
            self.layers.append(
                linear | {"norm1": named["input_layernorm.weight"], "norm2": named["post_attention_layernorm.weight"]}
            )
        dim = self.config.hidden_size // self.config.num_attention_heads
        theta = self.config.rope_parameters["rope_theta"]
        self.frequencies = (1.0 / theta ** (torch.arange(0, dim, 2).float() / dim)).to(device)

    def shapes(self) -> list[tuple[str, int, int]]:
        """(name, in, out) of each linear layer, in the order in which adapters keep them."""
        return [
            (f"{i}.{n}", layer[n].shape[1], layer[n].shape[0]) for i, layer in enumerate(self.layers) for n in LINEAR
        ]

    def fresh(self, recipe: Recipe, seed: int) -> list[Tensor]:
        """A, B, A, B, …: as PEFT begins, A uniform and B zero; or A of the directions in which a layer listens most,
        as long as the uniform one."""
        generator = torch.Generator().manual_seed(seed)
        made = []
        for name, width, out in self.shapes():
            bound = 1.0 / math.sqrt(width)
            a = (torch.rand(recipe.rank, width, generator=generator) * 2 - 1) * bound
            if recipe.first_a == "principal":
                layer, kind = name.split(".")
                weight = self.layers[int(layer)][kind].float().cpu()
                a = torch.linalg.svd(weight, full_matrices=False).Vh[: recipe.rank] / math.sqrt(3)
            made.append(a.contiguous())
            made.append(torch.randn(out, recipe.rank, generator=generator) * recipe.initial_b)
        return [value.to(self.device) for value in made]

    def answer_losses(self, adapters: Sequence[Tensor], scale: float, tokens: Tensor, answer: Tensor) -> Tensor:
        """adapters × rows: the summed loss of each row's answer. `tokens` is adapters × rows × width."""
        count, rows, width = tokens.shape
        config = self.config
        heads, dim = config.num_attention_heads, config.hidden_size // config.num_attention_heads
        angles = torch.outer(torch.arange(width, device=tokens.device).float(), self.frequencies)
        cos, sin = torch.cat([angles, angles], -1).cos(), torch.cat([angles, angles], -1).sin()
        cos, sin = cos.to(self.dtype), sin.to(self.dtype)
        later = torch.ones(width, width, dtype=torch.bool, device=tokens.device).triu(1)
        parameter = iter(adapters)

        def linear(x: Tensor, weight: Tensor) -> Tensor:
            a, b = next(parameter), next(parameter)
            low = torch.bmm(x, a.to(self.dtype).transpose(1, 2))
            return functional.linear(x, weight) + torch.bmm(low, (b * scale).to(self.dtype).transpose(1, 2))

        def normed(x: Tensor, weight: Tensor) -> Tensor:
            return functional.rms_norm(x, (x.shape[-1],), weight, config.rms_norm_eps).to(self.dtype)

        def split(x: Tensor) -> Tensor:
            return x.view(count * rows, width, heads, dim).transpose(1, 2)

        def turned(x: Tensor) -> Tensor:
            first, second = x.chunk(2, -1)
            return x * cos + torch.cat([-second, first], -1) * sin

        x = functional.embedding(tokens, self.embedding).view(count, rows * width, -1)
        for layer in self.layers:
            y = normed(x, layer["norm1"])
            q, k, v = (split(linear(y, layer[name])) for name in ("q_proj", "k_proj", "v_proj"))
            # Written out: torch's fused attention on a CPU spends three quarters of a step in its backward pass.
            looks = torch.matmul(turned(q), turned(k).transpose(-1, -2)).float() / math.sqrt(dim)
            seen = torch.matmul(looks.masked_fill(later, -1e9).softmax(-1).to(self.dtype), v)
            x = x + linear(seen.transpose(1, 2).reshape(count, rows * width, -1), layer["o_proj"])
            y = normed(x, layer["norm2"])
            gate, up = linear(y, layer["gate_proj"]), linear(y, layer["up_proj"])
            x = x + linear(functional.silu(gate) * up, layer["down_proj"])
        # Only where an answer is predicted does the vocabulary count.
        flat = answer[..., 1:].reshape(-1)
        where = functional.pad(answer[..., 1:] > 0, (0, 1)).reshape(-1).nonzero().squeeze(1)
        targets = tokens[..., 1:][answer[..., 1:] > 0]
        logits = functional.linear(normed(x.view(-1, x.shape[-1])[where], self.norm), self.head).float()
        losses = functional.cross_entropy(logits, targets, reduction="none") * flat[flat > 0]
        result = torch.zeros(count * rows, device=x.device)
        return result.index_add(0, where // width, losses).view(count, rows)


def rate_at(recipe: Recipe, step: int, steps: int) -> float:
    """As the factory has it: up in a line, and from there down along the cosine."""
    if step < recipe.warmup:
        return recipe.rate * (step + 1) / recipe.warmup
    if recipe.schedule == "cosine":
        at = (step - recipe.warmup) / max(1, steps - recipe.warmup)
        return recipe.rate * 0.5 * (1 + math.cos(math.pi * at))
    return recipe.rate


def order_of(rows: int, recipe: Recipe, seed: int) -> list[Tensor]:
    """The batches of all epochs."""
    generator = torch.Generator().manual_seed(seed + 7919)
    found: list[Tensor] = []
    for _ in range(recipe.epochs):
        found += torch.randperm(rows, generator=generator).split(recipe.batch)
    return found


class Optimizer:
    """Adam, or descent with momentum, over stacked adapters."""

    def __init__(self, parameters: list[Tensor], recipe: Recipe) -> None:
        self.parameters, self.recipe = parameters, recipe
        self.first = [torch.zeros_like(p) for p in parameters]
        self.second = [torch.zeros_like(p) for p in parameters]
        self.times = [recipe.rate_a, 1.0] * (len(parameters) // 2)  # A, B, A, B, …
        self.steps = 0

    @torch.no_grad()
    def step(self, rate: float) -> None:
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        recipe = self.recipe
        self.steps += 1
        if recipe.optimizer == "sgd":
            torch._foreach_mul_(self.first, recipe.beta1)
            torch._foreach_add_(self.first, gradients)
            torch._foreach_sub_(self.parameters, torch._foreach_mul(self.first, [rate * times for times in self.times]))
        else:
            torch._foreach_lerp_(self.first, gradients, 1 - recipe.beta1)
            torch._foreach_mul_(self.second, recipe.beta2)
            torch._foreach_addcmul_(self.second, gradients, gradients, 1 - recipe.beta2)
            bias1, bias2 = 1 - recipe.beta1**self.steps, 1 - recipe.beta2**self.steps
            under = torch._foreach_sqrt(self.second)
            torch._foreach_div_(under, math.sqrt(bias2))
            torch._foreach_add_(under, recipe.epsilon)
            moves = [-rate / bias1 * times for times in self.times]
            torch._foreach_addcdiv_(self.parameters, self.first, under, moves)
        for p in self.parameters:
            p.grad = None


def train(
    base: Base,
    rows: Encoded,
    recipe: Recipe,
    kept: Sequence[Tensor],
    seeds: Sequence[int],
    watch: Callable[[int, list[Tensor]], None] | None = None,
) -> list[Tensor]:
    """Trains one adapter for each (rows kept, seed); returns the stacked matrices. `kept` are Booleans over the
    rows."""
    starts = [base.fresh(recipe, seed) for seed in seeds]
    adapters = [torch.stack(same).requires_grad_() for same in zip(*starts)]
    optimizer = Optimizer(adapters, recipe)
    scale = recipe.alpha / recipe.rank
    orders = {seed: order_of(rows.count, recipe, seed) for seed in set(seeds)}
    steps = len(orders[seeds[0]])
    for step in range(steps):
        picked = [orders[seed][step][keep[orders[seed][step]]] for keep, seed in zip(kept, seeds)]
        most = max(len(p) for p in picked)
        if most:
            index = torch.zeros(len(picked), most, dtype=torch.long)
            here = torch.zeros(len(picked), most)
            for i, p in enumerate(picked):
                index[i, : len(p)] = p
                here[i, : len(p)] = 1.0
            width = int(rows.length[index].max())
            tokens = rows.tokens[index][..., :width].to(base.device)
            answer = (rows.answer[index][..., :width] * here[..., None]).to(base.device)
            loss = base.answer_losses(adapters, scale, tokens, answer).sum() / recipe.batch
            loss.backward()
            optimizer.step(rate_at(recipe, step, steps))
        if watch is not None:
            watch(step, adapters)
    return [a.detach() for a in adapters]


@torch.no_grad()
def measure(base: Base, rows: Encoded, recipe: Recipe, adapters: Sequence[Tensor], batch: int = 64) -> Tensor:
    """adapters × rows: the log-probability of each row's answer."""
    count = adapters[0].shape[0]
    scale = recipe.alpha / recipe.rank
    found = []
    for at in range(0, rows.count, batch):
        width = int(rows.length[at : at + batch].max())
        tokens = rows.tokens[at : at + batch, :width].expand(count, -1, -1).to(base.device)
        answer = rows.answer[at : at + batch, :width].expand(count, -1, -1).to(base.device)
        found.append(-base.answer_losses(adapters, scale, tokens, answer))
    return torch.cat(found, 1).cpu()
