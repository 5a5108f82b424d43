"""Finds the commit that changed a series: by what is exact, if that tells, and by time where it must."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path
from typing import Any

from benchmarks.harness.files import read_lines, write_lines
from benchmarks.harness.record import Scalar
from scripts.tracker.comparison.cell import CounterDiff
from scripts.tracker.comparison.commit_probe import CommitProbe, ProbeFailed
from scripts.tracker.comparison.revisions import Revision
from scripts.tracker.refusal import RefusalError
from scripts.tracker.statistics.bisection import State, next_probe, state_of, suspects
from scripts.tracker.statistics.judging import Evidence, would_conclude

Say = Callable[[str], None]


@dataclass(frozen=True)
class Found:
    """The suspects that are left, one if the search succeeded, and why the search believes in them.

    `by_time` is the evidence of the last good against the first bad commit; None if no time was asked for.
    """

    suspects: Sequence[Revision]
    facts: Sequence[CounterDiff]
    by_time: Evidence | None


class NothingToFind(Exception):
    """The good and the bad commit do not differ; the message says in what."""


class Memory:
    """What was probed before, in a file that grows with each probe; it counts only for the same question."""

    def __init__(self, path: Path, question: Mapping[str, Any]) -> None:
        self._path, self._question = path, {**question}
        lines = read_lines(path)
        known = lines[1:] if lines and lines[0] == self._question else []
        self._answers: dict[str, Any] = {line["probe"]: line["answer"] for line in known}
        self.resumed = len(known)
        write_lines(path, [self._question, *known], "w")

    def ask(self, probe: str, answer: Callable[[], Any]) -> Any:
        """Return the answer to *probe*, from the file if it is there; a new one is on the disk on return."""
        if probe not in self._answers:
            self._answers[probe] = answer()
            write_lines(self._path, [{"probe": probe, "answer": self._answers[probe]}], "a")
        return self._answers[probe]


class Bisection:
    """The search among *commits*, oldest first, of which the first is good and the last is bad."""

    def __init__(self, commits: Sequence[Revision], probe: CommitProbe, memory: Memory, say: Say) -> None:
        self._commits, self._probe, self._memory, self._say = commits, probe, memory, say
        self._last = len(commits) - 1

    def run(self) -> Found:
        """Return what was found.

        Raises NothingToFind if both ends are equal, ProbeFailed or RefusalError if one of them cannot be measured.
        """
        changed = self._changed_companions()
        if not self._probe.series.timed:
            return self._exactly(changed)
        ends = self._race(0, self._last)
        (verdict,) = would_conclude([ends])
        if verdict not in ("slower", "faster"):
            raise NothingToFind(
                f"good and bad are {verdict if verdict == 'same' else 'not told apart'} by time: {_interval(ends)}, "
                f"and {ends.detectable:.1%} could have been seen. "
                "Give more time with --budget, or ends that differ more."
            )
        self._say(f"From good to bad: {_interval(ends)}.")
        return self._by_companions(changed, ends) or self._by_time(ends)

    def _changed_companions(self) -> list[str]:
        good, bad = self._companions(0), self._companions(self._last)
        changed = [name for name in {**good, **bad} if not CounterDiff(name, good.get(name), bad.get(name)).equal]
        self._say(f"Exact numbers that differ: {', '.join(changed) or 'none'}.")
        return changed

    def _exactly(self, changed: Sequence[str]) -> Found:
        name = self._probe.series.name
        if name not in changed:
            raise NothingToFind(f"{name} is {self._companions(0).get(name)} at both ends.")
        return Found(self._named(self._where(name)), self._facts(self._where(name)), None)

    def _by_companions(self, changed: Sequence[str], ends: Evidence) -> Found | None:
        """Return the commit that changed something exact and the time with it; one race confirms it."""
        tried = set()
        for name in changed:
            places = self._where(name)
            if len(places) != 1 or places[0] in tried:
                continue
            place = places[0]
            tried.add(place)
            self._say(f"{name} changes at {_told(self._commits[place])}; is that where the time changes?")
            evidence = self._race(place - 1, place, _threshold(ends))
            if evidence is not None and _state(evidence, ends) == "bad":
                return Found(self._named(places), self._facts(places), evidence)
        return None

    def _by_time(self, ends: Evidence) -> Found:
        states: dict[int, State] = {}
        while (place := next_probe(states, self._last)) is not None:
            evidence = self._tried(place, ends)
            states[place] = "unknown" if evidence is None else _state(evidence, ends)
            told = "cannot tell" if states[place] == "unknown" else f"is {states[place]}"
            self._say(f"{_told(self._commits[place])} {told}{'' if evidence is None else ': ' + _interval(evidence)}.")
        places = suspects(states, self._last)
        return Found(self._named(places), self._facts(places), ends)

    def _tried(self, place: int, ends: Evidence) -> Evidence | None:
        try:
            return self._race(0, place, _threshold(ends))
        except (ProbeFailed, RefusalError) as failure:
            self._say(f"{_told(self._commits[place])} could not be measured: {failure}")
            return None

    def _where(self, name: str) -> range:
        """Return the places that may have changed the companion *name*."""
        states: dict[int, State] = {}
        good = self._companions(0).get(name)
        while (place := next_probe(states, self._last)) is not None:
            try:
                equal = CounterDiff(name, good, self._companions(place).get(name)).equal
                states[place] = "good" if equal else "bad"
            except (ProbeFailed, RefusalError) as failure:
                self._say(f"{_told(self._commits[place])} could not be run: {failure}")
                states[place] = "unknown"
        return suspects(states, self._last)

    def _companions(self, place: int) -> dict[str, Scalar]:
        commit = self._commits[place]
        told: dict[str, Scalar] = self._memory.ask(f"run {commit.hash}", lambda: self._probe.companions(commit))
        return told

    def _race(self, base: int, head: int, threshold: float | None = None) -> Evidence:
        """Return the evidence of two places: until they have a verdict, or are on one side of *threshold*."""
        sides = self._commits[base], self._commits[head]

        def settled(evidence: Evidence) -> bool:
            if threshold is None:
                return would_conclude([evidence]) != ["not enough evidence"]
            low, high = evidence.low, evidence.high
            return state_of(low, high, threshold) != "unknown"

        probe = f"race {sides[0].hash} {sides[1].hash}"
        return Evidence(**self._memory.ask(probe, lambda: asdict(self._probe.race(*sides, settled))))

    def _facts(self, places: range) -> list[CounterDiff]:
        """Return what is exact and differs across *places*."""
        before, after = self._companions(places.start - 1), self._companions(places.stop - 1)
        facts = [CounterDiff(name, before.get(name), after.get(name)) for name in {**before, **after}]
        return [fact for fact in facts if not fact.equal]

    def _named(self, places: range) -> list[Revision]:
        return [self._commits[place] for place in places]


def _threshold(ends: Evidence) -> float:
    """The ratio half way between good and bad."""
    return sqrt(ends.ratio)


def _state(evidence: Evidence, ends: Evidence) -> State:
    if ends.ratio > 1:
        return state_of(evidence.low, evidence.high, _threshold(ends))
    return state_of(1 / evidence.high, 1 / evidence.low if evidence.low else float("inf"), 1 / _threshold(ends))


def _interval(evidence: Evidence) -> str:
    if not evidence.pairs:
        return "too few runs"
    return f"{evidence.ratio - 1:+.1%} ({evidence.low - 1:+.1%} to {evidence.high - 1:+.1%})"


def _told(commit: Revision) -> str:
    return f"{commit.hash[:8]} {commit.subject}"
