"""Renders the list of regressions as text, Markdown, JSON, and acknowledgements to paste."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby

from scripts.tracker.history.acknowledged import Acknowledgement
from scripts.tracker.history.entry import CellChange, RegressionEntry
from scripts.tracker.numbers import percent

MAX_LISTED_CELLS = 4
"""Largest number of cells that are listed one by one; more are summarized as a range."""


def size(entry: RegressionEntry) -> str:
    """Return the typical change of *entry*, with its confidence interval unless it is exact."""
    low, high = entry.interval
    return percent(entry.ratio) if low == high else f"{percent(entry.ratio)} ({percent(low)} to {percent(high)})"


def probability(entry: RegressionEntry) -> str:
    """Return the probability of *entry* in percent; see `scripts.tracker.statistics.changepoints.ChangePoint`."""
    if entry.probability == 1:
        return "exact"
    return "> 99.99 %" if entry.probability > 0.9999 else f"{100 * entry.probability:.2f} %"


def state(entry: RegressionEntry) -> str:
    """Return the state of *entry*, with the reason of its acknowledgement."""
    found = entry.acknowledgement
    return entry.state if found is None else f"{entry.state} by {found.by}: {found.reason}"


def since(entry: RegressionEntry) -> str:
    """Return a note about commits without a valid value that may be the cause; empty if there are none."""
    if not entry.unmeasured:
        return ""
    earlier = "the commit before it" if entry.unmeasured == 1 else f"one of the {entry.unmeasured} commits before it"
    return f"or {earlier} (not measured, or disturbed): last good value at {entry.since[:8]}"


def summary(entries: Sequence[RegressionEntry]) -> str:
    """Return a sentence with the number of open entries."""
    count = sum(entry.state == "open" for entry in entries)
    return "No regression is open." if not count else f"{count} open regression{'' if count == 1 else 's'}."


def as_text(entries: Sequence[RegressionEntry]) -> str:
    """Return the entries, grouped by commit, for a terminal."""
    lines = [summary(entries)]
    for commit, group in groupby(entries, key=lambda entry: entry.commit):
        lines += ["", f"{commit.hash[:8]} {commit.subject}  ({commit.date}, {commit.author})"]
        for entry in group:
            lines += [f"  {entry.stage}: {size(entry)}, probability {probability(entry)}, {state(entry)}"]
            lines += [f"    {entry.label} [{entry.series}] on {entry.environment}"]
            lines += [f"    {text}" for text in (since(entry), *_cells(entry.cells)) if text]
    return "\n".join(lines)


def _cells(cells: Sequence[CellChange]) -> list[str]:
    if len(cells) > MAX_LISTED_CELLS:
        ratios = [cell.ratio for cell in cells]
        return [f"{len(cells)} cells, {percent(min(ratios))} to {percent(max(ratios))}"]
    return [
        " ".join(filter(None, [f"{cell.text}:" if cell.text else "", f"{cell.before} → {cell.after}"]))
        for cell in cells
    ]


def as_markdown(entries: Sequence[RegressionEntry]) -> str:
    """Return the entries as a Markdown table."""
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
    """Return all fields of the entries as JSON."""
    count = sum(entry.state == "open" for entry in entries)
    found = {"open": count, "regressions": [entry.to_json() for entry in entries], "warnings": list(warnings)}
    return json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False)


def as_toml(entries: Sequence[RegressionEntry], by: str) -> str:
    """Return an acknowledgement for each open entry, to paste into the file; the reasons are empty."""
    tables = [
        Acknowledgement(entry.commit.hash[:12], entry.series, reason="", by=by).to_toml()
        for entry in entries
        if entry.state == "open"
    ]
    return "\n\n".join(dict.fromkeys(tables))
