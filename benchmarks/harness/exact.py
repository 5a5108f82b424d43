"""What accompanies the times of a cell and is equal from run to run, to the last digit."""

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
"""Every companion: its unit, its title, and the type of its series. What cannot be counted in a cell is absent there.

operators, flop: of aten, those that a compiled graph has left aside unknown, so that there are none where one runs.
allocated_bytes: of all allocations together. peak_bytes: the most at once beside what was there before.
graph_breaks: since the cell was prepared. recompiled: in one more run of a cell that has warmed up; it should be none.
distance: see `reference_outputs.distance_to`.
"""


@dataclass(frozen=True)
class Warm:
    """A cell that has warmed up: what runs it, on which device, a sample of it, and what there was compiled before."""

    take: TakeSample
    device: str
    sample: Sample
    before: Graphs

    @cached_property
    def profile(self) -> Profiled[Sample]:
        """One more run, under the profiler."""
        return profiled(partial(without_garbage_collector, self.take), self.device)


def exact_metrics(warm: Warm, expected: Entry | None = None) -> dict[str, Scalar]:
    """Run the cell up to twice more and return its companions, of EXACT_METRICS; *expected* is its kept output.

    What torch does not compute in this process is not run again: nothing could be counted.
    """
    if not warm.sample.in_torch:
        return _told(warm.sample, expected)
    return {**_told(warm.profile.result, expected), **exact_counts(warm)}


def exact_counts(warm: Warm) -> dict[str, Scalar]:
    """Return what is counted while the cell runs."""
    run = warm.profile
    counts = {
        "allocated_bytes": run.allocated_bytes,
        "peak_bytes": run.peak_bytes,
        "host_waits": run.host_waits,
        "graph_breaks": (Graphs.so_far() - warm.before).breaks,
        "recompiled": run.graphs.compiled,
    }
    known = {name: count for name, count in counts.items() if count is not None}
    return {**known, **({} if run.runs_compiled else _operators(warm.take))}


def without_garbage_collector(take: Callable[[], Sample]) -> Sample:
    """Return what *take* does, in a process without garbage that makes none of it disappear meanwhile."""
    gc.collect()
    gc.disable()
    try:
        return take()
    finally:
        gc.enable()


def _operators(take: TakeSample) -> dict[str, Scalar]:
    """Count in a run of its own: the mode makes tensors live a little longer, and would count as memory."""
    counting = counter()
    with counting:
        take()
    return {"operators": counting.operators, "flop": counting.flops}


def _told(sample: Sample, expected: Entry | None) -> dict[str, Scalar]:
    """Return what *sample* itself tells."""
    told: dict[str, Scalar] = {}
    for name in ("tokens", "dit_calls"):
        count = sample.series.get(name, sample.work.get(name))
        if count is not None:
            told[name] = int(count)
    if sample.output is None:
        return told
    text = isinstance(sample.output, str)
    told["fingerprint"] = text_fingerprint(sample.output) if text else fingerprint(numbers(sample.output))
    if expected is not None:
        told["distance"] = distance_to(expected, entry_of(sample.output))
    return told
