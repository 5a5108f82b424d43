"""Renders the results of ``python -m scripts.versus``: tables for people, JSON for programs."""

from __future__ import annotations

import json
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scripts.tracker.versus.alternation import Spread, Variant
    from scripts.tracker.versus.planner import ComparedVariants
    from scripts.tracker.versus.planner_variants import PlannerVariant
    from scripts.tracker.versus.synthesizer_variants import PairedVariants

NAME_WIDTH = 36
"""Width of the column with the name of the work, in characters."""


def planner_json(
    conditions: dict[str, object], variants: list[PlannerVariant], comparisons: list[ComparedVariants]
) -> str:
    """Return the times of *variants* and the speedups of *comparisons* as JSON."""
    return json.dumps(
        conditions
        | {
            "variants": [
                {
                    "name": variant.name,
                    "tokens": variant.tokens,
                    "seconds": variant.seconds,
                    "tokens_per_s": vars(variant.rate),
                    "share_of_bound": vars(variant.bound_share),
                }
                for variant in variants
            ],
            "speedups": [
                {"work": pair.work, "of": pair.variant.name, "against": pair.against.name}
                | vars(pair.variant.speedup(pair.against))
                for pair in comparisons
            ],
        },
        indent=2,
    )


def planner_tables(
    conditions: dict[str, object],
    bandwidth: Spread,
    variants: list[PlannerVariant],
    comparisons: list[ComparedVariants],
) -> str:
    """Return tables of the rates of *variants*, bounded by *bandwidth*, and of the speedups of *comparisons*."""
    weights_bytes = float(str(conditions["weights_bytes"]))
    lines = [
        f"{conditions['scale']} on {conditions['device']}, {conditions['threads']} threads, "
        f"torch {conditions['torch']}, float32, {conditions['tokens']} codes a sample, guidance and top-p; "
        f"{conditions['rounds']} rounds, each variant twice a round (ABBA)",
        "both sides generated the same greedy tokens for every line",
        f"a step needs {weights_bytes / 1e6:,.1f} MB of weights, read at {bandwidth.median / 1e9:.1f} GB/s "
        f"({bandwidth.minimum / 1e9:.1f} to {bandwidth.maximum / 1e9:.1f})",
        "",
        f"{'':32}{'tokens/s':>10}{'from':>9}{'to':>9}{'share of bound':>18}",
    ]
    for variant in variants:
        rate = variant.rate
        numbers = f"{rate.median:10.1f}{rate.minimum:9.1f}{rate.maximum:9.1f}{variant.bound_share.median:17.0%}"
        lines.append(f"{variant.name:32}{numbers}")
    lines += ["", f"{'speed over generate':48}{'ratio':>8}{'from':>8}{'to':>8}"]
    for pair in comparisons:
        ratio = pair.variant.speedup(pair.against)
        lines.append(f"{pair.work:48}{ratio.median:7.2f}x{ratio.minimum:7.2f}x{ratio.maximum:7.2f}x")
    return "\n".join(lines)


def synthesizer_json(conditions: dict[str, object], pairs: list[PairedVariants], once: list[Variant]) -> str:
    """Return the times of *pairs*, and of what this package does *once* a generation, in every round as JSON."""
    works = [
        {
            "work": pair.work,
            "ours_s": pair.ours.seconds,
            "diffusers_s": pair.theirs.seconds,
            "ratio": vars(pair.ratio),
            "largest_difference": pair.difference,
        }
        for pair in pairs
    ]
    once_a_generation = [{"work": variant.name, "ours_s": variant.seconds} for variant in once]
    return json.dumps(conditions | {"works": works, "once_a_generation": once_a_generation}, indent=2)


def synthesizer_table(conditions: dict[str, object], pairs: list[PairedVariants], once: list[Variant]) -> str:
    """Return a table of the times of *pairs*, and of what this package does *once* a generation: medians in ms."""
    lines = [
        f"{conditions['scale']} on cpu, {conditions['threads']} threads, torch {conditions['torch']}, "
        f"diffusers {conditions['diffusers']}, float32, a batch of one; {conditions['rounds']} rounds, "
        "each variant twice a round (ABBA)"
    ]
    if conditions["layers"]:
        cut = "cut to" if conditions["cut"] else "of"
        condition = f"a condition of {conditions['condition_tokens']} tokens"
        lines.append(f"a DiT {cut} {conditions['layers']} layers, {condition}")
    columns = f"{'ours, ms':>12}{'diffusers, ms':>15}{'ratio':>9}{'from':>8}{'to':>8}{'difference':>13}"
    lines += ["", f"{'':{NAME_WIDTH}}{columns}"]
    for pair in pairs:
        ratio = pair.ratio
        spread = f"{ratio.median:9.3f}{ratio.minimum:8.3f}{ratio.maximum:8.3f}"
        times = f"{_milliseconds(pair.ours):>12}{_milliseconds(pair.theirs):>15}"
        lines.append(f"{pair.work:{NAME_WIDTH}}{times}{spread}{pair.difference:13.1e}")
    if once:
        lines += ["", "done once a generation, and not part of any ratio"]
        lines += [f"{variant.name:{NAME_WIDTH}}{_milliseconds(variant):>12}" for variant in once]
    return "\n".join(lines)


def _milliseconds(variant: Variant) -> str:
    return f"{1000 * median(variant.seconds):,.2f}"
