"""Takes the samples of one cell."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks.harness.calm import Watched, calmest, watch
from benchmarks.harness.compiled import Graphs
from benchmarks.harness.exact import Warm, exact_of, without_garbage_collector
from benchmarks.harness.record import Cell, Record, Scalar, Status
from benchmarks.harness.reference import Entry
from benchmarks.harness.workload import CellFailed, Sample, TakeSample, Unsupported, Workload

WARMUP_RUNS = 3
SHORT_S = 1.0
LEAST_SAMPLES = 10
"""With 6 against 6, asv's test can never find a difference; with 10 it finds what stands out of the noise."""
TARGET_S = 1.0
MOST_SAMPLES = 30
"""A cell of milliseconds gets more samples, until they fill TARGET_S or are this many.

Where other programs disturb samples, up to twice as many as needed are taken, and the calmest are kept.
"""


class CellTimeout(Exception):
    """A cell would need longer than it may take."""


def measure_cell(
    matrix: str,
    workload: Workload,
    state: Any,
    cell: Cell,
    loaded_bytes: int | None,
    device: str = "cpu",
    expected: Entry | None = None,
) -> Record:
    """Warm up with the very cell, sample it, and return the record; whatever it raises becomes the reason.

    *loaded_bytes* is what the models take up on a CPU; None leaves memory to the device, which may not tell it.
    *expected* is the output of the cell that is kept for the *device*, if there is one.
    """
    try:
        before = Graphs.so_far()
        take = workload.prepare(state, cell)
        warmup_s, first = warm_up(take, workload.limit_s)
        samples, measuring_s = ([first], warmup_s) if first.exact else take_samples(take)
        series = {name: [float(sample.series[name]) for sample in samples] for name in samples[0].series}
        warm = Warm(take, device, first, before)
        peaks = [] if first.exact or "peak_memory" in series else _peaks(warm, samples, loaded_bytes)
        return Record(
            matrix,
            cell,
            "ok",
            samples={**series, "peak_memory": peaks} if peaks else series,
            work=samples[0].work,
            exact={} if first.exact else companions(warm, expected),
            warmup_s=warmup_s,
            measuring_s=measuring_s,
            ended_unix=time.time(),
        )
    except Exception as error:  # noqa: BLE001 - a failing cell must not take the others with it
        status, reason = classify(error)
        return Record(matrix, cell, status, reason, ended_unix=time.time())


def take_samples(take: TakeSample) -> tuple[list[Sample], float]:
    """Sample until there are enough; return those that are kept, and the seconds that all of them took.

    Raises CellFailed if one did other work than those before it.
    """
    watched: list[Watched] = []
    while not enough(watched):
        watched.append(watch(partial(without_garbage_collector, partial(lightly, take))))
        check_same_work(watched[0].sample.work, watched[-1].sample.work)
    return calmest(watched, LEAST_SAMPLES), _timed_s(watched)


def enough(watched: list[Watched]) -> bool:
    """Say whether these samples are as many as a cell of their length needs, on a machine as calm as this."""
    if not watched:
        return False
    taken = len(watched)
    if taken < LEAST_SAMPLES or (_timed_s(watched) < TARGET_S and taken < MOST_SAMPLES):
        return False
    return sum(one.calm for one in watched) >= LEAST_SAMPLES or taken >= 2 * LEAST_SAMPLES


def _timed_s(watched: list[Watched]) -> float:
    return sum(one.sample.timed_s for one in watched)


def classify(error: Exception) -> tuple[Status, str]:
    """Return the status and the reason that *error* gives a cell."""
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, Unsupported):
        return "skip", str(error)
    if isinstance(error, CellTimeout):
        return "timeout", str(error)
    if _is_out_of_memory(error):
        return "oom", reason
    return "fail", str(error) if isinstance(error, CellFailed) else reason


def _is_out_of_memory(error: Exception) -> bool:
    """Know MemoryError, torch.OutOfMemoryError and the allocators' RuntimeErrors, without importing torch."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text


def warm_up(take: TakeSample, limit_s: float) -> tuple[float, Sample]:
    """Run the cell, a short one up to three times; return the seconds that took, and the first sample.

    Raises CellTimeout if the samples cannot fit in the limit.
    """
    start, samples = time.perf_counter(), list[Sample]()
    while len(samples) < WARMUP_RUNS:
        samples.append(lightly(take))
        timed_s = samples[-1].timed_s
        if timed_s * LEAST_SAMPLES > limit_s:
            raise CellTimeout(f"one run took {timed_s:.1f} s, so {LEAST_SAMPLES} exceed the limit of {limit_s:.0f} s")
        if samples[-1].exact or time.perf_counter() - start > SHORT_S:
            break
    return time.perf_counter() - start, samples[0]


def _peaks(warm: Warm, samples: list[Sample], loaded_bytes: int | None) -> list[float]:
    """Return the peaks of memory in bytes: of each sample where the device tells them, else of one more run."""
    if loaded_bytes is None:
        return [float(sample.peak_bytes) for sample in samples if sample.peak_bytes is not None]
    return [float(loaded_bytes + (warm.profile.peak_bytes or 0))]


def companions(warm: Warm, expected: Entry | None) -> dict[str, Scalar]:
    """Return the companions of the times, or the reason why there are none: it must not take the times with it."""
    try:
        return exact_of(warm, expected)
    except Exception as error:  # noqa: BLE001 - it is recorded
        return {"uncounted": classify(error)[1]}


def lightly(take: TakeSample) -> Sample:
    """Take a sample, and let go of tensors that it has made: they would be in the way of those of the next one."""
    sample = take()
    return sample if isinstance(sample.output, str) else replace(sample, output=None)


def check_same_work(first: Mapping[str, Scalar], now: Mapping[str, Scalar]) -> None:
    """Raise CellFailed if a sample did not do what the *first* one did."""
    changed = {name for name in first.keys() | now.keys() if first.get(name) != now.get(name)}
    if changed:
        told = ", ".join(f"{name} {first.get(name)} then {now.get(name)}" for name in sorted(changed))
        raise CellFailed(f"the samples did different work: {told}")
