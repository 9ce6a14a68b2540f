"""What is used of transformers' models, which promise none of it: a release that changes it is noticed here."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig, MistralConfig, Qwen2Config

from fixtures.serving import SIZES, llama
from oracle.serving.errors import WrongBase
from oracle.serving.weights import rotary, shape_of, take


def test_take__of_a_llama__then_every_weight_is_where_it_was() -> None:
    model = llama()
    weights = take(model, 64)
    inner, layer = model.model, model.model.layers[1]
    assert weights.embedding.data_ptr() == inner.embed_tokens.weight.data_ptr()
    assert torch.equal(weights.norm, inner.norm.weight)
    assert torch.equal(weights.layers[1].norm_in, layer.input_layernorm.weight)
    assert torch.equal(weights.layers[1].norm_after, layer.post_attention_layernorm.weight)
    assert weights.epsilon == inner.norm.variance_epsilon
    x = torch.randn(8, SIZES["hidden_size"])
    attention, mlp = layer.self_attn, layer.mlp
    fused = torch.cat([attention.q_proj(x), attention.k_proj(x), attention.v_proj(x)], 1)
    torch.testing.assert_close(weights.layers[1].qkv(x), fused)
    torch.testing.assert_close(weights.layers[1].gate_up(x), torch.cat([mlp.gate_proj(x), mlp.up_proj(x)], 1))
    torch.testing.assert_close(weights.head(x), model.lm_head(x))


@pytest.mark.parametrize("scaling", [None, {"rope_type": "linear", "factor": 2.0}])
def test_rotary__then_cosines_and_sines_are_those_of_transformers(scaling: dict[str, object] | None) -> None:
    model = llama(rope_scaling=scaling) if scaling else llama()
    module = model.model.rotary_emb
    cosines, sines = rotary(module, 64, torch.device("cpu"))
    there = module(torch.zeros(1, 64, 1), torch.arange(64)[None])
    half = cosines.shape[1]
    torch.testing.assert_close(cosines, there[0][0, :, :half])
    torch.testing.assert_close(sines, there[1][0, :, :half])


def test_rotary__when_frequencies_change_with_the_length__then_it_is_refused() -> None:
    dynamic = llama(rope_scaling={"rope_type": "dynamic", "factor": 2.0})
    with pytest.raises(WrongBase, match="rotary positions are of type dynamic"):
        take(dynamic, 64)


@pytest.mark.parametrize("kind", [LlamaConfig, MistralConfig, Qwen2Config])
def test_shape_of__then_the_names_of_the_settings_are_as_expected(kind: type) -> None:
    more = {"sliding_window": None} if kind is MistralConfig else {}
    shape = shape_of(kind(**SIZES, **more))
    assert (shape.layers, shape.hidden, shape.heads, shape.kv_heads, shape.head_dim) == (2, 64, 4, 2, 16)
    assert (shape.intermediate, shape.vocabulary, shape.context) == (112, 97, 256)


def test_shape_of__when_the_base_looks_through_a_window__then_it_is_refused() -> None:
    with pytest.raises(WrongBase, match="sliding window"):
        shape_of(MistralConfig(**SIZES))
