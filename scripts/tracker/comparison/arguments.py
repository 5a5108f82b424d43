"""Options that all commands that measure commits share."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from scripts.tracker.running.lock import WAIT_HELP

ROOT = Path(__file__).resolve().parents[3]
"""Root of this repository."""
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")


def add_measuring_options(parser: argparse.ArgumentParser, budget: str, budget_help: str) -> None:
    """Add the options --budget, --scale, --device, --config and --wait."""
    parser.add_argument(
        "--budget",
        dest="budget_s",
        type=duration,
        default=budget,
        metavar="TIME",
        help=f"{budget_help}: 90s, 10m, 1h30m (default {budget})",
    )
    parser.add_argument("--scale", default="tiny", help="tiny (default), full, or the path of a checkpoints folder")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda or mps")
    parser.add_argument(
        "--config", type=Path, default=ROOT / "asv.conf.json", help="asv's configuration (default the repository's)"
    )
    parser.add_argument("--wait", action="store_true", help=WAIT_HELP)


def duration(text: str) -> float:
    """Return a duration such as 90s, 10m or 1h30m in seconds."""
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: give 90s, 10m or 1h30m")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    total = 3600 * hours + 60 * minutes + seconds
    if total <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} leaves no time to measure: give 90s, 10m or 1h30m")
    return total


def percentage(text: str) -> float:
    """Return a percentage such as 2 or 2% as a share, 0.02."""
    try:
        value = float(text.removesuffix("%")) / 100
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no percentage between 0 and 100")
    return value
