"""``python -m scripts.validate equal``: a commit against itself, on this machine; whoever is called slower is not."""

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

SUMMARY = "a commit against itself, measured for real: how often is a row called slower?"
CELLS = (
    "matrix=stages,stage=TextEncode;matrix=stages,batch=1,lyric_tokens=128;"
    "matrix=stages,stage=DiTForward,duration=30,batch=1;stage=DiTStep,duration=30,batch=1,family=turbo;"
    "matrix=planner,engine=pt,prompt_tokens=128;matrix=planner,engine=pt,prompt_tokens=512;stage=Constraint,new=nothing"
)
"""Cells of a few milliseconds, of which there can be many runs."""
COPIES = 6
"""How often each cell is in a table, in turns with the others: loading models would take most of the time otherwise."""
MOST_FALSE = 0.005
"""What is claimed of the rows that are called slower."""
CONFIDENCE = 0.95


def add_parser(subparsers: Any) -> None:
    """Add the command ``equal``."""
    parser = subparsers.add_parser("equal", help=SUMMARY, description=f"{SUMMARY[0].upper()}{SUMMARY[1:]}")
    parser.add_argument("--rows", type=int, default=1000, help="go on until there are so many (default 1000)")
    parser.add_argument("--budget", type=duration, default="150s", help="of each table: 150s (default), 10m")
    parser.add_argument("--cells", default=CELLS, help="quick, full, or conditions (default: some short ones)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure tables until there are enough rows, and tell; returns 0 if what is claimed holds, else 1."""
    counts: Counter[Verdict] = Counter()
    tables, wrong, resolutions = 0, 0, list[float]()
    start = time.perf_counter()
    while counts.total() < arguments.rows:
        match = Schedule(
            _comparisons(arguments.cells), (local_side("base"), local_side("head")), arguments.budget, lambda *_: None
        )
        match.run()
        judged = _looked_at(match)
        counts.update(one.verdict for one in judged)
        tables += 1
        wrong += any(one.verdict in ("slower", "faster") for one in judged)
        resolutions += [one.evidence.detectable for one in judged]
        say(f"{tables} tables, {counts.total()} rows in {(time.perf_counter() - start) / 60:.0f} min: {dict(counts)}")
    rows, slower = counts.total(), counts["slower"]
    print(f"A commit against itself: {rows} rows in {tables} tables, {(time.perf_counter() - start) / 60:.0f} min")
    for verdict in ("slower", "faster", "same", "not enough evidence"):
        print(f"  {verdict:20}{counts[verdict]:6}  {counts[verdict] / rows:7.2%}")
    print(f"  tables with a false verdict: {wrong} of {tables}, at most {ALPHA:.0%} are expected")
    resolutions.sort()
    print(f"  changes that could have been seen: half of the rows {resolutions[len(resolutions) // 2]:.1%} or less")
    print(f"  called slower: at most {upper_bound(slower, rows):.2%} of rows, with {CONFIDENCE:.0%} confidence")
    holds = slower / rows <= MOST_FALSE
    print(f"At most {MOST_FALSE:.1%} of equal rows are called slower: {'holds' if holds else 'does not hold'}")
    return 0 if holds else 1


def _comparisons(cells: str) -> list[CellComparison]:
    """Return copies of the chosen cells that have times, those of a matrix together."""
    selection = Selection(cells, MATRICES)
    found = [CellComparison.of(matrix.name, cell) for matrix in MATRICES for cell in selection.of(matrix) * COPIES]
    return [comparison for comparison in found if comparison.declared]


def _looked_at(match: Schedule) -> list[RowVerdict]:
    """Return the rows and stages that may have a verdict: others have too few runs to be wrong about."""
    standing = match.standing()
    rows = [
        judged
        for (comparison, name), judged in standing.rows.items()
        if sum(evidence.pairs > 0 for evidence in comparison.rounds_of(name)) >= MIN_ROUNDS
    ]
    return rows + [stage.judged for stage in standing.stages if stage.judged.evidence.pairs]


def upper_bound(events: int, trials: int) -> float:
    """Return the upper bound of the probability behind *events* in *trials* (Clopper and Pearson 1934), one-sided."""
    return 1.0 if events == trials else float(beta.ppf(CONFIDENCE, events + 1, trials - events))
