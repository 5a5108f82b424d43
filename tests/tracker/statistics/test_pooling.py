"""The pooled test of several cells, compared with Wilcoxon's test and with counting all signs."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import wilcoxon

from scripts.tracker.statistics.judging import Table, estimate_pooled, judge
from scripts.tracker.statistics.pooling import PooledCells


def _cells(shift: float, noises: tuple[float, ...], pairs: int = 14, seed: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(shift, noise, pairs) for noise in noises]


def test_the_test_of_one_cell_is_wilcoxons():
    (differences,) = _cells(0.3, (1.0,))

    assert PooledCells([differences]).p_greater(0.0) == pytest.approx(
        wilcoxon(differences, alternative="greater").pvalue
    )
    assert PooledCells([differences]).p_less(0.1) == pytest.approx(
        wilcoxon(differences - 0.1, alternative="less").pvalue
    )


def test_the_p_value_of_two_cells_agrees_with_counting_all_signs():
    cells = [np.array([0.3, -0.1, 0.2]), np.array([30.0, 10.0, -20.0])]
    ranks = [np.array([3, 1, 2]), np.array([3, 1, 2])]
    seen = sum(rank[cell > 0].sum() for rank, cell in zip(ranks, cells, strict=True))
    signs = [np.array(sign) for sign in product((0, 1), repeat=6)]
    as_much = [sign @ np.concatenate(ranks) >= seen for sign in signs]

    assert PooledCells(cells).p_greater(0.0) == pytest.approx(np.mean(as_much))


def test_the_interval_holds_the_shifts_that_the_test_does_not_reject():
    pool = PooledCells(_cells(0.05, (0.02, 0.1, 0.3)))
    low, high = pool.interval(0.02)

    assert pool.p_greater(low - 1e-9) <= 0.01 < pool.p_greater(low + 1e-9)
    assert pool.p_less(high + 1e-9) <= 0.01 < pool.p_less(high - 1e-9)
    assert low < np.median(pool.means) < high


def test_too_few_differences_have_an_infinite_interval():
    assert PooledCells([np.array([0.1, 0.2])]).interval(0.01) == (float("-inf"), float("inf"))


def test_cells_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match=r"\[2, 3\] differences"):
        PooledCells([np.zeros(2), np.zeros(3)])


def test_equal_cells_hold_the_level():
    rejected = [PooledCells(_cells(0.0, (0.01, 0.1, 0.5), seed=seed)).p_greater(0.0) <= 0.05 for seed in range(2000)]

    assert np.mean(rejected) <= 0.06


def test_pooled_cells_detect_a_change_that_no_cell_detects_alone():
    table = Table(rows=100)
    cells = [_cells(0.1, (0.15,) * 8, seed=seed) for seed in (1, 2)]
    together = [estimate_pooled(round_, table) for round_ in cells]
    alone = [estimate_pooled(round_[:1], table) for round_ in cells]

    assert judge([together] + [[]] * 99)[0] == "slower"
    assert judge([alone] + [[]] * 99)[0] == "not enough evidence"
    assert together[0].ratio == pytest.approx(1.105, abs=0.03)
    assert together[0].detectable < alone[0].detectable
    assert together[0].pairs == 8 * 14
