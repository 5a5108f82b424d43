"""What git knows about the measured commits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from scripts.tracker.git import git


@dataclass(frozen=True)
class MeasuredCommit:
    """One measured commit; *date* is the author's, ``YYYY-MM-DD``."""

    hash: str
    subject: str
    date: str
    author: str


def read_commits(repository: Path, hashes: Iterable[str]) -> dict[str, MeasuredCommit]:
    """Subject, date and author of every commit in *hashes*, by hash; the *repository* has to have them."""
    wanted = list(hashes)
    if not wanted:
        return {}
    form = "--format=%H%x1f%ad%x1f%an%x1f%s"
    shown = git(
        repository, "log", "--no-walk=unsorted", "--stdin", "-z", "--date=short", form, stdin="\n".join(wanted) + "\n"
    )
    rows = [row.split("\x1f", 3) for row in shown.split("\0") if row]
    return {commit: MeasuredCommit(commit, subject, date, author) for commit, date, author, subject in rows}


def missing_commits(repository: Path, hashes: Iterable[str]) -> list[str]:
    """The *hashes* that no branch, tag or remote branch of the repository reaches any more."""
    return sorted(set(hashes) - set(git(repository, "rev-list", "--all").split()))


def is_shallow(repository: Path) -> bool:
    """Whether the repository is a clone with a cut-off history."""
    return git(repository, "rev-parse", "--is-shallow-repository") == "true"


def commit_tags(repository: Path) -> dict[str, str]:
    """The commits of the tags of the repository, by tag, the oldest first; tags of trees and files are left out."""
    tags = git(repository, "for-each-ref", "--sort=taggerdate", "--format=%(refname:strip=2)", "refs/tags").split("\n")
    if tags == [""]:
        return {}
    asked = "".join(f"refs/tags/{tag}^{{commit}}\n" for tag in tags)
    found = git(repository, "cat-file", "--batch-check=%(objectname)", stdin=asked).split("\n")
    return {tag: line for tag, line in zip(tags, found, strict=True) if not line.endswith(" missing")}
