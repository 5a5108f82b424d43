"""Writes our list of regressions in place of asv's: for asv's page of regressions, and as an Atom feed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from asv.plugins.regressions import Regressions as AsvRegressions

from scripts.tracker.history.regressions import ChangeGroup, SeriesChange


def write_regressions(
    conf: Any,
    benchmarks: Mapping[str, Any],
    revisions: Mapping[str, int],
    parameters: Mapping[str, Iterable[Any]],
    groups: Sequence[ChangeGroup],
) -> None:
    """Write ``regressions.json`` and ``regressions.xml`` (Atom) of the open *groups* into asv's ``html_dir``.

    *parameters* are the values of each parameter in asv's graphs. The format is asv's. An entry holds the name, the
    path of the graph, the parameters that distinguish it, the index of the cell, the latest and the best value, and
    the changes: last revision before (None if it is the neighbour), first revision after, value before, value after.
    """
    changes: dict[tuple[str, str], list[tuple[ChangeGroup, SeriesChange]]] = {}
    for group in groups:
        if group.state == "open":
            for one in group.changes:
                changes.setdefault((one.series.graph.path, one.series.name), []).append((group, one))
    varying = {name for name, values in parameters.items() if len(set(values)) > 1}
    entries = [_entry(name, found, varying) for (_, name), found in changes.items()]
    AsvRegressions._save(conf, {"regressions": entries})
    hashes = {revision: commit for commit, revision in revisions.items()}
    AsvRegressions._save_feed(conf, benchmarks, entries, revisions, hashes)


def _entry(name: str, found: Sequence[tuple[ChangeGroup, SeriesChange]], varying: set[str]) -> list[Any]:
    series = found[0][1].series
    values = [point.value for point in series.points.values()]
    ordered = sorted(found, key=lambda pair: pair[1].change.revision)
    changes = [
        (
            one.change.since if len(group.commits) > 1 else None,
            one.change.revision,
            one.change.before,
            one.change.after,
        )
        for group, one in ordered
    ]
    best = min(one.change.before for _, one in ordered)
    distinguishing = {key: value for key, value in series.graph.params.items() if key in varying}
    return [name, f"{series.graph.path}.json", distinguishing, series.index, values[-1], best, changes]
