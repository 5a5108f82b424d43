"""Runs git in a repository, and in no other: not in the one that the caller of a command happens to work on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from scripts.tracker.refusal import RefusalError

_CONFIGURATION = ("GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT")
"""Variables of `git rev-parse --local-env-vars` that name no repository."""

_PLAIN = ("-c", "i18n.logOutputEncoding=UTF-8", "-c", "log.showSignature=false")
"""Configuration for output that can be read by a program."""


class GitError(RefusalError):
    """git failed; `stderr` is what it wrote to its standard error."""

    def __init__(self, message: str, stderr: str) -> None:
        super().__init__(message)
        self.stderr = stderr


def git(root: Path, *arguments: str, stdin: str = "", variables: Mapping[str, str] | None = None) -> str:
    """Return the standard output of git in *root*, without white space around it.

    Messages are asked for in UTF-8, whatever the repository's configuration says; bytes that are none are replaced.

    Args:
        root: the folder of a repository.
        arguments: of git.
        stdin: what git reads from its standard input.
        variables: added to git's environment.

    Raises:
        GitError: git is missing, or failed.
    """
    return output_and_warnings(root, *arguments, stdin=stdin, variables=variables)[0]


def output_and_warnings(
    root: Path, *arguments: str, stdin: str = "", variables: Mapping[str, str] | None = None
) -> tuple[str, str]:
    """Return the standard output and the standard error of git; see `git`."""
    command = ["git", "-C", str(root), *_PLAIN, *arguments]
    environment = {name: value for name, value in os.environ.items() if name not in local_variables()}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", **(variables or {})}
    done = subprocess.run(command, input=stdin.encode(), env=environment, capture_output=True, check=False)
    output, words = (stream.decode("utf-8", errors="replace").strip(" \t\r\n") for stream in (done.stdout, done.stderr))
    if done.returncode:
        words = words or f"exit status {done.returncode}"
        raise GitError(f"git {arguments[0]} failed in {root}: {words}", words)
    return output, words


def drop_local_variables() -> None:
    """Drop the variables that bind git to the caller's repository from this process and all that it starts.

    git sets them for its hooks and aliases (GIT_DIR, GIT_INDEX_FILE, GIT_WORK_TREE, GIT_PREFIX, ...), and with them
    the `git checkout -f` of asv, in a clone of its own, would write the user's index and HEAD. GIT_CONFIG_PARAMETERS
    (`git -c`) and GIT_CONFIG_COUNT with its keys and values stay: they hold configuration such as safe.directory,
    which a user in a container may need, they name no repository (git reads core.worktree from the repository's
    own file alone), and git itself hands them on to the repositories of submodules.

    Raises:
        GitError: git is missing.
    """
    for name in local_variables():
        os.environ.pop(name, None)


@cache
def local_variables() -> frozenset[str]:
    """Return the names of the variables that bind git to one repository. Raises GitError if git is missing."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--local-env-vars"], cwd="/", capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise GitError("git is missing. Install it (Debian: apt-get install git).", str(error)) from error
    return frozenset(done.stdout.split()).difference(_CONFIGURATION)


def subject(root: Path, commit: str) -> str:
    """Return the subject of *commit* as one line for people; characters that steer a terminal are replaced."""
    text = git(root, "log", "-1", "--format=%s", commit)
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
