"""Time this package against a library: ``python -m scripts.versus planner`` or ``synthesizer``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from scripts.tracker.command import run
from scripts.tracker.versus import planner_command, synthesizer_command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0 done, 1 the two sides disagree, 2 refused, 130 interrupted."""
    arguments = _parse(argv)
    interrupted = "\nInterrupted before a round was complete: there is no result."
    return run("scripts.versus", lambda: _versus(arguments), interrupted=interrupted)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.versus",
        description="Time this package against a library doing the same work, in float32 and interleaved, after a "
        "check that both produce the same output.",
    )
    subjects = parser.add_subparsers(dest="subject", required=True, metavar="subject", help="what is timed")
    for name, command in (("planner", planner_command), ("synthesizer", synthesizer_command)):
        subject = subjects.add_parser(name, help=command.SUMMARY, description=command.DESCRIPTION)
        command.add_options(subject)
        subject.set_defaults(check=command.check, prepare=command.prepare, parser=subject)
    arguments = parser.parse_args(argv)
    arguments.check(arguments.parser, arguments)
    return arguments


def _versus(arguments: argparse.Namespace) -> int:
    from acestep.checkpoints.errors import CheckpointError
    from scripts.tracker.versus.alternation import DisagreementError

    try:
        measure = arguments.prepare(arguments)
    except (CheckpointError, ValueError, OSError) as error:
        print(f"scripts.versus: {error}", file=sys.stderr)
        return 2
    except DisagreementError as error:
        print(f"scripts.versus: {error} Times of different work cannot be compared.", file=sys.stderr)
        return 1
    print(measure())
    return 0


if __name__ == "__main__":
    sys.exit(main())
