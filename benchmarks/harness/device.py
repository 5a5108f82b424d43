"""Time and peak memory of a region, on the device that the models run on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")

_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


def synchronize(device: str) -> None:
    """Wait until *device* has finished what was queued."""
    if device == "cpu":
        return
    import torch

    (torch.cuda if device == "cuda" else torch.mps).synchronize()


def timed(device: str, call: Callable[[], Result]) -> tuple[Result, float]:
    """Return what *call* returns and the seconds it took, with the device idle at both ends."""
    synchronize(device)
    start = time.perf_counter()
    result = call()
    synchronize(device)
    return result, time.perf_counter() - start


class PeakMemory:
    """The largest memory in use since `reset`, in bytes.

    CUDA: what torch's allocator held for tensors. CPU: resident bytes of the process, so weights, torch and
    the interpreter are part of it; only Linux lets a process reset that peak. Elsewhere it is not measured.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._resident = device == "cpu" and _CLEAR_REFS.exists()

    def reset(self) -> None:
        """Start anew from what is in use now."""
        if self._device == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats()
        elif self._resident:
            _CLEAR_REFS.write_text("5")

    def series(self) -> dict[str, float]:
        """Return the series `peak_memory` since the reset; empty where it is not measured."""
        if self._device == "cuda":
            import torch

            return {"peak_memory": float(torch.cuda.max_memory_allocated())}
        return {"peak_memory": float(resident_bytes("VmHWM"))} if self._resident else {}


def resident_bytes(field: str = "VmRSS") -> int:
    """Return a memory line of Linux's /proc/self/status: VmRSS is resident now, VmHWM its peak."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(f"{_STATUS} has no {field}")
