"""Measure the last commits and publish their history: ``python -m scripts.track``.

Runs asv (its environments, its storage, its site) with progress and an estimate of the time left. Commits that were
measured before with the same cells, scale and device are not measured again.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from asv.util import load_json, write_json

from benchmarks.harness.cells import Selection
from benchmarks.harness.matrices import MATRICES
from benchmarks.harness.settings import Settings, SettingsError
from scripts.follow import Follower, run_followed
from scripts.preflight import RefusalError, git, require_clean, require_history, require_room

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

    @property
    def label(self) -> str:
        """Tells measurements apart that must not stand in for each other."""
        return f"{self.cells} {self.scale} {self.device}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that asv and the benchmarks see; packages come from the tested lock."""
        return {
            **os.environ,
            "ACESTEP_BENCH_CELLS": self.cells,
            "ACESTEP_BENCH_SCALE": self.scale,
            "ACESTEP_BENCH_DEVICE": self.device,
            "PIP_CONSTRAINT": str(ROOT / "lock.txt"),
            "PYTHONUNBUFFERED": "1",
        }


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status: 0 done, 1 asv failed, 2 refused, 130 interrupted."""
    request = _parse(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end what was started, as with Ctrl-C
    try:
        return track(request, ROOT)
    except (RefusalError, SettingsError) as refusal:
        print(f"scripts/track: {refusal}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted. What was measured is kept; run the same command to go on.", file=sys.stderr)
        return 130


def _parse(argv: list[str] | None) -> Request:
    parser = argparse.ArgumentParser(prog="scripts/track", description="Measure the last commits, publish the site.")
    parser.add_argument("--commits", type=int, default=3, metavar="N", help="how many, counted from HEAD (default 3)")
    parser.add_argument(
        "--new", action="store_true", help="all after the last one that has results; without any, as many as --commits"
    )
    parser.add_argument("--cells", default="quick", help="quick (default), full, or conditions: duration=30,batch=1")
    parser.add_argument("--scale", default="tiny", help="tiny (default), full, or the path of a checkpoints folder")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda or mps")
    parser.add_argument("--allow-dirty", action="store_true", help="measure although tracked files are changed")
    arguments = parser.parse_args(argv)
    if arguments.commits < 1:
        parser.error(f"--commits is {arguments.commits}, expected at least 1")
    return Request(**vars(arguments))


def track(request: Request, root: Path) -> int:
    """Measure what *request* asks for in the repository *root* and publish; returns an exit status.

    Raises:
        RefusalError: the repository, the disk or the options do not allow it.
    """
    start = time.monotonic()
    selection = Selection(Settings.from_environment(request.environment).cells, MATRICES)
    cells = {matrix.name: len(selection.of(matrix)) for matrix in MATRICES}
    require_history(root)
    if not request.allow_dirty:
        require_clean(root)
    require_room(root / ".asv")
    tracked = Tracked(root / ".asv")
    commits = _chosen(request, git(root, "rev-list", "--first-parent", "HEAD").split(), tracked)
    missing = [commit for commit in commits if not tracked.has(commit, request.label)]
    config = _configure(request, root)
    status = 0
    if missing:
        status = _measure(request, root, config, missing, cells)
        tracked.add(missing, request.label)
    else:
        print("Nothing is new: all these commits were measured before.", flush=True)
    published = subprocess.run(
        _asv("publish", config), cwd=root, env=request.environment, capture_output=True, text=True, check=False
    )
    if published.returncode:
        print(published.stdout + published.stderr, file=sys.stderr)
        return published.returncode
    notices = [line for line in published.stdout.splitlines() if "network" in line]
    print("\n".join(notices), end="\n" if notices else "")
    _tell_where(root / ".asv" / "html", time.monotonic() - start)
    return status


def _chosen(request: Request, line: list[str], tracked: Tracked) -> list[str]:
    """Return those commits of *line*, newest first, that *request* asks for."""
    if request.new:
        newest = next((place for place, commit in enumerate(line) if tracked.stored(commit)), None)
        if newest is not None:
            return line[:newest]
    return line[: request.commits]


def _measure(request: Request, root: Path, config: str, commits: list[str], cells: Mapping[str, int]) -> int:
    print(
        f"Measuring {_count(len(commits), 'commit')}, {_count(sum(cells.values()), 'cell')} each ({request.cells}), "
        f"scale {request.scale} on {request.device}. asv's own output goes to .asv/run.log.",
        flush=True,
    )
    subprocess.run(
        _asv("machine", config, "--yes"), cwd=root, env=request.environment, check=True, stdout=subprocess.DEVNULL
    )
    follower = Follower({commit: _subject(root, commit) for commit in commits}, cells, root / ".asv" / "journal")
    command = _asv("run", config, "--record-samples", "HASHFILE:-")
    status = run_followed(command, "\n".join(commits), follower, root / ".asv" / "run.log", root, request.environment)
    if status:
        print(f"asv run ended with status {status}; .asv/run.log says why.", file=sys.stderr)
    return status


def _asv(command: str, config: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "asv", command, "--config", config, *arguments]


def _subject(root: Path, commit: str) -> str:
    return git(root, "log", "-1", "--format=%s", commit)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _configure(request: Request, root: Path) -> str:
    """Write `LOCAL_CONFIG` for this run; returns its name."""
    config = load_json(str(root / "asv.conf.json"), js_comments=True)
    branch = git(root, "rev-parse", "--abbrev-ref", "HEAD")
    if branch not in config["branches"]:
        config["branches"] = [branch]
    config["matrix"]["env_nobuild"] |= {
        "ACESTEP_BENCH_SCALE": [request.scale],
        "ACESTEP_BENCH_DEVICE": [request.device],
    }
    write_json(str(root / LOCAL_CONFIG), config)
    return LOCAL_CONFIG


class Tracked:
    """Which commits were measured with which cells, scale and device; a commit without results does not count."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "tracked.json"
        self._results = folder / "results"
        self._labels: dict[str, list[str]] = load_json(str(self._file)) if self._file.is_file() else {}

    def has(self, commit: str, label: str) -> bool:
        """Whether *commit* has results that were measured under *label*."""
        return label in self._labels.get(commit, []) and self.stored(commit)

    def add(self, commits: Iterable[str], label: str) -> None:
        """Remember those of *commits* that have results now."""
        for commit in commits:
            if self.stored(commit):
                self._labels[commit] = sorted({*self._labels.get(commit, []), label})
        write_json(str(self._file), self._labels)

    def stored(self, commit: str) -> bool:
        """Whether *commit* has results, whatever they were measured under."""
        return any(self._results.glob(f"*/{commit[:8]}-*.json"))


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
