"""One entry of the list of regressions, with names and texts for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scripts.tracker.history.acknowledged import Acknowledgement
from scripts.tracker.history.commits import MeasuredCommit
from scripts.tracker.history.environment_labels import environment_label, varying_parameters
from scripts.tracker.history.model import Environment
from scripts.tracker.history.regressions import ChangeGroup, SeriesChange, State
from scripts.tracker.labels import cell_text, series_label, stage_label
from scripts.tracker.numbers import amount, finite


@dataclass(frozen=True)
class CellChange:
    """The change in one cell: its parameters as text, the old and the new level with their unit, and the ratio."""

    text: str
    before: str
    after: str
    ratio: float


@dataclass(frozen=True)
class RegressionEntry:
    """The regression of one benchmark at one commit.

    Attributes:
        state: whether it is open, acknowledged or fixed.
        commit: the first measured commit on the new level.
        since: hash of the last measured commit on the old level.
        unmeasured: number of commits between the two without a valid value; one of them may be the cause.
        environment: label of machine and environment.
        stage: label of the stage.
        label: label of the series.
        series: asv's name of the benchmark.
        ratio: new level / old level in the typical cell, the one with the median ratio.
        interval: the 99 % confidence interval of that ratio.
        probability: the largest probability over the cells that the change is not noise.
        cells: the change in each cell.
        acknowledgement: what acknowledges it, if anything.
    """

    state: State
    commit: MeasuredCommit
    since: str
    unmeasured: int
    environment: str
    stage: str
    label: str
    series: str
    ratio: float
    interval: tuple[float, float]
    probability: float
    cells: tuple[CellChange, ...]
    acknowledgement: Acknowledgement | None

    def to_json(self) -> dict[str, Any]:
        """Return the entry as JSON data; a ratio over zero is null."""
        entry = self.acknowledgement
        return {
            "state": self.state,
            "commit": vars(self.commit),
            "since": self.since,
            "unmeasured_commits": self.unmeasured,
            "environment": self.environment,
            "stage": self.stage,
            "label": self.label,
            "series": self.series,
            "ratio": finite(self.ratio),
            "interval": [finite(bound) for bound in self.interval],
            "probability": self.probability,
            "cells": [{**vars(cell), "ratio": finite(cell.ratio)} for cell in self.cells],
            "acknowledged": None if entry is None else {"reason": entry.reason, "by": entry.by},
        }


def regression_entries(
    groups: Iterable[ChangeGroup],
    environments: Sequence[Environment],
    hashes: Mapping[int, str],
    commits: Mapping[str, MeasuredCommit],
) -> list[RegressionEntry]:
    """Return an entry for each of *groups*, in their order; *hashes* are by revision, *commits* by hash."""
    varying = varying_parameters(environments)
    return [
        RegressionEntry(
            state=group.state,
            commit=commits[hashes[group.revision]],
            since=hashes[group.since],
            unmeasured=len(group.commits) - 1,
            environment=environment_label(group.environment, varying),
            stage=stage_label(group.benchmark),
            label=series_label(group.benchmark),
            series=group.benchmark,
            ratio=group.ratio,
            interval=group.typical.interval,
            probability=group.probability,
            cells=tuple(_cell(one) for one in group.changes),
            acknowledgement=group.acknowledgement,
        )
        for group in groups
    ]


def _cell(one: SeriesChange) -> CellChange:
    change, unit = one.change, one.series.unit
    before, after = amount(change.before, unit), amount(change.after, unit)
    return CellChange(cell_text(one.series.cell), before, after, change.ratio)
