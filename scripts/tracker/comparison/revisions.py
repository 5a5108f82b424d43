"""Resolves what the user names: any revision of git, or the working tree as a commit of its own."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from scripts.tracker.git import GitError, git, output_and_warnings, subject
from scripts.tracker.progress import say
from scripts.tracker.refusal import RefusalError

WORKING_TREE = "."
"""The name of the working tree on the command line."""


@dataclass(frozen=True)
class Revision:
    """A commit that can be measured.

    Attributes:
        hash: full hash of the commit.
        name: name that the user gave.
        subject: first line of the commit message.
        stored: whether results are stored. Results of a working tree are not, since nobody can name it later.
    """

    hash: str
    name: str
    subject: str
    stored: bool

    @property
    def label(self) -> str:
        """The name for people."""
        return f"{self.name} ({self.hash[:8]})" if self.stored else "the working tree"

    @property
    def title(self) -> str:
        """The short hash and the subject."""
        return f"{self.hash[:8]} {self.subject}"


def resolve(root: Path, name: str) -> Revision:
    """Return the revision that git calls *name*; `.` is the working tree with its uncommitted changes.

    Raises:
        RefusalError: there is no such commit.
    """
    if name == WORKING_TREE:
        return Revision(_snapshot(root), name, "uncommitted changes", stored=False)
    try:
        commit, warnings = _commit_hash(root, name)
    except GitError as error:
        raise RefusalError(
            f"{name!r} is no commit of this repository. Give a branch, a tag or a hash, or . for the working tree; "
            f"git log --oneline shows what there is. git says: {error.stderr}"
        ) from error
    if warnings:
        say(f"git says: {warnings}")
    return Revision(commit, name, subject(root, commit), stored=True)


def _commit_hash(root: Path, name: str) -> tuple[str, str]:
    """Return the hash of the commit that git calls *name*, and git's warnings; raises GitError if there is none."""
    option = ["--end-of-options"] if name.startswith("-") else []
    thing, warnings = output_and_warnings(root, "rev-parse", "--verify", *option, name)
    if thing.startswith("^"):
        raise GitError(f"{name} leaves a commit out", f"{thing} leaves a commit out")
    return git(root, "rev-parse", "--verify", f"{thing}^{{commit}}"), warnings


def _snapshot(root: Path) -> str:
    """Return the hash of a new commit with the files of the working tree; no branch, index or file is changed.

    Equal files give the same commit, so it is built only once.
    """
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder, "index")
        current = Path(git(root, "rev-parse", "--absolute-git-dir"), "index")
        if current.is_file():
            shutil.copyfile(current, index)
        staged = {"GIT_INDEX_FILE": str(index)}
        git(root, "add", "--all", variables=staged)
        tree = git(root, "write-tree", variables=staged)
    date = git(root, "log", "-1", "--format=%cI", "HEAD")
    people = {f"GIT_{role}_{what}": "worktree" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
    return git(root, "commit-tree", tree, "-p", "HEAD", "-m", "working tree", variables={**people, **dates})
