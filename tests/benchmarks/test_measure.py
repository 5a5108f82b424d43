"""How many samples a cell gets, which are kept, and what becomes of errors. No time passes here."""

import gc
import math
from dataclasses import replace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from benchmarks.harness import calm
from benchmarks.harness.calm import Watched, calmest
from benchmarks.harness.device import added_tensor_bytes, tensor_bytes
from benchmarks.harness.measure import MOST_SAMPLES, WARMUP_RUNS, measure_cell
from benchmarks.harness.workload import CellFailed, Sample, Unsupported


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
        return measure_cell("matrix", self, None, {"n": 1}, None)


def others_use(monkeypatch, seconds):
    """Have *seconds* tell what others have used whenever it is looked at, and the process itself use nothing."""
    monkeypatch.setattr(calm, "_used_s", lambda: (0.0, seconds()))


@pytest.fixture(autouse=True)
def _calm_machine(monkeypatch):
    monkeypatch.setattr(calm, "_CORES", 1)
    others_use(monkeypatch, lambda: 0.0)
    gc.freeze()  # or each sample would collect the garbage of all tests before
    yield
    gc.unfreeze()


@pytest.mark.parametrize(("timed_s", "count"), [(0.001, MOST_SAMPLES), (0.05, 20), (0.5, 10), (1.0, 10), (1.5, 10)])
def test_short_cells_get_more_samples(timed_s, count):
    record = Scripted(timed_s).measure()

    assert len(record.samples["time"]) == count
    assert record.measuring_s == pytest.approx(count * timed_s)


def test_the_cell_itself_warms_up_and_the_warm_up_is_no_sample():
    workload = Scripted(0.5)
    record = workload.measure()

    assert record.samples["number"][0] > 1
    assert len(record.samples["number"]) < workload.taken


def test_samples_that_others_disturbed_are_replaced(monkeypatch):
    used_s = iter([0.0, 0.4, 0.4, 0.8, 0.8, 1.2])  # before and after each of the first three samples
    others_use(monkeypatch, lambda: next(used_s, 1.2))
    workload = Scripted(0.5)
    record = workload.measure()

    assert len(record.samples["time"]) == 10
    assert record.measuring_s == pytest.approx(13 * 0.5)
    assert record.samples["number"][0] == workload.taken - 9


def test_on_a_busy_machine_twice_as_many_samples_are_taken_and_the_calmest_kept(monkeypatch):
    busy = iter(number * 0.5 for number in range(1000))
    others_use(monkeypatch, lambda: next(busy))
    record = Scripted(0.5).measure()

    assert record.measuring_s == pytest.approx(20 * 0.5)
    assert len(record.samples["time"]) >= 10


def test_choosing_looks_at_the_others_and_not_at_the_time():
    taken = [(1.0, 0.9), (3.0, 0.0), (1.0, 0.5), (2.0, 0.1)]
    samples = [Watched(Sample({}, {}, timed_s), timed_s, others_s) for timed_s, others_s in taken]

    assert [sample.timed_s for sample in calmest(samples, least=2)] == [3.0, 2.0]
    assert [sample.timed_s for sample in calmest(samples, least=3)] == [3.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("own_s", "others_s", "calm_one"),
    [(1.0, 3.0, True), (1.0, 3.5, False), (3.9, 0.0, True), (3.9, 0.5, False), (0.1, 3.0, True)],
)
def test_others_may_use_the_cores_that_a_sample_leaves_to_them(monkeypatch, own_s, others_s, calm_one):
    monkeypatch.setattr(calm, "_CORES", 4)

    assert Watched(Sample({}, {}, 1.0), own_s, others_s).calm is calm_one


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

    record = measure_cell("matrix", Allocating(0.5), None, {"n": 1}, 7)

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
    record = measure_cell("matrix", workload, None, {"n": 1}, 7)

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
