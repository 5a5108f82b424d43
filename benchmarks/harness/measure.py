"""Takes the samples of one cell."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks.harness.compiled import Graphs
from benchmarks.harness.contention import is_contended
from benchmarks.harness.exact import Warm, exact_metrics, without_garbage_collector
from benchmarks.harness.record import UNCOUNTED, Cell, Record, Scalar, Status
from benchmarks.harness.reference_outputs import Entry
from benchmarks.harness.workload import CellFailed, Sample, TakeSample, Unsupported, Workload

WARMUP_RUNS = 3
SHORT_S = 1.0
LEAST_SAMPLES = 10
"""With 6 against 6, asv's test can never find a difference; with 10 it finds what stands out of the noise."""
TARGET_S = 1.0
MOST_SAMPLES = 30
"""A cell of milliseconds gets more samples, until they fill TARGET_S or are this many."""


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
) -> Iterator[tuple[Record, bool]]:
    """Warm up with the very cell, sample it and count it; whatever it raises becomes the reason.

    The record is yielded with its samples, and once more with its exact metrics: what happens while they are counted
    does not take the samples along. Beside it stands whether it is the last one.

    *loaded_bytes* is what the models take up on a CPU; None leaves memory to the device, which may not tell it.
    *expected* is the output of the cell that is kept for the *device*, if there is one.
    """
    start = time.perf_counter()
    try:
        before = Graphs.so_far()
        take = workload.prepare(state, cell)
        warmup_s, first = warm_up(take, workload.limit_s)
        record = _exact_record(matrix, cell, first, warmup_s) if first.exact else _timed_record(matrix, cell, take)
        record = replace(record, warmup_s=0.0 if first.exact else warmup_s)
    except Exception as error:  # noqa: BLE001 - a failing cell must not take the others with it
        status, reason = classify(error)
        yield _ended(Record(matrix, cell, status, reason), start), True
        return
    yield _ended(record, start), first.exact
    if not first.exact:
        yield _ended(_counted(record, Warm(take, device, first, before), loaded_bytes, expected), start), True


def run_once(matrix: str, workload: Workload, state: Any, cell: Cell) -> Record:
    """Run the cell a single time, without a warm-up and without counting, and return what that told."""
    start = time.perf_counter()
    try:
        sample = lightly(workload.prepare(state, cell))
        return _ended(Record(matrix, cell, "ok", samples=_series([sample]), work=sample.work), start)
    except Exception as error:  # noqa: BLE001 - a failing cell must not take the others with it
        status, reason = classify(error)
        return _ended(Record(matrix, cell, status, reason), start)


def _exact_record(matrix: str, cell: Cell, sample: Sample, taken_s: float) -> Record:
    """Return the record of a cell whose only sample, taken in *taken_s* seconds, says it all."""
    return Record(matrix, cell, "ok", samples=_series([sample]), work=sample.work, exact_s=taken_s)


def _timed_record(matrix: str, cell: Cell, take: TakeSample) -> Record:
    """Return the record of a cell with its samples."""
    samples = take_samples(take)
    series, peaks = _series(samples), [float(one.peak_bytes) for one in samples if one.peak_bytes is not None]
    return Record(
        matrix,
        cell,
        "ok",
        samples={"peak_memory": peaks, **series} if peaks else series,
        work=samples[0].work,
        contention=[one.wait_s for one in samples],
        contended=[is_contended(one.wait_s, one.timed_s) for one in samples],
        timed_s=_timed_s(samples),
    )


def _counted(record: Record, warm: Warm, loaded_bytes: int | None, expected: Entry | None) -> Record:
    """Return *record* with its exact metrics, or with the reason why there are none.

    On a CPU the peak of memory is one of them: *loaded_bytes* and what one more run adds.
    """
    start, samples = time.perf_counter(), dict(record.samples)
    exact: Mapping[str, Scalar]
    try:
        if loaded_bytes is not None and "peak_memory" not in samples:
            samples["peak_memory"] = [float(loaded_bytes + (warm.profile.peak_bytes or 0))]
        exact = exact_metrics(warm, expected)
    except Exception as error:  # noqa: BLE001 - it is recorded
        exact = {UNCOUNTED: classify(error)[1]}
    return replace(record, samples=samples, exact=exact, exact_s=time.perf_counter() - start)


def _ended(record: Record, start: float) -> Record:
    """Return *record* with the moment, and with the seconds since *start* that it did not account for."""
    left_s = time.perf_counter() - start - record.spent_s
    return replace(record, untimed_s=record.untimed_s + max(0.0, left_s), ended_unix=time.time())


def _series(samples: list[Sample]) -> dict[str, list[float]]:
    return {name: [float(sample.series[name]) for sample in samples] for name in samples[0].series}


def take_samples(take: TakeSample) -> list[Sample]:
    """Sample until there are enough, and return all of them in their order.

    Raises CellFailed if one did other work than those before it.
    """
    samples: list[Sample] = []
    while not enough(samples):
        samples.append(without_garbage_collector(partial(lightly, take)))
        check_same_work(samples[0].work, samples[-1].work)
    return samples


def enough(samples: list[Sample]) -> bool:
    """Say whether these samples are as many as a cell of their length needs."""
    if len(samples) < LEAST_SAMPLES:
        return False
    return _timed_s(samples) >= TARGET_S or len(samples) >= MOST_SAMPLES


def _timed_s(samples: list[Sample]) -> float:
    return sum(one.timed_s for one in samples)


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


def exact_metrics_or_reason(warm: Warm, expected: Entry | None) -> dict[str, Scalar]:
    """Return the exact metrics of a cell, or the reason why it has none: a failure here must not lose its samples."""
    try:
        return exact_metrics(warm, expected)
    except Exception as error:  # noqa: BLE001 - it is recorded
        return {UNCOUNTED: classify(error)[1]}


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
