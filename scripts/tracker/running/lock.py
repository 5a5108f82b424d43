"""One at a time: a lock over asv's environments, results and journal, which lie together in one folder.

The lock is filelock's, which the system releases however its holder ends. Beside it a file tells who holds it. A
command that the holder has started, as ``scripts/track`` starts asv, works under the lock of its holder.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from scripts.tracker.progress import say
from scripts.tracker.refusal import RefusalError
from scripts.tracker.running.process_guard import guard_children

HOLDER = "ACESTEP_BENCH_LOCK_HOLDER"
"""Variable that holds the process which has the lock, for those that it starts."""
WAIT_HELP = "if another command measures here, wait until it has ended"
WAIT = "ACESTEP_BENCH_WAIT"
"""Variable that, set to 1, has asv wait for the lock, as ``--wait`` has our own commands."""


def locked_folder(conf: Any) -> Path:
    """Return the folder that holds the environments of asv's configuration, which the lock is over."""
    return Path(conf.env_dir).resolve().parent


@contextmanager
def measuring_exclusively(folder: Path, *, wait: bool) -> Iterator[None]:
    """Hold the lock over *folder*, see `exclusive`, and have what this process starts end with it."""
    guard_children()
    with exclusive(folder, wait=wait):
        yield


@contextmanager
def exclusive(folder: Path, *, wait: bool, remedy: str = "--wait") -> Iterator[None]:
    """Hold the lock over *folder*; wait for it if asked to.

    Raises:
        RefusalError: another process has it, and *wait* is not set; the message says who, since when, and the *remedy*.
    """
    told = folder / "asv.lock.json"
    if os.environ.get(HOLDER) and os.environ[HOLDER] == str(_holder(told).get("process")):
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "asv.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise RefusalError(f"{_described(told)}. Wait until it has ended, or give {remedy}.") from None
        say(f"{_described(told)}. Waiting until it has ended ...")
        lock.acquire()
    try:
        command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
        told.write_text(json.dumps({"process": os.getpid(), "command": command, "unix": time.time()}), encoding="utf-8")
        os.environ[HOLDER] = str(os.getpid())
        yield
    finally:
        os.environ.pop(HOLDER, None)
        told.unlink(missing_ok=True)
        lock.release()


def _described(told: Path) -> str:
    """Return who holds the lock."""
    holder = _holder(told)
    if not holder:
        return f"Another command measures in {told.parent}"
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(holder["unix"]))
    return f"{holder['command']!r} (process {holder['process']}, since {since}) measures in {told.parent}"


def _holder(told: Path) -> dict[str, Any]:
    try:
        holder = json.loads(told.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return holder if isinstance(holder, dict) else {}
