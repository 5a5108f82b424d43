"""A regression as it is listed: everything about it by name, apart from how it is shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asv.util import human_value

from scripts.tracker.history.acknowledged import Acknowledgement
from scripts.tracker.history.commits import MeasuredCommit
from scripts.tracker.history.environment_labels import environment_label, varying_parameters
from scripts.tracker.history.model import Environment
from scripts.tracker.history.regressions import ChangeGroup, SeriesChange, State
from scripts.tracker.labels import cell_text, series_label, stage_label
from scripts.tracker.numbers import finite


@dataclass(frozen=True)
class CellChange:
    """One cell of a regression: its parameters, the levels before and after with their unit, and the ratio."""

    text: str
    before: str
    after: str
    ratio: float


@dataclass(frozen=True)
class RegressionEntry:
    """One benchmark at one commit.

    *unmeasured* says how many commits before *commit* may have made it, too, because they were not measured, or were
    disturbed; *since* is the last one with a sound value. *ratio* and its *interval* are of the typical cell,
    *probability* of the surest.
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
        """Plain data; a ratio over zero is null."""
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
    """The *groups* in their order; *hashes* are by revision, *commits* by hash."""
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
            cells=tuple(_cell(jump) for jump in group.jumps),
            acknowledgement=group.acknowledgement,
        )
        for group in groups
    ]


def _cell(jump: SeriesChange) -> CellChange:
    change, unit = jump.change, jump.series.unit
    return CellChange(
        cell_text(jump.series.cell), amount(change.before, unit), amount(change.after, unit), change.ratio
    )


def amount(value: float, unit: str) -> str:
    """*value* in its *unit*, as asv writes it where asv knows the unit."""
    return str(human_value(value, unit)) if unit in ("seconds", "bytes") else f"{value:.4g} {unit}".strip()
