"""A run under torch's profiler: allocations, waits of the host for the device, and compiled graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from benchmarks.harness.compiled import Graphs

Result = TypeVar("Result")

HOST_WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cudaMemcpy")
"""Functions of the CUDA runtime in which the host waits. Reading a tensor, as `item` does, calls the first one."""
COMPILED = "Torch-Compiled Region"
"""Prefix of the profiler's events of compiled graphs."""


@dataclass(frozen=True)
class Profiled(Generic[Result]):
    """A profiled call.

    Attributes:
        result: what the call returned.
        allocated_bytes: sum of all allocations; None where the device does not report it.
        peak_bytes: peak of what was allocated beside what existed before; None where the device does not report it.
        host_waits: number of times that the host waited for the device; None without CUDA.
        graphs: graphs that were compiled during the call.
        runs_compiled: whether a compiled graph ran.
    """

    result: Result
    allocated_bytes: int | None
    peak_bytes: int | None
    host_waits: int | None
    graphs: Graphs
    runs_compiled: bool


def profiled(call: Callable[[], Result], device: str) -> Profiled[Result]:
    """Run *call* under the profiler. (The memory of the process would depend on what ran before.)"""
    import torch

    cuda = device == "cuda"
    held, allocated_before, _ = _cuda_bytes() if cuda else (0, 0, 0)
    before = Graphs.so_far()
    with torch.autograd.profiler.profile(
        use_kineto=True, profile_memory=True, use_device="cuda" if cuda else None
    ) as profile:
        result = call()
    events = [(event.name(), event) for event in profile.kineto_results.events()]
    allocated: int | None = None
    peak: int | None = None
    if cuda:
        _, allocated_after, most = _cuda_bytes()
        allocated, peak = allocated_after - allocated_before, most - held
    elif device == "cpu":
        allocated, peak = _allocations(event for name, event in events if name == "[memory]")
    names = [name for name, _ in events]
    return Profiled(
        result,
        allocated,
        peak,
        host_waits(names) if cuda else None,
        Graphs.so_far() - before,
        any(name.startswith(COMPILED) for name in names),
    )


def host_waits(names: Iterable[str]) -> int:
    """Return how many events of these *names* are waits of the host for the device."""
    return sum(name in HOST_WAITS for name in names)


def _allocations(events: Iterable[Any]) -> tuple[int, int]:
    """Return the sum of all allocations and the peak, in bytes."""
    allocated = held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        allocated += max(0, event.nbytes())
        held += event.nbytes()
        peak = max(peak, held)
    return allocated, peak


def _cuda_bytes() -> tuple[int, int, int]:
    """Return the GPU bytes that are allocated now, the sum of all allocations, and the peak since its last reset."""
    import torch

    allocated = torch.cuda.memory_stats().get("allocated_bytes.all.allocated", 0)
    return torch.cuda.memory_allocated(), allocated, torch.cuda.max_memory_allocated()
