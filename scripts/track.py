"""Measure the last commits and publish their history: ``python -m scripts.track``.

Runs asv (its environments, its storage, its site) with progress and an estimate of the time left. What is measured
is read from asv's results alone: a cell that has a number, or a reason for having none, is not measured again.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from asv.util import load_json, write_json

from benchmarks.harness.settings import Settings, SettingsError
from scripts.tracker.asv_progress import AsvProgress, run_with_progress
from scripts.tracker.branches import checked_out_branch
from scripts.tracker.command import FAILED, run
from scripts.tracker.git import git, subject
from scripts.tracker.preflight import require_clean, require_history, require_room
from scripts.tracker.running import asv_process
from scripts.tracker.running.benchmark_cells import CellId, selected_cells
from scripts.tracker.running.lock import WAIT_HELP, measuring_exclusively
from scripts.tracker.running.stored_results import StoredResults

ROOT = Path(__file__).resolve().parents[1]
LOCAL_CONFIG = "asv.local.json"
"""asv.conf.json with the branch, scale and device of this run."""


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    commits: int
    new: bool
    cells: str
    scale: str
    device: str
    allow_dirty: bool
    retry: bool
    wait: bool

    @property
    def environment(self) -> dict[str, str]:
        """The variables that asv and the benchmarks see; packages come from the tested lock."""
        return {
            **os.environ,
            "ACESTEP_BENCH_CELLS": self.cells,
            "ACESTEP_BENCH_SCALE": self.scale,
            "ACESTEP_BENCH_DEVICE": self.device,
            "PIP_CONSTRAINT": (ROOT / "lock.txt").as_uri(),  # pip splits it at spaces, which a path may have
            "PYTHONUNBUFFERED": "1",
        }


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status: 0 done, 2 refused, or something failed, 130 interrupted."""
    request = _parse(argv)
    interrupted = "\nInterrupted. What was measured is kept; run the same command to go on."
    return run("scripts/track", lambda: track(request, ROOT), SettingsError, interrupted=interrupted)


def _parse(argv: list[str] | None) -> Request:
    parser = argparse.ArgumentParser(prog="scripts/track", description="Measure the last commits, publish the site.")
    parser.add_argument("--commits", type=int, default=3, metavar="N", help="how many, counted from HEAD (default 3)")
    parser.add_argument(
        "--new",
        action="store_true",
        help="all after the first one that has results, gaps included; without any, as many as --commits",
    )
    parser.add_argument("--cells", default="quick", help="quick (default), full, or conditions: duration=30,batch=1")
    parser.add_argument("--scale", default="tiny", help="tiny (default), full, or the path of a checkpoints folder")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda or mps")
    parser.add_argument("--allow-dirty", action="store_true", help="measure although tracked files are changed")
    parser.add_argument("--retry", action="store_true", help="measure the cells that failed before once more")
    parser.add_argument("--wait", action="store_true", help=WAIT_HELP)
    arguments = parser.parse_args(argv)
    if arguments.commits < 1:
        parser.error(f"--commits is {arguments.commits}, expected at least 1")
    return Request(**vars(arguments))


def track(request: Request, root: Path) -> int:
    """Measure what *request* asks for in the repository *root* and publish; returns an exit status.

    Raises:
        RefusalError: the repository, the disk or the options do not allow it, or another command measures here.
    """
    start = time.monotonic()
    cell_ids = selected_cells(Settings.from_environment(request.environment).cells)
    require_history(root)
    if not request.allow_dirty:
        require_clean(root)
    require_room(root / ".asv")
    with measuring_exclusively(root / ".asv", wait=request.wait):
        os.chdir(root)
        config = _configure(request, root)
        stored = StoredResults.open(root / config)
        commits = _chosen(request, git(root, "rev-list", "--first-parent", "HEAD").split(), stored)
        missing = [commit for commit in commits if _undone(stored, commit, cell_ids, request)]
        if missing:
            _measure(request, root, config, missing, cell_ids)
        else:
            print("Nothing is new: all these commits were measured before.", flush=True)
        complete = _tell_failures(root, stored, commits, cell_ids)
        published = asv_process.publish(root, config, request.environment)
    if published:
        return FAILED
    _tell_where(root / ".asv" / "html", time.monotonic() - start)
    return 0 if complete else FAILED


def _chosen(request: Request, line: list[str], stored: StoredResults) -> list[str]:
    """Return those commits of *line*, which begins with the newest, that *request* asks for, oldest first."""
    count = request.commits
    if request.new:
        count = next((len(line) - at for at, commit in enumerate(reversed(line)) if stored.has_numbers(commit)), count)
    return line[:count][::-1]


def _undone(stored: StoredResults, commit: str, cell_ids: set[CellId], request: Request) -> bool:
    """Whether something is left to be measured at *commit*."""
    return bool(stored.unknown(commit, cell_ids)) or (request.retry and bool(stored.failed(commit, cell_ids)))


def _measure(request: Request, root: Path, config: str, commits: list[str], cell_ids: set[CellId]) -> None:
    print(
        f"Measuring {_count(len(commits), 'commit')}, {_count(len(cell_ids), 'cell')} each ({request.cells}), "
        f"scale {request.scale} on {request.device}. asv's own output goes to .asv/run.log.",
        flush=True,
    )
    cells = Counter(matrix for matrix, _ in cell_ids)
    follower = AsvProgress({commit: subject(root, commit) for commit in commits}, cells, root / ".asv" / "journal")
    skip = "--skip-existing-successful" if request.retry else "--skip-existing"
    command = asv_process.command("run", root / config, "--record-samples", skip, "HASHFILE:-")
    environment = asv_process.variables(request.environment)
    run_with_progress(command, "\n".join(commits), follower, root / ".asv" / "run.log", root, environment)


def _tell_failures(root: Path, stored: StoredResults, commits: list[str], cell_ids: set[CellId]) -> bool:
    """Say of each commit what failed, or could not be measured; return whether nothing did."""
    told = {commit: failure for commit in commits if (failure := _failure(stored, commit, cell_ids))}
    for commit, failure in told.items():
        print(f"{commit[:8]} {subject(root, commit)}: {failure}", file=sys.stderr)
    if told:
        print(
            "What was not measured is tried again by the same command, what failed by scripts/track --retry; "
            ".asv/run.log holds asv's own words.",
            file=sys.stderr,
        )
    return not told


def _failure(stored: StoredResults, commit: str, cell_ids: set[CellId]) -> str:
    """Return what failed at *commit*, or could not be measured; empty if nothing did."""
    unknown = stored.unknown(commit, cell_ids)
    if unknown:
        reason = stored.build_failure(commit)
        return f"could not be built: {reason}" if reason else f"{_count(len(unknown), 'cell')} not measured"
    failed = stored.failed(commit, cell_ids)
    if not failed:
        return ""
    (matrix, cell), reason = next(iter(failed.items()))
    return f"{_count(len(failed), 'cell')} failed, such as {matrix} {cell}: {reason}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _configure(request: Request, root: Path) -> str:
    """Write `LOCAL_CONFIG` for this run; returns its name."""
    config = load_json(str(root / "asv.conf.json"), js_comments=True)
    branch = checked_out_branch(root)
    if branch not in config["branches"]:
        config["branches"] = [branch]
    config["matrix"]["env_nobuild"] |= {
        "ACESTEP_BENCH_SCALE": [request.scale],
        "ACESTEP_BENCH_DEVICE": [request.device],
    }
    write_json(str(root / LOCAL_CONFIG), config)
    return LOCAL_CONFIG


def _tell_where(html: Path, elapsed_s: float) -> None:
    overview = html / "overview.html"
    print(
        f"\nDone in {elapsed_s / 60:.1f} minutes. The site is in {html}\n"
        f"  {overview.as_uri()}\n"
        "      the overview: one file, opens in any browser, no server and no network needed\n"
        f"  {(html / 'index.html').as_uri()}\n"
        "      asv's own pages: every series of every benchmark"
    )


if __name__ == "__main__":
    sys.exit(main())
