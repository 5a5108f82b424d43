"""Verdicts of tables whose truth is known."""

import numpy as np
import pytest

from scripts.verdict import holm, looks
from scripts.verdict.judging import ALPHA, NOTHING, Evidence, agreed, judge, look, together

QUIET = 0.01


def _measured(shift: float, blocks: int, noise: float = QUIET, rows: int = 1, seed: int = 3) -> Evidence:
    """The evidence after every look up to *blocks*."""
    differences = np.random.default_rng(seed).normal(shift, noise, blocks)
    evidence = NOTHING
    for size in looks.SIZES:
        if size <= blocks:
            evidence = look(evidence, differences[:size], rows)
    return evidence


@pytest.mark.parametrize(
    ("shift", "verdict"),
    [(0.05, "slower"), (-0.05, "faster"), (0.0, "same"), (0.008, "same"), (0.02, "slower")],
)
def test_quiet_rows_get_the_verdict_that_is_true(shift, verdict):
    assert judge([_measured(shift, 200)]) == [verdict]


def test_a_change_below_delta_is_the_same_though_it_is_certain():
    evidence = _measured(0.01, 2100, noise=0.005)

    assert evidence.low > 1
    assert judge([evidence]) == ["same"]
    assert judge([evidence], delta=0.005) == ["slower"]


def test_noise_is_no_evidence():
    evidence = _measured(0.02, 60, noise=0.3)

    assert judge([evidence]) == ["not enough evidence"]
    assert evidence.smallest > 0.1


def test_nothing_measured_is_no_evidence():
    assert judge([NOTHING, _measured(0.05, 100)]) == ["not enough evidence", "slower"]


def test_what_would_have_been_seen_shrinks_with_the_blocks():
    few, many = _measured(0.0, 54), _measured(0.0, 200)

    assert many.smallest < few.smallest < 0.1


def test_rows_of_a_larger_table_need_more_evidence():
    differences = np.random.default_rng(4).normal(0.0095, 0.01, 36)
    alone, among = look(NOTHING, differences, 1), look(NOTHING, differences, 200)

    assert judge([alone], delta=0.001) == ["slower"]
    assert judge([among] + [NOTHING] * 199, delta=0.001)[0] == "not enough evidence"
    assert among.widest_low < alone.widest_low


def test_a_table_of_equal_sides_is_wrong_as_rarely_as_promised():
    rng = np.random.default_rng(7)
    wrong = 0
    for _ in range(100):
        rows = []
        for _ in range(5):
            evidence, differences = NOTHING, rng.standard_t(2, 81) * 0.1
            for size in looks.SIZES[:5]:
                evidence = look(evidence, differences[:size], 5)
            rows.append(evidence)
        wrong += any(verdict in ("slower", "faster") for verdict in judge(rows))

    assert wrong / 100 <= ALPHA + 0.01


def test_looks_grow_by_half_and_end():
    assert looks.SIZES[:4] == (16, 24, 36, 54)
    assert looks.next_size(0) == 16
    assert looks.next_size(16) == 24
    assert looks.next_size(looks.SIZES[-1]) is None


def test_looks_share_the_error():
    assert looks.per_look(ALPHA) * looks.LOOKS == pytest.approx(ALPHA)
    assert looks.over_looks(0.001) == pytest.approx(0.013)
    assert looks.over_looks(0.5) == 1.0


def test_holm_by_hand():
    assert holm.adjusted([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_of_one_row_is_that_row():
    assert holm.adjusted([0.2]) == [0.2]


def test_one_round_proves_nothing():
    assert agreed(["slower"]) == "not enough evidence"
    assert agreed([]) == "not enough evidence"


@pytest.mark.parametrize(
    ("rounds", "verdict"),
    [
        (["slower", "slower"], "slower"),
        (["slower", "same"], "not enough evidence"),
        (["slower", "not enough evidence", "slower"], "slower"),
        (["slower", "same", "same"], "same"),
        (["slower", "faster", "slower"], "slower"),
        (["slower", "slower", "same", "same"], "not enough evidence"),
    ],
)
def test_a_verdict_is_that_of_most_rounds_and_of_two_at_least(rounds, verdict):
    assert agreed(rounds) == verdict


def test_rounds_together_are_as_wide_as_all_of_them():
    first, second = _measured(0.02, 200), _measured(0.04, 200, seed=5)
    both = together([first, NOTHING, second])

    assert both.ratio == pytest.approx((first.ratio * second.ratio) ** 0.5)
    assert (both.low, both.high) == (first.low, second.high)
    assert (both.p_slower, both.blocks) == (max(first.p_slower, second.p_slower), 364)
    assert together([]) == NOTHING
