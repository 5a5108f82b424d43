"""Clear errors for conditions on which asv would end with a traceback."""

from __future__ import annotations

import itertools
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asv.console import log
from asv.plugins.git import Git
from asv.repo import get_repo
from asv.results import iter_results
from asv.util import UserError

from benchmarks.harness.cells import Selection
from benchmarks.harness.matrices import MATRICES
from benchmarks.harness.settings import Settings, SettingsError
from scripts.tracker.branches import existing_branches
from scripts.tracker.git import GitError, git
from scripts.tracker.history.commits import is_shallow, missing_commits


def require_writable(folder: str, setting: str) -> None:
    """Raise `UserError` unless *folder* is writable, making it if needed; *setting* is its name in asv.conf.json."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f'Cannot write into "{folder}" ({error.strerror}). Make it writable, free some space, '
            f"or set {setting} in asv.conf.json to a folder that is."
        ) from error


def require_settings(conf: Any) -> None:
    """Raise `UserError` if the environment selects unknown cells, or *conf* has an unknown scale or device."""
    axes = conf.matrix.get("env_nobuild", {})
    scales, devices = (axes.get(f"ACESTEP_BENCH_{axis}") or [None] for axis in ("SCALE", "DEVICE"))
    for scale, device in itertools.product(scales, devices):
        chosen = {"ACESTEP_BENCH_SCALE": scale, "ACESTEP_BENCH_DEVICE": device}
        given = {name: value for name, value in chosen.items() if value is not None}
        try:
            Selection(Settings.from_environment({**os.environ, **given}).cells, MATRICES)
        except SettingsError as error:
            raise UserError(str(error)) from error


def require_patterns(conf: Any) -> None:
    """Raise `UserError` if the settings of regressions in *conf* have an invalid pattern or number."""
    for name in ("regressions_thresholds", "regressions_first_commits"):
        entries = getattr(conf, name)
        if not isinstance(entries, Mapping):
            raise UserError(f"{name} of asv's configuration is {entries!r}, expected {{pattern: value}}.")
        for pattern in entries:
            try:
                re.compile(pattern)
            except re.error as error:
                raise UserError(
                    f"{name} of asv's configuration has {pattern!r}, which is no regular expression: {error}."
                ) from error
    for pattern, size in conf.regressions_thresholds.items():
        try:
            float(size)
        except (TypeError, ValueError) as error:
            raise UserError(
                f"regressions_thresholds of asv's configuration has {size!r} for {pattern!r}, expected a number: 0.05."
            ) from error


def require_first_commits(conf: Any, repository: Path) -> None:
    """Raise `UserError` if ``regressions_first_commits`` of *conf* names a commit that is not in *repository*."""
    for pattern, commit in conf.regressions_first_commits.items():
        if commit is None:
            continue
        try:
            git(repository, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")
        except GitError as error:
            raise UserError(
                f"regressions_first_commits of asv's configuration has {commit!r} for {pattern!r}, "
                "which is no commit of this repository."
            ) from error


def use_existing_branches(conf: Any) -> None:
    """Replace the branches of *conf* by those that exist, with a warning for each; see `existing_branches`.

    Nothing happens for a repository without commits, or one that git refuses: reading it raises the error.
    """
    if conf.dvcs == "none" or not Git.is_local_repo(conf.repo) or None in conf.branches:
        return
    try:
        branches, notes = existing_branches(Path(conf.repo), conf.branches)
    except GitError:
        return
    conf.branches = branches
    for note in notes:
        log.warning(note)


def require_history(conf: Any) -> None:
    """Warn of results of commits that no branch or tag of the repository contains any more.

    Raises:
        UserError: the repository is a shallow clone without them, or cannot be read.
    """
    repo = get_repo(conf)
    repo.pull()
    repository = Path(repo._path)
    try:
        missing = missing_commits(repository, {result.commit_hash for result in iter_results(conf.results_dir)})
        shallow = is_shallow(repository)
    except GitError as error:
        raise UserError(str(error)) from error
    require_first_commits(conf, repository)
    if not missing:
        return
    several = len(missing) > 1
    named = ", ".join(commit[:8] for commit in missing[:_MOST_NAMED]) + (", …" if len(missing) > _MOST_NAMED else "")
    count = f"{len(missing)} measured commit{'s' if several else ''} ({named})"
    if shallow:
        raise UserError(f"This is a shallow clone without {count}. Fetch the whole history: git fetch --unshallow")
    log.warning(
        f"{count} {'are' if several else 'is'} on no branch or tag any more (amended, rebased, squashed, or deleted "
        "with its branch): left out."
    )


_MOST_NAMED = 3
"""Number of lost commits that the warning names."""
