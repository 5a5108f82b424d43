"""Passes on to the benchmarks whether asv saves the results of a command; if not, they keep no records either."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from asv.environment import ExistingEnvironment, get_environments

from benchmarks.harness.settings import SAVED_VARIABLE


def pass_on_saving(command: Any) -> None:
    """Set `SAVED_VARIABLE` for the benchmarks while the ``run`` method of the asv class *command* runs."""
    original = command.run
    signature = inspect.signature(original)

    @functools.wraps(original)
    def run(conf: Any, *args: Any, **kwargs: Any) -> Any:
        arguments = signature.bind(conf, *args, **kwargs).arguments
        with saved_variable(is_saved(command.__name__, conf, arguments)):
            return original(conf, *args, **kwargs)

    command.run = staticmethod(run)


def is_saved(command: str, conf: Any, arguments: Mapping[str, Any]) -> bool:
    """Return whether asv's class *command* saves results if its ``run`` is called with *arguments*.

    ``asv run`` saves nothing with ``--dry-run`` or ``--quick``, nor for an existing environment without
    ``--set-commit-hash``. ``asv find`` saves nothing with ``--skip-save``.
    """
    if any(arguments.get(name) for name in ("dry_run", "quick", "skip_save")):
        return False
    if command != "Run" or arguments.get("set_commit_hash") is not None:
        return True
    environments = get_environments(conf, arguments.get("env_spec"), verbose=False)
    return not any(isinstance(environment, ExistingEnvironment) for environment in environments)


@contextmanager
def saved_variable(saved: bool) -> Iterator[None]:
    """Set the environment variable `SAVED_VARIABLE` to yes or no inside the block."""
    before = os.environ.get(SAVED_VARIABLE)
    os.environ[SAVED_VARIABLE] = "yes" if saved else "no"
    try:
        yield
    finally:
        if before is None:
            del os.environ[SAVED_VARIABLE]
        else:
            os.environ[SAVED_VARIABLE] = before
