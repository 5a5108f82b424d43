"""Find the commit that changed a series: ``python -m scripts.bisect GOOD BAD --series 'stages.DiTForward.track_time'``.

Exact metrics are compared first: a single run of a commit tells whether they equal those of the good commit. Otherwise
each probed commit is timed against the good commit in interleaved pairs, until its time is clearly that of the good or
of the bad commit. Commits for which that stays unclear are skipped.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.harness.files import NotWritable
from benchmarks.harness.settings import SettingsError
from scripts.tracker.command import run
from scripts.tracker.comparison.arguments import add_measuring_options
from scripts.tracker.comparison.bisect_commits import BisectRequest, bisect_commits
from scripts.tracker.comparison.bisection import NothingToFind
from scripts.tracker.comparison.commit_probe import ProbeFailed
from scripts.tracker.comparison.series_names import UnknownSeriesError


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status: 0 found, 1 several suspects left, 2 nothing found, 130 interrupted."""
    request = parse(argv)
    refusals = SettingsError, UnknownSeriesError, ProbeFailed, NothingToFind, NotWritable
    interrupted = "\nInterrupted. The results of the probes are kept; run the same command to continue."
    return run("scripts.bisect", lambda: bisect_commits(request), *refusals, interrupted=interrupted)


def parse(argv: list[str] | None) -> BisectRequest:
    """Return the options of the command line; ends the program if they are invalid."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bisect",
        description="Find the commit between GOOD and BAD that changed a series.",
        epilog="Exit status: 0 one commit is left, 1 several are left, 2 good and bad do not differ or cannot be "
        "measured.",
    )
    parser.add_argument("good", help="a commit before the change")
    parser.add_argument("bad", help="a commit after the change; the good one has to be its ancestor")
    parser.add_argument(
        "--series",
        required=True,
        metavar="NAME",
        help="asv's name of the series: 'stages.DiTForward.track_time(30, 1)'; without parameters, a quick cell's",
    )
    add_measuring_options(parser, budget="3m", budget_help="longest time of sampling for each pair of commits")
    parser.add_argument("--restart", action="store_true", help="discard the results of an interrupted run")
    return BisectRequest(**vars(parser.parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
