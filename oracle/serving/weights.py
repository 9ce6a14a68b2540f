"""Takes a Llama-type model of transformers apart: its dimensions, and its weights with projections fused.

Only names and attributes are read; transformers' own forward is not used. tests/unit/serving/test_weights.py pins them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel

from oracle.serving.errors import WrongBase
from oracle.serving.layout import BaseShape
from oracle.serving.matrices import Product, choose

FAMILIES = ("llama", "mistral", "qwen2")
# Frequencies that stay the same however long a request grows. The others would make a request depend on its neighbours.
ROTARY = ("default", "linear", "llama3", "yarn")


@dataclass(frozen=True)
class Layer:
    qkv: Product
    o: Product
    gate_up: Product
    down: Product
    norm_in: torch.Tensor
    norm_after: torch.Tensor


@dataclass(frozen=True)
class Weights:
    shape: BaseShape
    embedding: torch.Tensor
    layers: tuple[Layer, ...]
    norm: torch.Tensor
    head: Product
    epsilon: float
    cosines: torch.Tensor
    sines: torch.Tensor
    dtype: torch.dtype
    device: torch.device


def shape_of(config: Any) -> BaseShape:
    if config.model_type not in FAMILIES:
        raise WrongBase(f"the base is of type {config.model_type}; served are {', '.join(FAMILIES)}")
    if config.hidden_act != "silu":
        raise WrongBase(f"the base's activation is {config.hidden_act}; served is silu")
    if getattr(config, "use_sliding_window", config.model_type == "mistral") and getattr(
        config, "sliding_window", None
    ):
        raise WrongBase("the base looks through a sliding window, which is not served")
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return BaseShape(
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        intermediate=config.intermediate_size,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_dim=head_dim,
        vocabulary=config.vocab_size,
        context=config.max_position_embeddings,
    )


@torch.no_grad()
def take(model: PreTrainedModel, context: int) -> Weights:
    """Weights ready for products. The model itself is not needed afterwards."""
    config = model.config
    shape, inner = shape_of(config), model.model
    dtype, device = model.dtype, model.device
    fused: list[dict[str, tuple[torch.Tensor, torch.Tensor | None]]] = []
    for layer in inner.layers:
        attention, mlp = layer.self_attn, layer.mlp
        fused.append(
            {
                "qkv": _joined(attention.q_proj, attention.k_proj, attention.v_proj),
                "o": _joined(attention.o_proj),
                "gate_up": _joined(mlp.gate_proj, mlp.up_proj),
                "down": _joined(mlp.down_proj),
            }
        )
    head = model.lm_head.weight.detach()
    way = choose([weight for layer in fused[:1] for weight, _ in layer.values()] + [head])
    cosines, sines = rotary(inner.rotary_emb, context, device)
    return Weights(
        shape=shape,
        embedding=inner.embed_tokens.weight.detach(),
        layers=tuple(
            Layer(
                **{name: way(*pair) for name, pair in parts.items()},
                norm_in=layer.input_layernorm.weight.detach(),
                norm_after=layer.post_attention_layernorm.weight.detach(),
            )
            for parts, layer in zip(fused, inner.layers, strict=True)
        ),
        norm=inner.norm.weight.detach(),
        head=way(head, None),
        epsilon=config.rms_norm_eps,
        cosines=cosines,
        sines=sines,
        dtype=dtype,
        device=device,
    )


def _joined(*projections: torch.nn.Linear) -> tuple[torch.Tensor, torch.Tensor | None]:
    weight = torch.cat([projection.weight.detach() for projection in projections])
    if all(projection.bias is None for projection in projections):
        return weight, None
    zero = [torch.zeros(p.out_features, dtype=weight.dtype, device=weight.device) for p in projections]
    return weight, torch.cat([z if p.bias is None else p.bias.detach() for p, z in zip(projections, zero)])


def rotary(module: Any, context: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines `[context, dim / 2]`, with whatever scaling the model's own frequencies carry."""
    if module.rope_type not in ROTARY:
        raise WrongBase(f"the base's rotary positions are of type {module.rope_type}; served are {', '.join(ROTARY)}")
    positions = torch.arange(context, dtype=torch.float32, device=device)
    angles = torch.outer(positions, module.inv_freq.to(device=device, dtype=torch.float32))
    factor = float(module.attention_scaling)
    return angles.cos() * factor, angles.sin() * factor
