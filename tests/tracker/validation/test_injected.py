"""Commits with an injected slowdown."""

import pytest

from scripts.tracker.comparison.cell import CellComparison
from scripts.tracker.comparison.runner import PairedRunner
from scripts.tracker.comparison.series_names import series_named, workload_of
from scripts.tracker.statistics.judging import Table
from scripts.tracker.validation.aa import upper_bound
from scripts.tracker.validation.injected import CLAIMS, Clone, SlowdownTrials, _table
from scripts.tracker.validation.injection import TOUCHED


def test_a_slowed_commit_repeats_its_work(tmp_path):
    clone = Clone(tmp_path)
    comparison = CellComparison.of("stages", TOUCHED)
    with PairedRunner("stages", workload_of("stages"), (clone.plain, clone.slowed(7))) as runner:
        runner.load()
        runner.sample(comparison, Table(), stop=lambda _comparison: True)

    baseline, candidate = comparison.counters
    assert candidate["operators"] - baseline["operators"] >= 7
    assert {diff.name for diff in comparison.counter_diffs} >= {"operators", "flop"}
    assert not {diff.name for diff in comparison.counter_diffs} & {"fingerprint", "distance"}


def test_the_table_shows_the_detection_rates():
    trials = SlowdownTrials(
        0.05, 70, ["slower", "slower", "not enough evidence", "slower"], [1.05, 1.06, 1.0, 1.07], 1, 20.0
    )

    (_, line) = _table([trials]).splitlines()
    assert line.split() == ["5%", "70", "+5.5%", "75%", "0%", "0%", "25%", "1", "5"]
    assert trials.detected < CLAIMS[trials.size]


@pytest.mark.parametrize(("events", "trials", "bound"), [(0, 1000, 0.00299), (10, 10, 1.0)])
def test_the_upper_bound_of_a_probability(events, trials, bound):
    assert upper_bound(events, trials) == pytest.approx(bound, rel=0.01)


def test_the_slowed_cell_is_a_cell_of_asv():
    assert series_named("stages.DiTForward.track_time(30, 1)")[1] == TOUCHED
