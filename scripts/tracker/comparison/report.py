"""What a comparison tells: a table for a terminal, Markdown for a pull request, JSON for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from scripts.tracker.comparison.result import ORDER, CellCounterDiff, ComparisonResult, Row, StageRow
from scripts.tracker.comparison.revisions import Revision
from scripts.tracker.numbers import finite
from scripts.tracker.statistics.judging import ALPHA, Evidence

_STAGE_HEADINGS = ("verdict", "stage, all cells", "cells", "change", "interval", "seen from", "pairs")
_HEADINGS = ("verdict", "series", "cell", "base", "head", "change", "interval", "seen from", "pairs")


class Report:
    """Renders one outcome."""

    def __init__(
        self, outcome: ComparisonResult, base: Revision, head: Revision, facts: dict[str, object], delta: float
    ) -> None:
        self._outcome, self._base, self._head, self._facts, self._delta = outcome, base, head, facts, delta

    def text(self) -> str:
        """The stages and the rows, columns aligned; then facts, troubles and the counts."""
        told = _aligned(_STAGE_HEADINGS, [_stage_cells(row) for row in self._outcome.stages], names=2)
        told += _aligned(_HEADINGS, [self._cells(row) for row in self._outcome.rows], names=3)
        told += self._facts_told("  ") + self._troubles_told("  ")
        sides = [f"base  {self._named(self._base)}", f"head  {self._named(self._head)}"]
        return "\n".join([*sides, self._circumstances(), *told, "", self._summary()])

    def markdown(self) -> str:
        """A summary, the stages and rows that matter, and the rest folded."""
        matter = [row for row in self._outcome.rows if row.verdict in ("slower", "faster")]
        rest = [row for row in self._outcome.rows if row.verdict not in ("slower", "faster")]
        lines = [
            f"### {self._summary()}",
            "",
            f"{self._named(self._base)} → {self._named(self._head)}  ",
            self._circumstances(),
            "",
        ]
        stages = [_stage_cells(row) for row in self._outcome.stages]
        lines += _markdown_table(_STAGE_HEADINGS, stages, names=2) if stages else []
        lines += self._markdown_rows(matter) if matter else []
        told = self._facts_told("- ") + self._troubles_told("- ")
        lines += [*told, ""] if told else []
        if rest:
            lines += ["<details><summary>The other rows</summary>", "", *self._markdown_rows(rest), "</details>", ""]
        return "\n".join(lines)

    def json(self) -> str:
        """Everything, with the exit status; infinite numbers are null."""
        return json.dumps(
            {
                "schema": "acestep-compare/1",
                "base": asdict(self._base),
                "head": asdict(self._head),
                **self._facts,
                "alpha": ALPHA,
                "delta": self._delta,
                "counts": dict(self._outcome.counts),
                "status": self._outcome.status,
                "contended": self._outcome.contended,
                "stages": [asdict(row) | {"evidence": _finite(row.evidence)} for row in self._outcome.stages],
                "rows": [_plain(row) for row in self._outcome.rows],
                "facts": [asdict(fact) for fact in self._outcome.facts],
                "troubles": [asdict(trouble) for trouble in self._outcome.troubles],
            },
            indent=2,
        )

    def _named(self, commit: Revision) -> str:
        return f"{commit.label} {commit.subject}" if commit.stored else commit.label

    def _circumstances(self) -> str:
        facts = self._facts
        told = f"{facts['scale']} on {facts['device']}, {facts['machine']}, torch {facts.get('torch', '?')}"
        contended = self._outcome.contended
        waited = f"; {contended:.0%} of the runs waited for a core" if contended is not None else ""
        return f"{told}; {_duration(float(str(self._facts['spent_s'])))}{waited}"

    def _cells(self, row: Row) -> tuple[str, ...]:
        series = f"{row.series} *" if row.other_work else row.series
        base, head = seconds(row.base_s), seconds(row.head_s)
        measured = interval(row.evidence), _seen_from(row.evidence), str(row.pairs)
        return row.verdict, series, row.cell, base, head, change(row.ratio), *measured

    def _markdown_rows(self, rows: list[Row]) -> list[str]:
        return _markdown_table(_HEADINGS, [self._cells(row) for row in rows], names=3)

    def _facts_told(self, bullet: str) -> list[str]:
        facts = self._outcome.facts
        lines = []
        for heading, chosen in (
            ("Other work (a time with * is not of the same work):", [fact for fact in facts if not fact.output]),
            ("Other output:", [fact for fact in facts if fact.output]),
        ):
            lines += ["", heading, *(bullet + line for line in _by_cell(chosen))] if chosen else []
        return lines

    def _troubles_told(self, bullet: str) -> list[str]:
        troubles = [one for one in self._outcome.troubles if not (one.skipped and one.side == "base")]
        if not troubles:
            return []
        told = [f"{bullet}{one.cell}, {one.side}: {one.reason}" for one in troubles]
        return ["", "Could not be measured:", *told]

    def _summary(self) -> str:
        counts = self._outcome.counts
        told = [
            f"{row.stage} {row.verdict} in {row.cells} cells together"
            for row in self._outcome.stages
            if row.verdict in ("slower", "faster")
        ]
        told += [f"{counts[verdict]} {verdict}" for verdict in ORDER if counts[verdict]]
        if counts["same"]:
            told[-1] += f" (within {self._delta:.0%})"
        if self._outcome.exact_cells:
            told.append(f"{self._outcome.exact_cells} cells of exact numbers")
        changed = len({(fact.matrix, fact.cell) for fact in self._outcome.facts})
        told += [f"{changed} cells with other work or output"] if changed else []
        return ", ".join(told) + "." if told else "Nothing could be measured."


def seconds(value: float) -> str:
    """*value* with a unit that suits it, in three digits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}" if value < 1000 * size else f"{value / size:,.0f} {unit}"
    return f"{value / 1e-9:.3g} ns"


def change(ratio: float) -> str:
    """A ratio as a change in percent."""
    return f"{ratio - 1:+.1%}"


def interval(evidence: Evidence) -> str:
    """The interval of a ratio, as changes in percent; ? without one."""
    return f"{change(evidence.low)} to {change(evidence.high)}" if math.isfinite(evidence.high) else "?"


def _duration(value: float) -> str:
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _stage_cells(row: StageRow) -> tuple[str, ...]:
    evidence = row.evidence
    measured = change(evidence.ratio), interval(evidence), _seen_from(evidence), str(evidence.pairs)
    return row.verdict, row.stage, str(row.cells), *measured


def _seen_from(evidence: Evidence) -> str:
    return f"{evidence.detectable:.1%}" if math.isfinite(evidence.detectable) else "?"


def _aligned(headings: Sequence[str], rows: Sequence[Sequence[str]], names: int) -> list[str]:
    """A table behind an empty line, its first columns, *names*, to the left and figures to the right; maybe none."""
    if not rows:
        return []
    table = [headings, *rows]
    widths = [max(len(line[column]) for line in table) for column in range(len(headings))]
    heading, *lines = (_line(cells, widths, names) for cells in table)
    return ["", heading, "-" * (sum(widths) + 2 * (len(widths) - 1)), *lines]


def _markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]], names: int) -> list[str]:
    marks = {"slower": "🔴 slower", "faster": "🟢 faster"}
    head = [f"| {' | '.join(headings)} |", "|" + "---|" * names + "--:|" * (len(headings) - names)]
    body = [f"| {' | '.join([marks.get(verdict, verdict), *cells])} |" for verdict, *cells in rows]
    return [*head, *body, ""]


def _line(cells: Sequence[str], widths: Sequence[int], names: int) -> str:
    left = [text.ljust(width) for text, width in zip(cells[:names], widths[:names], strict=True)]
    right = [text.rjust(width) for text, width in zip(cells[names:], widths[names:], strict=True)]
    return "  ".join([*left, *right]).rstrip()


def _by_cell(facts: Sequence[CellCounterDiff]) -> list[str]:
    """One line a cell, with all of its facts."""
    told: dict[tuple[str, str], list[str]] = {}
    for fact in facts:
        told.setdefault((fact.matrix, fact.cell), []).append(f"{fact.name} {number(fact.base)} → {number(fact.head)}")
    return [f"{cell}: {'; '.join(changes)}" for (_, cell), changes in told.items()]


def number(value: object) -> str:
    """An exact number, or whatever stands in its place, for people."""
    if value is None:
        return "none"
    return (
        f"{value:,}"
        if isinstance(value, int) and not isinstance(value, bool)
        else f"{value:,.9g}"
        if isinstance(value, float)
        else str(value)
    )


def _plain(row: Row) -> dict[str, Any]:
    return {**asdict(row), "ratio": row.ratio, "evidence": _finite(row.evidence)}


def _finite(evidence: Evidence) -> dict[str, Any]:
    numbers = {name: finite(value) if isinstance(value, float) else value for name, value in vars(evidence).items()}
    return numbers | {"ratio": None if math.isnan(evidence.ratio) else evidence.ratio}
