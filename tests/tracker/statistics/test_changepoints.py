"""Change points of series whose true changes are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from scripts.tracker.statistics import changepoints
from scripts.tracker.statistics.changepoints import ONE_COMMIT_P, change_points, p_value, strict_level
from scripts.tracker.statistics.levels import PRIOR_DEVIATION, PRIOR_FREEDOM, Noise, ScaledSeries


def jittering(*levels: float, noise: float = 0.01, seed: int = 4) -> list[float]:
    """Return one noisy value a commit around *levels*."""
    return list(np.array(levels) * np.exp(np.random.default_rng(seed).normal(0, noise, len(levels))))


def found(values: list[float], spread: float = 0.0) -> list[tuple[int, bool]]:
    """Return the position of each change, and whether it persists."""
    return [(point.index, point.persists) for point in change_points(values, [spread * value for value in values])]


def test_a_step_without_noise_has_its_position_size_and_levels() -> None:
    [point] = change_points([2.0] * 20 + [3.0] * 20, [0.0] * 40)
    assert (point.index, point.persists) == (20, True)
    assert (point.before, point.after, point.ratio) == pytest.approx((2.0, 3.0, 1.5))
    low, high = point.interval
    assert low < 1.5 < high
    assert low * high == pytest.approx(1.5**2)
    assert 0.9999 < point.probability < 1, "only exact metrics have a probability of 1"


def test_the_p_value_is_that_of_students_test() -> None:
    values = jittering(*[1.0] * 12, *[1.02] * 7)
    scaled = ScaledSeries.of(values, [0.0] * 19)
    before, after = scaled.values[:12], scaled.values[12:]
    squares = ((before - before.mean()) ** 2).sum() + ((after - after.mean()) ** 2).sum()
    ours = p_value(scaled.level(0, 12), scaled.level(12, 19), Noise(squares / 17, 17))
    assert ours == pytest.approx(stats.ttest_ind(before, after).pvalue / 2)


@pytest.mark.parametrize(("deviation", "moderated"), [(0.005, True), (0.03, False)])
def test_the_noise_is_pooled_over_the_levels_and_moderated_by_the_prior(deviation: float, moderated: bool) -> None:
    values = jittering(*[1.0] * 12, *[2.0] * 7, noise=deviation)
    logs = np.log(values)
    squares = ((logs[:12] - logs[:12].mean()) ** 2).sum() + ((logs[12:] - logs[12:].mean()) ** 2).sum()
    noise = ScaledSeries.of(values, [0.0] * 19).pooled_noise([12])
    assert noise.freedom == 17 + PRIOR_FREEDOM
    lifted = (squares + PRIOR_FREEDOM * PRIOR_DEVIATION**2) / noise.freedom
    assert noise.variance == pytest.approx(lifted if moderated else squares / 17)


@pytest.mark.parametrize(("beyond", "alarms"), [(0.999, 0), (1.001, 1)])
def test_the_newest_commit_is_judged_by_a_prediction_interval(beyond: float, alarms: int) -> None:
    earlier = [math.exp(0.01 * (-1) ** at) for at in range(20)]
    freedom = 19 + PRIOR_FREEDOM
    variance = 20 * 0.01**2 / 19
    limit = stats.t.isf(ONE_COMMIT_P, freedom) * math.sqrt(variance * (1 + 1 / 20))
    points = change_points([*earlier, math.exp(beyond * limit)], [0.0] * 21)
    assert len(points) == alarms


def test_the_probability_at_the_limit_is_the_budget() -> None:
    assert strict_level(ScaledSeries.of([1.0], [0.0]).level(0, 1), 40) == ONE_COMMIT_P
    earlier = [math.exp(0.01 * (-1) ** at) for at in range(20)]
    [point] = change_points([*earlier, 1.0485], [0.0] * 21)
    assert 0.99 < point.probability < 0.9999


def test_the_variance_of_a_commit_is_at_least_that_of_its_samples() -> None:
    values = jittering(*[1.0] * 20, 1.06, noise=0.005)
    assert found(values) == [(20, True)]
    assert change_points(values, [0.0] * 20 + [0.06]) == []
    assert found(values, spread=0.03) == []


def test_a_spike_of_one_commit_is_no_change_and_does_not_hide_one() -> None:
    levels = [1.0] * 12 + [1.4] + [1.0] * 6
    assert found(jittering(*levels)) == []
    assert found(jittering(*levels, *[1.1] * 6)) == [(19, True)]
    [point] = change_points(jittering(*[1.0] * 12, 1.6, *[1.2] * 6), [0.0] * 19)
    assert (point.since, point.index) == (11, 13), "the spike may belong to either level"


def test_a_change_persists_until_the_old_level_returns() -> None:
    assert found(jittering(*[1.0] * 10, *[1.1] * 6)) == [(10, True)]
    assert found(jittering(*[1.0] * 10, *[1.1] * 6, *[1.0] * 6)) == [(10, False), (16, True)]
    assert found(jittering(*[1.0] * 10, *[1.2] * 6, *[1.1] * 6)) == [(10, True), (16, True)]


def test_steps_up_and_down_do_not_hide_each_other() -> None:
    values = jittering(*[1.0] * 8, *[1.3] * 8, *[0.9] * 8, *[1.0] * 8)
    assert [at for at, _ in found(values)] == [8, 16, 24]


def test_few_commits_need_larger_steps() -> None:
    assert found([1.0, 1.1]) == []
    assert found([1.0, 1.5]) == [(1, True)]
    assert found([1.0, 1.01, 1.5, 1.49]) == [(2, True)]
    assert found([1.0]) == found([]) == []


def test_series_that_reach_zero_are_compared_on_their_own_scale() -> None:
    [point] = change_points([0.0] * 4 + [5.0] * 4, [0.0] * 8)
    assert (point.index, point.before, point.after, point.ratio) == (4, 0.0, 5.0, math.inf)
    assert change_points([0.0] * 8, [0.0] * 8) == []


def test_values_that_are_no_numbers_and_spreads_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="must be finite"):
        change_points([1.0, math.nan], [0.0, 0.0])
    with pytest.raises(ValueError, match="2 values with 1 spreads"):
        change_points([1.0, 2.0], [0.0])


HISTORIES = st.lists(st.floats(0.5, 2.0), min_size=2, max_size=25)


@settings(deadline=None, max_examples=60)
@given(HISTORIES, st.floats(1e-6, 1e6))
def test_the_unit_does_not_matter(values: list[float], unit: float) -> None:
    points = change_points(values, [0.01 * value for value in values])
    scaled = change_points([unit * value for value in values], [0.01 * unit * value for value in values])
    assert [point.index for point in points] == [point.index for point in scaled]
    assert [point.ratio for point in points] == pytest.approx([point.ratio for point in scaled])


@settings(deadline=None, max_examples=60)
@given(HISTORIES)
def test_changes_are_ordered_exceed_the_smallest_and_the_last_one_persists(values: list[float]) -> None:
    points = change_points(values, [0.01 * value for value in values])
    positions = [point.index for point in points]
    assert positions == sorted(set(positions))
    assert all(0 < position < len(values) for position in positions)
    assert all(abs(math.log(point.ratio)) >= math.log1p(changepoints.SMALLEST_CHANGE) for point in points)
    assert all(1 - changepoints.FALSE_ALARM_SHARE <= point.probability <= 1 for point in points)
    assert all(point.persists for point in points[-1:])
