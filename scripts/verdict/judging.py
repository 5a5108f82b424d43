"""From blocks to a verdict: faster, slower, same, or not enough evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import fmean
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scripts.verdict import holm, looks
from scripts.verdict.pairs import interval, one_sided_p, pairwise_means, smallest_change

Verdict = Literal["slower", "faster", "same", "not enough evidence"]
ALPHA = 0.01
"""The chance that any row of a table is called slower, faster or same although it is not."""
LEAST_ROUNDS = 2
"""So many pairs of processes have to reach a verdict, each by itself."""
DELTA = 0.02
"""Times that differ by less are the same."""


@dataclass(frozen=True)
class Evidence:
    """What the blocks of one row, in one round, say at their last look.

    `ratio` is head over base, `low` to `high` its interval at 1 - ALPHA, `widest_low` to `widest_high` that of the
    whole table at once; both are what all looks so far have in common. `p_slower` and `p_faster` are the least over the
    looks, one-sided, corrected for looking often. `smallest` is the change that would have been found with probability
    `pairs.POWER`.
    """

    blocks: int = 0
    ratio: float = float("nan")
    low: float = 0.0
    high: float = float("inf")
    widest_low: float = 0.0
    widest_high: float = float("inf")
    p_slower: float = 1.0
    p_faster: float = 1.0
    smallest: float = float("inf")


NOTHING = Evidence()


def look(before: Evidence, differences: NDArray[np.float64], rows: int) -> Evidence:
    """Return the evidence of *differences*, all blocks of a row so far, in a table of *rows*; *before* is the last."""
    means = pairwise_means(differences)
    blocks = len(differences)
    low, high = interval(means, blocks, looks.per_look(ALPHA))
    table_alpha = looks.per_look(ALPHA) / rows
    widest_low, widest_high = interval(means, blocks, table_alpha)
    slower, faster = one_sided_p(differences)
    return Evidence(
        blocks,
        exp(float(np.median(means))),
        max(before.low, exp(low)),
        min(before.high, exp(high)),
        max(before.widest_low, exp(widest_low)),
        min(before.widest_high, exp(widest_high)),
        min(before.p_slower, looks.over_looks(slower)),
        min(before.p_faster, looks.over_looks(faster)),
        smallest_change((widest_high - widest_low) / 2, table_alpha),
    )


def judge(table: Sequence[Evidence], delta: float = DELTA) -> list[Verdict]:
    """Return the verdict of each row of *table*.

    The same: the interval of the whole table lies within 1 / (1 + delta) and 1 + delta, though it may exclude 1.
    Slower and faster: rejected by Holm's procedure, each direction at half of `ALPHA`.
    """
    slower = holm.adjusted([evidence.p_slower for evidence in table])
    faster = holm.adjusted([evidence.p_faster for evidence in table])
    return [_verdict(*row, delta) for row in zip(table, slower, faster, strict=True)]


def _verdict(evidence: Evidence, p_slower: float, p_faster: float, delta: float) -> Verdict:
    bound = log(1 + delta)
    if evidence.widest_low > 0 and -bound < log(evidence.widest_low) and log(evidence.widest_high) < bound:
        return "same"
    if min(p_slower, p_faster) <= ALPHA / 2:
        return "slower" if p_slower < p_faster else "faster"
    return "not enough evidence"


def agreed(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the verdict that more than half of the rounds have reached, at least two of them.

    Two processes differ a little though they run the same code, mostly by less than one part in a hundred, now and then
    by several: one pair of them proves nothing. Rounds without enough evidence do not count.
    """
    counts = Counter(verdict for verdict in verdicts if verdict != "not enough evidence")
    for verdict, count in counts.items():
        if count >= LEAST_ROUNDS and 2 * count > counts.total():
            return verdict
    return "not enough evidence"


def together(rounds: Sequence[Evidence]) -> Evidence:
    """Return what *rounds* say together: their mean ratio, and intervals that hold those of all of them."""
    known = [evidence for evidence in rounds if evidence.blocks]
    if not known:
        return NOTHING
    return Evidence(
        sum(evidence.blocks for evidence in known),
        exp(fmean(log(evidence.ratio) for evidence in known)),
        min(evidence.low for evidence in known),
        max(evidence.high for evidence in known),
        min(evidence.widest_low for evidence in known),
        max(evidence.widest_high for evidence in known),
        max(evidence.p_slower for evidence in known),
        max(evidence.p_faster for evidence in known),
        max(evidence.smallest for evidence in known),
    )
