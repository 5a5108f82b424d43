"""The list of regressions and improvements: one entry for a benchmark at a commit, and whether it is still open."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from asv.plugins.regressions import _GraphDataFilter

from benchmarks.harness.series_types import COST
from scripts.tracker.history.acknowledged import FILE, Acknowledgement, read_acknowledgements
from scripts.tracker.history.changes import Change
from scripts.tracker.history.model import Environment, Series
from scripts.tracker.labels import cell_text
from scripts.tracker.statistics.fdr import passes_fdr

State = Literal["open", "acknowledged", "fixed"]


@dataclass(frozen=True)
class SeriesChange:
    """One change of one series, and the entry that lets it stand, if there is one."""

    series: Series
    change: Change
    acknowledgement: Acknowledgement | None = None

    @property
    def state(self) -> State:
        """Fixed once the level is back; before that acknowledged, or open."""
        if not self.change.stands:
            return "fixed"
        return "acknowledged" if self.acknowledgement else "open"


@dataclass
class ChangeGroup:
    """The jumps of one benchmark at one commit in one state, one for each cell.

    *commits* are the hashes of the commits in which it happened, newest first: one, unless some have no sound value.
    """

    environment: Environment = field(repr=False)
    benchmark: str
    since: int
    revision: int
    state: State
    commits: Sequence[str]
    acknowledgement: Acknowledgement | None = None
    jumps: list[SeriesChange] = field(default_factory=list)

    @property
    def typical(self) -> Change:
        """That of the cell with the median ratio."""
        return sorted((jump.change for jump in self.jumps), key=lambda change: change.ratio)[len(self.jumps) // 2]

    @property
    def ratio(self) -> float:
        """New level over old level in the typical cell."""
        return self.typical.ratio

    @property
    def probability(self) -> float:
        """That of the surest cell."""
        return max(jump.change.probability for jump in self.jumps)


class Regressions:
    """Sorts the changes of environments by direction and state.

    A change of a series that jitters counts if it would among all of its commit, see `discoveries`. It obeys asv's
    ``regressions_first_commits`` and the acknowledgements beside the benchmarks.

    Raises:
        AcknowledgementError: an acknowledgement cannot be used.
    """

    def __init__(self, conf: Any, repo: Any, revisions: Mapping[str, int]) -> None:
        self._filter = _GraphDataFilter(conf, repo, revisions)
        self._repo = repo
        self._hashes = {revision: commit for commit, revision in revisions.items()}
        self._file = Path(conf.benchmark_dir, FILE)
        self._entries = read_acknowledgements(self._file)
        self._used: set[Acknowledgement] = set()
        self.commits_between = cache(self._commits_between)

    def regressions(self, environment: Environment) -> list[ChangeGroup]:
        """What got worse, in any state; newest commit first, and the largest first within a commit."""
        return self._groups(environment, (jump for jump in self._jumps(environment) if jump.change.ratio > 1))

    def improvements(self, environment: Environment) -> list[ChangeGroup]:
        """What got better and still is, in the same order."""
        better = (jump for jump in self._jumps(environment) if jump.change.ratio < 1)
        return self._groups(environment, (jump for jump in better if jump.change.stands))

    def warnings(self) -> list[str]:
        """What is wrong with the acknowledgements, once all environments have been asked for."""
        said = []
        known = set(self._hashes.values())
        for entry in self._entries:
            if entry in self._used:
                continue
            if any(commit.startswith(entry.commit) for commit in known):
                where = f" in {entry.cell}" if entry.cell != "*" else ""
                reason = f"there is no regression of {entry.series} at {entry.commit}{where}"
            else:
                reason = f"no measured commit begins with {entry.commit}"
            said.append(f"An entry of {self._file} acknowledges nothing: {reason}. Mend or remove it.")
        return said

    def _jumps(self, environment: Environment) -> list[SeriesChange]:
        """The changes that count among all series of their commit; exact ones always do."""
        family = sum(not series.exact for series in environment.series)
        by_revision: dict[int, list[SeriesChange]] = {}
        for jump in self._single_jumps(environment):
            by_revision.setdefault(jump.change.revision, []).append(jump)
        return [jump for jumps in by_revision.values() for jump in counting(jumps, family)]

    def _single_jumps(self, environment: Environment) -> Iterable[SeriesChange]:
        """The changes of each series by itself."""
        for series in environment.series:
            if series.exact and series.type != COST:
                continue
            first = self._filter._get_start_revision(series.graph, None, series.name)
            for change in series.changes if first is not None else ():
                if change.revision >= first:
                    yield SeriesChange(series, change, self._acknowledgement(series, change))

    def _acknowledgement(self, series: Series, change: Change) -> Acknowledgement | None:
        commits = self.commits_between(change.since, change.revision)
        for entry in self._entries:
            if change.ratio > 1 and entry.covers(commits, series.benchmark, cell_text(series.cell)):
                self._used.add(entry)
                return entry
        return None

    def _commits_between(self, since: int, revision: int) -> list[str]:
        """The hashes of the commits after *since* up to *revision*, newest first."""
        spec = self._repo.get_range_spec(self._hashes[since], self._hashes[revision])
        return list(self._repo.get_hashes_from_range(spec))

    def _groups(self, environment: Environment, jumps: Iterable[SeriesChange]) -> list[ChangeGroup]:
        groups: dict[Any, ChangeGroup] = {}
        for jump in jumps:
            change, benchmark, entry = jump.change, jump.series.benchmark, jump.acknowledgement
            key = (benchmark, change.since, change.revision, jump.state, entry)
            if key not in groups:
                commits = self.commits_between(change.since, change.revision)
                groups[key] = ChangeGroup(
                    environment, benchmark, change.since, change.revision, jump.state, commits, entry
                )
            groups[key].jumps.append(jump)
        for group in groups.values():
            group.jumps.sort(key=lambda jump: -abs(jump.change.ratio - 1))
        return sorted(groups.values(), key=lambda g: (-g.revision, -abs(g.ratio - 1), g.benchmark))


def counting(jumps: Sequence[SeriesChange], family: int) -> list[SeriesChange]:
    """Those of the *jumps* of one commit that count, where *family* series jitter."""
    exact = [jump for jump in jumps if jump.series.exact]
    timed = [jump for jump in jumps if not jump.series.exact]
    found = passes_fdr([1 - jump.change.probability for jump in timed], family)
    return exact + [jump for jump, counts in zip(timed, found, strict=True) if counts]
