"""The memory of a device: how much is free, how cached memory is given back, and out-of-memory errors."""

from __future__ import annotations

import re
import sys

import torch

from acestep.gpu.probe import budget_gb, simulated_gb
from acestep.memory.limit import free_within_limits
from acestep.memory.units import GIB, format_bytes

_OUT_OF_MEMORY_TEXT = re.compile("out of memory|can't allocate memory|not enough memory")
"""Text by which a plain `RuntimeError` of torch is recognised as an out-of-memory error."""


class OutOfMemoryError(RuntimeError):
    """A stage of a generation does not fit into the device's memory; the message says what it needs and what helps.

    Attributes:
        stage: name of the stage.
        need_bytes: estimate of what the stage allocates beyond what was allocated when it began.
    """

    def __init__(self, stage: str, need_bytes: int, free_bytes: int, device: str, remedy: str) -> None:
        super().__init__(
            f"Out of memory in {stage}: it needs about {format_bytes(need_bytes)} on {device}, "
            f"where {format_bytes(free_bytes)} were free. {remedy}"
        )
        self.stage, self.need_bytes = stage, need_bytes


def is_out_of_memory(error: BaseException) -> bool:
    """Whether *error* says that memory ran out: torch's error, Python's, or the CPU allocator's `RuntimeError`."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and bool(_OUT_OF_MEMORY_TEXT.search(str(error)))


def free_bytes(device: str) -> int:
    """Bytes of *device* that new tensors may take, memory included that torch has cached.

    On CUDA this is at most what a GPU of the size that ``$MAX_CUDA_VRAM`` simulates would have. On a CPU it is what
    the operating system can provide without swapping. On ``meta`` it is unlimited. An active `MemoryLimit` lowers
    it to what the limit leaves.
    """
    kind = device.partition(":")[0]
    if kind == "cuda":
        allocated = torch.cuda.memory_allocated(device)
        free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device) - allocated
        simulated = simulated_gb()
        if simulated is not None:
            free = min(free, int(budget_gb(simulated) * GIB) - allocated)
    elif kind == "mps":
        free = torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    elif kind == "meta":
        free = sys.maxsize
    else:
        import psutil

        free = psutil.virtual_memory().available
    return free_within_limits(free)


def release(device: str) -> None:
    """Return cached memory that no tensor uses from torch to *device*."""
    kind = device.partition(":")[0]
    if kind == "cuda":
        torch.cuda.empty_cache()
    elif kind == "mps":
        torch.mps.empty_cache()
