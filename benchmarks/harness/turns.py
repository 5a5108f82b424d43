"""A worker that is asked sample by sample, so that workers of two commits can take turns."""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmarks.harness.calm import Watched, watch
from benchmarks.harness.measure import check_same_work, classify, warm_up, without_garbage_collector
from benchmarks.harness.record import Cell
from benchmarks.harness.workload import Sample, TakeSample, Workload


class Turns:
    """Answers two questions: `{"prepare": cell}` warms a cell up, `{"take": n}` takes samples of it.

    An answer has a `status` as records have it, and a `reason` where that is not `ok`. `prepare` tells `work`,
    `exact` (nothing would differ in another sample), and the `series` of the first run; `take` a list of `samples`,
    each with its `series` and its `disturbance` (see `calm`).
    """

    def __init__(self, workload: Workload, state: Any) -> None:
        self._workload = workload
        self._state = state
        self._take: TakeSample | None = None
        self._first: Sample | None = None

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """Return the answer; what a cell raises becomes its reason."""
        try:
            told = self._prepare(question["prepare"]) if "prepare" in question else self._samples(question["take"])
        except Exception as error:  # noqa: BLE001 - a failing cell must not take the others with it
            status, reason = classify(error)
            return {"status": status, "reason": reason}
        return {"status": "ok", **told}

    def _prepare(self, cell: Cell) -> dict[str, Any]:
        self._take = self._first = None
        self._take = self._workload.prepare(self._state, cell)
        warmup_s, self._first = warm_up(self._take, self._workload.limit_s)
        first = self._first
        return {"work": dict(first.work), "exact": first.exact, "series": dict(first.series), "warmup_s": warmup_s}

    def _samples(self, count: int) -> dict[str, Any]:
        if self._take is None or self._first is None:
            raise RuntimeError("a cell has to be prepared before samples of it can be taken")
        watched = []
        for _ in range(count):
            watched.append(watch(partial(without_garbage_collector, self._take)))
            check_same_work(self._first.work, watched[-1].sample.work)
        return {"samples": [_told(one) for one in watched]}


def _told(watched: Watched) -> dict[str, Any]:
    return {"series": dict(watched.sample.series), "disturbance": watched.disturbance}
