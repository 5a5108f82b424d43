"""Ends what a command has started when the command itself ends, even if it is killed (SIGKILL).

A killed command cannot end its children, and asv puts each of them into a process group of its own. A command therefore
starts a guard process, and marks everything it starts with an environment variable, which all descendants inherit. The
guard is a child of the command. It waits until its parent is gone, then ends every process with the mark. It finds them
in ``/proc``; on systems without ``/proc`` there is no guard.
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
"""Name of the environment variable that marks all descendants of the process with this number."""
_PROCESSES = Path("/proc")
_POLL_S = 0.5
"""Seconds between two looks at the parent process."""
_PATIENCE_S = 3.0
"""Seconds between SIGTERM and SIGKILL."""


def guard_children() -> None:
    """Start a guard: everything that this process starts from now on ends with it, within seconds."""
    mark = MARK.format(os.getpid())
    if mark in os.environ or not _PROCESSES.is_dir():
        return
    subprocess.Popen(
        [sys.executable, "-S", "-E", str(Path(__file__).resolve()), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C must reach the command, not its guard
    )
    os.environ[mark] = "1"


def _guard(command: int) -> None:
    """Wait until the process *command* has ended, then end its marked descendants."""
    while os.getppid() == command:
        time.sleep(_POLL_S)
    begun = time.monotonic()
    asked: set[int] = set()
    while found := _marked_processes(MARK.format(command)):
        late = time.monotonic() - begun > _PATIENCE_S
        for process in found if late else found - asked:
            with suppress(OSError):
                os.kill(process, signal.SIGKILL if late else signal.SIGTERM)
        asked |= found
        time.sleep(_POLL_S / 5)


def _marked_processes(mark: str) -> set[int]:
    """Return the running processes whose environment has the variable *mark*, except those of git.

    git keeps background processes for a repository; they do not belong to the command.
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
    """Return whether the process is a zombie: it has ended, and its parent has not collected its status."""
    return (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[0] in "ZX"


if __name__ == "__main__":
    _guard(int(sys.argv[1]))
