"""Spends a budget of time on the cells of all matrices, until each has a verdict.

Each verdict has to be reached twice, by separate pairs of processes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby

from benchmarks.harness.record import Scalar
from scripts.tracker.comparison.allocation import allocate
from scripts.tracker.comparison.cell import CellComparison
from scripts.tracker.comparison.runner import PairedRunner, SideFailed, Until
from scripts.tracker.comparison.series_names import workload_of
from scripts.tracker.comparison.sides import Side
from scripts.tracker.comparison.verdicts import Key, TableVerdicts, round_verdicts, table_of
from scripts.tracker.statistics import interim_looks
from scripts.tracker.statistics.judging import DELTA, MAX_ROUNDS, MIN_ROUNDS, Verdict

LEAST_SHARE = 0.05
"""With less of the budget left a pass would load models, and measure next to nothing."""
FIRST_SLICE_S = 1.0
"""What a cell gets at its first visit; each further one takes twice as long."""
PATIENCE = 4
"""Times its share that a cell of long runs gets to come to its first look, without which it can have no verdict."""

Told = Callable[["Schedule", CellComparison], None]


class Schedule:
    """All comparisons of two sides, and the table that they make.

    The budget is what samples may take; loading models and warming up come on top. *tell* is called after each visit of
    a cell. `host` is what the worker of head tells about where it runs.
    """

    def __init__(
        self,
        comparisons: Sequence[CellComparison],
        sides: tuple[Side, Side],
        budget_s: float,
        tell: Told,
        delta: float = DELTA,
    ) -> None:
        self.comparisons = list(comparisons)
        self.sides = sides
        self.table = table_of(comparisons, delta)
        self._tell = tell
        self.host: Mapping[str, Scalar] = {}
        self.budget_s = budget_s

    @property
    def left_s(self) -> float:
        """The seconds of the budget that are left."""
        return self.budget_s - _spent_s(self.comparisons)

    def run(self) -> None:
        """Glance at every cell in two rounds, then spend what is left on the cells that are nearest to a verdict."""
        self._pass({comparison: 1.0 for comparison in self.comparisons if not comparison.declared}, 0.0)
        for rounds in range(MIN_ROUNDS, 0, -1):
            timed = [comparison for comparison in self.comparisons if comparison.declared and not comparison.failed]
            self._pass(dict.fromkeys(timed, 1.0), self.left_s / rounds, glance=True)
        for _ in range(MAX_ROUNDS - MIN_ROUNDS):
            plan = allocate(self.unsettled(), self.standing(), self.left_s, self.table.delta)
            if not plan.seconds or self.left_s <= LEAST_SHARE * self.budget_s:
                break
            self._pass(plan.seconds, self.left_s / plan.rounds)

    def standing(self) -> TableVerdicts:
        """Return what is known of every row and every stage."""
        return TableVerdicts.of(self.comparisons, self.table)

    def latest(self, comparison: CellComparison, name: str) -> Verdict:
        """Return the verdict of the last round of *comparison* on the series *name*, by itself."""
        return round_verdicts(self.comparisons, len(comparison.rounds) - 1, self.table)[comparison, name]

    def unsettled(self) -> list[CellComparison]:
        """Return the cells that more rounds could give a verdict."""
        verdicts = {row: judged.verdict for row, judged in self.standing().rows.items()}
        return [comparison for comparison in self.comparisons if self._wants(comparison, verdicts)]

    def _wants(self, comparison: CellComparison, verdicts: Mapping[Key, Verdict]) -> bool:
        """Say whether a row of *comparison* that is worth measuring has no verdict in *verdicts*."""
        if comparison.failed or comparison.exact or not comparison.declared:
            return False
        major = comparison.major
        return not major or any(verdicts[comparison, name] == "not enough evidence" for name in major)

    def _pass(self, worth: Mapping[CellComparison, float], allotted_s: float, *, glance: bool = False) -> None:
        """Go through the matrices, each with its share of what is *allotted*, by what its cells are *worth*.

        In a *glance* a cell gets a second, or what its first look takes, if there is so much.
        """
        groups = [list(group) for _, group in groupby(worth, key=lambda comparison: comparison.matrix)]
        before_s = _spent_s(worth)
        for place, group in enumerate(groups):
            ahead = sum(worth[comparison] for later in groups[place:] for comparison in later)
            left_s = max(0.0, allotted_s - (_spent_s(worth) - before_s))
            share_s = left_s * sum(worth[comparison] for comparison in group) / ahead
            self._measure(group, 0.0 if glance else share_s, PATIENCE * share_s / len(group))

    def _measure(self, comparisons: list[CellComparison], allotted_s: float, most_s: float) -> None:
        """Visit *comparisons*, all of one matrix, each for *most_s* to its first look.

        A cell that takes its worker along is not visited again.
        """
        matrix, waiting, end_s = comparisons[0].matrix, comparisons, _spent_s(comparisons) + allotted_s
        while waiting:
            with PairedRunner(matrix, workload_of(matrix), self.sides) as runner:
                try:
                    _, self.host = runner.load()
                except SideFailed as failure:
                    for comparison in waiting:
                        comparison.trouble[failure.side] = failure.status, failure.reason
                        self._tell(self, comparison)
                    return
                waiting = self._rounds(runner, waiting, lambda: end_s - _spent_s(comparisons), most_s)

    def _rounds(
        self, runner: PairedRunner, waiting: list[CellComparison], left_s: Callable[[], float], most_s: float
    ) -> list[CellComparison]:
        """Return those that are left if a worker has died."""
        slice_s = FIRST_SLICE_S
        while waiting:
            for place, comparison in enumerate(waiting):
                try:
                    share_s = max(slice_s, left_s() / (len(waiting) - place))
                    runner.visit(comparison, self.table, self._until(slice_s, share_s, most_s))
                except SideFailed as failure:
                    comparison.trouble[failure.side] = failure.status, failure.reason
                    self._tell(self, comparison)
                    seen = waiting[:place] if left_s() > 0 else []
                    return [*waiting[place + 1 :], *filter(self._wants_now, seen)]
                self._tell(self, comparison)
            slice_s *= 2
            waiting = [comparison for comparison in waiting if left_s() > 0 and self._wants_now(comparison)]
        return []

    def _until(self, slice_s: float, share_s: float, most_s: float) -> Until:
        """End a visit with a verdict; else after *slice_s*, at a look; else when *share_s*, or *most_s*, is spent."""
        begun, looked = time.perf_counter(), -1
        warming_up = True

        def over(comparison: CellComparison) -> bool:
            nonlocal begun, looked, warming_up
            clock, pairs = time.perf_counter(), comparison.rounds[-1].pairs
            if warming_up:
                begun, warming_up = clock, False
            at_look = pairs in interim_looks.SIZES and pairs != looked
            looked = pairs if at_look else looked
            if clock >= begun + share_s:
                return pairs >= interim_looks.FIRST_PAIRS or (pairs > 0 and clock >= begun + most_s)
            return at_look and (clock >= begun + slice_s or not self._wants_now(comparison))

        return over

    def _wants_now(self, comparison: CellComparison) -> bool:
        """Say whether the present round of *comparison* could do with more pairs."""
        if not comparison.rounds or interim_looks.next_size(comparison.rounds[-1].pairs) is None:
            return False
        return self._wants(comparison, round_verdicts(self.comparisons, len(comparison.rounds) - 1, self.table))


def _spent_s(comparisons: Iterable[CellComparison]) -> float:
    return sum(comparison.spent_s for comparison in comparisons)
