"""A tiny Llama with random weights, and adapters saved by PEFT itself, which is what every answer is compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from oracle.serving.config import EngineConfig, Kernels, Slots
from oracle.serving.engine import Engine
from oracle.serving.types import Adapter, Event, Finished, Generated, Request, RequestId, Token

ALL = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
SIZES = {
    "vocab_size": 97,
    "hidden_size": 64,
    "intermediate_size": 112,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}


def llama(seed: int = 0, **changed: object) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    model = LlamaForCausalLM(LlamaConfig(**(SIZES | changed), initializer_range=0.2)).eval()
    return model.requires_grad_(False)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def base() -> LlamaForCausalLM:
    return llama()


@dataclass(frozen=True)
class Published:
    """An adapter as its builder publishes it."""

    folder: Path
    base: Callable[[], LlamaForCausalLM]

    def peft(self) -> PeftModel:
        return PeftModel.from_pretrained(self.base(), self.folder).eval()


Publish = Callable[..., Published]


def publish(
    folder: Path,
    *,
    rank: int = 8,
    modules: Sequence[str] = ALL,
    seed: int = 1,
    dtype: torch.dtype = torch.bfloat16,
    scale: float = 0.3,
    model: Callable[[], LlamaForCausalLM] = llama,
    **config: object,
) -> Published:
    """Both matrices random, so that the adapter matters, and stored as `dtype`."""
    settings = {"lora_alpha": 2 * rank, "target_modules": list(modules), "task_type": "CAUSAL_LM"} | config
    adapted = get_peft_model(model(), LoraConfig(r=rank, **settings))
    torch.manual_seed(seed)
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            parameter.data = (torch.randn(parameter.shape) * scale * parameter.shape[1] ** -0.5).to(dtype)
    adapted.save_pretrained(folder)
    return Published(folder, model)


@pytest.fixture(scope="session")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Published]:
    """One of each kind that has to stand side by side in a batch."""
    root = tmp_path_factory.mktemp("published")
    return {
        "r8": publish(root / "r8", rank=8, seed=1),
        "r8-too": publish(root / "r8-too", rank=8, seed=2),
        "r16-attention": publish(root / "r16", rank=16, modules=("q_proj", "v_proj"), seed=3),
        "r32-mlp": publish(root / "r32", rank=32, modules=("gate_proj", "up_proj", "down_proj"), seed=4),
        "r64": publish(root / "r64", rank=64, seed=5),
        "r4-float32": publish(root / "r4", rank=4, seed=6, dtype=torch.float32),
        "r16-rslora": publish(root / "rslora", rank=16, seed=7, use_rslora=True),
        "patterns": publish(
            root / "patterns",
            rank=8,
            seed=8,
            rank_pattern={"q_proj": 16, "layers.1.mlp.down_proj": 4},
            alpha_pattern={"v_proj": 3},
        ),
    }


SLOTS = (
    *(Slots(rank, 3) for rank in (8, 16, 32, 64)),
    *(Slots(rank, 2, torch.float32) for rank in (8, 64)),
)
CONFIG = EngineConfig(
    rows=8, newcomer_rows=1, context=128, memory_tokens=1024, piece=16, prompt_tokens=32, slots=SLOTS,
    load_in_background=False, look_ahead=2,
)  # fmt: skip


@pytest.fixture
def engine(base: LlamaForCausalLM, tmp_path: Path) -> Iterator[Engine]:
    made = Engine(base, tmp_path / "packs", CONFIG)
    yield made
    made.close()


def prompt(length: int, seed: int = 0) -> tuple[Token, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(Token(t) for t in torch.randint(0, SIZES["vocab_size"], (length,), generator=generator).tolist())


def register(engine: Engine, adapters: dict[str, Published]) -> dict[str, Adapter]:
    return {name: engine.register(published.folder) for name, published in adapters.items()}


def run(engine: Engine, *ids: RequestId) -> dict[RequestId, list[Event]]:
    """Steps until the engine has nothing left to do."""
    events: dict[RequestId, list[Event]] = {each: [] for each in ids}
    for _ in range(10_000):
        if engine.idle:
            return events
        for event in engine.step():
            events.setdefault(event.request, []).append(event)
    raise AssertionError("the engine did not come to an end")


def answer(engine: Engine, request: Request) -> tuple[int, ...]:
    """The tokens of one request, alone."""
    asked = engine.submit(request)
    return tokens(run(engine, asked)[asked])


def tokens(events: Sequence[Event]) -> tuple[int, ...]:
    assert isinstance(events[-1], Finished)
    if events[-1].error:
        raise events[-1].error
    return tuple(event.token for event in events if isinstance(event, Generated))


@torch.inference_mode()
def expected(model: torch.nn.Module, given: Sequence[int], count: int) -> tuple[int, ...]:
    """Greedy decoding by transformers alone, one prompt at a time."""
    ids = torch.tensor([given])
    # Without a mask, transformers would take tokens that equal the padding for padding.
    made = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=count,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
    )
    return tuple(made[0, len(given) :].tolist())


KERNELS = (Kernels.REFERENCE, Kernels.BADDBMM, Kernels.NATIVE)
