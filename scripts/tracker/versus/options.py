"""Options that both subjects have, and what is wrong with options."""

from __future__ import annotations

import argparse

ROUNDS = {"tiny": 7, "full": 3}


def add_shared(parser: argparse.ArgumentParser, threads: str) -> None:
    """Give *parser* the options that say how often, on how many threads (*threads* is what they are else), for whom."""
    parser.add_argument("--rounds", type=int, help="each runs everything twice (default 7, full 3)")
    parser.add_argument("--threads", type=int, help=f"of the processor (default: {threads})")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the tables")


def check_shared(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Fill in what depends on the scale, and refuse what cannot be."""
    if arguments.rounds is None:
        arguments.rounds = ROUNDS.get(arguments.scale, ROUNDS["full"])
    check_range(parser, arguments, "rounds", 1000)
    check_range(parser, arguments, "threads", 1024)


def check_range(parser: argparse.ArgumentParser, arguments: argparse.Namespace, name: str, most: int) -> None:
    """Refuse an option that is given and not from 1 to *most*."""
    number = getattr(arguments, name)
    if number is not None and not 1 <= number <= most:
        parser.error(f"--{name.replace('_', '-')} is {number}, expected 1 to {most}")


def numbers(parser: argparse.ArgumentParser, name: str, text: str, most: int) -> list[int]:
    """The whole numbers from 1 to *most* in *text*, the value of the option *name*: sorted, each once."""
    try:
        found = [int(number) for number in text.split(",")]
    except ValueError:
        default = parser.get_default(name)
        parser.error(f"--{name} is {text!r}, expected whole numbers separated by commas, as in {default}")
    if not all(1 <= number <= most for number in found):
        parser.error(f"--{name} is {text!r}, expected numbers from 1 to {most}")
    return sorted(set(found))


def use_threads(count: int) -> int:
    """Hold torch to *count* threads, and return how many it uses."""
    import torch

    torch.set_num_threads(count)
    return torch.get_num_threads()
