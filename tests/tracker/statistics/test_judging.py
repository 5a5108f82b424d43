"""Verdicts of tables whose true changes are known."""

import numpy as np
import pytest

from scripts.tracker.statistics import holm, interim_looks
from scripts.tracker.statistics.judging import (
    ALPHA,
    DELTA,
    NO_EVIDENCE,
    Evidence,
    Table,
    combine_rounds,
    estimate,
    judge,
    pairs_factor,
    round_alpha,
    two_of_four_p,
    would_conclude,
)

QUIET = 0.01


def _measured(
    shift: float, pairs: int, noise: float = QUIET, rows: int = 1, seed: int = 3, delta: float = DELTA
) -> Evidence:
    """Return the evidence after all interim looks up to *pairs*."""
    differences = np.random.default_rng(seed).normal(shift, noise, pairs)
    evidence = NO_EVIDENCE
    for size in interim_looks.SIZES:
        if size <= pairs:
            evidence = estimate(evidence, differences[:size], Table(rows, delta))
    return evidence


@pytest.mark.parametrize(
    ("shift", "verdict"),
    [(0.05, "slower"), (-0.05, "faster"), (0.0, "same"), (0.008, "same"), (0.02, "slower")],
)
def test_rows_with_little_noise_get_the_true_verdict(shift, verdict):
    assert would_conclude([_measured(shift, 200)]) == [verdict]


def test_a_certain_change_below_delta_is_the_same():
    evidence = _measured(0.01, 2100, noise=0.005)

    assert evidence.low > 1
    assert would_conclude([evidence]) == ["same"]
    assert would_conclude([_measured(0.01, 2100, noise=0.005, delta=0.005)], delta=0.005) == ["slower"]


def test_a_difference_within_the_margin_is_not_slower():
    certain = _measured(0.004, 200, noise=0.005)

    assert certain.low > 1.001
    assert certain.p_slower == 1.0
    assert would_conclude([certain], delta=0.004) == ["not enough evidence"]


def test_the_pairs_needed_for_a_verdict_are_estimated():
    few, enough = _measured(0.05, 32, noise=0.1), _measured(0.05, 106, noise=0.1)

    assert would_conclude([few]) == ["not enough evidence"]
    assert would_conclude([enough]) == ["slower"]
    assert 1 < pairs_factor(few) < 106 / 32
    assert pairs_factor(_measured(0.0, 200)) < 1
    assert pairs_factor(NO_EVIDENCE) == float("inf")


def test_a_noisy_row_is_inconclusive():
    evidence = _measured(0.02, 60, noise=0.3)

    assert would_conclude([evidence]) == ["not enough evidence"]
    assert evidence.detectable > 0.1


def test_an_unmeasured_row_is_inconclusive():
    assert would_conclude([NO_EVIDENCE, _measured(0.05, 100)]) == ["not enough evidence", "slower"]


def test_more_pairs_detect_smaller_changes():
    few, many = _measured(0.0, 54), _measured(0.0, 200)

    assert many.detectable < few.detectable < 0.1


def test_rows_of_a_larger_table_need_more_evidence():
    differences = np.random.default_rng(4).normal(0.0085, 0.01, 32)
    alone, among = (
        estimate(NO_EVIDENCE, differences, Table(1, 0.001)),
        estimate(NO_EVIDENCE, differences, Table(200, 0.001)),
    )

    assert would_conclude([alone], delta=0.001) == ["slower"]
    assert would_conclude([among] + [NO_EVIDENCE] * 199, delta=0.001)[0] == "not enough evidence"
    assert among.simultaneous_low < alone.simultaneous_low


def test_tables_of_equal_sides_hold_the_level():
    rng = np.random.default_rng(7)
    wrong = 0
    for _ in range(60):
        table: list[list[Evidence]] = [[] for _ in range(5)]
        for rounds in table * 2:
            evidence, differences = NO_EVIDENCE, rng.standard_t(2, 32) * 0.1
            for size in interim_looks.SIZES[:3]:
                evidence = estimate(evidence, differences[:size], Table(5))
            rounds.append(evidence)
        wrong += any(verdict in ("slower", "faster") for verdict in judge(table))

    assert wrong / 60 <= ALPHA + 0.01


def test_the_numbers_of_pairs_at_the_looks_grow_by_half_and_end():
    assert interim_looks.SIZES[:4] == (14, 21, 32, 47)
    assert interim_looks.next_size(0) == 14
    assert interim_looks.next_size(14) == 21
    assert interim_looks.next_size(interim_looks.SIZES[-1]) is None


def test_the_looks_share_the_level():
    assert interim_looks.alpha_per_look(ALPHA) * interim_looks.LOOKS == pytest.approx(ALPHA)
    assert interim_looks.p_over_looks(0.001) == pytest.approx(0.014)
    assert interim_looks.p_over_looks(0.5) == 1.0


def test_holm_agrees_with_a_computation_by_hand():
    assert holm.adjusted([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_leaves_a_single_row_unchanged():
    assert holm.adjusted([0.2]) == [0.2]


def test_the_p_value_of_two_of_four_rounds_is_the_binomial_one():
    p = 0.001
    second_of_four = 1 - (1 - p) ** 4 - 4 * p * (1 - p) ** 3

    assert second_of_four <= two_of_four_p(p) == pytest.approx(second_of_four, rel=0.01)
    assert two_of_four_p(0.9) == 1.0
    assert two_of_four_p(round_alpha(ALPHA) / 2) == pytest.approx(ALPHA / 2)


ROUNDS = {
    "slower": Evidence(99, 1.05, simultaneous_low=1.0, simultaneous_high=1.1, p_slower=1e-4),
    "faster": Evidence(99, 0.95, simultaneous_low=0.9, simultaneous_high=1.0, p_faster=1e-4),
    "same": Evidence(99, 1.01, simultaneous_low=1.005, simultaneous_high=1.015, p_slower=1e-9),
    "unknown": Evidence(99, 1.01, simultaneous_low=0.9, simultaneous_high=1.1, p_slower=0.2),
}


@pytest.mark.parametrize(
    ("rounds", "verdict"),
    [
        ([], "not enough evidence"),
        (["slower"], "not enough evidence"),
        (["slower", "unknown"], "not enough evidence"),
        (["slower", "slower"], "slower"),
        (["slower", "same"], "not enough evidence"),
        (["slower", "unknown", "slower"], "slower"),
        (["slower", "same", "same"], "same"),
        (["slower", "faster", "slower"], "slower"),
        (["slower", "slower", "same", "same"], "not enough evidence"),
        (["faster", "faster"], "faster"),
    ],
)
def test_a_verdict_needs_two_rounds_and_a_majority(rounds, verdict):
    assert judge([[ROUNDS[name] for name in rounds]]) == [verdict]


def test_two_rounds_are_judged_by_the_weaker_one():
    weak, strong = Evidence(99, 1.05, p_slower=0.01), Evidence(99, 1.05, p_slower=1e-9)

    assert judge([[weak, strong]]) == ["slower"]  # six choices of 0.01 ** 2
    assert judge([[weak, strong]] + [[]] * 9)[0] == "not enough evidence"
    assert judge([[strong, strong]] + [[]] * 9)[0] == "slower"


def test_combined_rounds_have_the_hull_of_their_intervals():
    first, second = _measured(0.02, 200), _measured(0.04, 200, seed=5)
    both = combine_rounds([first, NO_EVIDENCE, second])

    assert both.ratio == pytest.approx((first.ratio * second.ratio) ** 0.5)
    assert (both.low, both.high) == (first.low, second.high)
    assert (both.p_slower, both.pairs) == (max(first.p_slower, second.p_slower), first.pairs + second.pairs)
    assert combine_rounds([]) == NO_EVIDENCE
