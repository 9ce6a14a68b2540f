"""The CPU kernels of `native.cpp`, called through ctypes: one call between two matrix products."""

from __future__ import annotations

import ctypes
from ctypes import c_float, c_int32, c_int64, c_void_p

import torch

from oracle.serving.batch import Batch, Part
from oracle.serving.kernels.compile import library
from oracle.serving.kv import Pages
from oracle.serving.layers import GATE_UP, QKV, prompt_attention
from oracle.serving.layout import BaseShape
from oracle.serving.slots import Bucket

GROUPS = 4
LANES = 16
RANKS = 8


class _Group(ctypes.Structure):
    _fields_ = (
        ("slot_stride", c_int64), ("a_offset", c_int64), ("b_offset", c_int64 * 4), ("outputs", c_int64 * 4),
        ("columns", c_int64 * 4), ("inputs", c_int64),
        ("modules", c_int32), ("rank", c_int32), ("bf16", c_int32), ("first_scale", c_int32),
    )  # fmt: skip


class _Part(ctypes.Structure):
    _fields_ = (
        ("groups", c_void_p), ("arena", c_void_p), ("scales", c_void_p), ("scale_stride", c_int64), ("runs", c_void_p),
        ("count", c_int32),
    )  # fmt: skip


class _Batch(ctypes.Structure):
    _fields_ = (
        ("parts", c_void_p), ("positions", c_void_p), ("places", c_void_p), ("tables", c_void_p), ("lengths", c_void_p),
        ("table_stride", c_int64),
        ("part_count", c_int32), ("threads", c_int32), ("tokens", c_int32), ("decoding", c_int32),
    )  # fmt: skip


class _Pages(ctypes.Structure):
    _fields_ = (
        ("keys", c_void_p), ("values", c_void_p), ("cosines", c_void_p), ("sines", c_void_p),
        ("heads", c_int32), ("kv_heads", c_int32), ("dim", c_int32),
    )  # fmt: skip


def fits(shape: BaseShape, ranks: tuple[int, ...]) -> bool:
    """Whether the kernels can run this model: they work in whole vectors, and rank by eights."""
    widths = {shape.head_dim, shape.hidden, shape.intermediate}
    return all(width % LANES == 0 for width in widths) and all(rank % RANKS == 0 for rank in ranks)


class Native:
    """Between matrix products on a CPU, in float32, with adapters in float32 or bf16."""

    def __init__(
        self, shape: BaseShape, pages: Pages, cosines: torch.Tensor, sines: torch.Tensor, epsilon: float, threads: int
    ) -> None:
        compiled = library()
        if compiled is None:
            raise RuntimeError("the CPU kernels could not be compiled here; choose the baddbmm kernels")
        self.shape, self.pages, self.epsilon, self.threads = shape, pages, epsilon, threads
        self._keep = (cosines.contiguous(), sines.contiguous())
        self._pages = [
            _Pages(
                pages.keys[layer].data_ptr(), pages.values[layer].data_ptr(), *(t.data_ptr() for t in self._keep),
                shape.heads, shape.kv_heads, shape.head_dim,
            )
            for layer in range(shape.layers)
        ]  # fmt: skip
        self._groups: dict[str, ctypes.Array[_Group]] = {}
        self._batch: tuple[Batch, _Batch, object] | None = None
        self._delta, self._attention, self._add_norm, self._gate = (
            compiled.delta, compiled.attention, compiled.add_norm, compiled.gate
        )  # fmt: skip
        self._delta.argtypes = (c_void_p, c_int32, c_void_p, c_int64, c_void_p, c_int64)
        self._attention.argtypes = (
            c_void_p, c_void_p, c_int32, c_void_p, c_int64, c_void_p, c_int64, c_void_p, c_int64
        )  # fmt: skip
        self._add_norm.argtypes = (
            c_void_p, c_int32, c_void_p, c_int64, c_void_p, c_void_p, c_void_p, c_float, c_void_p, c_int64
        )  # fmt: skip
        self._gate.argtypes = (c_void_p, c_int32, c_void_p, c_int64, c_void_p, c_void_p, c_int64)
        for function in (self._delta, self._attention, self._add_norm, self._gate):
            function.restype = None

    def delta(self, batch: Batch, layer: int, which: int, x: torch.Tensor, y: torch.Tensor) -> None:
        """Adapters alone, behind the interface of the other kernels."""
        self._delta(
            self._described(batch), layer * GROUPS + which, x.data_ptr(), x.stride(0), y.data_ptr(), y.stride(0)
        )

    def attention(self, batch: Batch, layer: int, x: torch.Tensor, qkv: torch.Tensor) -> torch.Tensor:
        width = self.shape.heads * self.shape.head_dim
        out = torch.empty((qkv.shape[0], width), dtype=torch.float32)
        self._attention(
            self._described(batch), ctypes.addressof(self._pages[layer]), layer * GROUPS + QKV,
            x.data_ptr(), x.shape[1], qkv.data_ptr(), qkv.shape[1], out.data_ptr(), width,
        )  # fmt: skip
        for segment in batch.segments:
            piece = slice(segment.first, segment.first + segment.count)
            queries = qkv[piece, :width].view(segment.count, -1, self.shape.head_dim)
            out[piece] = prompt_attention(self.shape, self.pages, layer, queries, segment)
        return out

    def add_norm(
        self, batch: Batch, layer: int, which: int, x: torch.Tensor, y: torch.Tensor, residual: torch.Tensor,
        weight: torch.Tensor,
    ) -> torch.Tensor:  # fmt: skip
        out = torch.empty_like(residual)
        self._add_norm(
            self._described(batch), layer * GROUPS + which, x.data_ptr(), x.shape[1], y.data_ptr(), residual.data_ptr(),
            weight.data_ptr(), self.epsilon, out.data_ptr(), y.shape[1],
        )  # fmt: skip
        return out

    def gate(self, batch: Batch, layer: int, x: torch.Tensor, both: torch.Tensor) -> torch.Tensor:
        width = both.shape[1] // 2
        out = torch.empty((both.shape[0], width), dtype=torch.float32)
        self._gate(
            self._described(batch), layer * GROUPS + GATE_UP, x.data_ptr(), x.shape[1], both.data_ptr(), out.data_ptr(),
            width,
        )  # fmt: skip
        return out

    def _described(self, batch: Batch) -> int:
        """The batch as C sees it, laid out once for all layers."""
        if self._batch is None or self._batch[0] is not batch:
            parts = (_Part * max(len(batch.parts), 1))(*(self._part(part) for part in batch.parts))
            described = _Batch(
                ctypes.addressof(parts), batch.positions.data_ptr(), batch.places.data_ptr(), batch.tables.ctypes.data,
                batch.lengths.ctypes.data, batch.tables.shape[1],
                len(batch.parts), self.threads, batch.count, batch.decoding,
            )  # fmt: skip
            self._batch = (batch, described, parts)
        return ctypes.addressof(self._batch[1])

    def _part(self, part: Part) -> _Part:
        bucket = part.bucket
        groups = self._groups.get(bucket.layout.name)
        if groups is None:
            groups = self._groups[bucket.layout.name] = _groups(bucket)
        return _Part(
            ctypes.addressof(groups), bucket.arena.data_ptr(), bucket.scales.data_ptr(), bucket.scales.stride(0),
            part.runs.ctypes.data, len(part.runs),
        )  # fmt: skip


def _groups(bucket: Bucket) -> ctypes.Array[_Group]:
    layout, found = bucket.layout, []
    for index, place in enumerate(layout.places):
        group = layout.shape.groups[index % GROUPS]
        padding = (0,) * (4 - len(group.modules))
        found.append(
            _Group(
                bucket.arena.stride(0), place.a, (*place.b, *padding),
                (*(module.outputs for module in group.modules), *padding),
                (*(module.column for module in group.modules), *padding), group.inputs,
                len(group.modules), layout.rank, layout.dtype == torch.bfloat16, place.scale,
            )
        )  # fmt: skip
    return (_Group * len(found))(*found)
