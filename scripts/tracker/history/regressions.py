"""The regressions and improvements of each environment, and whether each is open, acknowledged or fixed."""

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
    """One change of one series, with the acknowledgement that covers it, if any."""

    series: Series
    change: Change
    acknowledgement: Acknowledgement | None = None

    @property
    def state(self) -> State:
        """`fixed` if the series is back at its old level, else `acknowledged` or `open`."""
        if not self.change.persists:
            return "fixed"
        return "acknowledged" if self.acknowledgement else "open"


@dataclass
class ChangeGroup:
    """The changes of one benchmark at one commit that have the same state, one for each cell.

    *commits* are the hashes of the commits that may have caused them, newest first. There are several if commits
    between *since* and *revision* have no valid value.
    """

    environment: Environment = field(repr=False)
    benchmark: str
    since: int
    revision: int
    state: State
    commits: Sequence[str]
    acknowledgement: Acknowledgement | None = None
    changes: list[SeriesChange] = field(default_factory=list)

    @property
    def typical(self) -> Change:
        """The change of the cell with the median ratio."""
        return sorted((one.change for one in self.changes), key=lambda change: change.ratio)[len(self.changes) // 2]

    @property
    def ratio(self) -> float:
        """The median over the cells of new level / old level."""
        return self.typical.ratio

    @property
    def probability(self) -> float:
        """The largest probability over the cells."""
        return max(one.change.probability for one in self.changes)


class Regressions:
    """Finds the significant changes of environments and sorts them by direction and state.

    Changes of noisy series are significant if they pass the Benjamini-Hochberg procedure over all series of their
    commit, see `fdr`. asv's ``regressions_first_commits`` and the acknowledgements are respected.

    Raises:
        AcknowledgementError: an acknowledgement is invalid.
    """

    def __init__(self, conf: Any, repo: Any, revisions: Mapping[str, int]) -> None:
        self._filter = _GraphDataFilter(conf, repo, revisions)
        self._repo = repo
        self._hashes = {revision: commit for commit, revision in revisions.items()}
        self._file = Path(conf.benchmark_dir, FILE)
        self._acknowledgements = read_acknowledgements(self._file)
        self._used: set[Acknowledgement] = set()
        self.commits_between = cache(self._commits_between)

    def regressions(self, environment: Environment) -> list[ChangeGroup]:
        """Return the changes for the worse, in any state: newest commit first, and the largest first in a commit."""
        return self._groups(environment, (one for one in self._significant(environment) if one.change.ratio > 1))

    def improvements(self, environment: Environment) -> list[ChangeGroup]:
        """Return the changes for the better that are still in effect, in the same order."""
        better = (one for one in self._significant(environment) if one.change.ratio < 1)
        return self._groups(environment, (one for one in better if one.change.persists))

    def warnings(self) -> list[str]:
        """Return a sentence for each acknowledgement that no environment needed so far."""
        warnings = []
        known = set(self._hashes.values())
        for entry in self._acknowledgements:
            if entry in self._used:
                continue
            if any(commit.startswith(entry.commit) for commit in known):
                where = f" in {entry.cell}" if entry.cell != "*" else ""
                reason = f"there is no regression of {entry.series} at {entry.commit}{where}"
            else:
                reason = f"no measured commit begins with {entry.commit}"
            warnings.append(f"An entry of {self._file} acknowledges nothing: {reason}. Mend or remove it.")
        return warnings

    def _significant(self, environment: Environment) -> list[SeriesChange]:
        """Return the changes that are significant among all series of their commit."""
        noisy = sum(not series.exact for series in environment.series)
        by_revision: dict[int, list[SeriesChange]] = {}
        for one in self._all_changes(environment):
            by_revision.setdefault(one.change.revision, []).append(one)
        return [one for changes in by_revision.values() for one in significant_changes(changes, noisy)]

    def _all_changes(self, environment: Environment) -> Iterable[SeriesChange]:
        """Yield the changes of every series that has a better and a worse."""
        for series in environment.series:
            if series.exact and series.type != COST:
                continue
            first = self._filter._get_start_revision(series.graph, None, series.name)
            for change in series.changes if first is not None else ():
                if change.revision >= first:
                    yield SeriesChange(series, change, self._acknowledgement(series, change))

    def _acknowledgement(self, series: Series, change: Change) -> Acknowledgement | None:
        commits = self.commits_between(change.since, change.revision)
        for entry in self._acknowledgements:
            if change.ratio > 1 and entry.covers(commits, series.benchmark, cell_text(series.cell)):
                self._used.add(entry)
                return entry
        return None

    def _commits_between(self, since: int, revision: int) -> list[str]:
        """Return the hashes of the commits after *since* up to and including *revision*, newest first."""
        spec = self._repo.get_range_spec(self._hashes[since], self._hashes[revision])
        return list(self._repo.get_hashes_from_range(spec))

    def _groups(self, environment: Environment, changes: Iterable[SeriesChange]) -> list[ChangeGroup]:
        groups: dict[Any, ChangeGroup] = {}
        for one in changes:
            change, benchmark, entry = one.change, one.series.benchmark, one.acknowledgement
            key = (benchmark, change.since, change.revision, one.state, entry)
            if key not in groups:
                commits = self.commits_between(change.since, change.revision)
                groups[key] = ChangeGroup(
                    environment, benchmark, change.since, change.revision, one.state, commits, entry
                )
            groups[key].changes.append(one)
        for group in groups.values():
            group.changes.sort(key=lambda one: -abs(one.change.ratio - 1))
        return sorted(groups.values(), key=lambda g: (-g.revision, -abs(g.ratio - 1), g.benchmark))


def significant_changes(changes: Sequence[SeriesChange], noisy_series: int) -> list[SeriesChange]:
    """Return those of the *changes* of one commit that are significant among *noisy_series* noisy series.

    Changes of exact series always are.
    """
    exact = [one for one in changes if one.series.exact]
    noisy = [one for one in changes if not one.series.exact]
    passed = passes_fdr([1 - one.change.probability for one in noisy], noisy_series)
    return exact + [one for one, passes in zip(noisy, passed, strict=True) if passes]
