"""A lock on the folder of asv's environments, results and journal: only one command at a time may measure there.

The lock is a `FileLock`, which the operating system releases when its holder ends, however it ends. A JSON file beside
it describes the holder. A command that the holder has started, as ``scripts/track`` starts asv, shares its lock.
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
"""Environment variable with the process number of the lock's holder, set for the processes that it starts."""
WAIT_HELP = "if another command measures here, wait until it has ended"
WAIT = "ACESTEP_BENCH_WAIT"
"""Environment variable that makes asv wait for the lock if it is 1, as ``--wait`` does for our own commands."""


def locked_folder(conf: Any) -> Path:
    """Return the folder to lock: the one that contains the environments of asv's configuration *conf*."""
    return Path(conf.env_dir).resolve().parent


@contextmanager
def measuring_exclusively(folder: Path, *, wait: bool) -> Iterator[None]:
    """Hold the lock on *folder*, see `exclusive`, and end everything that this process starts when it ends."""
    guard_children()
    with exclusive(folder, wait=wait):
        yield


@contextmanager
def exclusive(folder: Path, *, wait: bool, remedy: str = "--wait") -> Iterator[None]:
    """Hold the lock on *folder* inside the block.

    Args:
        folder: the folder to lock.
        wait: whether to wait if another process holds the lock.
        remedy: the option that the message tells users to give if they want to wait.

    Raises:
        RefusalError: another process holds the lock, and *wait* is false. The message says which one, and since when.
    """
    holder_file = folder / "asv.lock.json"
    if os.environ.get(HOLDER) and os.environ[HOLDER] == str(_holder(holder_file).get("process")):
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "asv.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise RefusalError(f"{_described(holder_file)}. Wait until it has ended, or give {remedy}.") from None
        say(f"{_described(holder_file)}. Waiting until it has ended ...")
        lock.acquire()
    try:
        command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
        holder_file.write_text(
            json.dumps({"process": os.getpid(), "command": command, "unix": time.time()}), encoding="utf-8"
        )
        os.environ[HOLDER] = str(os.getpid())
        yield
    finally:
        os.environ.pop(HOLDER, None)
        holder_file.unlink(missing_ok=True)
        lock.release()


def _described(holder_file: Path) -> str:
    """Return a sentence without a full stop that names the holder of the lock."""
    holder = _holder(holder_file)
    if not holder:
        return f"Another command measures in {holder_file.parent}"
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(holder["unix"]))
    return f"{holder['command']!r} (process {holder['process']}, since {since}) measures in {holder_file.parent}"


def _holder(holder_file: Path) -> dict[str, Any]:
    try:
        holder = json.loads(holder_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return holder if isinstance(holder, dict) else {}
