"""Measures one cell: warm-up, samples, and exact metrics."""

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
"""Largest number of warm-up runs."""
SHORT_S = 1.0
"""Seconds after which no further warm-up run begins."""
MIN_SAMPLES = 10
"""Smallest number of samples. asv's test cannot find a difference between 6 and 6 samples; with 10 it can."""
TARGET_S = 1.0
"""Timed seconds until which a cell gets more than `MIN_SAMPLES` samples."""
MAX_SAMPLES = 30
"""Largest number of samples."""


class CellTimeout(Exception):
    """Measuring a cell would exceed its time limit."""


def measure_cell(
    matrix: str,
    workload: Workload,
    state: Any,
    cell: Cell,
    loaded_bytes: int | None,
    device: str = "cpu",
    reference: Entry | None = None,
) -> Iterator[tuple[Record, bool]]:
    """Warm the cell up, take its samples, and count its exact metrics; an exception becomes the reason of the record.

    Yields the record with the samples, and then again with the exact metrics, so that a crash while they are counted
    does not lose the samples; each with whether it is the last one.

    Args:
        matrix: name of the matrix.
        workload: runs the cell.
        state: what the workload has loaded.
        cell: the cell.
        loaded_bytes: bytes of the models on a CPU, to which the peak of a run is added; None adds no series.
        device: on which the cell runs.
        reference: reference output of the cell, if there is one.
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
        yield _ended(_counted(record, Warm(take, device, first, before), loaded_bytes, reference), start), True


def run_once(matrix: str, workload: Workload, state: Any, cell: Cell) -> Record:
    """Run the cell a single time, without a warm-up and without counting exact metrics; return the record."""
    start = time.perf_counter()
    try:
        sample = lightly(workload.prepare(state, cell))
        return _ended(Record(matrix, cell, "ok", samples=_series([sample]), work=sample.work), start)
    except Exception as error:  # noqa: BLE001 - a failing cell must not take the others with it
        status, reason = classify(error)
        return _ended(Record(matrix, cell, status, reason), start)


def _exact_record(matrix: str, cell: Cell, sample: Sample, spent_s: float) -> Record:
    """Return the record of an exact cell, whose only sample took *spent_s* seconds."""
    return Record(matrix, cell, "ok", samples=_series([sample]), work=sample.work, exact_s=spent_s)


def _timed_record(matrix: str, cell: Cell, take: TakeSample) -> Record:
    """Take the samples of a cell and return its record."""
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


def _counted(record: Record, warm: Warm, loaded_bytes: int | None, reference: Entry | None) -> Record:
    """Return *record* with its exact metrics, or with the reason why it has none.

    On a CPU the series `peak_memory` is counted, too: *loaded_bytes* and the peak that one more run adds.
    """
    start, samples = time.perf_counter(), dict(record.samples)
    exact: Mapping[str, Scalar]
    try:
        if loaded_bytes is not None and "peak_memory" not in samples:
            samples["peak_memory"] = [float(loaded_bytes + (warm.profile.peak_bytes or 0))]
        exact = exact_metrics(warm, reference)
    except Exception as error:  # noqa: BLE001 - it is recorded
        exact = {UNCOUNTED: classify(error)[1]}
    return replace(record, samples=samples, exact=exact, exact_s=time.perf_counter() - start)


def _ended(record: Record, start: float) -> Record:
    """Return *record* with the time of its end, and with the seconds since *start* that are in no other field."""
    other_s = time.perf_counter() - start - record.spent_s
    return replace(record, untimed_s=record.untimed_s + max(0.0, other_s), ended_unix=time.time())


def _series(samples: list[Sample]) -> dict[str, list[float]]:
    return {name: [float(sample.series[name]) for sample in samples] for name in samples[0].series}


def take_samples(take: TakeSample) -> list[Sample]:
    """Take samples until there are enough, and return them in order.

    Raises CellFailed if one did other work than the first.
    """
    samples: list[Sample] = []
    while not enough(samples):
        samples.append(without_garbage_collector(partial(lightly, take)))
        check_same_work(samples[0].work, samples[-1].work)
    return samples


def enough(samples: list[Sample]) -> bool:
    """Return whether these are enough samples for a cell of their duration."""
    if len(samples) < MIN_SAMPLES:
        return False
    return _timed_s(samples) >= TARGET_S or len(samples) >= MAX_SAMPLES


def _timed_s(samples: list[Sample]) -> float:
    return sum(one.timed_s for one in samples)


def classify(error: Exception) -> tuple[Status, str]:
    """Return the status and the reason of a cell that raised *error*."""
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, Unsupported):
        return "skip", str(error)
    if isinstance(error, CellTimeout):
        return "timeout", str(error)
    if _is_out_of_memory(error):
        return "oom", reason
    return "fail", str(error) if isinstance(error, CellFailed) else reason


def _is_out_of_memory(error: Exception) -> bool:
    """Recognize MemoryError, torch.OutOfMemoryError and the RuntimeErrors of allocators, without importing torch."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text


def warm_up(take: TakeSample, limit_s: float) -> tuple[float, Sample]:
    """Run the cell up to `WARMUP_RUNS` times; return the seconds that this took, and the first sample.

    Raises CellTimeout if `MIN_SAMPLES` samples would exceed *limit_s*.
    """
    start, samples = time.perf_counter(), list[Sample]()
    while len(samples) < WARMUP_RUNS:
        samples.append(lightly(take))
        timed_s = samples[-1].timed_s
        if timed_s * MIN_SAMPLES > limit_s:
            raise CellTimeout(f"one run took {timed_s:.1f} s, so {MIN_SAMPLES} exceed the limit of {limit_s:.0f} s")
        if samples[-1].exact or time.perf_counter() - start > SHORT_S:
            break
    return time.perf_counter() - start, samples[0]


def exact_metrics_or_reason(warm: Warm, reference: Entry | None) -> dict[str, Scalar]:
    """Return the exact metrics of a cell, or the reason why it has none: a failure here must not lose its samples."""
    try:
        return exact_metrics(warm, reference)
    except Exception as error:  # noqa: BLE001 - it is recorded
        return {UNCOUNTED: classify(error)[1]}


def lightly(take: TakeSample) -> Sample:
    """Take a sample and drop its output tensors, whose memory would otherwise be occupied during the next sample."""
    sample = take()
    return sample if isinstance(sample.output, str) else replace(sample, output=None)


def check_same_work(first: Mapping[str, Scalar], now: Mapping[str, Scalar]) -> None:
    """Raise CellFailed if a sample did other work than the *first* one."""
    changed = {name for name in first.keys() | now.keys() if first.get(name) != now.get(name)}
    if changed:
        changes = ", ".join(f"{name} {first.get(name)} then {now.get(name)}" for name in sorted(changed))
        raise CellFailed(f"the samples did different work: {changes}")
