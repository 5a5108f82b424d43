"""List what got slower or needs more resources, and still does: ``python -m scripts.regressions``.

The list is made from asv's results; the published site and its feed show the same one. A regression stays open until
its series is back at the old level, or until it is acknowledged in ``benchmarks/acknowledged.toml``.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from asv.console import log
from asv.util import UserError

from scripts.tracker.asv_patches import patched_asv
from scripts.tracker.command import run
from scripts.tracker.git import GitError, git
from scripts.tracker.history import formats
from scripts.tracker.history.acknowledged import AcknowledgementError
from scripts.tracker.history.entry import RegressionEntry
from scripts.tracker.history.regression_list import read_list

NAME = "scripts.regressions"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0 nothing is open, 1 something is, 2 the list cannot be made."""
    arguments = parse(argv)
    return run(NAME, lambda: _print_list(arguments), UserError, AcknowledgementError)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of the command line; ends the program if they are invalid."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.regressions",
        description="List the open regressions, with commit, stage, size and probability. Exit status: 0 none is "
        "open, 1 some are, 2 the list cannot be made.",
        epilog="To acknowledge regressions, paste the output of --toml into benchmarks/acknowledged.toml, give the "
        "reasons, and commit.",
    )
    parser.add_argument(
        "--config", default="asv.conf.json", metavar="FILE", help="asv's configuration (default asv.conf.json)"
    )
    parser.add_argument("--all", action="store_true", help="list acknowledged and fixed regressions, too")
    group = parser.add_mutually_exclusive_group()
    for name, text in (("json", "as JSON"), ("markdown", "as a Markdown table"), ("toml", "as acknowledgements")):
        group.add_argument(f"--{name}", dest="format", action="store_const", const=name, help=f"print {text}")
    return parser.parse_args(argv)


def _print_list(arguments: argparse.Namespace) -> int:
    """Print the list; return 1 if a regression is open, else 0."""
    with patched_asv(), _warnings_on_stderr():
        entries, warnings = read_list(Path(arguments.config))
        for warning in warnings:
            log.warning(warning)
    shown = entries if arguments.all else [entry for entry in entries if entry.state == "open"]
    print(_formatted(arguments.format, shown, warnings))
    return int(any(entry.state == "open" for entry in entries))


@contextmanager
def _warnings_on_stderr() -> Iterator[None]:
    """Print the warnings of asv and the tracker on standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(f"{NAME}: %(message)s"))
    handler.setLevel(logging.WARNING)
    logging.getLogger().addHandler(handler)  # asv logs to the root logger
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)


def _formatted(name: str | None, entries: Sequence[RegressionEntry], warnings: Sequence[str]) -> str:
    if name == "json":
        return formats.as_json(entries, warnings)
    if name == "toml":
        return formats.as_toml(entries, _git_user_name())
    return formats.as_markdown(entries) if name == "markdown" else formats.as_text(entries)


def _git_user_name() -> str:
    """Return git's ``user.name``; empty if it is not set."""
    try:
        return git(Path.cwd(), "config", "user.name")
    except GitError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
