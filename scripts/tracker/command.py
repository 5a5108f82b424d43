"""Runs a command of the project so that its exit status 1 is a verdict and nothing else."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable

from scripts.tracker.git import drop_local_variables
from scripts.tracker.refusal import RefusalError

FAILED = 2
INTERRUPTED = 130


def run(name: str, command: Callable[[], int], *refusals: type[Exception], interrupted: str = "\nInterrupted.") -> int:
    """Return the exit status of *command*; whatever ends it otherwise is `FAILED`, or `INTERRUPTED` by Ctrl-C.

    It runs without git's local variables, see `drop_local_variables`. SIGTERM interrupts it as Ctrl-C does, so that
    it ends what it has started.

    Args:
        name: of the command, put before the sentences on standard error.
        command: returns its own exit status.
        refusals: errors besides `RefusalError` whose message is a sentence for the user.
        interrupted: what is said when it is interrupted.
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
    except BrokenPipeError:  # by `| head`; what is left to write goes nowhere, as Python writes it at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001  # Python would end with 1, which is a verdict
        traceback.print_exc()
        print(f"{name}: {type(error).__name__} is a fault of the tool, not a result.", file=sys.stderr)
        return FAILED
    return status
