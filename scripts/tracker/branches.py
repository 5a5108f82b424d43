"""Chooses the branches whose history asv reads: the configured ones, or the one that is checked out."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from scripts.tracker.git import GitError, git

DETACHED = "HEAD"
"""Name to use if no branch is checked out."""


def existing_branches(root: Path, configured: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the branches of *configured* that exist in *root*, and a sentence for each difference.

    A branch that has the same name as a tag gets its full name, because git prefers the tag. If none of the
    configured branches exists (a clone of a single branch, a detached checkout, another name), the branch that is
    checked out is used.

    Raises:
        GitError: the repository has no commits.
    """
    found, notes = [], []
    for name in configured:
        branch = _unambiguous(root, name)
        if not _usable(root, branch):
            continue
        found.append(branch)
        if branch != name:
            notes.append(f"{name} is a branch and a tag here: the history of {branch} is followed.")
    if found:
        return found, notes
    git(root, "log", "-1", "--format=%H")
    branch = checked_out_branch(root)
    names = " or ".join(configured)
    return [branch], [f"There is no branch {names} here: the history of {branch} is followed, which is checked out."]


def checked_out_branch(root: Path) -> str:
    """Return a name of the checked-out branch of *root* that asv accepts; `HEAD` if there is none."""
    try:
        full = git(root, "symbolic-ref", "--quiet", "HEAD")
    except GitError:
        return DETACHED
    short = full.removeprefix("refs/heads/")
    return next((name for name in (_unambiguous(root, short), full) if _usable(root, name)), DETACHED)


def _unambiguous(root: Path, name: str) -> str:
    """Return the full name of the branch *name* if a tag has the same name, else *name*."""
    heads, tags = (_exists(root, f"refs/{kind}/{name}") for kind in ("heads", "tags"))
    return f"refs/heads/{name}" if heads and tags else name


def _usable(root: Path, name: str) -> bool:
    """Return whether asv can list the commits of *name*; asv splits the name as a shell would."""
    try:
        whole = shlex.split(name) == [name]
    except ValueError:
        whole = False
    return whole and not name.startswith("-") and _exists(root, f"{name}^{{commit}}")


def _exists(root: Path, name: str) -> bool:
    try:
        git(root, "rev-parse", "--verify", "--quiet", name)
    except GitError:
        return False
    return True
