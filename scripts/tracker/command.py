"""Runs a command of the project and maps errors to exit statuses, so that status 1 always means a verdict."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable

from scripts.tracker.git import drop_local_variables
from scripts.tracker.refusal import RefusalError

FAILED = 2
"""Exit status of a command that was refused or has crashed."""
INTERRUPTED = 130
"""Exit status of a command that was interrupted."""


def run(name: str, command: Callable[[], int], *refusals: type[Exception], interrupted: str = "\nInterrupted.") -> int:
    """Return the exit status of *command*, `FAILED` if it raises an error, or `INTERRUPTED` on Ctrl-C.

    It runs without git's local environment variables, see `drop_local_variables`. SIGTERM interrupts it like Ctrl-C,
    so that it ends the processes that it has started.

    Args:
        name: name of the command, which precedes its error messages.
        command: function that returns an exit status.
        refusals: errors besides `RefusalError` whose message is meant for the user.
        interrupted: message that is printed when the command is interrupted.
    """
    known: tuple[type[Exception], ...] = (RefusalError, *refusals)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        drop_local_variables()
        status = command()
        sys.stdout.flush()
    except known as refusal:
        print(f"{name}: {refusal}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:  # by `| head`; Python flushes the rest at its end, so that goes to /dev/null
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001  # Python would exit with 1, which means a verdict
        traceback.print_exc()
        print(f"{name}: {type(error).__name__} is a fault of the tool, not a result.", file=sys.stderr)
        return FAILED
    return status
