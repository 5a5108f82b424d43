"""``python -m scripts.validate slowed``: commits that repeat a part of a stage's work, and whether they are found.

In a temporary clone a commit has the diffusion transformer repeat the last product, of one token, so often that a step
takes 1, 2, 5 or 10 % longer; how often, is measured first. Each trial compares such a commit with the one before it, in
a table with other stages, which the commit did not touch.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness.record import Cell
from scripts.tracker.comparison.arguments import duration, percentage
from scripts.tracker.comparison.cell import CellComparison
from scripts.tracker.comparison.runner import PairedRunner, Until
from scripts.tracker.comparison.series_names import workload_of
from scripts.tracker.comparison.sides import Side
from scripts.tracker.git import git
from scripts.tracker.progress import say
from scripts.tracker.statistics.judging import (
    INCONCLUSIVE,
    MAX_ROUNDS,
    NO_EVIDENCE,
    Table,
    Verdict,
    combine_rounds,
    judge,
    would_conclude,
)
from scripts.tracker.validation.injection import REPEATING, TOUCHED, each_repeat
from scripts.tracker.validation.local_sides import ROOT, local_side

SUMMARY = "commits that repeat a part of a stage's work: how many are found, in the right stage?"
LEVELS = [0.05, 0.02, 0.1, 0.01]
"""What is claimed comes first."""
CLAIMS = {0.05: 0.95, 0.02: 0.8}
"""The share of trials that has to find the slowdown."""
OTHERS: tuple[Cell, ...] = (
    {"stage": "TextEncode", "batch": 1},
    {"stage": "ConditionEncode", "batch": 1, "lyric_tokens": 128},
)
TRIALS_A_WORKER = 4
"""Then both sides get fresh processes: what two processes differ by is part of the trial."""


@dataclass
class Level:
    """The trials of one slowdown."""

    size: float
    repeats: int
    verdicts: list[Verdict] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    blamed: int = 0
    spent_s: float = 0.0

    @property
    def found(self) -> float:
        """The share of trials in which the touched stage is called slower."""
        return self.verdicts.count("slower") / len(self.verdicts)


def add_parser(subparsers: Any) -> None:
    """Add the command ``slowed``."""
    parser = subparsers.add_parser("slowed", help=SUMMARY, description=f"{SUMMARY[0].upper()}{SUMMARY[1:]}")
    parser.add_argument("--trials", type=int, default=40, help="of each slowdown (default 40)")
    parser.add_argument("--budget", type=duration, default="90s", help="of the touched stage in a trial (default 90s)")
    parser.add_argument(
        "--slowdowns", type=percentage, nargs="+", default=LEVELS, metavar="PERCENT", help="default: 5 2 10 1"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make the commits, run the trials and tell; returns 0 if what is claimed holds, else 1."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="acestep-validate-") as scratch:
        clone = Clone(Path(scratch))
        each = each_repeat()
        say(f"Each repeat takes {each:.3%} of a step.")
        levels = [Level(size, max(1, round(size / each))) for size in arguments.slowdowns]
        for level in levels:
            _try(clone, level, arguments.trials, arguments.budget)
            say(f"{level.size:.0%}: {level.found:.0%} found in {level.spent_s / 60:.1f} min")
    print(_table(sorted(levels, key=lambda level: level.size)))
    spent_min = (time.perf_counter() - start) / 60
    print(f"others: trials in which a stage that was not touched is called slower; {spent_min:.0f} min")
    holds = all(level.found >= CLAIMS.get(level.size, 0.0) and not level.blamed for level in levels)
    claimed = [f"{level.size:.0%} found in ≥ {CLAIMS[level.size]:.0%}, " for level in levels if level.size in CLAIMS]
    print(f"{''.join(claimed)}in no other stage: {'holds' if holds else 'does not hold'}")
    return 0 if holds else 1


def _table(levels: list[Level]) -> str:
    columns = ("slowdown", "repeats", "seen", "slower", "faster", "same", "unknown", "others", "s/trial")
    lines = ["".join(column.rjust(10) for column in columns)]
    for level in levels:
        trials = len(level.verdicts)
        told = [level.verdicts.count(verdict) for verdict in ("slower", "faster", "same", "not enough evidence")]
        shares = [f"{count / trials:.0%}" for count in told]
        seen, each_s = f"{median(level.ratios) - 1:+.1%}", f"{level.spent_s / trials:.0f}"
        cells = (f"{level.size:.0%}", str(level.repeats), seen, *shares, str(level.blamed), each_s)
        lines.append("".join(cell.rjust(10) for cell in cells))
    return "\n".join(lines)


class Clone:
    """A temporary clone of this repository, whose commits can be checked out side by side."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._git(scratch, "clone", "--quiet", "--no-checkout", str(ROOT), "clone")
        self.plain = self._worktree("plain")

    def slowed(self, repeats: int) -> Side:
        """Return a side whose commit has the transformer repeat a product *repeats* times a step."""
        name = f"repeats-{repeats}"
        side = self._worktree(name)
        folder = self._scratch / name
        with (folder / "acestep" / "dit" / "denoiser.py").open("a", encoding="utf-8") as file:
            file.write(REPEATING.format(repeats=repeats))
        identity = ["-c", "user.name=validate", "-c", "user.email=validate@localhost"]
        self._git(folder, *identity, "commit", "--quiet", "-am", f"Repeat a product {repeats} times")
        return side

    def _worktree(self, name: str) -> Side:
        self._git(self._scratch / "clone", "worktree", "add", "--quiet", "--detach", str(self._scratch / name), "HEAD")
        return local_side(name, self._scratch / name)

    def _git(self, folder: Path, *arguments: str) -> None:
        git(folder, *arguments)


def _try(clone: Clone, level: Level, trials: int, budget_s: float) -> None:
    sides = clone.plain, clone.slowed(level.repeats)
    while len(level.verdicts) < trials:
        with ExitStack() as stack:
            runners: list[PairedRunner] = []
            for _ in range(min(TRIALS_A_WORKER, trials - len(level.verdicts))):
                _trial(_rounds(stack, runners, sides), level, budget_s)
                verdict, ratio = level.verdicts[-1], level.ratios[-1]
                say(f"{level.size:.0%}: {len(level.verdicts)}/{trials} {verdict} {ratio - 1:+.1%}")


def _rounds(stack: ExitStack, runners: list[PairedRunner], sides: tuple[Side, Side]) -> Iterator[PairedRunner]:
    """Give the processes of each round of a trial, those of *runners* first; new ones stay for the next trial."""
    for place in range(MAX_ROUNDS):
        if place == len(runners):
            runners.append(stack.enter_context(_runner(sides)))
        yield runners[place]


def _trial(rounds: Iterator[PairedRunner], level: Level, budget_s: float) -> None:
    """Measure the touched stage in rounds until there is a verdict, and the others for a quarter of that time each."""
    touched, *others = comparisons = [CellComparison.of("stages", cell) for cell in (TOUCHED, *OTHERS)]
    for runner in rounds:
        start = time.perf_counter()
        runner.visit(touched, Table(len(comparisons)), _until(start + budget_s / MAX_ROUNDS, len(comparisons)))
        spent_s = time.perf_counter() - start
        for other in others:
            runner.visit(other, Table(len(comparisons)), _until(time.perf_counter() + spent_s / 4))
        level.spent_s += spent_s
        verdict, *untouched = judge([comparison.rounds_of("time") for comparison in comparisons])
        if verdict != "not enough evidence":
            break
    level.verdicts.append(verdict)
    level.ratios.append(combine_rounds(touched.rounds_of("time")).ratio)
    level.blamed += "slower" in untouched


def _until(end: float, rows: int = 0) -> Until:
    """End a visit with the clock, or with a verdict in a table of *rows* if that is given."""

    def over(comparison: CellComparison) -> bool:
        table = [comparison.evidence("time")] + [NO_EVIDENCE] * (rows - 1)
        settled = rows and would_conclude(table)[0] != INCONCLUSIVE
        return bool(settled) or (time.perf_counter() >= end and comparison.rounds[-1].pairs > 0)

    return over


@contextmanager
def _runner(sides: tuple[Side, Side]) -> Iterator[PairedRunner]:
    with PairedRunner("stages", workload_of("stages"), sides) as runner:
        runner.load()
        yield runner
