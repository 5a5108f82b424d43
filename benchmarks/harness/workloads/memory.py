"""Adds the series `peak_memory` to the samples of workloads whose cells load different models."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.harness.device import added_tensor_bytes
from benchmarks.harness.workload import Sample, TakeSample


def with_memory(take: TakeSample, device: str, held_bytes: int) -> TakeSample:
    """Return *take* with the series `peak_memory` in its samples: peak bytes of all tensors, weights included.

    On a CPU the peak is counted here: *held_bytes* of the tensors that exist now, and the peak that one run adds.
    """
    counted = held_bytes + added_tensor_bytes(take) if device == "cpu" else None

    def sample() -> Sample:
        plain = take()
        peak = plain.peak_bytes if counted is None else counted
        return plain if peak is None else replace(plain, series={**plain.series, "peak_memory": float(peak)})

    return sample
