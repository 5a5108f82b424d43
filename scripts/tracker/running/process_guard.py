"""Nothing is left running: whichever way a command ends, SIGKILL included, what it has started ends within seconds.

A command that is killed cannot end its children, and asv puts each of them into a group of its own. So a command
starts a guard, and marks what it starts with a variable, which all processes below inherit. The guard is a child of the
command, waits until it has another parent, and then ends every process that bears the mark. It looks through ``/proc``;
where there is none there is no guard.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

MARK = "ACESTEP_BENCH_GUARD_{}"
"""Name of the variable that marks what the process of this number has started."""
_PROCESSES = Path("/proc")
_POLL_S = 0.5
_PATIENCE_S = 3.0
"""Seconds between asking processes to end (SIGTERM) and ending them (SIGKILL)."""


def guard_children() -> None:
    """Have everything that this process starts from now on end with it."""
    mark = MARK.format(os.getpid())
    if mark in os.environ or not _PROCESSES.is_dir():
        return
    subprocess.Popen(
        [sys.executable, "-S", "-E", str(Path(__file__).resolve()), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the command, not for its guard
    )
    os.environ[mark] = "1"


def _guard(command: int) -> None:
    """Wait until the process *command* has ended; then end what it has left running."""
    while os.getppid() == command:
        time.sleep(_POLL_S)
    begun = time.monotonic()
    asked: set[int] = set()
    while found := _marked(MARK.format(command)):
        late = time.monotonic() - begun > _PATIENCE_S
        for process in found if late else found - asked:
            with suppress(OSError):
                os.kill(process, signal.SIGKILL if late else signal.SIGTERM)
        asked |= found
        time.sleep(_POLL_S / 5)


def _marked(mark: str) -> set[int]:
    """Return the running processes that were started with the variable *mark*.

    Processes of git are left alone: git keeps some for a repository, which were not started to measure.
    """
    wanted = f"{mark}=".encode()
    found = set()
    for folder in _PROCESSES.iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with suppress(OSError):
                variables = (folder / "environ").read_bytes().split(b"\0")
                marked = any(variable.startswith(wanted) for variable in variables)
                if marked and not _is_dead(folder) and (folder / "comm").read_text().strip() != "git":
                    found.add(int(folder.name))
    return found


def _is_dead(folder: Path) -> bool:
    """Return whether a process has ended and only its parent does not know yet."""
    return (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[0] in "ZX"


if __name__ == "__main__":
    _guard(int(sys.argv[1]))
