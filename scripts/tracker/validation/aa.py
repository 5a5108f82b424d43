"""``python -m scripts.validate equal``: a commit is compared with itself, so any row called slower is a false alarm."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from typing import Any

from scipy.stats import beta

from benchmarks.harness.cells import Selection
from benchmarks.harness.matrices import MATRICES
from scripts.tracker.comparison.arguments import duration
from scripts.tracker.comparison.cell import CellComparison
from scripts.tracker.comparison.schedule import Schedule
from scripts.tracker.comparison.verdicts import RowVerdict
from scripts.tracker.progress import say
from scripts.tracker.statistics.judging import ALPHA, MIN_ROUNDS, Verdict
from scripts.tracker.validation.local_sides import local_side

SUMMARY = "a real comparison of a commit with itself: how often is a row called slower?"
CELLS = (
    "matrix=stages,stage=TextEncode;matrix=stages,batch=1,lyric_tokens=128;"
    "matrix=stages,stage=DiTForward,duration=30,batch=1;stage=DiTStep,duration=30,batch=1,family=turbo;"
    "matrix=planner,engine=pt,prompt_tokens=128;matrix=planner,engine=pt,prompt_tokens=512;stage=Constraint,new=nothing"
)
"""Cells that take a few milliseconds, so that they can be run often."""
COPIES = 6
"""Number of copies of each cell in a table. Without copies, loading the models would take most of the time."""
MAX_FALSE_SHARE = 0.005
"""Largest claimed share of rows that are called slower."""
CONFIDENCE = 0.95
"""Confidence of the upper bound of that share."""


def add_parser(subparsers: Any) -> None:
    """Add the command ``equal``."""
    parser = subparsers.add_parser("equal", help=SUMMARY, description=f"{SUMMARY[0].upper()}{SUMMARY[1:]}")
    parser.add_argument("--rows", type=int, default=1000, help="number of rows to measure (default 1000)")
    parser.add_argument(
        "--budget", dest="budget_s", type=duration, default="150s", help="time of each table: 150s (default), 10m"
    )
    parser.add_argument("--cells", default=CELLS, help="quick, full, or conditions (default: some short ones)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure tables until there are enough rows, and print the rates; returns 0 if the claim holds, else 1."""
    counts: Counter[Verdict] = Counter()
    tables, false_tables, detectable = 0, 0, list[float]()
    start = time.perf_counter()
    while counts.total() < arguments.rows:
        schedule = Schedule(
            _comparisons(arguments.cells),
            (local_side("baseline"), local_side("candidate")),
            arguments.budget_s,
            lambda *_: None,
        )
        schedule.run()
        verdicts = _judged_rows(schedule)
        counts.update(row.verdict for row in verdicts)
        tables += 1
        false_tables += any(row.verdict in ("slower", "faster") for row in verdicts)
        detectable += [row.evidence.detectable for row in verdicts]
        say(f"{tables} tables, {counts.total()} rows in {(time.perf_counter() - start) / 60:.0f} min: {dict(counts)}")
    rows, slower = counts.total(), counts["slower"]
    print(
        f"A commit compared with itself: {rows} rows in {tables} tables, {(time.perf_counter() - start) / 60:.0f} min"
    )
    for verdict in ("slower", "faster", "same", "not enough evidence"):
        print(f"  {verdict:20}{counts[verdict]:6}  {counts[verdict] / rows:7.2%}")
    print(f"  tables with a false verdict: {false_tables} of {tables}, at most {ALPHA:.0%} are expected")
    detectable.sort()
    print(f"  minimum detectable change: {detectable[len(detectable) // 2]:.1%} or less in half of the rows")
    print(f"  called slower: at most {upper_bound(slower, rows):.2%} of rows, with {CONFIDENCE:.0%} confidence")
    holds = slower / rows <= MAX_FALSE_SHARE
    print(f"At most {MAX_FALSE_SHARE:.1%} of equal rows are called slower: {'holds' if holds else 'does not hold'}")
    return 0 if holds else 1


def _comparisons(cells: str) -> list[CellComparison]:
    """Return the copies of the chosen cells that have times, grouped by matrix."""
    selection = Selection(cells, MATRICES)
    found = [CellComparison.of(matrix.name, cell) for matrix in MATRICES for cell in selection.of(matrix) * COPIES]
    return [comparison for comparison in found if comparison.timed_series_count]


def _judged_rows(schedule: Schedule) -> list[RowVerdict]:
    """Return the rows and stages that can have a verdict; others have too few runs for a false one."""
    verdicts = schedule.verdicts()
    rows = [
        judged
        for (comparison, name), judged in verdicts.rows.items()
        if sum(evidence.pairs > 0 for evidence in comparison.evidence_by_round(name)) >= MIN_ROUNDS
    ]
    return rows + [stage.pooled for stage in verdicts.stages if stage.pooled.evidence.pairs]


def upper_bound(events: int, trials: int) -> float:
    """Return the one-sided upper bound (Clopper and Pearson 1934) of the probability of *events* in *trials*."""
    return 1.0 if events == trials else float(beta.ppf(CONFIDENCE, events + 1, trials - events))
