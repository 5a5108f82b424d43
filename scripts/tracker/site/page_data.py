"""Collects the data of the overview page as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.harness.series_types import FINGERPRINT
from scripts.tracker.history.changes import Change
from scripts.tracker.history.commits import MeasuredCommit, read_commits
from scripts.tracker.history.environment_labels import environment_label, varying_parameters
from scripts.tracker.history.failures import FailureReasons
from scripts.tracker.history.missing_results import MissingResults, find_missing_results
from scripts.tracker.history.model import Environment, Series
from scripts.tracker.history.regressions import ChangeGroup, Regressions
from scripts.tracker.labels import (
    GENERATE,
    GROUPS,
    STAGES,
    cell_text,
    group_label,
    metric_of,
    series_label,
    stage_label,
)
from scripts.tracker.numbers import finite, ordinals, significant

Json = dict[str, Any]
"""A JSON object."""
_MACHINE_FACTS = ("cpu", "num_cpu", "ram", "os", "arch")
"""asv's facts about a machine that the page shows."""


class PageData:
    """Builds the data of the page from environments and their regressions."""

    def __init__(
        self,
        conf: Any,
        repo: Any,
        benchmarks: Mapping[str, Any],
        revisions: Mapping[str, int],
        environments: Sequence[Environment],
        regressions: Regressions,
    ) -> None:
        self._conf = conf
        self._benchmarks = benchmarks
        self._environments = environments
        self._regressions = regressions
        self._hashes = {revision: commit for commit, revision in revisions.items()}
        measured = sorted({revision for e in self._environments for revision in e.revisions})
        self._position = {revision: position for position, revision in enumerate(measured)}
        self._commits = read_commits(Path(repo._path), [self._hashes[revision] for revision in measured])

    def build(self, asv_pages_note: str | None) -> Json:
        """Return the data; *asv_pages_note* says why asv's own pages need a network, None if they do not."""
        url = self._conf.show_commit_url
        return {
            "project": self._conf.project,
            "published": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "commit_url": url if url.startswith(("https://", "http://")) else None,
            "asv_pages_note": asv_pages_note,
            "choices": self._choices(),
            "groups": list(GROUPS.values()),
            "stages": [{"key": key, "label": label} for key, label in STAGES.items()],
            "commits": [
                _commit(self._commits[self._hashes[revision]], self._conf.hash_length) for revision in self._position
            ],
            "environments": [self._environment(environment) for environment in self._environments],
        }

    def _choices(self) -> Json:
        """Return all values of the parameters of whole generations, measured or not."""
        for name, benchmark in self._benchmarks.items():
            if name.startswith(GENERATE):
                return dict(zip(benchmark["param_names"], benchmark["params"], strict=True))
        return {}

    def _environment(self, environment: Environment) -> Json:
        revisions = environment.revisions
        varying = varying_parameters(self._environments)
        reasons = FailureReasons(self._conf.results_dir, environment.latest)
        index = {id(series): number for number, series in enumerate(environment.series)}
        worse = [self._group(group, index) for group in self._regressions.regressions(environment)]
        return {
            "label": environment_label(environment, varying),
            "machine": environment.machine,
            "facts": {name: environment.parameters.get(name) for name in _MACHINE_FACTS},
            "latest": self._position[revisions[-1]],
            "commits": [self._position[revision] for revision in revisions],
            "series": [self._series(series, revisions) for series in environment.series],
            "regressions": [group for group in worse if group["state"] == "open"],
            "acknowledged": [group for group in worse if group["state"] == "acknowledged"],
            "improvements": [self._group(group, index) for group in self._regressions.improvements(environment)],
            "breaks": [{"at": self._position[at], "text": text} for at, text in sorted(environment.breaks.items())],
            "exact_changes": self._exact_changes(environment),
            "missing": [
                _missing(missing) for missing in find_missing_results(environment.latest, self._benchmarks, reasons)
            ],
        }

    def _series(self, series: Series, revisions: Sequence[int]) -> Json:
        points = [series.points.get(revision) for revision in revisions]
        change = series.last_change()
        values: Json = {"y": [None if p is None else p.value for p in points]}
        if series.type == FINGERPRINT:
            values["y"] = ordinals(values["y"], series.tolerance)
        elif not series.exact:
            values = {
                "y": [None if p is None else significant(p.value) for p in points],
                "low": [None if p is None or p.low is None else significant(p.low) for p in points],
                "high": [None if p is None or p.high is None else significant(p.high) for p in points],
            }
        generated = series.benchmark.startswith(GENERATE)
        return {
            "benchmark": series.benchmark,
            "metric": metric_of(series.benchmark) if generated else None,
            "label": series_label(series.benchmark),
            "stage": stage_label(series.benchmark),
            "group": group_label(series.benchmark),
            "exact": series.exact,
            "type": series.type,
            "unit": series.unit,
            "cell": [{"name": name, "value": value} for name, value in series.cell],
            "cell_text": cell_text(series.cell),
            **values,
            "change": None if change is None else self._change(change),
        }

    def _change(self, change: Change) -> Json:
        return {
            "before": change.before,
            "after": change.after,
            "significant": change.probability > 0,
            **self._where(change.since, change.revision),
        }

    def _where(self, since: int, revision: int) -> Json:
        """Return the commit of a change, and the last one before it if commits between the two were not measured."""
        alone = len(self._regressions.commits_between(since, revision)) == 1
        return {"at": self._position[revision], "since": None if alone else self._position[since]}

    def _group(self, group: ChangeGroup, index: Mapping[int, int]) -> Json:
        entry = group.acknowledgement
        return {
            "label": series_label(group.benchmark),
            "stage": stage_label(group.benchmark),
            "state": group.state,
            "ratio": finite(group.ratio),
            "interval": [finite(bound) for bound in group.typical.interval],
            "probability": group.probability,
            "reason": None if entry is None else f"{entry.reason} ({entry.by})",
            **self._where(group.since, group.revision),
            "changes": [
                {"series": index[id(one.series)], "before": one.change.before, "after": one.change.after}
                for one in group.changes
            ],
        }

    def _exact_changes(self, environment: Environment) -> list[Json]:
        """Return the changes of exact series, one entry for each benchmark and commit, newest first."""
        found: dict[tuple[str, int, int], Json] = {}
        measured: dict[str, int] = {}
        for series in filter(lambda s: s.exact, environment.series):
            measured[series.benchmark] = measured.get(series.benchmark, 0) + 1
            for change in series.changes:
                entry = found.setdefault(
                    (series.benchmark, change.since, change.revision),
                    {
                        "type": series.type,
                        "unit": series.unit,
                        "cells": [],
                        **self._where(change.since, change.revision),
                    },
                )
                entry["cells"].append({"text": cell_text(series.cell), "before": change.before, "after": change.after})
        for (benchmark, _, _), entry in found.items():
            entry["label"], entry["measured_cells"] = series_label(benchmark), measured[benchmark]
        return sorted(found.values(), key=lambda entry: -entry["at"])


def _commit(commit: MeasuredCommit, hash_length: int) -> Json:
    return {
        "hash": commit.hash,
        "short": commit.hash[:hash_length],
        "subject": commit.subject,
        "date": commit.date,
        "author": commit.author,
    }


def _missing(missing: MissingResults) -> Json:
    return {
        "name": missing.name,
        "cells": missing.cells,
        "failures": [vars(failure) for failure in missing.failures],
        "absent": [{"reason": reason, "cells": cells} for reason, cells in missing.absent.items()],
        "partly": [{"cells": cells, "series": series} for cells, series in missing.partly.items()],
    }
