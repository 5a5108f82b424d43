"""The tree of the frozen workload in the cache: built once, and what it must be to the last byte."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks.harness.frozen.recipe import write

Files = Mapping[str, tuple[int, str]]
"""Bytes and sha256 of every file, under its path below the root."""
LISTING: Final = Path(__file__).with_name("files.json")


class WorkloadDiffers(RuntimeError):
    """The tree on this machine is not the frozen one; the message says in what, and what to do."""


def describe(root: Path) -> Files:
    """Read every file below *root*."""
    return {
        path.relative_to(root).as_posix(): (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def digest_of(files: Files) -> str:
    """Return the sha256 of *files*: of their paths and contents, in sorted order."""
    lines = [f"{sha256}  {path}\n" for path, (_, sha256) in sorted(files.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def frozen_files() -> Files:
    """Return what the files must be, as it is kept with the recipe."""
    listed = json.loads(LISTING.read_text(encoding="utf-8"))
    return {path: (int(size), str(sha256)) for path, (size, sha256) in listed.items()}


def frozen_digest() -> str:
    """Return the digest of the frozen workload, short enough for records and folder names."""
    return digest_of(frozen_files())[:12]


def cached() -> Path:
    """Return the folder of the frozen workload, built the first time that it is asked for.

    It lies below ``$ACESTEP_BENCH_CACHE_DIR``, else ``$ACESTEP_CACHE_DIR``, else ``~/.cache/acestep``. Processes that
    ask at once wait for the one that builds.

    Raises:
        WorkloadDiffers: this machine writes other bytes, or files of the folder were changed since.
        OSError: the cache folder cannot be written.
    """
    environ = os.environ
    cache = environ.get("ACESTEP_BENCH_CACHE_DIR") or environ.get("ACESTEP_CACHE_DIR") or Path.home() / ".cache/acestep"
    folder = Path(cache) / "frozen" / frozen_digest()
    if not folder.is_dir():  # one that is there is complete: it got its name when it was
        _build(folder)
    _check_sizes(folder)
    return folder


def _build(folder: Path) -> None:
    from filelock import FileLock

    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if folder.is_dir():
            return
        building = Path(tempfile.mkdtemp(prefix="building-", dir=folder.parent))
        try:
            write(building)
            _check_built(describe(building))
            building.rename(folder)
        finally:
            shutil.rmtree(building, ignore_errors=True)


def _check_built(built: Files) -> None:
    expected = frozen_files()
    if built != expected:
        raise WorkloadDiffers(
            f"The frozen workload came out with sha256 {digest_of(built)} instead of {digest_of(expected)}; other "
            f"files: {_differing(built, expected)}. Nothing is measured on it. If its recipe was changed on purpose, "
            "run `python -m benchmarks.harness.frozen` and raise the versions of all series (see CONTRIBUTING.md)."
        )


def _check_sizes(folder: Path) -> None:
    """Raise WorkloadDiffers if a file of *folder* is missing, new, or as long as it was not."""
    sizes = {p.relative_to(folder).as_posix(): p.stat().st_size for p in folder.rglob("*") if p.is_file()}
    expected = {path: size for path, (size, _) in frozen_files().items()}
    if sizes != expected:
        raise WorkloadDiffers(
            f"{folder} is not the frozen workload any more: {_differing(sizes, expected)} changed since it was "
            "written. Remove that folder, and the next run writes it again."
        )


def _differing(found: Mapping[str, object], expected: Mapping[str, object]) -> str:
    names = found.keys() | expected.keys()
    return ", ".join(sorted(name for name in names if found.get(name) != expected.get(name)))
