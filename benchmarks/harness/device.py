"""Time and memory of a region, on the device that the models run on."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

Result = TypeVar("Result")

_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Region(Generic[Result]):
    """What a call returned, the seconds it took, and its peak of memory in bytes (None if not measured).

    With CUDA the peak is all that torch's allocator held. On a CPU it is what the process came to hold in
    addition, which only Linux tells.
    """

    result: Result
    time_s: float
    peak_bytes: int | None


def observe(device: str, call: Callable[[], Result]) -> Region[Result]:
    """Run *call*, with the device idle at both ends of the time that is taken."""
    before = _begin_peak(device)
    synchronize(device)
    start = time.perf_counter()
    result = call()
    synchronize(device)
    time_s = time.perf_counter() - start
    return Region(result, time_s, _end_peak(device, before))


def synchronize(device: str) -> None:
    """Wait until *device* has finished what was queued."""
    if device == "cpu":
        return
    import torch

    (torch.cuda if device == "cuda" else torch.mps).synchronize()


def resident_bytes() -> int | None:
    """Return the memory that this process has in use; None where the system does not tell."""
    return _status("VmRSS") if _STATUS.exists() else None


def release_free_memory() -> None:
    """Give the system back what the C library keeps for later allocations."""
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl does not
    if trim is not None:
        trim(0)


def _begin_peak(device: str) -> int | None:
    """Start a new peak; return what it starts from."""
    if device == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats()
        return 0
    if device == "cpu" and _CLEAR_REFS.exists():
        _CLEAR_REFS.write_text("5")
        return _status("VmRSS")
    return None


def _end_peak(device: str, before: int | None) -> int | None:
    if before is None:
        return None
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated()
    return max(0, _status("VmHWM") - before)


def _status(field: str) -> int:
    """Return a memory line of Linux's /proc/self/status, in bytes."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(f"{_STATUS} has no {field}")
