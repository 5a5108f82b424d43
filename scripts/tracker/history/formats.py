"""The list of regressions as text, Markdown, JSON, and as the tables that acknowledge them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import groupby

from scripts.tracker.history.acknowledged import Acknowledgement
from scripts.tracker.history.entry import CellChange, RegressionEntry

CELLS_IN_FULL = 4
"""More cells of one benchmark are told as a range."""


def percent(ratio: float) -> str:
    """A ratio as a signed change: ``+5.1 %``; ``new`` from zero."""
    return f"{100 * (ratio - 1):+.1f} %" if math.isfinite(ratio) else "new"


def size(entry: RegressionEntry) -> str:
    """The typical change of an entry, with its interval unless it is exact."""
    low, high = entry.interval
    return percent(entry.ratio) if low == high else f"{percent(entry.ratio)} ({percent(low)} to {percent(high)})"


def probability(entry: RegressionEntry) -> str:
    """How sure an entry is, see `scripts.tracker.statistics.changepoints.ChangePoint`."""
    if entry.probability == 1:
        return "exact"
    return "> 99.99 %" if entry.probability > 0.9999 else f"{100 * entry.probability:.2f} %"


def state(entry: RegressionEntry) -> str:
    """Open, fixed, or why it may stand."""
    said = entry.acknowledgement
    return entry.state if said is None else f"{entry.state} by {said.by}: {said.reason}"


def since(entry: RegressionEntry) -> str:
    """The commits without a sound value that may have made it, too; empty if there are none."""
    if not entry.unmeasured:
        return ""
    earlier = "the commit before" if entry.unmeasured == 1 else f"one of the {entry.unmeasured} commits before"
    return f"or {earlier}: there is no sound value since {entry.since[:8]}"


def summary(entries: Sequence[RegressionEntry]) -> str:
    """How many are open."""
    count = sum(entry.state == "open" for entry in entries)
    return "No regression is open." if not count else f"{count} open regression{'' if count == 1 else 's'}."


def as_text(entries: Sequence[RegressionEntry]) -> str:
    """The entries under their commits, for a terminal."""
    lines = [summary(entries)]
    for commit, group in groupby(entries, key=lambda entry: entry.commit):
        lines += ["", f"{commit.hash[:8]} {commit.subject}  ({commit.date}, {commit.author})"]
        for entry in group:
            lines += [f"  {entry.stage}: {size(entry)}, probability {probability(entry)}, {state(entry)}"]
            lines += [f"    {entry.label} [{entry.series}] on {entry.environment}"]
            lines += [f"    {text}" for text in (since(entry), *_cells(entry.cells)) if text]
    return "\n".join(lines)


def _cells(cells: Sequence[CellChange]) -> list[str]:
    if len(cells) > CELLS_IN_FULL:
        ratios = [cell.ratio for cell in cells]
        return [f"{len(cells)} cells, {percent(min(ratios))} to {percent(max(ratios))}"]
    return [
        " ".join(filter(None, [f"{cell.text}:" if cell.text else "", f"{cell.before} → {cell.after}"]))
        for cell in cells
    ]


def as_markdown(entries: Sequence[RegressionEntry]) -> str:
    """The entries as a table."""
    heads = ("Commit", "Stage", "Series", "Size", "Probability", "Where", "State")
    rows = [
        (
            " ".join(filter(None, [f"`{entry.commit.hash[:8]}` {entry.commit.subject}", since(entry)])),
            entry.stage,
            entry.label,
            size(entry),
            probability(entry),
            f"{'; '.join(_cells(entry.cells))}; {entry.environment}",
            state(entry),
        )
        for entry in entries
    ]
    table = [heads, tuple("---" for _ in heads), *(tuple(cell.replace("|", "\\|") for cell in row) for row in rows)]
    return "\n".join(
        [summary(entries), "", *(f"| {' | '.join(row)} |" for row in table)] if rows else [summary(entries)]
    )


def as_json(entries: Sequence[RegressionEntry], warnings: Sequence[str]) -> str:
    """Everything about the entries."""
    count = sum(entry.state == "open" for entry in entries)
    found = {"open": count, "regressions": [entry.to_json() for entry in entries], "warnings": list(warnings)}
    return json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False)


def as_toml(entries: Sequence[RegressionEntry], by: str) -> str:
    """A table for each open entry, to paste into the file of acknowledgements and to give a reason."""
    tables = [
        Acknowledgement(entry.commit.hash[:12], entry.series, reason="", by=by).to_toml()
        for entry in entries
        if entry.state == "open"
    ]
    return "\n\n".join(dict.fromkeys(tables))
