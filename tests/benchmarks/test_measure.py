"""How many samples a cell gets, where its seconds go, and what becomes of errors. No time passes here."""

import gc
import math
from dataclasses import replace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from benchmarks.harness import measure
from benchmarks.harness.contention import is_contended
from benchmarks.harness.device import added_tensor_bytes, tensor_bytes
from benchmarks.harness.measure import MAX_SAMPLES, WARMUP_RUNS, measure_cell
from benchmarks.harness.workload import CellFailed, Sample, Unsupported
from tests.benchmarks.fakes import record_of


class Scripted:
    """Takes samples that say they took as long as the script wants, and counts them."""

    limit_s = 100.0
    memory = False

    def __init__(self, *timed_s):
        self.script = list(timed_s)
        self.taken = 0

    def prepare(self, _state, _cell):
        return self.take

    def take(self):
        timed_s = self.script[min(self.taken, len(self.script) - 1)]
        self.taken += 1
        return Sample({"time": timed_s, "number": float(self.taken)}, {"calls": 1}, timed_s, in_torch=False)

    def measure(self):
        return record_of("matrix", self, None, {"n": 1}, None)


@pytest.fixture(autouse=True)
def _no_garbage_of_other_tests():
    """It would be collected before every sample."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize(("timed_s", "count"), [(0.001, MAX_SAMPLES), (0.05, 20), (0.5, 10), (1.0, 10), (1.5, 10)])
def test_short_cells_get_more_samples(timed_s, count):
    record = Scripted(timed_s).measure()

    assert len(record.samples["time"]) == count
    assert record.timed_s == pytest.approx(count * timed_s)


def test_the_cell_itself_warms_up_and_the_warm_up_is_no_sample():
    workload = Scripted(0.5)
    record = workload.measure()

    assert record.samples["number"][0] > 1
    assert len(record.samples["number"]) < workload.taken


def test_all_samples_are_kept_in_their_order_and_those_that_waited_for_a_core_are_marked():
    class Waiting(Scripted):
        """Waits for a core in two of three samples, and cannot tell in one of these."""

        def take(self):
            sample = super().take()
            return replace(sample, wait_s={0: 0.0, 1: 0.011, 2: None}[self.taken % 3])

    workload = Waiting(0.5)
    record = workload.measure()

    assert workload.taken == WARMUP_RUNS + 10
    assert record.samples["number"] == [float(number) for number in range(WARMUP_RUNS + 1, WARMUP_RUNS + 11)]
    assert record.contention[:3] == [0.011, None, 0.0]
    assert record.contended[:3] == [True, None, False]
    assert len(record.contention) == len(record.contended) == 10


def test_a_wait_of_two_percent_of_the_timed_seconds_is_not_yet_contention():
    assert [is_contended(wait_s, 0.5) for wait_s in (0.0, 0.01, 0.0101, None)] == [False, False, True, None]


def test_the_seconds_of_a_cell_are_counted_once_each(monkeypatch):
    """Preparing takes 1 s, every run 2 s of which 0.5 are timed, counting 4 s."""
    clock = [0.0]
    monkeypatch.setattr(measure.time, "perf_counter", lambda: clock[0])

    class Slow(Scripted):
        def prepare(self, state, cell):
            clock[0] += 1.0
            return super().prepare(state, cell)

        def take(self):
            clock[0] += 2.0
            return super().take()

    monkeypatch.setattr(measure, "exact_metrics", lambda *_: clock.__setitem__(0, clock[0] + 4.0) or {})
    record = Slow(0.5).measure()

    assert (record.warmup_s, record.timed_s, record.exact_s) == (2.0, 10 * 0.5, 4.0)
    assert record.untimed_s == 1.0 + 10 * 1.5
    assert record.spent_s == clock[0]


@pytest.mark.parametrize("exact", [True, False])
def test_an_exact_cell_and_one_that_fails_take_their_seconds_once(monkeypatch, exact):
    clock = iter(range(100))
    monkeypatch.setattr(measure.time, "perf_counter", lambda: float(next(clock)))

    class Once(Scripted):
        def take(self):
            if not exact:
                raise ValueError("nothing will come of nothing")
            return replace(super().take(), exact=True)

    record = Once(0.5).measure()

    assert (record.warmup_s, record.timed_s, record.contended) == (0.0, 0.0, [])
    assert (record.exact_s > 0) is exact
    assert record.spent_s == next(clock) - 1


def test_the_samples_are_there_before_anything_is_counted():
    class Uncountable(Scripted):
        def take(self):
            return replace(super().take(), in_torch=True, output=object())

    steps = list(measure_cell("matrix", Uncountable(0.5), None, {"n": 1}, None))

    assert [last for _, last in steps] == [False, True]
    assert [len(record.samples["time"]) for record, _ in steps] == [10, 10]
    assert [(record.complete, record.failed) for record, _ in steps] == [(True, False), (False, True)]


def test_a_run_under_the_profiler_that_fails_takes_no_sample_along():
    class Exhausted(Scripted):
        def take(self):
            if torch.autograd._profiler_enabled():
                raise MemoryError("out of memory")
            return super().take()

    record = record_of("matrix", Exhausted(0.5), None, {"n": 1}, 7)

    assert (record.status, len(record.samples["time"])) == ("ok", 10)
    assert record.exact == {"uncounted": "MemoryError: out of memory"}
    assert "peak_memory" not in record.samples


def test_garbage_is_not_collected_inside_a_sample():
    collecting = []

    class Watching(Scripted):
        def take(self):
            collecting.append(gc.isenabled())
            return super().take()

    record = Watching(0.5).measure()

    assert not any(collecting[-len(record.samples["time"]) :])
    assert gc.isenabled()


def test_a_cell_whose_samples_cannot_fit_in_its_limit_times_out_at_once():
    workload = Scripted(15.0)
    record = workload.measure()

    assert (record.status, workload.taken) == ("timeout", 1)
    assert "15.0 s" in record.reason
    assert "100 s" in record.reason


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (ValueError("wrong"), "fail", "ValueError: wrong"),
        (CellFailed("7 codes instead of 8"), "fail", "7 codes instead of 8"),
        (Unsupported("no such name"), "skip", "no such name"),
        (MemoryError(), "oom", "MemoryError"),
        (torch.OutOfMemoryError("CUDA"), "oom", "OutOfMemoryError: CUDA"),
        (
            CellFailed("generation failed: CUDA out of memory"),
            "oom",
            "CellFailed: generation failed: CUDA out of memory",
        ),
    ],
)
def test_errors_become_a_status_and_a_reason(error, status, reason):
    class Failing(Scripted):
        def take(self):
            raise error

    record = Failing(0.0).measure()

    assert (record.status, record.reason) == (status, reason)


def test_a_series_that_is_not_finite_fails_its_cell():
    class Broken(Scripted):
        def take(self):
            return Sample({"time": math.nan}, {}, super().take().timed_s)

    record = Broken(0.5).measure()

    assert record.status == "fail"
    assert "finite" in record.reason


def test_memory_is_what_is_loaded_and_what_a_run_adds():
    class Allocating(Scripted):
        def take(self):
            torch.zeros(1000, dtype=torch.uint8)
            held = torch.zeros(3000, dtype=torch.uint8)
            torch.zeros(2000, dtype=torch.uint8)
            del held
            return super().take()

    record = record_of("matrix", Allocating(0.5), None, {"n": 1}, 7)

    assert record.samples["peak_memory"] == [7.0 + 3000 + 2000]


def test_the_device_s_own_peaks_are_taken_where_it_tells_them():
    class Telling(Scripted):
        def take(self):
            sample = super().take()
            return replace(sample, peak_bytes=self.taken)

    record = Telling(1.5).measure()

    assert record.samples["peak_memory"] == record.samples["number"]


def test_a_workload_may_count_memory_itself():
    class Counting(Scripted):
        def take(self):
            sample = super().take()
            return replace(sample, series={**sample.series, "peak_memory": 5.0}, peak_bytes=9)

    workload = Counting(1.5)
    record = record_of("matrix", workload, None, {"n": 1}, 7)

    assert set(record.samples["peak_memory"]) == {5.0}
    assert workload.taken == WARMUP_RUNS + len(record.samples["time"])


def test_tensors_that_share_their_storage_count_once():
    before = tensor_bytes()
    held = torch.zeros(5000, dtype=torch.uint8)
    views = [held[10:], held.view(50, 100)]

    assert tensor_bytes() - before == 5000
    del views


def test_tensors_without_memory_take_none():
    before = tensor_bytes()
    shapes = torch.empty(5000, device="meta")
    with FakeTensorMode():
        stand_in = torch.empty(5000)

    assert tensor_bytes() == before
    del shapes, stand_in


def test_an_empty_region_adds_nothing():
    assert added_tensor_bytes(lambda: None) == 0
