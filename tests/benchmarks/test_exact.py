"""The companions of times: right where the sum is known, and the same in every process."""

import gc

import pytest
import torch

from benchmarks.harness.cells import Matrix
from benchmarks.harness.compiled import Graphs
from benchmarks.harness.exact import EXACT_METRICS, Warm, exact_metrics
from benchmarks.harness.matrix import measure_matrix
from benchmarks.harness.measure import WARMUP_RUNS
from benchmarks.harness.reference_outputs import entry_of
from benchmarks.harness.settings import Settings
from benchmarks.harness.workload import Sample
from benchmarks.harness.workloads.stages import Stages
from tests.benchmarks.fakes import record_of

ROWS = 4
CELLS = (
    {"stage": "TextEncode", "batch": 2},
    {"stage": "DiTForward", "duration": 30, "batch": 1},
    {"stage": "AudioSave", "format": "wav", "duration": 30},
)
MATRIX = Matrix("stages", Stages, CELLS, CELLS)


@pytest.fixture(autouse=True)
def _garbage_of_other_tests():
    """It would be looked at before every sample."""
    gc.freeze()
    yield
    gc.unfreeze()


class Multiplying:
    """Multiplies by a square matrix; each run leaves garbage that only its collection frees."""

    limit_s = 100.0
    memory = True

    def __init__(self, work=None, **said):
        self.work, self.said = work or {}, said
        self.weight, self.inputs = torch.eye(8), torch.arange(ROWS * 8.0).reshape(ROWS, 8)
        self.taken = 0

    def prepare(self, _state, _cell):
        return self.take

    def take(self):
        self.taken += 1
        product = self.inputs @ self.weight
        ring = [product]
        ring.append(ring)
        return Sample({"time": 2.0}, self.work, 2.0, **{"output": product, **self.said})


def exact(workload, expected=None):
    before = Graphs.so_far()
    return exact_metrics(Warm(workload.take, "cpu", workload.take(), before), expected)


def measured(workload, **known):
    return record_of("matrix", workload, None, {"n": 1}, 0, **known)


def test_a_product_is_counted_to_the_last_digit():
    counts = exact(Multiplying())
    fingerprint = counts.pop("fingerprint")

    assert counts == {
        "allocated_bytes": 4 * ROWS * 8,
        "peak_bytes": 4 * ROWS * 8,
        "graph_breaks": 0,
        "recompiled": 0,
        "operators": 1,
        "flop": 2 * ROWS * 8 * 8,
    }
    assert fingerprint != 1.0


def test_one_operator_more_is_one_more():
    class Twice(Multiplying):
        def take(self):
            self.inputs + 1
            return super().take()

    assert exact(Twice())["operators"] == exact(Multiplying())["operators"] + 1
    assert exact(Twice())["flop"] == exact(Multiplying())["flop"]


def test_what_a_run_says_about_itself_is_taken_over():
    told = exact(Multiplying(work={"tokens": 7, "dit_calls": 8, "batch": 1}))

    assert (told["tokens"], told["dit_calls"]) == (7, 8)
    assert told.keys() <= EXACT_METRICS.keys()


def test_an_output_is_compared_with_the_one_that_is_kept():
    workload = Multiplying()
    output = workload.take().output

    assert exact(workload, entry_of(output))["distance"] == 0.0
    assert exact(workload, entry_of(2 * output))["distance"] == pytest.approx(0.5, rel=0.3)
    assert "distance" not in exact(workload)


def test_what_torch_does_not_compute_here_is_not_run_again_and_has_no_counts():
    workload = Multiplying(in_torch=False, output="two words")
    told = exact(workload, entry_of("two birds"))

    assert workload.taken == 1
    assert told.pop("fingerprint") == exact(workload)["fingerprint"] != exact(Multiplying(output="a"))["fingerprint"]
    assert told == {"distance": 0.5}


def test_a_compiled_graph_keeps_its_operators_to_itself():
    class Compiled(Multiplying):
        def __init__(self):
            super().__init__()
            self.multiply = torch.compile(torch.matmul, backend="eager")

        def take(self):
            self.multiply(self.inputs, self.weight)
            return super().take()

    torch.compiler.reset()
    counts = exact(Compiled())
    torch.compiler.reset()

    assert {"operators", "flop"}.isdisjoint(counts)
    assert (counts["recompiled"], counts["allocated_bytes"]) == (0, 2 * 4 * ROWS * 8)


def test_graph_breaks_are_those_of_the_cell_and_its_preparation():
    class Breaking(Multiplying):
        def prepare(self, _state, _cell):
            torch.compiler.reset()
            self.broken = torch.compile(lambda x: (x + 1, torch._dynamo.graph_break(), x * 2), backend="eager")
            return self.take

        def take(self):
            self.broken(self.inputs)
            return super().take()

    first, second = (measured(Breaking()).exact for _ in range(2))
    torch.compiler.reset()

    assert (first["graph_breaks"], second["graph_breaks"]) == (1, 1)


def test_counting_takes_two_runs_after_the_samples_and_the_peak_of_memory_is_one_of_them():
    workload = Multiplying()
    record = measured(workload)

    assert workload.taken == WARMUP_RUNS + len(record.samples["time"]) + 2
    assert record.samples["peak_memory"] == [record.exact["peak_bytes"]]


def test_samples_hold_no_tensors_while_others_are_taken():
    held = []

    class Looking(Multiplying):
        def take(self):
            gc.collect()
            held.append(sum(type(one) is torch.Tensor and one.shape == (ROWS, 8) for one in gc.get_objects()))
            return super().take()

    record = measured(Looking())

    assert len(set(held[: WARMUP_RUNS + len(record.samples["time"])])) == 1


def test_a_cell_that_cannot_be_counted_keeps_its_times_and_says_why():
    record = measured(Multiplying(output=object()))

    assert record.status == "ok"
    assert record.samples["time"]
    assert record.exact == {"uncounted": "TypeError: an output holds a object, which is no tensor"}


def test_one_sample_that_says_it_all_needs_no_companions():
    workload = Multiplying(exact=True)

    assert measured(workload).exact == {}
    assert workload.taken == 1


def in_a_new_worker(folder):
    settings = Settings("tiny", "cpu", "quick", "", "none", str(folder), str(folder))
    records = measure_matrix(MATRIX, settings, known=(MATRIX,))
    assert {record["status"] for record in records.values()} == {"ok"}, records
    return [record["exact"] for record in records.values()]


def test_two_processes_count_the_same_to_the_last_digit(tmp_path):
    first, second = (in_a_new_worker(tmp_path / name) for name in ("first", "second"))
    text, dit, save = first

    assert first == second
    assert dit["operators"] > text["operators"] > save["operators"]
    assert max(text["distance"], dit["distance"]) < 1e-4
    assert "fingerprint" not in save
