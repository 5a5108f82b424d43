"""The options that both subjects of ``python -m scripts.versus`` share, and checks of option values."""

from __future__ import annotations

import argparse

ROUNDS = {"tiny": 7, "full": 3}
"""Default number of rounds, by scale."""


def add_shared(parser: argparse.ArgumentParser, threads: str) -> None:
    """Add the options --rounds, --threads and --json; *threads* is the text of the default number of threads."""
    parser.add_argument("--rounds", type=int, help="number of rounds; each runs everything twice (default 7, full 3)")
    parser.add_argument("--threads", type=int, help=f"number of CPU threads (default: {threads})")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the tables")


def check_shared(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Fill in the defaults that depend on the scale, and refuse invalid values."""
    if arguments.rounds is None:
        arguments.rounds = ROUNDS.get(arguments.scale, ROUNDS["full"])
    check_range(parser, arguments, "rounds", 1000)
    check_range(parser, arguments, "threads", 1024)


def check_range(parser: argparse.ArgumentParser, arguments: argparse.Namespace, name: str, most: int) -> None:
    """Refuse the value of the option *name* if it is given and not between 1 and *most*."""
    number = getattr(arguments, name)
    if number is not None and not 1 <= number <= most:
        parser.error(f"--{name.replace('_', '-')} is {number}, expected 1 to {most}")


def numbers(parser: argparse.ArgumentParser, name: str, text: str, most: int) -> list[int]:
    """Return the integers from 1 to *most* in *text*, the value of the option *name*, sorted and without duplicates."""
    try:
        values = [int(number) for number in text.split(",")]
    except ValueError:
        default = parser.get_default(name)
        parser.error(f"--{name} is {text!r}, expected whole numbers separated by commas, as in {default}")
    if not all(1 <= value <= most for value in values):
        parser.error(f"--{name} is {text!r}, expected numbers from 1 to {most}")
    return sorted(set(values))


def use_threads(count: int) -> int:
    """Limit torch to *count* threads; return the number that it uses."""
    import torch

    torch.set_num_threads(count)
    return torch.get_num_threads()
