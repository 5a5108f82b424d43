"""Validate the verdicts: ``python -m scripts.validate equal``, ``slowed`` or ``histories``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks.harness.settings import SettingsError
from scripts.tracker.command import run
from scripts.tracker.validation import aa, histories, injected

SUBJECTS = (aa, injected, histories)
"""Modules with a function ``add_parser(subparsers)``. The parser's default ``run`` maps the arguments to an exit
status."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0 the claims hold, 1 one does not, 2 refused, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="python -m scripts.validate", description="Validate the verdicts.")
    subparsers = parser.add_subparsers(dest="subject", required=True, metavar="subject", help="what is validated")
    for subject in SUBJECTS:
        subject.add_parser(subparsers)
    arguments = parser.parse_args(argv)
    interrupted = "\nInterrupted: a part of the evidence proves nothing."
    return run("scripts.validate", lambda: int(arguments.run(arguments)), SettingsError, interrupted=interrupted)


if __name__ == "__main__":
    sys.exit(main())
