"""A memory limit fails like a device of that size, and out-of-memory errors are recognised."""

from __future__ import annotations

import pytest
import torch

from acestep.memory.device import free_bytes, is_out_of_memory
from acestep.memory.limit import MemoryLimit, limit_is_active, outside_limit
from acestep.memory.units import format_bytes

MEGABYTE = 1_000_000


def numbers(megabytes: int) -> torch.Tensor:
    return torch.zeros(megabytes * MEGABYTE // 4)


def test_a_limit_counts_each_live_storage_once() -> None:
    before = numbers(1)
    with MemoryLimit(10 * MEGABYTE) as limit:
        held = numbers(3)
        views = [held.view(1000, -1), held[5:], before[3:]]
        assert limit.free_bytes == free_bytes("cpu") == 7 * MEGABYTE
        del held
        assert limit.free_bytes == 7 * MEGABYTE
        views.clear()
        assert limit.free_bytes == 10 * MEGABYTE
        assert limit.peak_bytes == 3 * MEGABYTE
        assert limit_is_active()
    assert not limit_is_active()
    assert free_bytes("cpu") > 10 * MEGABYTE


def test_a_tensor_beyond_the_limit_raises_and_is_freed() -> None:
    with MemoryLimit(10 * MEGABYTE, resident_bytes=6 * MEGABYTE) as limit:
        held = numbers(3)
        with pytest.raises(torch.OutOfMemoryError, match=r"Tried to allocate 1\.9 MiB; 10\.5 MiB of 9\.5 MiB"):
            numbers(2)
        assert limit.free_bytes == MEGABYTE
        assert len(held) == 3 * MEGABYTE // 4


def test_tensors_of_the_host_do_not_count() -> None:
    with MemoryLimit(MEGABYTE) as limit:
        with outside_limit():
            assert not limit_is_active()
            host = numbers(5)
        host[1:] = 1
        assert limit.free_bytes == MEGABYTE
        assert limit_is_active()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (MemoryError(), True),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            True,
        ),
        (RuntimeError("MPS backend out of memory"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_out_of_memory_errors_are_recognised(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_sizes_for_people() -> None:
    assert [format_bytes(count) for count in (3 << 29, 900 << 20, 0)] == ["1.50 GiB", "900.0 MiB", "0.0 MiB"]
