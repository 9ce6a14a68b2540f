"""Rows of a product do not depend on how many stand beside them; and what is used of PyTorch's private operators."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import linear

from oracle.serving import matrices
from oracle.serving.matrices import Product, can_pack, choose, packed, pieces, plain, rows_agree

CPU = torch.device("cpu")
WAYS = [
    plain,
    pieces,
    pytest.param(packed, marks=pytest.mark.skipif(not can_pack(CPU, torch.float32), reason="no oneDNN")),
]


def weight(outputs: int = 48, inputs: int = 64) -> torch.Tensor:
    return torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("bias", [None, torch.arange(48.0)])
def test_way__of_any_rows__then_it_is_the_product(way: matrices.Way, bias: torch.Tensor | None) -> None:
    product = way(weight(), bias)
    for rows in (8, 33, 100):
        x = torch.randn(rows, 64)
        torch.testing.assert_close(product(x), linear(x, weight(), bias))


def test_pieces__then_rows_agree_in_any_batch() -> None:
    assert rows_agree(pieces(weight()), 64, range(8, 80))


def test_rows_agree__when_a_row_depends_on_the_number_of_rows__then_it_is_noticed() -> None:
    assert not rows_agree(lambda x: x * (1 + 1e-6 * (x.shape[0] == 31)), 64)


def test_rows_agree__when_a_row_depends_on_its_place__then_it_is_noticed() -> None:
    def by_place(x: torch.Tensor) -> torch.Tensor:
        return x + 1e-6 * (torch.arange(len(x)) % 4 == 3)[:, None]

    assert not rows_agree(by_place, 64)


def test_choose__when_the_fast_ways_do_not_hold__then_the_one_that_always_does(monkeypatch: pytest.MonkeyPatch) -> None:
    def agrees(product: Product, inputs: int, sizes: object = ()) -> bool:
        return False

    monkeypatch.setattr(matrices, "rows_agree", agrees)
    assert choose([weight()]) is pieces


@pytest.mark.skipif(not can_pack(CPU, torch.float32), reason="no oneDNN")
def test_private_operators__then_they_take_what_is_given_to_them() -> None:
    reorder = torch.ops.mkldnn._reorder_linear_weight.default._schema
    pointwise = torch.ops.mkldnn._linear_pointwise.default._schema
    assert [argument.name for argument in reorder.arguments] == ["self", "batch_size"]
    assert [argument.name for argument in pointwise.arguments] == ["X", "W", "B", "attr", "scalars", "algorithm"]
