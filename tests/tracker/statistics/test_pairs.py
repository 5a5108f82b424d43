"""Tests and estimates from pairs, compared with results that are counted or computed by hand."""

from itertools import product
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from scripts.tracker.statistics.pairs import (
    detectable_change,
    interval,
    one_sided_p,
    walsh_averages,
)


@pytest.mark.parametrize("pairs", [4, 16, 50])
def test_equal_signs_are_as_unlikely_as_coin_tosses(pairs):
    slower, faster = one_sided_p(np.arange(1.0, pairs + 1))

    assert slower == pytest.approx(2.0**-pairs)
    assert faster == 1.0


def test_p_values_agree_with_counting_all_signs():
    sizes = np.array([0.5, 1.1, 1.9, 2.2, 3.4, 5.0])
    differences = sizes * [1, 1, -1, 1, 1, 1]
    ranks = np.arange(1, 7)
    seen = ranks[differences > 0].sum()
    sums = [ranks[np.array(signs)].sum() for signs in product([False, True], repeat=6)]

    assert one_sided_p(differences)[0] == pytest.approx(np.mean([total >= seen for total in sums]))


def test_equal_runs_have_a_p_value_of_one():
    assert one_sided_p(np.zeros(20)) == (1.0, 1.0)


def test_many_pairs_have_the_p_value_of_the_normal_approximation():
    differences = np.linspace(-0.6, 1.0, 400)

    ranks = np.argsort(np.argsort(np.abs(differences))) + 1
    z = (ranks[differences > 0].sum() - 400 * 401 / 4) / (400 * 401 * 801 / 24) ** 0.5
    assert one_sided_p(differences)[0] == pytest.approx(norm.sf(z), rel=1e-3)


def test_walsh_averages_are_the_means_of_all_two_differences():
    assert walsh_averages(np.array([1.0, 2.0, 6.0])).tolist() == [1.0, 1.5, 2.0, 3.5, 4.0, 6.0]


def test_the_interval_agrees_with_the_published_table():
    means = np.arange(55.0)  # ten pairs have 55; the critical value at 5 % is 8

    assert interval(means, 10, 0.05) == (8.0, 46.0)


def test_too_few_pairs_have_an_infinite_interval():
    assert interval(walsh_averages(np.arange(8.0)), 8, 0.001) == (float("-inf"), float("inf"))


@given(st.integers(0, 10_000), st.sampled_from([16, 40, 54, 200]), st.floats(-0.2, 0.2))
def test_the_interval_holds_the_shifts_that_the_test_does_not_reject(seed, pairs, shift):
    differences = np.random.default_rng(seed).normal(shift, 0.1, pairs)

    low, high = interval(walsh_averages(differences), pairs, 0.01)

    assert min(one_sided_p(differences - (low + 1e-9))) > 0.004
    assert min(one_sided_p(differences - (low - 1e-6))) < 0.006
    assert min(one_sided_p(differences - (high + 1e-6))) < 0.006


def test_intervals_have_the_stated_coverage():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(2000):
        low, high = interval(walsh_averages(rng.standard_t(3, 24) + 1), 24, 0.1)
        held += low < 1 < high

    assert held / 2000 == pytest.approx(0.9, abs=0.02)


def test_the_detectable_change_is_found_with_the_stated_power():
    alpha, deviation = 0.001, 0.004
    change = detectable_change(norm.isf(alpha / 2) * deviation, alpha, power=0.8)

    assert norm.sf(norm.isf(alpha / 2) - log(1 + change) / deviation) == pytest.approx(0.8)


def test_without_an_interval_no_change_is_detectable():
    assert detectable_change(float("inf"), 0.01, power=0.8) == float("inf")
