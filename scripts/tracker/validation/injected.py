"""``python -m scripts.validate slowed``: detection rates for commits with a slowdown of known size.

In a temporary clone, a commit lets the diffusion transformer repeat its last matrix product, for one token, so often
that a step takes 1, 2, 5 or 10 % longer; the number of repeats is calibrated first. Each trial compares such a commit
with the one before it, in a table with other stages that the commit does not change.
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
from scripts.tracker.comparison.runner import PairedRunner, StopRule
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
from scripts.tracker.validation.injection import REPEATING, TOUCHED, repeat_share
from scripts.tracker.validation.local_sides import ROOT, local_side

SUMMARY = "commits that repeat a part of a stage's work: how many are detected, and in the right stage?"
SLOWDOWNS = [0.05, 0.02, 0.1, 0.01]
"""Relative slowdowns, those with a claim first."""
CLAIMS = {0.05: 0.95, 0.02: 0.8}
"""Smallest claimed share of trials in which the slowdown is detected, by its size."""
UNTOUCHED: tuple[Cell, ...] = (
    {"stage": "TextEncode", "batch": 1},
    {"stage": "ConditionEncode", "batch": 1, "lyric_tokens": 128},
)
TRIALS_PER_PROCESS = 4
"""Number of trials after which both sides get fresh processes. The difference between two processes is part of a
trial."""


@dataclass
class SlowdownTrials:
    """The trials of one slowdown.

    Attributes:
        size: relative slowdown.
        repeats: repeats of the product in a step.
        verdicts: verdict of the slowed stage in each trial.
        ratios: estimated ratio of the slowed stage in each trial.
        false_alarms: trials in which another stage is called slower.
        spent_s: seconds of sampling the slowed stage.
    """

    size: float
    repeats: int
    verdicts: list[Verdict] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    false_alarms: int = 0
    spent_s: float = 0.0

    @property
    def detected(self) -> float:
        """The share of trials in which the slowed stage is called slower."""
        return self.verdicts.count("slower") / len(self.verdicts)


def add_parser(subparsers: Any) -> None:
    """Add the command ``slowed``."""
    parser = subparsers.add_parser("slowed", help=SUMMARY, description=f"{SUMMARY[0].upper()}{SUMMARY[1:]}")
    parser.add_argument("--trials", type=int, default=40, help="trials of each slowdown (default 40)")
    parser.add_argument(
        "--budget",
        dest="budget_s",
        type=duration,
        default="90s",
        help="sampling time of the slowed stage in a trial (default 90s)",
    )
    parser.add_argument(
        "--slowdowns", type=percentage, nargs="+", default=SLOWDOWNS, metavar="PERCENT", help="default: 5 2 10 1"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make the commits, run the trials and print the rates; returns 0 if the claims hold, else 1."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="acestep-validate-") as scratch:
        clone = Clone(Path(scratch))
        share = repeat_share()
        say(f"Each repeat takes {share:.3%} of a step.")
        groups = [SlowdownTrials(size, max(1, round(size / share))) for size in arguments.slowdowns]
        for trials in groups:
            _run_trials(clone, trials, arguments.trials, arguments.budget_s)
            say(f"{trials.size:.0%}: {trials.detected:.0%} detected in {trials.spent_s / 60:.1f} min")
    print(_table(sorted(groups, key=lambda trials: trials.size)))
    spent_min = (time.perf_counter() - start) / 60
    print(f"others: trials in which a stage without a change is called slower; {spent_min:.0f} min")
    holds = all(one.detected >= CLAIMS.get(one.size, 0.0) and not one.false_alarms for one in groups)
    claimed = [f"{one.size:.0%} detected in ≥ {CLAIMS[one.size]:.0%}, " for one in groups if one.size in CLAIMS]
    print(f"{''.join(claimed)}in no other stage: {'holds' if holds else 'does not hold'}")
    return 0 if holds else 1


def _table(groups: list[SlowdownTrials]) -> str:
    headings = ("slowdown", "repeats", "estimate", "slower", "faster", "same", "unknown", "others", "s/trial")
    lines = ["".join(heading.rjust(10) for heading in headings)]
    for trials in groups:
        count = len(trials.verdicts)
        counts = [trials.verdicts.count(verdict) for verdict in ("slower", "faster", "same", INCONCLUSIVE)]
        shares = [f"{number / count:.0%}" for number in counts]
        estimate, trial_s = f"{median(trials.ratios) - 1:+.1%}", f"{trials.spent_s / count:.0f}"
        columns = (f"{trials.size:.0%}", str(trials.repeats), estimate, *shares, str(trials.false_alarms), trial_s)
        lines.append("".join(column.rjust(10) for column in columns))
    return "\n".join(lines)


class Clone:
    """A temporary clone of this repository, with one work tree for each commit."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._git(scratch, "clone", "--quiet", "--no-checkout", str(ROOT), "clone")
        self.plain = self._worktree("plain")

    def slowed(self, repeats: int) -> Side:
        """Return a side whose commit lets the transformer repeat a product *repeats* times a step."""
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


def _run_trials(clone: Clone, trials: SlowdownTrials, count: int, budget_s: float) -> None:
    sides = clone.plain, clone.slowed(trials.repeats)
    while len(trials.verdicts) < count:
        with ExitStack() as stack:
            runners: list[PairedRunner] = []
            for _ in range(min(TRIALS_PER_PROCESS, count - len(trials.verdicts))):
                _run_trial(_runners(stack, runners, sides), trials, budget_s)
                verdict, ratio = trials.verdicts[-1], trials.ratios[-1]
                say(f"{trials.size:.0%}: {len(trials.verdicts)}/{count} {verdict} {ratio - 1:+.1%}")


def _runners(stack: ExitStack, started: list[PairedRunner], sides: tuple[Side, Side]) -> Iterator[PairedRunner]:
    """Yield one runner for each round of a trial: those in *started* first, then new ones, which are added to it."""
    for number in range(MAX_ROUNDS):
        if number == len(started):
            started.append(stack.enter_context(_loaded_runner(sides)))
        yield started[number]


def _run_trial(runners: Iterator[PairedRunner], trials: SlowdownTrials, budget_s: float) -> None:
    """Sample the slowed stage in rounds until it has a verdict, and the others for a quarter of its time each."""
    slowed, *others = cells = [CellComparison.of("stages", cell) for cell in (TOUCHED, *UNTOUCHED)]
    for runner in runners:
        start = time.perf_counter()
        runner.sample(slowed, Table(len(cells)), _stop_rule(start + budget_s / MAX_ROUNDS, len(cells)))
        spent_s = time.perf_counter() - start
        for other in others:
            runner.sample(other, Table(len(cells)), _stop_rule(time.perf_counter() + spent_s / 4))
        trials.spent_s += spent_s
        verdict, *untouched = judge([cell.evidence_by_round("time") for cell in cells])
        if verdict != INCONCLUSIVE:
            break
    trials.verdicts.append(verdict)
    trials.ratios.append(combine_rounds(slowed.evidence_by_round("time")).ratio)
    trials.false_alarms += "slower" in untouched


def _stop_rule(end: float, rows: int = 0) -> StopRule:
    """Return a rule that stops at the time *end*, or at a verdict in a table of *rows* rows if that is not 0."""

    def stop(cell: CellComparison) -> bool:
        table = [cell.evidence("time")] + [NO_EVIDENCE] * (rows - 1)
        decided = rows and would_conclude(table)[0] != INCONCLUSIVE
        return bool(decided) or (time.perf_counter() >= end and cell.rounds[-1].pairs > 0)

    return stop


@contextmanager
def _loaded_runner(sides: tuple[Side, Side]) -> Iterator[PairedRunner]:
    with PairedRunner("stages", workload_of("stages"), sides) as runner:
        runner.load()
        yield runner
