"""Runs git in a given repository, whatever repository the caller's environment variables name."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from scripts.tracker.refusal import RefusalError

_CONFIGURATION = ("GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT")
"""Variables listed by `git rev-parse --local-env-vars` that hold configuration and name no repository."""

_PLAIN = ("-c", "i18n.logOutputEncoding=UTF-8", "-c", "log.showSignature=false")
"""Configuration that makes git's output readable by a program."""


class GitError(RefusalError):
    """git has failed or is missing; `stderr` is its standard error."""

    def __init__(self, message: str, stderr: str) -> None:
        super().__init__(message)
        self.stderr = stderr


def git(root: Path, *arguments: str, stdin: str = "", variables: Mapping[str, str] | None = None) -> str:
    """Return the standard output of git in *root*, without leading and trailing white space.

    git's messages are requested in UTF-8, whatever the repository's configuration is; invalid bytes are replaced.

    Args:
        root: folder of a repository.
        arguments: arguments of git.
        stdin: git's standard input.
        variables: environment variables that are added for git.

    Raises:
        GitError: git is missing, or has failed.
    """
    return output_and_warnings(root, *arguments, stdin=stdin, variables=variables)[0]


def output_and_warnings(
    root: Path, *arguments: str, stdin: str = "", variables: Mapping[str, str] | None = None
) -> tuple[str, str]:
    """Return the standard output and the standard error of git; the arguments are those of `git`."""
    command = ["git", "-C", str(root), *_PLAIN, *arguments]
    environment = {name: value for name, value in os.environ.items() if name not in local_variables()}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", **(variables or {})}
    done = subprocess.run(command, input=stdin.encode(), env=environment, capture_output=True, check=False)
    output, errors = (
        stream.decode("utf-8", errors="replace").strip(" \t\r\n") for stream in (done.stdout, done.stderr)
    )
    if done.returncode:
        errors = errors or f"exit status {done.returncode}"
        raise GitError(f"git {arguments[0]} failed in {root}: {errors}", errors)
    return output, errors


def drop_local_variables() -> None:
    """Remove git's local environment variables from this process and from all processes that it starts.

    git sets them for its hooks and aliases (GIT_DIR, GIT_INDEX_FILE, GIT_WORK_TREE, GIT_PREFIX, ...). With them,
    asv's `git checkout -f` in a clone of its own would overwrite the user's index and HEAD. GIT_CONFIG_PARAMETERS
    (`git -c`) and GIT_CONFIG_COUNT with its keys and values are kept: they hold configuration such as safe.directory,
    which a user in a container may need. They name no repository (git reads core.worktree only from the repository's
    own file), and git itself passes them on to the repositories of submodules.

    Raises:
        GitError: git is missing.
    """
    for name in local_variables():
        os.environ.pop(name, None)


@cache
def local_variables() -> frozenset[str]:
    """Return the names of the variables that select a repository; raises GitError if git is missing."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--local-env-vars"], cwd="/", capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise GitError("git is missing. Install it (Debian: apt-get install git).", str(error)) from error
    return frozenset(done.stdout.split()).difference(_CONFIGURATION)


def subject(root: Path, commit: str) -> str:
    """Return the subject of *commit* as one printable line; terminal control characters are replaced."""
    text = git(root, "log", "-1", "--format=%s", commit)
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
