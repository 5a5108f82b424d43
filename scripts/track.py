"""Measure the last commits and publish their history: ``python -m scripts.track``.

Runs asv, with a line for each step and cell, and an estimate of the time left. A cell for which asv's results have a
number, or a reason why it has none, is not measured again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.harness.settings import SettingsError
from scripts.tracker.command import run
from scripts.tracker.running.lock import WAIT_HELP
from scripts.tracker.running.track_commits import TrackRequest, track_commits

ROOT = Path(__file__).resolve().parents[1]


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status: 0 done, 2 refused or something failed, 130 interrupted."""
    request = parse(argv)
    interrupted = "\nInterrupted. What was measured is kept; run the same command to go on."
    return run("scripts/track", lambda: track_commits(request, ROOT), SettingsError, interrupted=interrupted)


def parse(argv: list[str] | None) -> TrackRequest:
    """Return the options of the command line; ends the program if they are invalid."""
    parser = argparse.ArgumentParser(
        prog="scripts/track", description="Measure the last commits and publish their history as a site."
    )
    parser.add_argument(
        "--commits", type=int, default=3, metavar="N", help="number of commits, counted from HEAD (default 3)"
    )
    parser.add_argument(
        "--new",
        action="store_true",
        help="measure all commits since the oldest one with results, gaps included; without results, --commits many",
    )
    parser.add_argument(
        "--cells",
        default="quick",
        help="cells to measure: quick (default), full, or conditions such as duration=30,batch=1",
    )
    parser.add_argument(
        "--scale", default="tiny", help="models: tiny (default), full, or the absolute path of a checkpoints folder"
    )
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda or mps")
    parser.add_argument("--allow-dirty", action="store_true", help="measure even if tracked files have changes")
    parser.add_argument("--retry", action="store_true", help="measure cells that failed before once more")
    parser.add_argument("--wait", action="store_true", help=WAIT_HELP)
    arguments = parser.parse_args(argv)
    if arguments.commits < 1:
        parser.error(f"--commits is {arguments.commits}, expected at least 1")
    return TrackRequest(**vars(arguments))


if __name__ == "__main__":
    sys.exit(main())
