"""What must hold before commits can be measured, checked before anything is installed or measured."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

ENVIRONMENT_BYTES = 3_000_000_000
"""Room that asv's environment with torch takes."""
RESULTS_BYTES = 200_000_000


class RefusalError(Exception):
    """Measuring cannot start; the message says why and what to do."""


def git(root: Path, *arguments: str) -> str:
    """Standard output of git in *root*.

    Raises:
        RefusalError: git failed; the message is git's.
    """
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RefusalError(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def require_history(root: Path) -> None:
    """Raise `RefusalError` unless *root* is a git repository with commits and their whole history."""
    inside = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if inside.returncode:
        raise RefusalError(f"{root} has no git history to measure. Clone the repository with git, or commit first.")
    if git(root, "rev-parse", "--is-shallow-repository") == "true":
        raise RefusalError("This is a shallow clone: its history is cut off. Run: git fetch --unshallow")


def require_clean(root: Path) -> None:
    """Raise `RefusalError` if tracked files differ from the last commit: commits are measured, not the tree."""
    changed = git(root, "diff", "--name-only", "HEAD").splitlines()
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise RefusalError(
            f"Uncommitted changes ({changed[0]}{more}) would not be measured: only commits are. "
            "Commit or stash them, or pass --allow-dirty to measure the commits as they are."
        )


def require_room(folder: Path) -> None:
    """Raise `RefusalError` unless *folder* can be written and its disk has room for what will be put there."""
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
