"""The two sides: commits by any of git's names, or the working tree as a commit of its own."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from scripts.tracker.git import GitError, git, output_and_warnings, subject
from scripts.tracker.progress import say
from scripts.tracker.refusal import RefusalError

WORKING_TREE = "."


@dataclass(frozen=True)
class Revision:
    """What is measured: its full hash, what the user called it, and its subject.

    `stored` says whether results of it may be kept: those of a working tree may not, for nobody can name it later.
    """

    hash: str
    name: str
    subject: str
    stored: bool

    @property
    def label(self) -> str:
        """Its name for people."""
        return f"{self.name} ({self.hash[:8]})" if self.stored else "the working tree"


def resolve(root: Path, name: str) -> Revision:
    """Return the commit that git calls *name*; `.` is the working tree, with what is not committed.

    Raises:
        RefusalError: there is no such commit.
    """
    if name == WORKING_TREE:
        return Revision(_snapshot(root), name, "uncommitted changes", stored=False)
    try:
        found, words = _named(root, name)
    except GitError as error:
        raise RefusalError(
            f"{name!r} is no commit of this repository. Give a branch, a tag or a hash, or . for the working tree; "
            f"git log --oneline shows what there is. git says: {error.stderr}"
        ) from error
    if words:
        say(f"git says: {words}")
    return Revision(found, name, subject(root, found), stored=True)


def _named(root: Path, name: str) -> tuple[str, str]:
    """Return the hash of the commit that git calls *name*, and what git warns of; raises GitError if it is none."""
    option = ["--end-of-options"] if name.startswith("-") else []
    thing, words = output_and_warnings(root, "rev-parse", "--verify", *option, name)
    if thing.startswith("^"):
        raise GitError(f"{name} leaves a commit out", f"{thing} leaves a commit out")
    return git(root, "rev-parse", "--verify", f"{thing}^{{commit}}"), words


def _snapshot(root: Path) -> str:
    """Return a commit that holds the files of the working tree; no branch, index or file is touched.

    Equal files give the same commit, so that it is built once.
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
