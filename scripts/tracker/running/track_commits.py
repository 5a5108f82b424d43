"""Measures commits with asv, reports what failed, and publishes the site."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from asv.util import load_json, write_json

from benchmarks.harness.settings import Settings
from scripts.tracker.asv_progress import AsvProgress, run_with_progress
from scripts.tracker.branches import checked_out_branch
from scripts.tracker.command import FAILED
from scripts.tracker.git import git, subject
from scripts.tracker.preflight import require_clean, require_history, require_room
from scripts.tracker.running import asv_process
from scripts.tracker.running.benchmark_cells import CellId, selected_cells
from scripts.tracker.running.lock import measuring_exclusively
from scripts.tracker.running.stored_results import StoredResults

LOCAL_CONFIG = "asv.local.json"
"""Name of the file with a copy of asv.conf.json for the branch, scale and device of this run."""


@dataclass(frozen=True)
class TrackRequest:
    """The options of the command line."""

    commits: int
    new: bool
    cells: str
    scale: str
    device: str
    allow_dirty: bool
    retry: bool
    wait: bool

    def environment(self, root: Path) -> dict[str, str]:
        """Return the environment variables of asv and the benchmarks; packages come from the lock file in *root*."""
        return {
            **os.environ,
            "ACESTEP_BENCH_CELLS": self.cells,
            "ACESTEP_BENCH_SCALE": self.scale,
            "ACESTEP_BENCH_DEVICE": self.device,
            "PIP_CONSTRAINT": (root / "lock.txt").as_uri(),  # pip would split a plain path at its spaces
            "PYTHONUNBUFFERED": "1",
        }


def track_commits(request: TrackRequest, root: Path) -> int:
    """Measure the requested commits of the repository *root* and publish the site; returns an exit status.

    Raises:
        RefusalError: the repository or the disk does not allow it, or another command measures here.
        SettingsError: the cells, the scale or the device are unknown.
    """
    start = time.monotonic()
    environment = request.environment(root)
    cell_ids = selected_cells(Settings.from_environment(environment).cells)
    require_history(root)
    if not request.allow_dirty:
        require_clean(root)
    require_room(root / ".asv")
    with measuring_exclusively(root / ".asv", wait=request.wait):
        os.chdir(root)
        config = write_local_config(request, root)
        stored = StoredResults.open(root / config)
        commits = _requested_commits(request, git(root, "rev-list", "--first-parent", "HEAD").split(), stored)
        missing = [commit for commit in commits if _is_incomplete(stored, commit, cell_ids, request)]
        if missing:
            _measure(request, root, config, missing, cell_ids)
        else:
            print("Nothing is new: all these commits were measured before.", flush=True)
        complete = _report_failures(root, stored, commits, cell_ids)
        publish_status = asv_process.publish(root, config, environment)
    if publish_status:
        return FAILED
    _print_site(root / ".asv" / "html", time.monotonic() - start)
    return 0 if complete else FAILED


def write_local_config(request: TrackRequest, root: Path) -> str:
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


def _requested_commits(request: TrackRequest, history: list[str], stored: StoredResults) -> list[str]:
    """Return the requested commits of *history* (newest first), oldest first."""
    count = request.commits
    if request.new:
        oldest_first = enumerate(reversed(history))
        count = next((len(history) - at for at, commit in oldest_first if stored.has_numbers(commit)), count)
    return history[:count][::-1]


def _is_incomplete(stored: StoredResults, commit: str, cell_ids: set[CellId], request: TrackRequest) -> bool:
    """Return whether cells of *commit* are still to be measured."""
    return bool(stored.unknown(commit, cell_ids)) or (request.retry and bool(stored.failed(commit, cell_ids)))


def _measure(request: TrackRequest, root: Path, config: str, commits: list[str], cell_ids: set[CellId]) -> None:
    print(
        f"Measuring {_count(len(commits), 'commit')}, {_count(len(cell_ids), 'cell')} each ({request.cells}), "
        f"scale {request.scale} on {request.device}. asv's own output goes to .asv/run.log.",
        flush=True,
    )
    cells = Counter(matrix for matrix, _ in cell_ids)
    progress = AsvProgress({commit: subject(root, commit) for commit in commits}, cells, root / ".asv" / "journal")
    skip = "--skip-existing-successful" if request.retry else "--skip-existing"
    command = asv_process.command("run", root / config, "--record-samples", skip, "HASHFILE:-")
    environment = asv_process.variables(request.environment(root))
    run_with_progress(command, "\n".join(commits), progress, root / ".asv" / "run.log", root, environment)


def _report_failures(root: Path, stored: StoredResults, commits: list[str], cell_ids: set[CellId]) -> bool:
    """Print what failed or was not measured at each commit; return whether everything succeeded."""
    failures = {commit: failure for commit in commits if (failure := _failure(stored, commit, cell_ids))}
    for commit, failure in failures.items():
        print(f"{commit[:8]} {subject(root, commit)}: {failure}", file=sys.stderr)
    if failures:
        print(
            "What was not measured is tried again by the same command, what failed by scripts/track --retry; "
            ".asv/run.log holds asv's own words.",
            file=sys.stderr,
        )
    return not failures


def _failure(stored: StoredResults, commit: str, cell_ids: set[CellId]) -> str:
    """Return what failed or was not measured at *commit*; empty if everything succeeded."""
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


def _print_site(html: Path, elapsed_s: float) -> None:
    overview = html / "overview.html"
    print(
        f"\nDone in {elapsed_s / 60:.1f} minutes. The site is in {html}\n"
        f"  {overview.as_uri()}\n"
        "      the overview: one file, opens in any browser, no server and no network needed\n"
        f"  {(html / 'index.html').as_uri()}\n"
        "      asv's own pages: every series of every benchmark"
    )
