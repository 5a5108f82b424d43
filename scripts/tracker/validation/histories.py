"""``python -m scripts.validate histories``: detected regressions and false alarms in synthetic histories."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from scripts.tracker.progress import say
from scripts.tracker.validation.detectors import Detector, asv_with, ours
from scripts.tracker.validation.rates import DetectionRates, detection_rates, false_alarms
from scripts.tracker.validation.synthetic import COMMITS, SAMPLES, Histories

SUMMARY = "detected regressions and false alarms in synthetic histories, compared with asv's own detection"
NOISES = (0.005, 0.01, 0.02)
STEPS = (0.0, 0.02, 0.05, 0.1)
STEP_AT, OTHERS_AT = 30, (10, 20)
"""Commits before the step: in the main table, and in the lines below it."""
ASV_SHARE = 40
"""asv's detection takes ten times as long, so it is run on one of so many histories."""
CLAIM = {"after_one": 0.78, "after_three": 0.98, "false": 0.01}
"""Claimed rates for a step of 5 % at 1 % noise: smallest detection rates and largest false-alarm rate."""


def add_parser(subparsers: Any) -> None:
    """Add the command ``histories``."""
    parser = subparsers.add_parser("histories", help=SUMMARY, description=f"{SUMMARY[0].upper()}{SUMMARY[1:]}.")
    parser.add_argument(
        "--histories", type=_positive, default=2000, metavar="N", help="histories of each kind (default 2000)"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the random numbers (default 1)")
    parser.set_defaults(run=run)


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} histories, expected a number from 1 on")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Print the tables; returns 0 if the claims hold, else 1."""
    count, seed = arguments.histories, arguments.seed
    few = max(1, count // ASV_SHARE)
    histories = Histories(count, seed)
    detectors: list[tuple[Detector, int]] = [(ours, count), (asv_with(0.05), few), (asv_with(0.0), few)]
    print(_heading(count, few))
    claimed = {}
    for noise in NOISES:
        for step in STEPS:
            say(f"noise {noise:.1%}, step {step:.0%} ...")
            rates = [_rates(detect, histories, number, noise, step, STEP_AT) for detect, number in detectors]
            print(_row(f"{100 * noise:5.1f} %{100 * step:5.0f} %", rates), flush=True)
            claimed[noise, step] = rates[0]
    print(_other_conditions(histories, Histories(count, seed, "heavy"), count))
    holds = _holds(claimed[0.01, 0.05], claimed[0.01, 0.0])
    print(f"\nA step of 5 % at 1 % noise: ≥ 78 % after one commit, ≥ 98 % after three, ≤ 1 % false: {holds}")
    return 0 if holds == "holds" else 1


def _rates(detect: Detector, histories: Histories, count: int, noise: float, step: float, at: int) -> DetectionRates:
    if step:
        return detection_rates(detect, histories, count, noise, step, at)
    return false_alarms(detect, histories, count, noise)


def _heading(count: int, few: int) -> str:
    names = ("ours", "asv, threshold 5 %", "asv, no threshold")
    return "\n".join(
        [
            f"{count} histories of {COMMITS} commits with {SAMPLES} samples each ({few} for asv). Noise: deviation of",
            f"the median from commit to commit, half of its variance within commits. Step after {STEP_AT} commits.",
            "After 1, 3: a regression is listed 1 or 3 commits after the step; exact: after 3, at the correct commit.",
            "False: without a step, a regression is listed after at least one of the commits.",
            "",
            f"{'':14}" + "".join(f" | {name:^32}" for name in names),
            f"{'noise':>7}{'step':>7}" + f" | {'after 1':>8}{'after 3':>8}{'exact':>8}{'false':>8}" * len(names),
        ]
    )


def _row(label: str, rates: Sequence[DetectionRates]) -> str:
    cells = [[one.after_one, one.after_three, one.exact, one.false] for one in rates]
    return label + "".join(" | " + "".join(f"{_percent(share):>8}" for share in shares) for shares in cells)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _other_conditions(histories: Histories, heavy: Histories, count: int) -> str:
    """Return the rates for a step of 5 % at 1 % noise with fewer commits before it, and with outliers."""
    lines = ["", "A step of 5 % at 1 % noise, ours:"]
    lines += [
        _row(f"{f'after {at} commits':24}", [detection_rates(ours, histories, count, 0.01, 0.05, at)])
        for at in OTHERS_AT
    ]
    step, steady = detection_rates(ours, heavy, count, 0.01, 0.05, STEP_AT), false_alarms(ours, heavy, count, 0.01)
    both = DetectionRates(step.after_one, step.after_three, step.exact, steady.false)
    lines.append(_row("between commits t, 4 dof", [both]))
    return "\n".join(lines)


def _holds(step: DetectionRates, steady: DetectionRates) -> str:
    found_enough = (step.after_one or 0) >= CLAIM["after_one"] and (step.after_three or 0) >= CLAIM["after_three"]
    return "holds" if found_enough and (steady.false or 0) <= CLAIM["false"] else "MISSED"
