"""What git knows about the measured commits."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Commit:
    """One measured commit; *date* is the author's, ``YYYY-MM-DD``."""

    hash: str
    subject: str
    date: str
    author: str


def read_commits(repository: str, hashes: Iterable[str]) -> dict[str, Commit]:
    """Subject, date and author of every commit in *hashes*, by hash, read from the repository at a path."""
    wanted = list(hashes)
    if not wanted:
        return {}
    shown = subprocess.run(
        [
            "git",
            "log",
            "--no-walk=unsorted",
            "--stdin",
            "-z",
            "--date=short",
            "--format=%H%x1f%s%x1f%ad%x1f%an",
        ],
        input="\n".join(wanted) + "\n",
        cwd=repository,
        check=True,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    ).stdout
    rows = [row.split("\x1f") for row in shown.split("\0") if row]
    return {row[0]: Commit(*row) for row in rows}


def missing_commits(repository: str, hashes: Iterable[str]) -> list[str]:
    """The *hashes* that no branch, tag or remote branch of the repository reaches any more."""
    known = set(
        subprocess.run(
            ["git", "rev-list", "--all"], cwd=repository, check=True, capture_output=True, encoding="ascii"
        ).stdout.split()
    )
    return sorted(set(hashes) - known)


def is_shallow(repository: str) -> bool:
    """Whether the repository is a clone with a cut-off history."""
    answer = subprocess.run(
        ["git", "rev-parse", "--is-shallow-repository"],
        cwd=repository,
        check=True,
        capture_output=True,
        encoding="ascii",
    ).stdout
    return answer.strip() == "true"
