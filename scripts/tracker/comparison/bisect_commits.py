"""Bisects a range of commits for the change of a series (``python -m scripts.bisect``)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.matrix import definition
from benchmarks.harness.settings import Settings
from scripts.tracker.comparison.bisection import Bisection, BisectionResult
from scripts.tracker.comparison.build import BuildEnvironment
from scripts.tracker.comparison.commit_probe import CommitProbe
from scripts.tracker.comparison.probe_log import ProbeLog
from scripts.tracker.comparison.report import change, number
from scripts.tracker.comparison.revisions import Revision, resolve
from scripts.tracker.comparison.series_names import series_named, series_text
from scripts.tracker.comparison.sides import SideBuilder
from scripts.tracker.git import git
from scripts.tracker.preflight import require_history, require_room
from scripts.tracker.progress import say
from scripts.tracker.refusal import RefusalError
from scripts.tracker.running.lock import locked_folder, measuring_exclusively


@dataclass(frozen=True)
class BisectRequest:
    """The options of the command.

    Attributes:
        good: name of a commit before the change.
        bad: name of a commit after the change.
        series: asv's name of the series.
        budget_s: largest number of seconds of sampling for each pair of commits.
        scale: scale of the checkpoints, or their folder.
        device: device of the workers.
        config: asv's configuration.
        restart: whether to discard the results of an interrupted run.
        wait: whether to wait for another command that measures here.
    """

    good: str
    bad: str
    series: str
    budget_s: float
    scale: str
    device: str
    config: Path
    restart: bool
    wait: bool


def bisect_commits(request: BisectRequest) -> int:
    """Search as *request* says, and print the result; returns an exit status.

    Raises:
        RefusalError: the commits, the disk or the options do not allow it, or another command measures here.
        UnknownSeriesError: there is no such series.
        NothingToFind: good and bad do not differ.
        ProbeFailed: good or bad cannot be measured.
    """
    config = request.config.resolve()
    root = config.parent
    require_history(root)
    require_room(root / ".asv")
    matrix, cell, series = series_named(request.series)
    commits = _first_parent_line(root, request.good, request.bad)
    build_environment = BuildEnvironment.open(config, request.scale, request.device)
    builder = SideBuilder(build_environment, root, request.scale, request.device)
    probe = CommitProbe(matrix.name, cell, series, builder, request.budget_s)
    name = series_text(cell, series)
    say(f"{name}: {len(commits) - 1} commits after {commits[0].title}, up to {commits[-1].title}")
    with measuring_exclusively(locked_folder(build_environment.conf), wait=request.wait):
        log = _probe_log(root, commits, name, builder, restart=request.restart)
        if log.resumed:
            say(f"The results of {log.resumed} probes are known from an earlier run.")
        result = Bisection(commits, probe, log, say).run()
    print(_report(result, name, root))
    return 0 if len(result.suspects) == 1 else 1


def _first_parent_line(root: Path, good: str, bad: str) -> list[Revision]:
    """Return the commits from *good* to *bad* along first parents, both included, oldest first."""
    first, last = resolve(root, good), resolve(root, bad)
    hashes = git(root, "rev-list", "--first-parent", "--reverse", f"{first.hash}..{last.hash}").split()
    if not hashes or first.hash not in git(root, "rev-list", "--first-parent", last.hash).split():
        raise RefusalError(
            f"{good} ({first.hash[:8]}) is not before {bad} ({last.hash[:8]}) on its line of first parents. "
            "Give the older one first; git log --first-parent --oneline shows the line."
        )
    return [first, *(resolve(root, commit) for commit in hashes)]


def _probe_log(root: Path, commits: list[Revision], series: str, builder: SideBuilder, *, restart: bool) -> ProbeLog:
    environment = builder.build_environment.environment.name
    settings = Settings(builder.scale, builder.device, "quick", "", environment, str(root), "")
    question = {
        "good": commits[0].hash,
        "bad": commits[-1].hash,
        "series": series,
        "definition": definition(settings),
    }
    series_hash = hashlib.sha256(series.encode()).hexdigest()[:8]
    path = root / ".asv" / "bisect" / f"{commits[0].hash[:8]}-{commits[-1].hash[:8]}-{series_hash}.jsonl"
    if restart:
        path.unlink(missing_ok=True)
    return ProbeLog(path, question)


def _report(result: BisectionResult, series: str, root: Path) -> str:
    suspects, evidence = result.suspects, result.evidence
    lines = ["", f"Changed {series}:" if len(suspects) == 1 else f"One of these changed {series}:"]
    lines += [f"  {git(root, 'log', '-1', '--format=%h %ad %an  %s', '--date=short', one.hash)}" for one in suspects]
    if evidence is not None:
        lines.append(f"  time {change(evidence.ratio)} ({change(evidence.low)} to {change(evidence.high)})")
    lines += [f"  {diff.name} {number(diff.baseline)} → {number(diff.candidate)}" for diff in result.counter_diffs]
    if len(suspects) > 1:
        lines.append(
            "The measurements do not tell which of these it is: give more time with --budget, or use a quieter machine."
        )
    return "\n".join(lines)
