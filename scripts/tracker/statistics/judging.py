"""From pairs to a verdict: faster, slower, same, or not enough evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, exp, log, sqrt
from statistics import fmean
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scripts.tracker.statistics import holm, interim_looks
from scripts.tracker.statistics.pairs import detectable_change, interval, one_sided_p, walsh_averages
from scripts.tracker.statistics.pooling import Pool

Verdict = Literal["slower", "faster", "same", "not enough evidence"]
ALPHA = 0.01
"""The chance that any row of a table is called slower, faster or same although it is not."""
MIN_ROUNDS, MAX_ROUNDS = 2, 4
"""So many rounds, each a pair of processes of its own, have to reach a verdict; and so many there are at most."""
DELTA = 0.02
"""Times that differ by less are the same; see `margin`."""
POWER = 0.8
"""The detectable change that could have been seen is one that is found with this probability."""
_CHOICES = comb(MAX_ROUNDS, MIN_ROUNDS)


@dataclass(frozen=True)
class Evidence:
    """What the pairs of one row, in one round, say at the last interim look.

    Attributes:
        pairs: number of pairs at that look; 0 before the first look.
        ratio: Hodges-Lehmann estimate of candidate time / baseline time.
        low: lower bound of the confidence interval of the ratio. The interval is so wide that two rounds miss the
            ratio on one side with a probability of at most `ALPHA` / 2.
        high: upper bound of that interval.
        simultaneous_low: lower bound of the interval that is simultaneous for all rows of the table.
        simultaneous_high: upper bound of that interval. Both intervals are the intersection over all looks so far.
        p_slower: one-sided p value of "not slower by more than `margin`": the least over the looks, corrected for
            their number.
        p_faster: the same of "not faster by more than `margin`".
        detectable: minimum detectable change: the relative change that two such rounds find with probability `POWER`.
    """

    pairs: int = 0
    ratio: float = float("nan")
    low: float = 0.0
    high: float = float("inf")
    simultaneous_low: float = 0.0
    simultaneous_high: float = float("inf")
    p_slower: float = 1.0
    p_faster: float = 1.0
    detectable: float = float("inf")


NOTHING = Evidence()


@dataclass(frozen=True)
class Table:
    """What a row is judged in: so many *rows*, and *delta* by which times may differ and be the same."""

    rows: int = 1
    delta: float = DELTA


def margin(delta: float) -> float:
    """Return the logarithm of the ratio beyond which a row is slower: a quarter of that up to which it is the same.

    Two processes that run the same code differ by 0.6 % (standard deviation), which enough runs tell from nothing. A
    row that differs by less than the mean of both bounds is found to be the same before it is found to be slower.
    """
    return log(1 + delta) / 4


def look(before: Evidence, differences: NDArray[np.float64], table: Table) -> Evidence:
    """Return the evidence of *differences*, all pairs of a row of *table* so far; *before* is that of the last look."""
    means = walsh_averages(differences)
    pairs, least = len(differences), margin(table.delta)
    low, high = interval(means, pairs, interim_looks.alpha_per_look(round_alpha(ALPHA)))
    table_alpha = interim_looks.alpha_per_look(round_alpha(ALPHA / table.rows))
    simultaneous_low, simultaneous_high = interval(means, pairs, table_alpha)
    (slower, _), (_, faster) = one_sided_p(differences - least), one_sided_p(differences + least)
    return Evidence(
        pairs,
        exp(float(np.median(means))),
        max(before.low, exp(low)),
        min(before.high, exp(high)),
        max(before.simultaneous_low, exp(simultaneous_low)),
        min(before.simultaneous_high, exp(simultaneous_high)),
        min(before.p_slower, interim_looks.p_over_looks(slower)),
        min(before.p_faster, interim_looks.p_over_looks(faster)),
        detectable_change((simultaneous_high - simultaneous_low) / 2, table_alpha, POWER ** (1 / MIN_ROUNDS), least),
    )


def estimate_pooled(cells: Sequence[NDArray[np.float64]], table: Table) -> Evidence:
    """Return the evidence of a stage, a row of *table*: the differences of its *cells*, as many of each.

    There is one look, at numbers fixed beforehand.
    """
    pool, least, table_alpha = Pool(cells), margin(table.delta), round_alpha(ALPHA / table.rows)
    low, high = pool.interval(round_alpha(ALPHA))
    simultaneous_low, simultaneous_high = pool.interval(table_alpha)
    return Evidence(
        sum(map(len, cells)),
        exp(float(np.median(pool.means))),
        exp(low),
        exp(high),
        exp(simultaneous_low),
        exp(simultaneous_high),
        pool.p_greater(least),
        pool.p_less(-least),
        detectable_change((simultaneous_high - simultaneous_low) / 2, table_alpha, POWER ** (1 / MIN_ROUNDS), least),
    )


def judge(table: Sequence[Sequence[Evidence]], delta: float = DELTA) -> list[Verdict]:
    """Return the verdict of each row of *table*, which holds the evidence of its rounds.

    A round says the same if the interval of the whole table lies within 1 / (1 + delta) and 1 + delta, though it may
    exclude 1. Slower and faster: a change within the `margin` is rejected by Holm's procedure on the p values of two
    rounds, each direction at half of `ALPHA`. The verdict is that of two rounds at least, and of more than half of
    those that have one: two processes differ a little though they run the same code, mostly by less than one part in a
    hundred, now and then by several, so that one pair of them proves nothing.
    """
    open_table = [[NOTHING if _is_same(evidence, delta) else evidence for evidence in rounds] for rounds in table]
    slower = _significant([[evidence.p_slower for evidence in rounds] for rounds in open_table])
    faster = _significant([[evidence.p_faster for evidence in rounds] for rounds in open_table])
    return [
        _agreed(["same" if _is_same(evidence, delta) else _vote(evidence, *bounds) for evidence in rounds])
        for rounds, bounds in zip(table, zip(slower, faster, strict=True), strict=True)
    ]


def would_conclude(table: Sequence[Evidence], delta: float = DELTA) -> list[Verdict]:
    """Return what the verdicts of *table* will be if another round says the same as this one."""
    return judge([[evidence] * MIN_ROUNDS for evidence in table], delta)


def pairs_factor(evidence: Evidence, delta: float = DELTA) -> float:
    """Return how many times its pairs a row would need for a verdict if it goes on as it did; infinite if unknown.

    The interval of the whole table narrows with the root of the pairs, until it leaves the `margin` or lies within
    *delta*.
    """
    if evidence.simultaneous_high == float("inf"):
        return float("inf")
    half_width, change = log(evidence.simultaneous_high / evidence.simultaneous_low) / 2, abs(log(evidence.ratio))
    return (half_width / max(change - margin(delta), log(1 + delta) - change)) ** 2


def round_alpha(alpha: float) -> float:
    """Return the two-sided level of each round if two of `MAX_ROUNDS` are to be wrong on one side at *alpha*."""
    return 2 * sqrt(alpha / 2 / _CHOICES)


def two_of_four_p(p: float) -> float:
    """Return the p value of two of `MAX_ROUNDS`, of which *p* is the larger."""
    return min(1.0, _CHOICES * p**MIN_ROUNDS)


def _significant(table: Sequence[Sequence[float]]) -> list[float]:
    """Return up to which p a round counts, in each row of p values; less than any where the row is not rejected."""
    second = [sorted(rounds)[MIN_ROUNDS - 1] if len(rounds) >= MIN_ROUNDS else 1.0 for rounds in table]
    adjusted = holm.adjusted([two_of_four_p(p) for p in second])
    return [p if total <= ALPHA / 2 else -1.0 for p, total in zip(second, adjusted, strict=True)]


def _is_same(evidence: Evidence, delta: float) -> bool:
    return 1 / (1 + delta) < evidence.simultaneous_low and evidence.simultaneous_high < 1 + delta


def _vote(evidence: Evidence, slower: float, faster: float) -> Verdict:
    if evidence.p_slower <= slower:
        return "slower"
    return "faster" if evidence.p_faster <= faster else "not enough evidence"


def _agreed(votes: Sequence[Verdict]) -> Verdict:
    counts = Counter(vote for vote in votes if vote != "not enough evidence")
    for verdict, count in counts.items():
        if count >= MIN_ROUNDS and 2 * count > counts.total():
            return verdict
    return "not enough evidence"


def together(rounds: Sequence[Evidence]) -> Evidence:
    """Return what *rounds* say together: their mean ratio, and intervals that hold those of all of them."""
    known = [evidence for evidence in rounds if evidence.pairs]
    if not known:
        return NOTHING
    return Evidence(
        sum(evidence.pairs for evidence in known),
        exp(fmean(log(evidence.ratio) for evidence in known)),
        min(evidence.low for evidence in known),
        max(evidence.high for evidence in known),
        min(evidence.simultaneous_low for evidence in known),
        max(evidence.simultaneous_high for evidence in known),
        max(evidence.p_slower for evidence in known),
        max(evidence.p_faster for evidence in known),
        max(evidence.detectable for evidence in known),
    )
