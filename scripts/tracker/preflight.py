"""Checks of the repository and the disk before anything is installed or measured."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from scripts.tracker.git import GitError, git
from scripts.tracker.refusal import RefusalError

ENVIRONMENT_BYTES = 3_000_000_000
"""Disk space that asv's environment with torch needs."""
RESULTS_BYTES = 200_000_000
"""Disk space that builds and results need once the environment exists."""


def require_history(root: Path) -> None:
    """Raise `RefusalError` unless *root* is a git repository with commits and a complete history."""
    try:
        git(root, "log", "-1", "--format=%H")
    except GitError as error:
        remedy = "" if "safe.directory" in error.stderr else " Clone the repository with git, or commit first."
        raise RefusalError(f"{root} has no git history to measure. git says: {error.stderr}{remedy}") from error
    if git(root, "rev-parse", "--is-shallow-repository") == "true":
        raise RefusalError(
            f"{root} is a shallow clone: its history is cut off. Fetch the whole history: git fetch --unshallow"
        )
    if os.pathsep in str(root):
        raise RefusalError(
            f"The path {root} has a {os.pathsep!r}, at which PATH is split: no environment can be made in it. "
            "Move or clone the repository into a folder without it."
        )


def require_clean(root: Path) -> None:
    """Raise `RefusalError` if tracked files differ from the last commit, since only commits are measured."""
    changed = changed_files(root)
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise RefusalError(
            f"Uncommitted changes ({changed[0]}{more}) would not be measured: only commits are. "
            "Commit or stash them, or pass --allow-dirty to measure the commits as they are."
        )


def changed_files(root: Path) -> list[str]:
    """Return the tracked files of *root* that differ from the last commit.

    `git diff` would write the index of the repository; `git status` without optional locks does not.
    """
    status = git(root, "status", "--porcelain", "-z", "--untracked-files=no", "--no-renames")
    return [entry.lstrip().partition(" ")[2].lstrip() for entry in status.split("\0") if entry]


def require_room(folder: Path) -> None:
    """Raise `RefusalError` unless *folder* is writable and its disk has enough space."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise RefusalError(
            f"{folder} cannot be written ({error.strerror}). Make it writable, or measure in a clone elsewhere."
        ) from error
    needed = RESULTS_BYTES if (folder / "env").is_dir() else ENVIRONMENT_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise RefusalError(
            f"The disk of {folder} has {free / 1e9:.1f} GB left, {needed / 1e9:.1f} GB are needed. Free some space."
        )
