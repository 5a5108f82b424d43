"""Takes the samples of a cell one request at a time, so that workers of two commits can alternate."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from functools import partial
from typing import Any

from benchmarks.harness.cells import key
from benchmarks.harness.compiled import Graphs
from benchmarks.harness.contention import is_contended
from benchmarks.harness.exact import Warm, without_garbage_collector
from benchmarks.harness.measure import check_same_work, classify, exact_metrics_or_reason, lightly, warm_up
from benchmarks.harness.record import Cell, Scalar
from benchmarks.harness.reference_outputs import Entry, name_of
from benchmarks.harness.workload import Sample, Workload


class CellSampler:
    """Answers three kinds of requests, for one cell of a matrix at a time.

    * ``{"prepare": cell}`` warms the cell up. The answer has its ``work``, the ``series`` of its first run, and
      ``exact``: whether all its series are exact, so that no further sample would differ.
    * ``{"count": true}`` counts the exact metrics of the prepared cell. The answer has them as ``exact_metrics``.
    * ``{"take": n}`` takes n samples of the prepared cell. The answer has a list of ``samples``, each with its
      ``series`` and whether it was ``contended`` (None if that is unknown, see `contention`).

    Every answer also has the ``status`` of a record, and a ``reason`` if that is not ``ok``.
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
        self._reference: Entry | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to *request*; what a cell raises becomes the reason of its status."""
        try:
            answer = self._answer(request)
        except Exception as error:  # noqa: BLE001 - a failing cell must not end the worker of the other cells
            status, reason = classify(error)
            return {"status": status, "reason": reason}
        return {"status": "ok", **answer}

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if "prepare" in request:
            return self._prepare(request["prepare"])
        if self._warm is None:
            raise RuntimeError("a cell has to be prepared before anything of it can be measured")
        if "count" in request:
            return {"exact_metrics": self._count(self._warm)}
        return {"samples": [_as_json(self._sample(self._warm)) for _ in range(request["take"])]}

    def _prepare(self, cell: Cell) -> dict[str, Any]:
        self._warm, before = None, Graphs.so_far()
        take = self._workload.prepare(self._state, cell)
        _, first = warm_up(take, self._workload.limit_s)
        self._warm = Warm(take, self._device, first, before)
        self._reference = self._outputs.get(name_of(self._matrix, key(cell)))
        return {"work": dict(first.work), "exact": first.exact, "series": dict(first.series)}

    def _count(self, warm: Warm) -> dict[str, Scalar]:
        metrics = exact_metrics_or_reason(warm, self._reference)
        gc.collect()
        gc.freeze()  # the garbage collector need not visit, between samples, what counting has imported
        return metrics

    def _sample(self, warm: Warm) -> Sample:
        sample = without_garbage_collector(partial(lightly, warm.take))
        check_same_work(warm.sample.work, sample.work)
        return sample


def _as_json(sample: Sample) -> dict[str, Any]:
    return {"series": dict(sample.series), "contended": is_contended(sample.wait_s, sample.timed_s)}
