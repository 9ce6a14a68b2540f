"""Large areas: zero, of the shape asked for, and there whether or not the system has huge pages."""

from __future__ import annotations

import errno
import mmap

import pytest
import torch

from oracle.serving import memory
from oracle.serving.memory import HUGE_PAGE, zeros

CPU = torch.device("cpu")
SHAPE = (3, HUGE_PAGE // 4, 2)


class Refusing(mmap.mmap):
    """A system that takes no advice."""

    def madvise(self, *advice: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")


class Advised(mmap.mmap):
    """Remembers what it was advised."""

    def madvise(self, *advice: int) -> None:
        asked.append(advice)


asked: list[tuple[int, ...]] = []


def usable(tensor: torch.Tensor) -> bool:
    if tensor.shape != SHAPE or tensor.count_nonzero():
        return False
    tensor[-1, -1] = 1
    return bool(tensor.sum() == 2)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_zeros__on_a_cpu__then_they_are_zero_and_can_be_written(kind: torch.dtype) -> None:
    area = zeros(SHAPE, kind, CPU)
    assert area.dtype is kind
    assert usable(area)


def test_zeros__when_the_system_refuses_huge_pages__then_small_ones_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.mmap, "mmap", Refusing)
    monkeypatch.setattr(memory.mmap, "MADV_HUGEPAGE", 14, raising=False)
    assert usable(zeros(SHAPE, torch.float32, CPU))


def test_zeros__when_the_system_knows_no_huge_pages__then_none_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.mmap, "mmap", Advised)
    monkeypatch.delattr(memory.mmap, "MADV_HUGEPAGE", raising=False)
    asked.clear()
    assert usable(zeros(SHAPE, torch.float32, CPU))
    assert not asked


def test_zeros__of_less_than_one_huge_page__then_none_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.mmap, "mmap", Advised)
    monkeypatch.setattr(memory.mmap, "MADV_HUGEPAGE", 14, raising=False)
    asked.clear()
    assert zeros((1, HUGE_PAGE // 8), torch.float32, CPU).shape == (1, HUGE_PAGE // 8)
    assert not asked
    zeros((1, HUGE_PAGE // 4), torch.float32, CPU)
    assert asked == [(14,)]


def test_zeros__of_more_than_there_is__then_the_system_says_so() -> None:
    with pytest.raises(OSError, match="memory") as caught:
        zeros((1 << 50,), torch.bfloat16, CPU)
    assert caught.value.errno == errno.ENOMEM
