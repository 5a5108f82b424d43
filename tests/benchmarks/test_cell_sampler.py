"""A worker that is asked sample by sample."""

import pytest

from benchmarks.harness.cell_sampler import CellSampler
from benchmarks.harness.process import WorkerDied, WorkerProcess
from benchmarks.harness.workload import Sample
from tests.benchmarks.fakes import Deeds, prepared, settings_in


@pytest.fixture
def worker(tmp_path):
    with WorkerProcess("fake", Deeds, settings_in(tmp_path, "ok"), by="sample") as process:
        assert process.answer(30)["status"] == "ok"
        yield process


def test_a_cell_is_prepared_once_and_sampled_at_will(worker, tmp_path):
    told = worker.ask({"prepare": {"deed": "ok"}}, 30)
    taken = [worker.ask({"take": count}, 30) for count in (1, 3)]

    assert told["status"] == "ok"
    assert told["work"] == {"calls": 1}
    assert told["series"]["time"] == 0.25
    assert [len(answer["samples"]) for answer in taken] == [1, 3]
    assert taken[1]["samples"][2]["series"]["time"] == 0.25
    assert prepared(tmp_path) == ["ok"]


def test_a_sample_says_whether_it_waited_for_a_core(tmp_path):
    class Waiting(Deeds):
        def prepare(self, _state, _cell):
            waits = iter([0.0, 0.0, 0.0, 0.0, 0.1, None])
            return lambda: Sample({"time": 1.0}, {}, timed_s=0.2, wait_s=next(waits))

    turns = CellSampler("fake", Waiting(), tmp_path)
    turns.answer({"prepare": {}})

    assert [sample["contended"] for sample in turns.answer({"take": 3})["samples"]] == [False, True, None]


def test_a_failing_cell_tells_why_and_leaves_the_worker_alive(worker):
    failed = worker.ask({"prepare": {"deed": "raise"}}, 30)
    skipped = worker.ask({"prepare": {"deed": "skip"}}, 30)

    assert (failed["status"], failed["reason"]) == ("fail", "ValueError: nothing will come of nothing")
    assert (skipped["status"], skipped["reason"]) == ("skip", "this commit has no skip")
    assert worker.ask({"prepare": {"deed": "ok"}}, 30)["status"] == "ok"


def test_samples_of_a_cell_that_could_not_be_prepared_are_refused(worker):
    worker.ask({"prepare": {"deed": "ok"}}, 30)
    worker.ask({"prepare": {"deed": "raise"}}, 30)

    assert "has to be prepared" in worker.ask({"take": 1}, 30)["reason"]


def test_a_sample_that_does_other_work_fails(tmp_path):
    class Wandering(Deeds):
        def prepare(self, _state, _cell):
            calls = iter(range(100))
            return lambda: Sample({"time": 1.0}, {"calls": next(calls) // 4}, timed_s=0.2)

    turns = CellSampler("fake", Wandering(), tmp_path)
    assert turns.answer({"prepare": {}})["status"] == "ok"
    assert turns.answer({"take": 1})["status"] == "ok"  # three runs were the warm-up

    assert turns.answer({"take": 1})["reason"] == "the samples did different work: calls 0 then 1"


def test_a_cell_that_kills_the_worker_is_told_by_its_end(worker):
    worker.ask({"prepare": {"deed": "ok"}}, 30)

    with pytest.raises(WorkerDied, match="SIGKILL"):
        worker.ask({"prepare": {"deed": "kill"}}, 30)
