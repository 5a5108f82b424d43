"""Shows the progress of a run of asv: its steps, the finished cells, and an estimate of the time left."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

_STEPS = {
    "Creating environments": "making asv's environment (once; installing torch takes a few minutes)",
    "Installing requirements": "installing what the package needs",
    "Building": "building the package",
    "Discovering benchmarks": "looking for benchmarks",
}
"""Texts in asv's output, and what they mean for the user."""
_COMMIT = re.compile(r"For \S+ commit ([0-9a-f]{8})")
POLL_S = 0.5
"""Seconds between two reads of the benchmarks' progress file."""
EXPECTED_COST = {"tiers": 0.05}
"""Expected time of a cell relative to the average cell, for matrices without a measured cell; `tiers` runs no model."""


class AsvProgress:
    """Prints a line for each step of asv and for each finished cell.

    Args:
        commits: subjects of the measured commits, by hash.
        cells: number of cells per commit, by matrix.
        journal: folder in which the benchmarks write progress.jsonl.
    """

    def __init__(self, commits: Mapping[str, str], cells: Mapping[str, int], journal: Path) -> None:
        self._subjects = {commit[:8]: subject for commit, subject in commits.items()}
        self._cells = cells
        self._progress = journal / "progress.jsonl"
        self._offset = self._progress.stat().st_size if self._progress.is_file() else 0
        self._start = time.monotonic()
        self._last_event = self._start
        self._commits_begun = 0
        self._taken_s: dict[str, list[float]] = {matrix: [] for matrix in cells}
        self._printed: set[str] = set()

    def line(self, text: str) -> None:
        """Process a line of asv's output."""
        commit = _COMMIT.search(text)
        if commit:
            self._begin(commit.group(1))
            return
        step = next((meaning for mark, meaning in _STEPS.items() if mark in text), None)
        if step is not None and step not in self._printed:
            self._printed.add(step)
            self._print(step)

    def poll(self) -> None:
        """Process what the benchmarks have written to progress.jsonl since the last call."""
        if not self._progress.is_file():
            return
        with self._progress.open(encoding="utf-8") as file:
            file.seek(self._offset)
            for row in file:
                if not row.endswith("\n"):
                    break
                self._offset += len(row.encode())
                self._report(json.loads(row))

    def _begin(self, commit: str) -> None:
        self._commits_begun += 1
        self._last_event = time.monotonic()
        self._printed.discard(_STEPS["Building"])
        subject = self._subjects.get(commit, "")
        self._print(f"commit {self._commits_begun}/{len(self._subjects)} {commit} {subject}")

    def _report(self, row: Mapping[str, Any]) -> None:
        """Print what *row* of progress.jsonl reports: a finished cell, or a line of text."""
        if "cell" not in row:
            self._print(f"  {row['text']}")
            return
        now = time.monotonic()
        self._taken_s.setdefault(row["matrix"], []).append(now - self._last_event)
        self._last_event = now
        done, total = sum(map(len, self._taken_s.values())), sum(self._cells.values()) * len(self._subjects)
        self._print(f"  {done}/{total} {row['matrix']} {row['cell']} {row['outcome']}{self._estimate()}")

    def _estimate(self) -> str:
        """Return the estimated time left; a cell is expected to take the mean time of its matrix, else of all cells."""
        taken_s = [one for cells in self._taken_s.values() for one in cells]
        if len(taken_s) < 2:
            return ""
        left_s = 0.0
        for matrix, cells in self._cells.items():
            known = self._taken_s[matrix]
            each_s = fmean(known) if known else fmean(taken_s) * EXPECTED_COST.get(matrix, 1.0)
            left_s += each_s * (cells * len(self._subjects) - len(known))
        return f"  (about {left_s / 60:.0f} min left)" if left_s >= 90 else f"  (about {left_s:.0f} s left)"

    def _print(self, text: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._start), 60)
        print(f"{minutes:3d}:{seconds:02d}  {text}", flush=True)


def run_with_progress(
    command: list[str], stdin: str, progress: AsvProgress, log: Path, root: Path, environment: Mapping[str, str]
) -> int:
    """Run *command* in *root* with *stdin* as its input; return its exit status.

    Its output goes to the file *log* and to *progress*, its standard error to the user's.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("w", encoding="utf-8") as file,
        subprocess.Popen(
            command,
            cwd=root,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(stdin)
        process.stdin.close()
        ended = threading.Event()
        watcher = threading.Thread(target=_watch, args=(progress, ended), daemon=True)
        watcher.start()
        try:
            for line in process.stdout:
                file.write(line)
                file.flush()
                progress.line(line)
                if line.startswith("Measuring took"):
                    print(line, end="", flush=True)
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            raise
        finally:
            ended.set()
            watcher.join()
        return process.wait()


def _watch(progress: AsvProgress, ended: threading.Event) -> None:
    while not ended.wait(POLL_S):
        progress.poll()
    progress.poll()
