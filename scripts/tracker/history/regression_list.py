"""Reads asv's results and acknowledgements, and makes the list of regressions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asv.benchmarks import Benchmarks
from asv.repo import get_repo
from asv.results import iter_results
from asv.util import UserError

from scripts.tracker import asv_errors, configuration
from scripts.tracker.history.commits import read_commits
from scripts.tracker.history.entry import RegressionEntry, regression_entries
from scripts.tracker.history.migration import migrate
from scripts.tracker.history.model import read_environments
from scripts.tracker.history.regressions import Regressions
from scripts.tracker.progress import say


def read_list(config: Path) -> tuple[list[RegressionEntry], list[str]]:
    """Return all regressions in any state, newest first, and warnings about acknowledgements.

    Changes to the folder of *config*, as asv does: its paths are relative to it.

    Raises:
        RefusalError: there is no configuration file.
        UserError: there is no repository or result, or the configuration has a mistake.
        AcknowledgementError: an acknowledgement is invalid.
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
            f"{conf.results_dir} has no result of a commit on {_branch_names(conf)}. Name the branch in {config.name}; "
            "scripts/track writes asv.local.json for the branch it measured: --config asv.local.json"
        )
    regressions = Regressions(conf, repo, revisions)
    groups = [group for environment in environments for group in regressions.regressions(environment)]
    groups.sort(key=lambda group: -group.revision)
    by_revision = {revision: commit for commit, revision in revisions.items()}
    commits = read_commits(Path(repo._path), revisions)
    return regression_entries(groups, environments, by_revision, commits), regressions.warnings()


def _branch_names(conf: Any) -> str:
    return ", ".join(branch or "the default branch" for branch in conf.branches)
