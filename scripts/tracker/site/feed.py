"""Our list of regressions in the place of asv's: for its own page, and as a feed."""

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

    *parameters* are the values that asv's graphs have of each parameter. The entries are asv's: name, path of the
    graph, the parameters that tell it apart, index of the cell, latest and best value, and jumps (last revision
    before, None if that is the neighbour; first revision after; value before; value after).
    """
    jumps: dict[tuple[str, str], list[tuple[ChangeGroup, SeriesChange]]] = {}
    for group in groups:
        if group.state == "open":
            for jump in group.jumps:
                jumps.setdefault((jump.series.graph.path, jump.series.name), []).append((group, jump))
    varying = {name for name, values in parameters.items() if len(set(values)) > 1}
    entries = [_entry(name, found, varying) for (_, name), found in jumps.items()]
    AsvRegressions._save(conf, {"regressions": entries})
    hashes = {revision: commit for commit, revision in revisions.items()}
    AsvRegressions._save_feed(conf, benchmarks, entries, revisions, hashes)


def _entry(name: str, found: Sequence[tuple[ChangeGroup, SeriesChange]], varying: set[str]) -> list[Any]:
    series = found[0][1].series
    values = [point.value for point in series.points.values()]
    ordered = sorted(found, key=lambda pair: pair[1].change.revision)
    jumps = [
        (
            jump.change.since if len(group.commits) > 1 else None,
            jump.change.revision,
            jump.change.before,
            jump.change.after,
        )
        for group, jump in ordered
    ]
    best = min(jump.change.before for _, jump in ordered)
    told_apart = {key: value for key, value in series.graph.params.items() if key in varying}
    return [name, f"{series.graph.path}.json", told_apart, series.index, values[-1], best, jumps]
