"""Compare two commits: ``python -m scripts.compare BASELINE CANDIDATE``.

Both are built in asv's environment. One warm worker a side runs each cell in interleaved pairs until every cell has a
verdict (faster, slower or the same) or the time budget is spent; cells without a verdict have not enough evidence.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.harness.settings import SettingsError
from scripts.tracker.command import run
from scripts.tracker.comparison.arguments import add_measuring_options, percentage
from scripts.tracker.comparison.compare_commits import SLOW_MATRIX, CompareRequest, compare_commits
from scripts.tracker.statistics.judging import DELTA


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, 1 if something is slower, 2 not measured, 130 interrupted."""
    request = parse(argv)
    interrupted = "\nInterrupted before anything was measured."
    return run("scripts.compare", lambda: compare_commits(request), SettingsError, interrupted=interrupted)


def parse(argv: list[str] | None) -> CompareRequest:
    """Return the options of the command line; ends the program if they are invalid."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.compare",
        description="Measure two commits side by side, and report for every cell which one is faster.",
        epilog="Exit status: 0 nothing is slower, 1 something is slower, 2 something could not be measured.",
    )
    parser.add_argument("baseline", nargs="?", default="main", help="the commit to compare with (default main)")
    parser.add_argument(
        "candidate", nargs="?", default="HEAD", help="the commit that is judged (default HEAD); . is the working tree"
    )
    parser.add_argument(
        "--cells",
        default="quick",
        help=f"quick (default; without {SLOW_MATRIX}, whose runs take seconds each), full, or conditions: "
        f"stage=DiTForward,batch=1 or matrix={SLOW_MATRIX}",
    )
    parser.add_argument(
        "--delta",
        type=percentage,
        default=DELTA,
        metavar="PERCENT",
        help="largest difference, in percent, up to which two times are the same (default 2)",
    )
    add_measuring_options(parser, budget="10m", budget_help="time of sampling")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="also write the report as Markdown, for a pull request"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the report as JSON")
    parser.add_argument(
        "--no-store", dest="store", action="store_false", help="do not add the samples to asv's results"
    )
    return CompareRequest(**vars(parser.parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
