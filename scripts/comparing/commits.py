"""The two sides: commits by any of git's names, or the working tree as a commit of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from scripts.preflight import RefusalError, git

WORKING_TREE = "."


@dataclass(frozen=True)
class Commit:
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


def resolve(root: Path, name: str) -> Commit:
    """Return the commit that git calls *name*; `.` is the working tree, with what is not committed.

    Raises:
        RefusalError: there is no such commit.
    """
    if name == WORKING_TREE:
        return Commit(_snapshot(root), name, "uncommitted changes", stored=False)
    done = subprocess.run(
        ["git", "-C", str(root), "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RefusalError(
            f"{name!r} is no commit of this repository. Give a branch, a tag or a hash, or . for the working tree; "
            "git log --oneline shows what there is."
        )
    found = done.stdout.strip()
    return Commit(found, name, git(root, "log", "-1", "--format=%s", found), stored=True)


def _snapshot(root: Path) -> str:
    """Return a commit that holds the files of the working tree; no branch, index or file is touched.

    Equal files give the same commit, so that it is built once.
    """
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder, "index")
        current = Path(git(root, "rev-parse", "--absolute-git-dir"), "index")
        if current.is_file():
            shutil.copyfile(current, index)
        staged = {**os.environ, "GIT_INDEX_FILE": str(index)}
        _run(root, staged, "add", "--all")
        tree = _run(root, staged, "write-tree")
    date = git(root, "log", "-1", "--format=%cI", "HEAD")
    people = {f"GIT_{role}_{what}": "worktree" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
    return _run(root, {**os.environ, **people, **dates}, "commit-tree", tree, "-p", "HEAD", "-m", "working tree")


def _run(root: Path, environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RefusalError(f"git {arguments[0]} failed on the working tree: {done.stderr.strip()}")
    return done.stdout.strip()
