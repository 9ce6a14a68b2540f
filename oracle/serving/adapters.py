"""Reads a folder as PEFT writes it, refuses what the base cannot carry, and names it by its content.

Only safetensors is ever opened: a pickled file is refused by its name, unread.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from oracle.serving.errors import BrokenAdapter, UnsupportedAdapter, WrongBase
from oracle.serving.forms import Form, Low, Lows, form, header
from oracle.serving.layout import BaseShape, Layout
from oracle.serving.types import AdapterId

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
PICKLED = ("adapter_model.bin", "adapter_model.pt", "adapter_model.pth")
# What changes the function that an adapter computes, and is therefore part of its name.
FUNCTION = ("r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern")
# Up to this many numbers a record is gathered in one step; above, going by tensors is cheaper than the index.
GATHERED = 1 << 20
FORMS = 64


@dataclass(frozen=True)
class Source:
    """An adapter as read: its shapes fit the base, its numbers are not looked at yet."""

    id: AdapterId
    folder: Path
    rank: int
    lows: Mapping[tuple[int, str], Low]
    whole: Lows | None = None

    @property
    def modules(self) -> tuple[str, ...]:
        return tuple(sorted({module for _, module in self.lows}))

    def exact_in_bf16(self) -> bool:
        if self.whole is not None and (numbers := self.whole.numbers) is not None:
            return _exact(numbers)
        return all(_exact(low.a) and _exact(low.b) for low in self.lows.values())


def _exact(tensor: torch.Tensor) -> bool:
    if tensor.dtype == torch.bfloat16:
        return True
    # A float whose lower 16 bits are zero is a bf16. Most tensors that are not show it in their first numbers.
    bits = tensor.float().reshape(-1).view(torch.int32)
    return not bool((bits[:64] & 0xFFFF).any()) and not bool((bits & 0xFFFF).any())


class Reader:
    """Reads adapters for one base, and remembers the forms of their files."""

    def __init__(self, shape: BaseShape, base_names: Collection[str] = ()) -> None:
        self.shape, self.base_names = shape, base_names
        self._forms: OrderedDict[tuple[bytes, int, bytes], Form] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, folder: Path) -> Source:
        """The adapter in a folder, or an error that says what is wrong with it and where."""
        config = _config(folder, self.base_names)
        weights = _bytes(folder)
        lows = Lows(self._form(folder, weights, config), weights)
        return Source(name(weights, config), folder, lows.form.rank, lows, lows)

    def _form(self, folder: Path, weights: bytearray, config: Mapping[str, Any]) -> Form:
        key = (header(weights), len(weights), _function(config))
        with self._lock:
            if (known := self._forms.get(key)) is not None:
                self._forms.move_to_end(key)
                return known
        made = form(str(folder / WEIGHTS), weights, config, self.shape)
        with self._lock:
            self._forms[key] = made
            while len(self._forms) > FORMS:
                self._forms.popitem(last=False)
        return made


def _function(config: Mapping[str, Any]) -> bytes:
    said = {key: config.get(key) or 0 for key in FUNCTION}
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


def name(weights: bytes | bytearray, config: Mapping[str, Any]) -> AdapterId:
    """SHA-256 over the file's own SHA-256 and the settings that change what it computes."""
    content = hashlib.sha256(weights).digest()
    return AdapterId(hashlib.sha256(b"openledger adapter 1\n" + content + _function(config)).hexdigest())


def _bytes(folder: Path) -> bytearray:
    file = folder / WEIGHTS
    if file.is_file():
        with file.open("rb", buffering=0) as opened:
            weights = bytearray(os.fstat(opened.fileno()).st_size)
            # A read may bring less than was asked for; what is still missing then is a truncated file's fault.
            view, at = memoryview(weights), 0
            while got := opened.readinto(view[at:]):
                at += got
        return weights if at == len(weights) else weights[:at]
    for pickled in PICKLED:
        if (folder / pickled).exists():
            raise BrokenAdapter(
                f"{folder / pickled}: pickled weights can run code and are never opened; save safetensors"
            )
    raise BrokenAdapter(f"{folder}: no {WEIGHTS} in it")


def _config(folder: Path, base_names: Collection[str]) -> Mapping[str, Any]:
    file = folder / CONFIG
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BrokenAdapter(f"{folder}: no {CONFIG} in it") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BrokenAdapter(f"{file}: not JSON ({error})") from error
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise UnsupportedAdapter(f"{file}: peft_type must be LORA")
    base = config.get("base_model_name_or_path")
    if base and base_names and base not in base_names:
        raise WrongBase(f"{file}: made for {base}; this engine serves {', '.join(sorted(base_names))}")
    for key, plain in (("use_dora", False), ("bias", "none"), ("modules_to_save", None), ("fan_in_fan_out", False)):
        if config.get(key, plain) not in (plain, [], None):
            raise UnsupportedAdapter(f"{file}: {key} = {config[key]!r}; only plain LoRA is served")
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
        raise BrokenAdapter(f"{file}: r = {rank!r} is no rank")
    if not isinstance(alpha, int | float) or not math.isfinite(alpha):
        raise BrokenAdapter(f"{file}: lora_alpha = {alpha!r} is no number")
    return config


def check_finite(source: Source) -> None:
    """Names the first tensor that holds NaN or infinity."""
    for (layer, module), low in source.lows.items():
        for letter, tensor in (("A", low.a), ("B", low.b)):
            if not bool(tensor.isfinite().all()):
                where = f"{source.folder / WEIGHTS}: layer {layer}, {module}, lora_{letter}"
                raise BrokenAdapter(f"{where} holds NaN or infinity")


def write_record(source: Source, layout: Layout, record: torch.Tensor, scales: torch.Tensor) -> None:
    """Fills one record and its scales. Modules and ranks that the adapter lacks stay zero.

    NaN and infinity are refused. Both survive a sum, so that one sum over the whole record finds them; a sum of finite
    numbers may overflow too, so that a suspect is looked at again.
    """
    if source.whole is not None and source.whole.form.dtype == layout.dtype and layout.elements <= GATHERED:
        _gather(source.whole, layout, record, scales)
    else:
        _copy(source, layout, record, scales)
    if not math.isfinite(record.sum(dtype=torch.float32).item()):
        check_finite(source)


def _gather(whole: Lows, layout: Layout, record: torch.Tensor, scales: torch.Tensor) -> None:
    numbers, gather = whole.numbers, whole.form.gather(layout)
    assert numbers is not None
    scales.copy_(gather.scales)
    if gather.to is None:
        torch.index_select(numbers, 0, gather.source, out=record)
    else:
        record.zero_().index_copy_(0, gather.to, numbers[gather.source])


def _copy(source: Source, layout: Layout, record: torch.Tensor, scales: torch.Tensor) -> None:
    record.zero_()
    scales.zero_()
    for (layer, module), low in source.lows.items():
        a, b = layout.views(record, layer, module)
        rank = low.a.shape[0]
        a[:rank].copy_(low.a)
        b[:rank].copy_(low.b.t())
        scales[layout.offsets[layer, module][2]] = low.scale
