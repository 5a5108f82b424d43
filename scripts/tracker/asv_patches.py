"""Patches of asv, active while it runs: clear errors, each warning once, and support for unusual repositories."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from asv.commands.publish import Publish
from asv.plugins.git import Git
from asv.repo import NoSuchNameError
from asv.results import Results
from asv.util import ProcessError, UserError

from scripts.tracker.git import GitError, git
from scripts.tracker.history.commits import commit_tags


@contextmanager
def patched_asv() -> Iterator[None]:
    """Patch asv inside the block.

    Each warning is logged once, and errors that would be tracebacks become `UserError`. Damaged result files are
    skipped with asv's warning, tags of trees and files are not listed, and results of commits that no branch or tag
    contains any more are not published.
    """
    with ExitStack() as stack:
        stack.enter_context(_warnings_once())
        stack.enter_context(_replaced(Results, "load", classmethod(_load_or_user_error(Results.load))))
        stack.enter_context(_replaced(Git, "get_tags", lambda repo: commit_tags(Path(repo._path))))
        stack.enter_context(_replaced(Publish, "iter_results", staticmethod(_only_reachable(Publish.iter_results))))
        stack.enter_context(_clear_errors())
        yield


_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)
"""Errors of a full disk or a folder without write permission."""


@contextmanager
def _clear_errors() -> Iterator[None]:
    """Raise `UserError` for an unknown commit, a failure of git, and a full or read-only disk."""
    try:
        yield
    except NoSuchNameError as error:
        raise UserError(f"{error} is no branch, tag or commit of this repository.") from error
    except GitError as error:
        raise UserError(str(error)) from error
    except ProcessError as error:
        words = error.stderr.strip() or error.stdout.strip()
        raise UserError(f"{' '.join(error.args)} ended with status {error.retcode}: {words}") from error
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        raise UserError(
            f"Cannot write {error.filename or 'a file'}: {error.strerror}. Free some space or make the folder "
            "writable, then give the same command again."
        ) from error


@contextmanager
def _warnings_once() -> Iterator[None]:
    """Drop repeated warnings: asv reads the result files several times, and warns each time."""
    given = set()

    def is_new(record: logging.LogRecord) -> bool:
        if record.levelno != logging.WARNING:
            return True
        new = record.msg not in given
        given.add(record.msg)
        return new

    logger = logging.getLogger()  # asv logs to the root logger
    logger.addFilter(is_new)
    try:
        yield
    finally:
        logger.removeFilter(is_new)


@contextmanager
def _replaced(owner: type, name: str, value: object) -> Iterator[None]:
    original = vars(owner)[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)


def _load_or_user_error(original: Any) -> Any:
    def load(_cls: type, path: str, machine_name: str | None = None) -> Any:
        try:
            return original(path, machine_name)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise UserError(f"Error loading results file '{path}': {error}") from error

    return load


def _only_reachable(original: Any) -> Any:
    def iter_results(conf: Any, repo: Any, range_spec: Any = None) -> Iterator[Any]:
        known = set(git(Path(repo._path), "rev-list", "--all").split())
        return (result for result in original(conf, repo, range_spec) if result.commit_hash in known)

    return iter_results
