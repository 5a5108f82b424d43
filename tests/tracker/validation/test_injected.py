"""Commits that are made slower on purpose."""

import pytest

from scripts.tracker.comparison.cell import CellComparison
from scripts.tracker.comparison.runner import PairedRunner
from scripts.tracker.comparison.series_names import series_named, workload_of
from scripts.tracker.statistics.judging import Table
from scripts.tracker.validation.aa import upper_bound
from scripts.tracker.validation.injected import CLAIMS, Clone, Level, _table
from scripts.tracker.validation.injection import TOUCHED


def test_a_slowed_commit_does_the_work_so_often_again(tmp_path):
    clone = Clone(tmp_path)
    comparison = CellComparison.of("stages", TOUCHED)
    with PairedRunner("stages", workload_of("stages"), (clone.plain, clone.slowed(7))) as runner:
        runner.load()
        runner.visit(comparison, Table(), until=lambda _contest: True)

    base, head = comparison.told
    assert head["operators"] - base["operators"] >= 7
    assert {fact.name for fact in comparison.facts} >= {"operators", "flop"}
    assert not {fact.name for fact in comparison.facts} & {"fingerprint", "distance"}


def test_the_table_tells_what_was_found():
    level = Level(0.05, 70, ["slower", "slower", "not enough evidence", "slower"], [1.05, 1.06, 1.0, 1.07], 1, 20.0)

    (_, line) = _table([level]).splitlines()
    assert line.split() == ["5%", "70", "+5.5%", "75%", "0%", "0%", "25%", "1", "5"]
    assert level.found < CLAIMS[level.size]


@pytest.mark.parametrize(("events", "trials", "bound"), [(0, 1000, 0.00299), (10, 10, 1.0)])
def test_few_events_leave_room_for_more(events, trials, bound):
    assert upper_bound(events, trials) == pytest.approx(bound, rel=0.01)


def test_the_touched_cell_is_one_of_asv():
    assert series_named("stages.DiTForward.track_time(30, 1)")[1] == TOUCHED
