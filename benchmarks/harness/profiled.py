"""One run under torch's profiler: what was allocated, what waited for the device, and what was compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from benchmarks.harness.compiled import Graphs

Result = TypeVar("Result")

HOST_WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cudaMemcpy")
"""Calls of CUDA's runtime in which the host waits; reading a tensor, as `item` does, ends in the first of them."""
COMPILED = "Torch-Compiled Region"
"""How the names of compiled graphs that run begin."""


@dataclass(frozen=True)
class Profiled(Generic[Result]):
    """What a call returned, and what it did.

    `allocated_bytes` are those of all allocations together, `peak_bytes` the most that was held at once beside what
    was there before; None where the device does not tell. `host_waits` is None without CUDA. `graphs` were compiled
    meanwhile; `runs_compiled` says whether any has run.
    """

    result: Result
    allocated_bytes: int | None
    peak_bytes: int | None
    host_waits: int | None
    graphs: Graphs
    runs_compiled: bool


def profiled(call: Callable[[], Result], device: str) -> Profiled[Result]:
    """Run *call* and return what was seen of it: the memory of the process would tell more about its past."""
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
    """Return how many of the events with these *names* are waits of the host for the device."""
    return sum(name in HOST_WAITS for name in names)


def _allocations(events: Iterable[Any]) -> tuple[int, int]:
    """Return the bytes of all allocations, and the most that was held at once."""
    allocated = held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        allocated += max(0, event.nbytes())
        held += event.nbytes()
        peak = max(peak, held)
    return allocated, peak


def _cuda_bytes() -> tuple[int, int, int]:
    """Return what tensors hold on the GPU, what was ever allocated there, and the most since a region has begun."""
    import torch

    allocated = torch.cuda.memory_stats().get("allocated_bytes.all.allocated", 0)
    return torch.cuda.memory_allocated(), allocated, torch.cuda.max_memory_allocated()
