"""A worker that is asked sample by sample, so that workers of two commits can take turns."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from functools import partial
from typing import Any

from benchmarks.harness.cells import key
from benchmarks.harness.compiled import Graphs
from benchmarks.harness.contention import is_contended
from benchmarks.harness.exact import Warm, without_garbage_collector
from benchmarks.harness.measure import check_same_work, classify, companions, lightly, warm_up
from benchmarks.harness.record import Cell, Scalar
from benchmarks.harness.reference import Entry, name_of
from benchmarks.harness.workload import Sample, Workload


class Turns:
    """Answers three questions about the cells of a matrix, one cell at a time.

    `{"prepare": cell}` warms a cell up and tells its `work`, the `series` of its first run, and whether it is `exact`,
    that is, nothing would differ in another one. `{"count": true}` tells the `companions` of its times (see
    `exact.EXACT`), `{"take": n}` a list of `samples`, each with its `series` and whether it was `contended`, or None if
    that is unknown (see `contention`).
    Every answer has a `status` as records have it, and a `reason` where that is not `ok`.
    """

    def __init__(
        self,
        matrix: str,
        workload: Workload,
        state: Any,
        device: str = "cpu",
        outputs: Mapping[str, Entry] | None = None,
    ) -> None:
        self._matrix, self._workload, self._state, self._device = matrix, workload, state, device
        self._outputs = outputs or {}
        self._warm: Warm | None = None
        self._expected: Entry | None = None

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """Return the answer; what a cell raises becomes its reason."""
        try:
            told = self._told(question)
        except Exception as error:  # noqa: BLE001 - a failing cell must not take the others with it
            status, reason = classify(error)
            return {"status": status, "reason": reason}
        return {"status": "ok", **told}

    def _told(self, question: dict[str, Any]) -> dict[str, Any]:
        if "prepare" in question:
            return self._prepare(question["prepare"])
        if self._warm is None:
            raise RuntimeError("a cell has to be prepared before anything of it can be measured")
        if "count" in question:
            return {"companions": self._count(self._warm)}
        return {"samples": [_told(self._sample(self._warm)) for _ in range(question["take"])]}

    def _prepare(self, cell: Cell) -> dict[str, Any]:
        self._warm, before = None, Graphs.so_far()
        take = self._workload.prepare(self._state, cell)
        _, first = warm_up(take, self._workload.limit_s)
        self._warm = Warm(take, self._device, first, before)
        self._expected = self._outputs.get(name_of(self._matrix, key(cell)))
        return {"work": dict(first.work), "exact": first.exact, "series": dict(first.series)}

    def _count(self, warm: Warm) -> dict[str, Scalar]:
        counted = companions(warm, self._expected)
        gc.collect()
        gc.freeze()  # nor need collecting between samples visit what counting has imported
        return counted

    def _sample(self, warm: Warm) -> Sample:
        sample = without_garbage_collector(partial(lightly, warm.take))
        check_same_work(warm.sample.work, sample.work)
        return sample


def _told(sample: Sample) -> dict[str, Any]:
    return {"series": dict(sample.series), "contended": is_contended(sample.wait_s, sample.timed_s)}
