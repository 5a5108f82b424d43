"""Exact metrics: numbers that are counted beside the times of a cell and are equal from run to run."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

from benchmarks.harness.compiled import Graphs
from benchmarks.harness.fingerprint import fingerprint, text_fingerprint
from benchmarks.harness.operators import counter
from benchmarks.harness.output import numbers
from benchmarks.harness.profiled import Profiled, profiled
from benchmarks.harness.record import Scalar
from benchmarks.harness.reference_outputs import Entry, distance_to, entry_of
from benchmarks.harness.series_types import COST, DISTANCE, FINGERPRINT
from benchmarks.harness.workload import Sample, TakeSample

EXACT_METRICS: Mapping[str, tuple[str, str, str]] = {
    "tokens": ("tokens", "tokens", COST),
    "dit_calls": ("calls", "DiT calls", COST),
    "operators": ("operators", "operator calls", COST),
    "flop": ("FLOP", "FLOP", COST),
    "allocated_bytes": ("bytes", "bytes allocated", COST),
    "peak_bytes": ("bytes", "peak bytes", COST),
    "host_waits": ("waits", "host synchronizations", COST),
    "graph_breaks": ("breaks", "graph breaks", COST),
    "recompiled": ("graphs", "graphs compiled anew", COST),
    "fingerprint": ("fingerprint", "output fingerprint", FINGERPRINT),
    "distance": ("distance", "distance to the reference", DISTANCE),
}
"""Unit, title and type of the series of every exact metric. A cell lacks those that cannot be counted in it.

operators, flop: calls of aten operators, and their floating-point operations. A compiled graph hides operators, so
cells in which one runs have neither.
allocated_bytes: sum of all allocations. peak_bytes: peak of what is allocated beside what existed before.
graph_breaks: graph breaks since the cell was prepared. recompiled: graphs that one more run of the warmed-up cell
compiles, which should be none.
distance: see `reference_outputs.distance_to`.
"""


@dataclass(frozen=True)
class Warm:
    """A cell after its warm-up.

    Attributes:
        take: runs the cell once.
        device: on which it runs.
        sample: its first sample.
        before: what had been compiled before the cell was prepared.
    """

    take: TakeSample
    device: str
    sample: Sample
    before: Graphs

    @cached_property
    def profile(self) -> Profiled[Sample]:
        """One more run, under torch's profiler."""
        return profiled(partial(without_garbage_collector, self.take), self.device)


def exact_metrics(warm: Warm, reference: Entry | None = None) -> dict[str, Scalar]:
    """Return the exact metrics of a cell, some of `EXACT_METRICS`; *reference* is its reference output, if it has one.

    The cell is run up to twice more. If torch does not compute it in this process, it is not run again, because nothing
    could be counted.
    """
    if not warm.sample.in_torch:
        return _sample_metrics(warm.sample, reference)
    return {**_sample_metrics(warm.profile.result, reference), **exact_counts(warm)}


def exact_counts(warm: Warm) -> dict[str, Scalar]:
    """Return the metrics that are counted while the cell runs."""
    run = warm.profile
    counts = {
        "allocated_bytes": run.allocated_bytes,
        "peak_bytes": run.peak_bytes,
        "host_waits": run.host_waits,
        "graph_breaks": (Graphs.so_far() - warm.before).breaks,
        "recompiled": run.graphs.compiled,
    }
    counted = {name: count for name, count in counts.items() if count is not None}
    return {**counted, **({} if run.runs_compiled else _operators(warm.take))}


def without_garbage_collector(take: Callable[[], Sample]) -> Sample:
    """Return what *take* returns. Garbage is collected before the call and not during it."""
    gc.collect()
    gc.disable()
    try:
        return take()
    finally:
        gc.enable()


def _operators(take: TakeSample) -> dict[str, Scalar]:
    """Count in a run of its own: the dispatch mode prolongs the life of tensors, which changes memory peaks."""
    counting = counter()
    with counting:
        take()
    return {"operators": counting.operators, "flop": counting.flops}


def _sample_metrics(sample: Sample, reference: Entry | None) -> dict[str, Scalar]:
    """Return the metrics that follow from *sample* alone."""
    metrics: dict[str, Scalar] = {}
    for name in ("tokens", "dit_calls"):
        count = sample.series.get(name, sample.work.get(name))
        if count is not None:
            metrics[name] = int(count)
    if sample.output is None:
        return metrics
    text = isinstance(sample.output, str)
    metrics["fingerprint"] = text_fingerprint(sample.output) if text else fingerprint(numbers(sample.output))
    if reference is not None:
        metrics["distance"] = distance_to(reference, entry_of(sample.output))
    return metrics
