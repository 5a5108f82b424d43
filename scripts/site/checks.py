"""Conditions that asv meets with a traceback, named before it gets there."""

from __future__ import annotations

import errno
import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from asv.repo import get_repo
from asv.results import iter_results
from asv.util import UserError

from benchmarks.harness.cells import Selection
from benchmarks.harness.matrices import MATRICES
from benchmarks.harness.settings import Settings, SettingsError
from scripts.site.commits import is_shallow, missing_commits


def require_writable(folder: str, setting: str) -> None:
    """Raise `UserError` unless files can be made in *folder*, creating it if needed; *setting* names it."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f'Cannot write into "{folder}" ({error.strerror}). Make it writable, free some space, '
            f"or set {setting} in asv.conf.json to a folder that is."
        ) from error


def require_settings(conf: Any) -> None:
    """Raise `UserError` if the environment names cells, or *conf* a scale or a device, that do not exist."""
    axes = conf.matrix.get("env_nobuild", {})
    scales, devices = (axes.get(f"ACESTEP_BENCH_{axis}") or [None] for axis in ("SCALE", "DEVICE"))
    for scale, device in itertools.product(scales, devices):
        chosen = {"ACESTEP_BENCH_SCALE": scale, "ACESTEP_BENCH_DEVICE": device}
        given = {name: value for name, value in chosen.items() if value is not None}
        try:
            Selection(Settings.from_environment({**os.environ, **given}).cells, MATRICES)
        except SettingsError as error:
            raise UserError(str(error)) from error


def require_history(conf: Any) -> None:
    """Raise `UserError` if results were measured at commits that the repository does not have."""
    repo = get_repo(conf)
    repo.pull()
    repository = repo._path
    missing = missing_commits(repository, {result.commit_hash for result in iter_results(conf.results_dir)})
    if not missing:
        return
    count = f"{len(missing)} measured commit{'s' if len(missing) > 1 else ''} ({missing[0][:8]}…)"
    if is_shallow(repository):
        raise UserError(f"This is a shallow clone without {count}. Fetch the whole history: git fetch --unshallow")
    raise UserError(
        f"The repository does not have {count}. Fetch the branch they are on, or delete their files "
        f"({missing[0][:8]}-*.json) from {conf.results_dir}."
    )


_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def write_errors_named() -> Iterator[None]:
    """Raise `UserError` for a full or protected disk that shows only while asv is writing."""
    try:
        yield
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        raise UserError(
            f"Cannot write {error.filename or 'a file'}: {error.strerror}. Free some space or make the folder "
            "writable, then give the same command again."
        ) from error
