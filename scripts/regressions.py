"""What got slower, hungrier or larger, and still is: ``python -m scripts.regressions``.

Reads asv's results; the published site and its feed show the same list. A regression stays open until it is fixed or
acknowledged in ``benchmarks/acknowledged.toml``.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from asv.benchmarks import Benchmarks
from asv.console import log
from asv.repo import get_repo
from asv.results import iter_results
from asv.util import UserError

from scripts.tracker import asv_errors, configuration
from scripts.tracker.asv_patches import patched_asv
from scripts.tracker.command import run
from scripts.tracker.git import GitError, git
from scripts.tracker.history import formats
from scripts.tracker.history.acknowledged import AcknowledgementError
from scripts.tracker.history.commits import read_commits
from scripts.tracker.history.entry import RegressionEntry, regression_entries
from scripts.tracker.history.migration import migrate
from scripts.tracker.history.model import read_environments
from scripts.tracker.history.regressions import Regressions
from scripts.tracker.progress import say

NAME = "scripts.regressions"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0 nothing is open, 1 something is, 2 the list cannot be made."""
    arguments = _parse(argv)
    return run(NAME, lambda: _list(arguments), UserError, AcknowledgementError)


def _list(arguments: argparse.Namespace) -> int:
    """Print the list; returns 1 if something is open, else 0."""
    with patched_asv(), _warnings_on_stderr():
        entries, warnings = read_list(Path(arguments.config))
        for warning in warnings:
            log.warning(warning)
    shown = entries if arguments.all else [entry for entry in entries if entry.state == "open"]
    print(_formatted(arguments.format, shown, warnings))
    return int(any(entry.state == "open" for entry in entries))


@contextmanager
def _warnings_on_stderr() -> Iterator[None]:
    """Print what asv and the site warn of to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(f"{NAME}: %(message)s"))
    handler.setLevel(logging.WARNING)
    logging.getLogger().addHandler(handler)  # asv logs to the root
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.regressions",
        description="List the regressions that are open: commit, stage, size, probability. Exit status: 0 none, "
        "1 some, 2 the list cannot be made.",
        epilog="To let one stand, paste what --toml prints into benchmarks/acknowledged.toml, give the reason, commit.",
    )
    parser.add_argument("--config", default="asv.conf.json", metavar="FILE", help="of asv (default asv.conf.json)")
    parser.add_argument("--all", action="store_true", help="acknowledged and fixed ones, too")
    formats = parser.add_mutually_exclusive_group()
    for name, text in (("json", "as JSON"), ("markdown", "as a Markdown table"), ("toml", "as acknowledgements")):
        formats.add_argument(f"--{name}", dest="format", action="store_const", const=name, help=text)
    return parser.parse_args(argv)


def read_list(config: Path) -> tuple[list[RegressionEntry], list[str]]:
    """Every regression, newest first, and what is wrong with the acknowledgements.

    Goes to the folder of *config*, as asv does: its paths are relative to it.

    Raises:
        RefusalError: there is no configuration to read.
        UserError: there is no repository or result to read, or the configuration has a mistake.
        AcknowledgementError: an acknowledgement cannot be used.
    """
    conf = configuration.load(config)
    asv_errors.require_patterns(conf)
    hashes = {result.commit_hash for result in iter_results(conf.results_dir)}
    if not hashes:
        raise UserError(f"{conf.results_dir} has no results yet. Run scripts/track, which measures the last commits.")
    asv_errors.use_existing_branches(conf)
    asv_errors.require_history(conf)
    migrate(conf.results_dir, say)
    repo = get_repo(conf)
    revisions = repo.get_revisions(hashes)
    environments = read_environments(conf, repo, Benchmarks.load(conf), revisions)
    if not environments:
        raise UserError(
            f"{conf.results_dir} has no result of a commit on {_branches(conf)}. Name the branch in {config.name}; "
            "scripts/track writes asv.local.json for the branch it measured: --config asv.local.json"
        )
    regressions = Regressions(conf, repo, revisions)
    groups = [group for environment in environments for group in regressions.regressions(environment)]
    groups.sort(key=lambda group: -group.revision)
    by_revision = {revision: commit for commit, revision in revisions.items()}
    found = regression_entries(groups, environments, by_revision, read_commits(Path(repo._path), revisions))
    return found, regressions.warnings()


def _branches(conf: Any) -> str:
    return ", ".join(branch or "the default branch" for branch in conf.branches)


def _formatted(name: str | None, entries: Sequence[RegressionEntry], warnings: Sequence[str]) -> str:
    if name == "json":
        return formats.as_json(entries, warnings)
    if name == "toml":
        return formats.as_toml(entries, _author())
    return formats.as_markdown(entries) if name == "markdown" else formats.as_text(entries)


def _author() -> str:
    """The name that git commits under; empty if it knows none."""
    try:
        return git(Path.cwd(), "config", "user.name")
    except GitError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
