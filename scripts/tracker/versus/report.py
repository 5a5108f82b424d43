"""What a race tells: tables for people, JSON for programs."""

from __future__ import annotations

import json
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scripts.tracker.versus.alternation import Spread
    from scripts.tracker.versus.planner import Comparison
    from scripts.tracker.versus.sides import Line, Side
    from scripts.tracker.versus.variants import Lane

NAMES = 36
"""Characters of a work's name."""


def planner_json(facts: dict[str, object], lanes: list[Lane], comparisons: list[Comparison]) -> str:
    """The race of *lanes*, and how the *comparisons* between them ended."""
    return json.dumps(
        facts
        | {
            "lanes": [
                {
                    "name": lane.name,
                    "tokens": lane.tokens,
                    "seconds": lane.seconds,
                    "tokens_per_s": vars(lane.rate),
                    "share_of_bound": vars(lane.share),
                }
                for lane in lanes
            ],
            "speedups": [
                {"work": pair.text, "of": pair.lane.name, "against": pair.against.name}
                | vars(pair.lane.speedup(pair.against))
                for pair in comparisons
            ],
        },
        indent=2,
    )


def planner_tables(
    facts: dict[str, object], bandwidth: Spread, lanes: list[Lane], comparisons: list[Comparison]
) -> str:
    """The race of *lanes*, the *bandwidth* that bounds them, and how the *comparisons* between them ended."""
    weights_bytes = float(str(facts["weights_bytes"]))
    lines = [
        f"{facts['scale']} on {facts['device']}, {facts['threads']} threads, torch {facts['torch']}, float32, "
        f"{facts['tokens']} codes a sample, guidance and top-p; {facts['rounds']} rounds, each twice in turns",
        "both sides wrote the same tokens greedily, in every line",
        f"a step needs {weights_bytes / 1e6:,.1f} MB of weights, read at {bandwidth.median / 1e9:.1f} GB/s "
        f"({bandwidth.least / 1e9:.1f} to {bandwidth.most / 1e9:.1f})",
        "",
        f"{'':32}{'tokens/s':>10}{'from':>9}{'to':>9}{'share of bound':>18}",
    ]
    for lane in lanes:
        rate = lane.rate
        numbers = f"{rate.median:10.1f}{rate.least:9.1f}{rate.most:9.1f}{lane.share.median:17.0%}"
        lines.append(f"{lane.name:32}{numbers}")
    lines += ["", f"{'speed over generate':48}{'ratio':>8}{'from':>8}{'to':>8}"]
    for pair in comparisons:
        ratio = pair.lane.speedup(pair.against)
        lines.append(f"{pair.text:48}{ratio.median:7.2f}x{ratio.least:7.2f}x{ratio.most:7.2f}x")
    return "\n".join(lines)


def synthesizer_json(facts: dict[str, object], lines: list[Line], once: list[Side]) -> str:
    """The race of *lines*, and what ours did *once* a generation, with the seconds of every round."""
    told = [
        {
            "work": line.work,
            "ours_s": line.ours.seconds,
            "diffusers_s": line.theirs.seconds,
            "ratio": vars(line.ratio),
            "largest_difference": line.difference,
        }
        for line in lines
    ]
    made = [{"work": side.name, "ours_s": side.seconds} for side in once]
    return json.dumps(facts | {"lines": told, "once_a_generation": made}, indent=2)


def synthesizer_table(facts: dict[str, object], lines: list[Line], once: list[Side]) -> str:
    """The race of *lines*, and what ours did *once* a generation, medians in milliseconds."""
    told = [
        f"{facts['scale']} on cpu, {facts['threads']} threads, torch {facts['torch']}, diffusers {facts['diffusers']}, "
        f"float32, a batch of one; {facts['rounds']} rounds, each twice in turns"
    ]
    if facts["layers"]:
        cut = "cut to" if facts["cut"] else "of"
        told.append(f"a DiT {cut} {facts['layers']} layers, a condition of {facts['condition_tokens']} tokens")
    columns = f"{'ours, ms':>12}{'diffusers, ms':>15}{'ratio':>9}{'from':>8}{'to':>8}{'difference':>13}"
    told += ["", f"{'':{NAMES}}{columns}"]
    for line in lines:
        ratio = line.ratio
        spread = f"{ratio.median:9.3f}{ratio.least:8.3f}{ratio.most:8.3f}"
        told.append(f"{line.work:{NAMES}}{_ms(line.ours):>12}{_ms(line.theirs):>15}{spread}{line.difference:13.1e}")
    if once:
        told += ["", "made once a generation, and in no ratio"]
        told += [f"{side.name:{NAMES}}{_ms(side):>12}" for side in once]
    return "\n".join(told)


def _ms(side: Side) -> str:
    return f"{1000 * median(side.seconds):,.2f}"
