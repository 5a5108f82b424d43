"""Finds the commit that changed a series: by exact metrics where they differ, otherwise by time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import sqrt

from benchmarks.harness.record import Scalar
from scripts.tracker.comparison.cell import CounterDiff, counter_diffs
from scripts.tracker.comparison.commit_probe import CommitProbe, ProbeFailed
from scripts.tracker.comparison.probe_log import ProbeLog
from scripts.tracker.comparison.revisions import Revision
from scripts.tracker.refusal import RefusalError
from scripts.tracker.statistics.bisection import State, next_probe, state_of, suspects
from scripts.tracker.statistics.judging import INCONCLUSIVE, Evidence, would_conclude

Say = Callable[[str], None]


@dataclass(frozen=True)
class BisectionResult:
    """The result of a bisection.

    Attributes:
        suspects: commits that can have made the change; one if the search succeeded.
        counter_diffs: exact metrics that differ across the suspects.
        evidence: evidence of the time ratio of bad to good; None if only exact metrics were compared.
    """

    suspects: Sequence[Revision]
    counter_diffs: Sequence[CounterDiff]
    evidence: Evidence | None


class NothingToFind(Exception):
    """The good and the bad commit do not differ; the message says in which metric."""


class Bisection:
    """The search among *commits*, oldest first, of which the first is good and the last is bad."""

    def __init__(self, commits: Sequence[Revision], probe: CommitProbe, log: ProbeLog, say: Say) -> None:
        self._commits, self._probe, self._log, self._say = commits, probe, log, say
        self._last = len(commits) - 1

    def run(self) -> BisectionResult:
        """Search for the commit.

        Raises:
            NothingToFind: the first and the last commit do not differ.
            ProbeFailed: one of these two cannot be measured.
            RefusalError: one of these two cannot be built.
        """
        changed = self._changed_metrics()
        if not self._probe.series.timed:
            return self._by_exact_series(changed)
        ends = self._time_ratio(0, self._last)
        (verdict,) = would_conclude([ends])
        if verdict not in ("slower", "faster"):
            relation = "the same" if verdict == "same" else "not distinguishable"
            raise NothingToFind(
                f"The times of good and bad are {relation}: {_interval(ends)}, and a change of {ends.detectable:.1%} "
                "could have been detected. Give more time with --budget, or commits that differ more."
            )
        self._say(f"From good to bad: {_interval(ends)}.")
        return self._by_changed_metrics(changed, ends) or self._by_time(ends)

    def _changed_metrics(self) -> list[str]:
        changed = [diff.name for diff in counter_diffs(self._exact_metrics(0), self._exact_metrics(self._last))]
        self._say(f"Exact metrics that differ: {', '.join(changed) or 'none'}.")
        return changed

    def _by_exact_series(self, changed: Sequence[str]) -> BisectionResult:
        name = self._probe.series.name
        if name not in changed:
            raise NothingToFind(f"{name} is {self._exact_metrics(0).get(name)} at both ends.")
        indices = self._metric_suspects(name)
        return BisectionResult(self._revisions(indices), self._counter_diffs(indices), None)

    def _by_changed_metrics(self, changed: Sequence[str], ends: Evidence) -> BisectionResult | None:
        """Return the commit that changed both an exact metric and the time; one time ratio confirms it."""
        tried = set()
        for name in changed:
            indices = self._metric_suspects(name)
            if len(indices) != 1 or indices[0] in tried:
                continue
            index = indices[0]
            tried.add(index)
            self._say(f"{name} changes at {self._commits[index].title}. Measuring whether the time changes there ...")
            evidence = self._time_ratio(index - 1, index, _threshold(ends))
            if _state(evidence, ends) == "bad":
                return BisectionResult(self._revisions(indices), self._counter_diffs(indices), evidence)
        return None

    def _by_time(self, ends: Evidence) -> BisectionResult:
        states: dict[int, State] = {}
        while (index := next_probe(states, self._last)) is not None:
            evidence = self._time_ratio_if_measurable(index, ends)
            states[index] = "unknown" if evidence is None else _state(evidence, ends)
            outcome = "is inconclusive" if states[index] == "unknown" else f"is {states[index]}"
            details = "" if evidence is None else f": {_interval(evidence)}"
            self._say(f"{self._commits[index].title} {outcome}{details}.")
        indices = suspects(states, self._last)
        return BisectionResult(self._revisions(indices), self._counter_diffs(indices), ends)

    def _time_ratio_if_measurable(self, index: int, ends: Evidence) -> Evidence | None:
        try:
            return self._time_ratio(0, index, _threshold(ends))
        except (ProbeFailed, RefusalError) as failure:
            self._say(f"{self._commits[index].title} could not be measured: {failure}")
            return None

    def _metric_suspects(self, name: str) -> range:
        """Return the indices of the commits that can have changed the exact metric *name*."""
        states: dict[int, State] = {}
        good = self._exact_metrics(0).get(name)
        while (index := next_probe(states, self._last)) is not None:
            try:
                equal = CounterDiff(name, good, self._exact_metrics(index).get(name)).equal
                states[index] = "good" if equal else "bad"
            except (ProbeFailed, RefusalError) as failure:
                self._say(f"{self._commits[index].title} could not be run: {failure}")
                states[index] = "unknown"
        return suspects(states, self._last)

    def _exact_metrics(self, index: int) -> dict[str, Scalar]:
        commit = self._commits[index]
        metrics: dict[str, Scalar] = self._log.result(f"run {commit.hash}", lambda: self._probe.exact_metrics(commit))
        return metrics

    def _time_ratio(self, baseline: int, candidate: int, threshold: float | None = None) -> Evidence:
        """Return the evidence of two commits, measured until it is on one side of *threshold*, or has a verdict."""
        pair = self._commits[baseline], self._commits[candidate]

        def decided(evidence: Evidence) -> bool:
            if threshold is None:
                return would_conclude([evidence]) != [INCONCLUSIVE]
            return state_of(evidence.low, evidence.high, threshold) != "unknown"

        name = f"time ratio {pair[0].hash} {pair[1].hash}"
        return Evidence(**self._log.result(name, lambda: asdict(self._probe.time_ratio(*pair, decided))))

    def _counter_diffs(self, indices: range) -> list[CounterDiff]:
        """Return the exact metrics that differ between the commit before *indices* and the last of them."""
        return counter_diffs(self._exact_metrics(indices.start - 1), self._exact_metrics(indices.stop - 1))

    def _revisions(self, indices: range) -> list[Revision]:
        return [self._commits[index] for index in indices]


def _threshold(ends: Evidence) -> float:
    """Return the ratio half way between good and bad."""
    return sqrt(ends.ratio)


def _state(evidence: Evidence, ends: Evidence) -> State:
    if ends.ratio > 1:
        return state_of(evidence.low, evidence.high, _threshold(ends))
    return state_of(1 / evidence.high, 1 / evidence.low if evidence.low else float("inf"), 1 / _threshold(ends))


def _interval(evidence: Evidence) -> str:
    if not evidence.pairs:
        return "too few runs"
    return f"{evidence.ratio - 1:+.1%} ({evidence.low - 1:+.1%} to {evidence.high - 1:+.1%})"
