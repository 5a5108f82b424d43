"""The series `peak_memory`, for workloads whose cells do not share what is loaded."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.harness.device import added_tensor_bytes
from benchmarks.harness.workload import Sample, TakeSample


def with_memory(take: TakeSample, device: str, held_bytes: int) -> TakeSample:
    """Let samples have the series `peak_memory`, in bytes: of all tensors, weights included.

    On a CPU they are counted: *held_bytes* of those that are there now, and what one run more adds.
    """
    counted = held_bytes + added_tensor_bytes(take) if device == "cpu" else None

    def sample() -> Sample:
        taken = take()
        peak = taken.peak_bytes if counted is None else counted
        return taken if peak is None else replace(taken, series={**taken.series, "peak_memory": float(peak)})

    return sample
