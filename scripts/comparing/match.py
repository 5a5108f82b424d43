"""Spends a budget of time on the cells of all matrices, until each has a verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from benchmarks.harness.record import Scalar
from scripts.comparing.catalog import workload_of
from scripts.comparing.contest import Contest
from scripts.comparing.duel import Duel, SideFailed, Until
from scripts.comparing.sides import Side
from scripts.verdict import looks
from scripts.verdict.judging import DELTA, NOTHING, Evidence, Verdict, judge

LONG_BUDGET_S = 300.0
"""From here on half of the budget is for a second pass with fresh processes, which load the models once more.

What two processes differ by, though they run the same code, counts half then.
"""
LEAST_PASS_S = 15.0
"""With less time left a pass would load models, and measure nothing."""
FIRST_SLICE_S = 1.0
"""What a cell gets at its first visit; each further one takes twice as long."""

Told = Callable[["Match", Contest], None]


class Match:
    """All contests of two sides, and the table that they make.

    *tell* is called after each visit of a cell. `host` is what the worker of head tells about where it runs.
    """

    def __init__(
        self,
        contests: Sequence[Contest],
        sides: tuple[Side, Side],
        budget_s: float,
        tell: Told,
        delta: float = DELTA,
    ) -> None:
        self.contests = list(contests)
        self.sides = sides
        self.delta = delta
        self._tell = tell
        self.host: Mapping[str, Scalar] = {}
        self._budget_s = budget_s
        self._end = time.perf_counter() + budget_s
        self._declared = max(1, sum(contest.declared for contest in contests))

    @property
    def left_s(self) -> float:
        """The seconds of the budget that are left."""
        return self._end - time.perf_counter()

    def run(self) -> None:
        """Measure: every cell at least once, then those without a verdict while there is time, in two passes."""
        self._pass([contest for contest in self.contests if not contest.declared], self._end)
        timed = [contest for contest in self.contests if contest.declared]
        passes = 2 if self._budget_s >= LONG_BUDGET_S else 1
        self._pass(timed, time.perf_counter() + self.left_s / passes)
        while (unsettled := self.unsettled()) and self.left_s > LEAST_PASS_S:
            self._pass(unsettled, self._end)

    def verdicts(self) -> dict[tuple[str, str], Verdict]:
        """Return the verdict of each row, by the names of its cell and its series."""
        rows = [(contest.name, name) for contest in self.contests for name in contest.rows]
        return dict(zip(rows, judge(self._evidence(), self.delta)[: len(rows)], strict=True))

    def unsettled(self) -> list[Contest]:
        """Return the cells that more blocks could give a verdict."""
        verdicts = self.verdicts()
        return [contest for contest in self.contests if self._wants(contest, verdicts)]

    def _wants(self, contest: Contest, verdicts: Mapping[tuple[str, str], Verdict]) -> bool:
        if contest.failed or contest.exact or not contest.declared or looks.next_size(contest.blocks) is None:
            return False
        open_rows = [name for name in contest.major if verdicts[contest.name, name] == "not enough evidence"]
        return bool(open_rows) or not contest.blocks

    def _evidence(self) -> list[Evidence]:
        known = [contest.evidence.get(name, NOTHING) for contest in self.contests for name in contest.rows]
        return known + [NOTHING] * (self._declared - len(known))

    def _pass(self, contests: Sequence[Contest], end: float) -> None:
        """Go through the matrices of *contests*, each with its share of the time until *end*."""
        groups = [(name, list(group)) for name, group in groupby(contests, key=lambda contest: contest.matrix)]
        for place, (matrix, group) in enumerate(groups):
            ahead = sum(len(later) for _, later in groups[place:])
            now = time.perf_counter()
            if now >= end and all(contest.spent_s for contest in group):
                continue
            self._measure(matrix, group, now + max(0.0, end - now) * len(group) / ahead)

    def _measure(self, matrix: str, contests: list[Contest], end: float) -> None:
        """Visit *contests* round by round until *end*; a cell that takes its worker along is not visited again."""
        waiting = list(contests)
        while waiting:
            with Duel(matrix, workload_of(matrix), self.sides) as duel:
                try:
                    _, self.host = duel.load()
                except SideFailed as failure:
                    for contest in waiting:
                        contest.trouble[failure.side] = failure.status, failure.reason
                        self._tell(self, contest)
                    return
                waiting = self._rounds(duel, waiting, end)

    def _rounds(self, duel: Duel, waiting: list[Contest], end: float) -> list[Contest]:
        """Return those that are left if a worker has died."""
        slice_s = FIRST_SLICE_S
        while waiting:
            for place, contest in enumerate(waiting):
                try:
                    duel.visit(contest, self._declared, self._until(slice_s, end, len(waiting) - place))
                except SideFailed as failure:
                    contest.trouble[failure.side] = failure.status, failure.reason
                    self._tell(self, contest)
                    return [*waiting[place + 1 :], *self._open(waiting[:place], end)]
                self._tell(self, contest)
            slice_s *= 2
            waiting = self._open(waiting, end)
        return []

    def _until(self, slice_s: float, end: float, ahead: int) -> Until:
        """End a visit with a verdict; else after *slice_s*, at a look; else when its share of the time is spent."""
        now = time.perf_counter()
        share_end = now + max(slice_s, (end - now) / ahead)
        looked = -1

        def over(contest: Contest) -> bool:
            nonlocal looked
            at_look = contest.blocks in looks.SIZES and contest.blocks != looked
            looked = contest.blocks if at_look else looked
            clock = time.perf_counter()
            if clock >= share_end:
                return contest.blocks > 0
            return at_look and (clock >= now + slice_s or not self._wants(contest, self.verdicts()))

        return over

    def _open(self, contests: list[Contest], end: float) -> list[Contest]:
        if time.perf_counter() >= end:
            return []
        unsettled = {contest.name for contest in self.unsettled()}
        return [contest for contest in contests if contest.name in unsettled]
