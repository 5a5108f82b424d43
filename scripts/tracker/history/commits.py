"""Reads commits and tags from git for the history."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from scripts.tracker.git import git


@dataclass(frozen=True)
class MeasuredCommit:
    """A commit of the history; *date* is the author's, as ``YYYY-MM-DD``."""

    hash: str
    subject: str
    date: str
    author: str


def read_commits(repository: Path, hashes: Iterable[str]) -> dict[str, MeasuredCommit]:
    """Return the commits with *hashes*, by hash; all of them must be in *repository*."""
    hashes = list(hashes)
    if not hashes:
        return {}
    form = "--format=%H%x1f%ad%x1f%an%x1f%s"
    shown = git(
        repository, "log", "--no-walk=unsorted", "--stdin", "-z", "--date=short", form, stdin="\n".join(hashes) + "\n"
    )
    rows = [row.split("\x1f", 3) for row in shown.split("\0") if row]
    return {commit: MeasuredCommit(commit, subject, date, author) for commit, date, author, subject in rows}


def missing_commits(repository: Path, hashes: Iterable[str]) -> list[str]:
    """Return those of *hashes* that no branch, tag or remote branch of *repository* contains."""
    return sorted(set(hashes) - set(git(repository, "rev-list", "--all").split()))


def is_shallow(repository: Path) -> bool:
    """Return whether *repository* is a shallow clone, which lacks a part of its history."""
    return git(repository, "rev-parse", "--is-shallow-repository") == "true"


def commit_tags(repository: Path) -> dict[str, str]:
    """Return the commit of each tag, oldest tag first, without tags of trees and files."""
    tags = git(repository, "for-each-ref", "--sort=taggerdate", "--format=%(refname:strip=2)", "refs/tags").split("\n")
    if tags == [""]:
        return {}
    query = "".join(f"refs/tags/{tag}^{{commit}}\n" for tag in tags)
    found = git(repository, "cat-file", "--batch-check=%(objectname)", stdin=query).split("\n")
    return {tag: line for tag, line in zip(tags, found, strict=True) if not line.endswith(" missing")}
