"""Find the commit that changed a series: ``python -m scripts.bisect GOOD BAD --series 'stages.DiTForward.track_time'``.

Exact numbers are asked first: one run of a commit tells whether they are those of the good one. Time is measured
against the good commit, in turns, until a commit is clearly on one side; one that stays between is walked around.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

from benchmarks.harness.files import NotWritable
from benchmarks.harness.matrix import definition
from benchmarks.harness.settings import Settings, SettingsError
from scripts.tracker.command import run
from scripts.tracker.comparison.arguments import add_measuring_options
from scripts.tracker.comparison.bisection import Bisection, Found, Memory, NothingToFind
from scripts.tracker.comparison.build import BuildEnvironment
from scripts.tracker.comparison.commit_probe import CommitProbe, ProbeFailed
from scripts.tracker.comparison.report import change, number
from scripts.tracker.comparison.revisions import Revision, resolve
from scripts.tracker.comparison.series_names import UnknownSeriesError, series_named, series_text
from scripts.tracker.comparison.sides import Builder
from scripts.tracker.git import git
from scripts.tracker.preflight import require_history, require_room
from scripts.tracker.progress import say
from scripts.tracker.refusal import RefusalError
from scripts.tracker.running.lock import locked_folder, measuring_exclusively


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status: 0 found, 1 several suspects left, 2 nothing found, 130 interrupted."""
    arguments = _parse(argv)
    refusals = SettingsError, UnknownSeriesError, ProbeFailed, NothingToFind, NotWritable
    interrupted = "\nInterrupted. What was probed is kept; run the same command to go on."
    return run("scripts.bisect", lambda: bisect(arguments), *refusals, interrupted=interrupted)


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bisect",
        description="Find the commit between GOOD and BAD that changed a series.",
        epilog="Exit status: 0 one commit is left, 1 several are, 2 there is nothing to find or it cannot be measured.",
    )
    parser.add_argument("good", help="a commit before the change")
    parser.add_argument("bad", help="a commit after it, of which the good one is an ancestor")
    parser.add_argument(
        "--series",
        required=True,
        metavar="NAME",
        help="as asv calls it: 'stages.DiTForward.track_time(30, 1)'; without parameters, those of a quick cell",
    )
    add_measuring_options(parser, budget="3m", budget_help="measure each pair of commits for at most so long")
    parser.add_argument("--restart", action="store_true", help="forget what an interrupted run has found out")
    return parser.parse_args(argv)


def bisect(arguments: argparse.Namespace) -> int:
    """Search as *arguments* ask, and tell what was found; returns an exit status.

    Raises:
        RefusalError: the commits, the disk or the options do not allow it, or another command measures here.
        UnknownSeriesError: there is no such series.
        NothingToFind: good and bad do not differ.
        ProbeFailed: good or bad cannot be measured.
    """
    config = arguments.config.resolve()
    root = config.parent
    require_history(root)
    require_room(root / ".asv")
    matrix, cell, series = series_named(arguments.series)
    commits = _line(root, arguments.good, arguments.bad)
    build_environment = BuildEnvironment.open(config, arguments.scale, arguments.device)
    builder = Builder(build_environment, root, arguments.scale, arguments.device)
    probe = CommitProbe(matrix.name, cell, series, builder, arguments.budget)
    name = series_text(cell, series)
    say(f"{name}: {len(commits) - 1} commits after {_told(commits[0])}, up to {_told(commits[-1])}")
    with measuring_exclusively(locked_folder(build_environment.conf), wait=arguments.wait):
        memory = _memory(root, commits, name, builder, restart=arguments.restart)
        if memory.resumed:
            say(f"{memory.resumed} answers are known from an earlier run.")
        found = Bisection(commits, probe, memory, say).run()
    print(_report(found, name, root))
    return 0 if len(found.suspects) == 1 else 1


def _line(root: Path, good: str, bad: str) -> list[Revision]:
    """Return the first-parent line from *good* to *bad*, both included, oldest first."""
    first, last = resolve(root, good), resolve(root, bad)
    hashes = git(root, "rev-list", "--first-parent", "--reverse", f"{first.hash}..{last.hash}").split()
    if not hashes or first.hash not in git(root, "rev-list", "--first-parent", last.hash).split():
        raise RefusalError(
            f"{good} ({first.hash[:8]}) is not before {bad} ({last.hash[:8]}) on its line of first parents. "
            "Give the older one first; git log --first-parent --oneline shows the line."
        )
    return [first, *(resolve(root, commit) for commit in hashes)]


def _memory(root: Path, commits: list[Revision], series: str, builder: Builder, *, restart: bool) -> Memory:
    environment = builder.build_environment.environment.name
    settings = Settings(builder.scale, builder.device, "quick", "", environment, str(root), "")
    question = {
        "good": commits[0].hash,
        "bad": commits[-1].hash,
        "series": series,
        "definition": definition(settings),
    }
    named = hashlib.sha256(series.encode()).hexdigest()[:8]
    path = root / ".asv" / "bisect" / f"{commits[0].hash[:8]}-{commits[-1].hash[:8]}-{named}.jsonl"
    if restart:
        path.unlink(missing_ok=True)
    return Memory(path, question)


def _report(found: Found, series: str, root: Path) -> str:
    lines = ["", f"Changed {series}:" if len(found.suspects) == 1 else f"One of these changed {series}:"]
    lines += [
        f"  {git(root, 'log', '-1', '--format=%h %ad %an  %s', '--date=short', one.hash)}" for one in found.suspects
    ]
    evidence = found.by_time
    if evidence is not None:
        lines.append(f"  time {change(evidence.ratio)} ({change(evidence.low)} to {change(evidence.high)})")
    lines += [f"  {fact.name} {number(fact.base)} → {number(fact.head)}" for fact in found.facts]
    if len(found.suspects) > 1:
        lines.append("Those between could not be told apart: give more time with --budget, or a quieter machine.")
    return "\n".join(lines)


def _told(commit: Revision) -> str:
    return f"{commit.hash[:8]} {commit.subject}"


if __name__ == "__main__":
    sys.exit(main())
