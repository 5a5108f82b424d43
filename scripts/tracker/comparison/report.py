"""Renders the result of a comparison: text for a terminal, Markdown for a pull request, JSON for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from tabulate import tabulate

from scripts.tracker.comparison.result import VERDICT_ORDER, CellCounterDiff, ComparisonResult, Row, StageRow
from scripts.tracker.comparison.revisions import Revision
from scripts.tracker.numbers import finite
from scripts.tracker.statistics.judging import ALPHA, Evidence

_STAGE_HEADINGS = ("verdict", "stage, all cells", "cells", "change", "interval", "min. detectable", "pairs")
_HEADINGS = ("verdict", "series", "cell", "baseline", "candidate", "change", "interval", "min. detectable", "pairs")
_MARKS = {"slower": "🔴 slower", "faster": "🟢 faster"}
"""How Markdown marks these verdicts."""


class Report:
    """The renderer of one result."""

    def __init__(
        self,
        result: ComparisonResult,
        baseline: Revision,
        candidate: Revision,
        conditions: dict[str, object],
        delta: float,
    ) -> None:
        """Take the result, both revisions, the *conditions* of the run (scale, device, machine, ...) and *delta*."""
        self._result, self._baseline, self._candidate = result, baseline, candidate
        self._conditions, self._delta = conditions, delta

    def text(self) -> str:
        """Return aligned tables of the stages and the rows, then counter differences, errors and the counts."""
        lines = [f"baseline   {self._named(self._baseline)}", f"candidate  {self._named(self._candidate)}"]
        lines.append(self._circumstances())
        lines += _text_table(_STAGE_HEADINGS, [_stage_columns(row) for row in self._result.stages], names=2)
        lines += _text_table(_HEADINGS, [_row_columns(row) for row in self._result.rows], names=3)
        lines += self._counter_diff_lines("  ") + self._error_lines("  ")
        return "\n".join([*lines, "", self._summary()])

    def markdown(self) -> str:
        """Return a summary, the stages, the rows that are slower or faster, and the other rows folded."""
        changed = [row for row in self._result.rows if row.verdict in ("slower", "faster")]
        others = [row for row in self._result.rows if row.verdict not in ("slower", "faster")]
        lines = [
            f"### {self._summary()}",
            "",
            f"{self._named(self._baseline)} → {self._named(self._candidate)}  ",
            self._circumstances(),
            "",
        ]
        lines += _markdown_table(_STAGE_HEADINGS, [_stage_columns(row) for row in self._result.stages], names=2)
        lines += _markdown_table(_HEADINGS, [_row_columns(row) for row in changed], names=3)
        details = self._counter_diff_lines("- ") + self._error_lines("- ")
        lines += [*details, ""] if details else []
        if others:
            table = _markdown_table(_HEADINGS, [_row_columns(row) for row in others], names=3)
            lines += ["<details><summary>The other rows</summary>", "", *table, "</details>", ""]
        return "\n".join(lines)

    def json(self) -> str:
        """Return everything, with the exit status, as JSON; infinite numbers become null."""
        return json.dumps(
            {
                "schema": "acestep-compare/2",
                "baseline": asdict(self._baseline),
                "candidate": asdict(self._candidate),
                **self._conditions,
                "alpha": ALPHA,
                "delta": self._delta,
                "counts": dict(self._result.counts),
                "status": self._result.status,
                "contended": self._result.contended,
                "stages": [asdict(row) | {"evidence": _finite(row.evidence)} for row in self._result.stages],
                "rows": [
                    asdict(row) | {"ratio": row.ratio, "evidence": _finite(row.evidence)} for row in self._result.rows
                ],
                "counter_diffs": [asdict(diff) for diff in self._result.counter_diffs],
                "errors": [asdict(error) for error in self._result.errors],
            },
            indent=2,
        )

    def _named(self, revision: Revision) -> str:
        return f"{revision.label} {revision.subject}" if revision.stored else revision.label

    def _circumstances(self) -> str:
        conditions, contended = self._conditions, self._result.contended
        machine = f"{conditions['machine']}, torch {conditions.get('torch', '?')}"
        spent = _duration(float(str(conditions["spent_s"])))
        waited = f"; {contended:.0%} of the runs waited for a core" if contended is not None else ""
        return f"{conditions['scale']} on {conditions['device']}, {machine}; {spent}{waited}"

    def _counter_diff_lines(self, bullet: str) -> list[str]:
        diffs = self._result.counter_diffs
        lines = []
        for heading, chosen in (
            ("Work changed (times marked * compare different work):", [d for d in diffs if not d.output]),
            ("Output changed:", [d for d in diffs if d.output]),
        ):
            lines += ["", heading, *(bullet + line for line in _by_cell(chosen))] if chosen else []
        return lines

    def _error_lines(self, bullet: str) -> list[str]:
        errors = [error for error in self._result.errors if not (error.skipped and error.side == "baseline")]
        if not errors:
            return []
        lines = [f"{bullet}{error.cell}, {error.side}: {error.reason}" for error in errors]
        return ["", "Could not be measured:", *lines]

    def _summary(self) -> str:
        counts = self._result.counts
        parts = [
            f"{row.stage} {row.verdict} in {row.cells} cells together"
            for row in self._result.stages
            if row.verdict in ("slower", "faster")
        ]
        parts += [f"{counts[verdict]} {verdict}" for verdict in VERDICT_ORDER if counts[verdict]]
        if counts["same"]:
            parts[-1] += f" (within {self._delta:.0%})"
        if self._result.exact_cells:
            parts.append(f"{self._result.exact_cells} cells with exact metrics only")
        changed = len({(diff.matrix, diff.cell) for diff in self._result.counter_diffs})
        parts += [f"{changed} cells with changed work or output"] if changed else []
        return ", ".join(parts) + "." if parts else "Nothing could be measured."


def seconds(value: float) -> str:
    """Return *value* seconds with three significant digits and a suitable unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}" if value < 1000 * size else f"{value / size:,.0f} {unit}"
    return f"{value / 1e-9:.3g} ns"


def change(ratio: float) -> str:
    """Return a ratio as a change in percent."""
    return f"{ratio - 1:+.1%}"


def interval(evidence: Evidence) -> str:
    """Return the confidence interval of a ratio as changes in percent; "?" if there is none."""
    return f"{change(evidence.low)} to {change(evidence.high)}" if math.isfinite(evidence.high) else "?"


def number(value: object) -> str:
    """Return the value of an exact metric as text, with separators of thousands; "none" for None."""
    if value is None:
        return "none"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:,.9g}" if isinstance(value, float) else str(value)


def _duration(value_s: float) -> str:
    minutes, rest = divmod(round(value_s), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _row_columns(row: Row) -> tuple[str, ...]:
    series = f"{row.series} *" if row.changed_counters else row.series
    times = seconds(row.baseline_s), seconds(row.candidate_s), change(row.ratio)
    return row.verdict, series, row.cell, *times, interval(row.evidence), _detectable(row.evidence), str(row.pairs)


def _stage_columns(row: StageRow) -> tuple[str, ...]:
    evidence = row.evidence
    measured = change(evidence.ratio), interval(evidence), _detectable(evidence), str(evidence.pairs)
    return row.verdict, row.stage, str(row.cells), *measured


def _detectable(evidence: Evidence) -> str:
    return f"{evidence.detectable:.1%}" if math.isfinite(evidence.detectable) else "?"


def _text_table(headings: Sequence[str], rows: Sequence[Sequence[str]], names: int) -> list[str]:
    """Return an empty line and a table, or nothing without rows. The first *names* columns are left-aligned."""
    if not rows:
        return []
    alignment = ["left"] * names + ["right"] * (len(headings) - names)
    table = tabulate([headings, *rows], tablefmt="plain", colalign=alignment, disable_numparse=True)
    heading, *lines = table.splitlines()
    return ["", heading, "-" * len(heading), *lines]


def _markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]], names: int) -> list[str]:
    """Return a table and an empty line, or nothing without rows. The first *names* columns are left-aligned."""
    if not rows:
        return []
    head = [f"| {' | '.join(headings)} |", "|" + "---|" * names + "--:|" * (len(headings) - names)]
    body = [f"| {' | '.join([_MARKS.get(verdict, verdict), *columns])} |" for verdict, *columns in rows]
    return [*head, *body, ""]


def _by_cell(diffs: Sequence[CellCounterDiff]) -> list[str]:
    """Return one line a cell with all of its differences."""
    lines: dict[tuple[str, str], list[str]] = {}
    for diff in diffs:
        difference = f"{diff.name} {number(diff.baseline)} → {number(diff.candidate)}"
        lines.setdefault((diff.matrix, diff.cell), []).append(difference)
    return [f"{cell}: {'; '.join(differences)}" for (_, cell), differences in lines.items()]


def _finite(evidence: Evidence) -> dict[str, Any]:
    numbers = {name: finite(value) if isinstance(value, float) else value for name, value in vars(evidence).items()}
    return numbers | {"ratio": None if math.isnan(evidence.ratio) else evidence.ratio}
