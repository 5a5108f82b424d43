"""Spends a time budget on the cells of all matrices until each has a verdict.

Two rounds, each with fresh processes on both sides, have to agree on a verdict.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby

from benchmarks.harness.record import Scalar
from scripts.tracker.comparison.allocation import allocate
from scripts.tracker.comparison.cell import CellComparison
from scripts.tracker.comparison.runner import PairedRunner, SideFailed, StopRule
from scripts.tracker.comparison.series_names import workload_of
from scripts.tracker.comparison.sides import Side
from scripts.tracker.comparison.verdicts import RowKey, TableVerdicts, round_verdicts, table_of
from scripts.tracker.statistics import interim_looks
from scripts.tracker.statistics.judging import DELTA, INCONCLUSIVE, MAX_ROUNDS, MIN_ROUNDS, Verdict

MIN_BUDGET_SHARE = 0.05
"""Smallest share of the budget for which another round is started. With less, loading the models would take longer than
sampling."""
FIRST_SLICE_S = 1.0
"""Seconds that a cell is sampled at first in a round; each further time it is sampled for twice as long."""
MAX_SHARES = 4
"""A cell with long runs may take up to this many times its share to reach the first interim look. Without that look it
can have no verdict."""

OnSampled = Callable[["Schedule", CellComparison], None]
"""Called each time after a cell has been sampled."""


class Schedule:
    """The order and the time in which the cells of two sides are sampled.

    Attributes:
        comparisons: all cells.
        sides: baseline and candidate.
        table: the table that all rows and stages of the cells form.
        host: host record of the candidate's worker.
        budget_s: seconds that sampling may take; loading models and warm-up are not counted.
    """

    def __init__(
        self,
        comparisons: Sequence[CellComparison],
        sides: tuple[Side, Side],
        budget_s: float,
        on_sampled: OnSampled,
        delta: float = DELTA,
    ) -> None:
        self.comparisons = list(comparisons)
        self.sides = sides
        self.table = table_of(comparisons, delta)
        self._on_sampled = on_sampled
        self.host: Mapping[str, Scalar] = {}
        self.budget_s = budget_s

    @property
    def left_s(self) -> float:
        """The seconds of the budget that are left."""
        return self.budget_s - _spent_s(self.comparisons)

    def run(self) -> None:
        """Screen every cell in two rounds, then spend the remaining time on the cells that are closest to a verdict."""
        self._run_round({one: 1.0 for one in self.comparisons if not one.timed_series_count}, 0.0)
        for rounds in range(MIN_ROUNDS, 0, -1):
            timed = [one for one in self.comparisons if one.timed_series_count and not one.failed]
            self._run_round(dict.fromkeys(timed, 1.0), self.left_s / rounds, screening=True)
        for _ in range(MAX_ROUNDS - MIN_ROUNDS):
            allocation = allocate(self.open_cells(), self.verdicts(), self.left_s, self.table.delta)
            if not allocation.seconds or self.left_s <= MIN_BUDGET_SHARE * self.budget_s:
                break
            self._run_round(allocation.seconds, self.left_s / allocation.rounds)

    def verdicts(self) -> TableVerdicts:
        """Return the present verdict of every row and every stage."""
        return TableVerdicts.of(self.comparisons, self.table)

    def last_round_verdict(self, comparison: CellComparison, name: str) -> Verdict:
        """Return the verdict of the series *name* in the last round of *comparison* alone."""
        return round_verdicts(self.comparisons, len(comparison.rounds) - 1, self.table)[comparison, name]

    def open_cells(self) -> list[CellComparison]:
        """Return the cells that more rounds could give a verdict."""
        verdicts = {row: verdict.verdict for row, verdict in self.verdicts().rows.items()}
        return [comparison for comparison in self.comparisons if self._is_open(comparison, verdicts)]

    def _is_open(self, comparison: CellComparison, verdicts: Mapping[RowKey, Verdict]) -> bool:
        """Return whether a major row of *comparison* has no verdict in *verdicts*."""
        if comparison.failed or comparison.exact or not comparison.timed_series_count:
            return False
        major = comparison.major_rows
        return not major or any(verdicts[comparison, name] == INCONCLUSIVE for name in major)

    def _run_round(
        self, weights: Mapping[CellComparison, float], allotted_s: float, *, screening: bool = False
    ) -> None:
        """Sample the cells in *weights*, matrix by matrix, for *allotted_s* seconds in proportion to their weights.

        In *screening* a cell is sampled for one second, or up to its first interim look if the time allows that.
        """
        groups = [list(group) for _, group in groupby(weights, key=lambda comparison: comparison.matrix)]
        before_s = _spent_s(weights)
        for number, group in enumerate(groups):
            remaining = sum(weights[comparison] for later in groups[number:] for comparison in later)
            left_s = max(0.0, allotted_s - (_spent_s(weights) - before_s))
            share_s = left_s * sum(weights[comparison] for comparison in group) / remaining
            self._run_matrix(group, 0.0 if screening else share_s, MAX_SHARES * share_s / len(group))

    def _run_matrix(self, comparisons: list[CellComparison], allotted_s: float, first_look_s: float) -> None:
        """Sample *comparisons*, all of one matrix, each for at most *first_look_s* up to its first interim look.

        If a cell kills its worker, the others go on with fresh workers, and the cell is not sampled again.
        """
        matrix, waiting, end_s = comparisons[0].matrix, comparisons, _spent_s(comparisons) + allotted_s
        while waiting:
            with PairedRunner(matrix, workload_of(matrix), self.sides) as runner:
                try:
                    _, self.host = runner.load()
                except SideFailed as failure:
                    for comparison in waiting:
                        comparison.errors[failure.side] = failure.status, failure.reason
                        self._on_sampled(self, comparison)
                    return
                waiting = self._sample_in_turns(runner, waiting, lambda: end_s - _spent_s(comparisons), first_look_s)

    def _sample_in_turns(
        self,
        runner: PairedRunner,
        waiting: list[CellComparison],
        left_s: Callable[[], float],
        first_look_s: float,
    ) -> list[CellComparison]:
        """Sample the *waiting* cells in turns, in growing slices of time; if a worker dies, return the cells left."""
        slice_s = FIRST_SLICE_S
        while waiting:
            for index, comparison in enumerate(waiting):
                try:
                    share_s = max(slice_s, left_s() / (len(waiting) - index))
                    runner.sample(comparison, self.table, self._stop_rule(slice_s, share_s, first_look_s))
                except SideFailed as failure:
                    comparison.errors[failure.side] = failure.status, failure.reason
                    self._on_sampled(self, comparison)
                    sampled = waiting[:index] if left_s() > 0 else []
                    return [*waiting[index + 1 :], *filter(self._round_is_open, sampled)]
                self._on_sampled(self, comparison)
            slice_s *= 2
            waiting = [comparison for comparison in waiting if left_s() > 0 and self._round_is_open(comparison)]
        return []

    def _stop_rule(self, slice_s: float, share_s: float, first_look_s: float) -> StopRule:
        """Return a rule that stops at an interim look with a verdict, or after *slice_s*.

        It also stops once *share_s* is spent, but not before the first look unless *first_look_s* is spent, too.
        """
        start_s, last_look = time.perf_counter(), -1
        warming_up = True

        def stop(comparison: CellComparison) -> bool:
            nonlocal start_s, last_look, warming_up
            now_s, pairs = time.perf_counter(), comparison.rounds[-1].pairs
            if warming_up:
                start_s, warming_up = now_s, False
            at_look = pairs in interim_looks.SIZES and pairs != last_look
            last_look = pairs if at_look else last_look
            if now_s >= start_s + share_s:
                return pairs >= interim_looks.FIRST_PAIRS or (pairs > 0 and now_s >= start_s + first_look_s)
            return at_look and (now_s >= start_s + slice_s or not self._round_is_open(comparison))

        return stop

    def _round_is_open(self, comparison: CellComparison) -> bool:
        """Return whether more pairs in the present round of *comparison* could give it a verdict."""
        if not comparison.rounds or interim_looks.next_size(comparison.rounds[-1].pairs) is None:
            return False
        return self._is_open(comparison, round_verdicts(self.comparisons, len(comparison.rounds) - 1, self.table))


def _spent_s(comparisons: Iterable[CellComparison]) -> float:
    return sum(comparison.spent_s for comparison in comparisons)
