"""The order of probes in a bisection."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.tracker.statistics.bisection import next_probe, state_of, suspects


def search(last, first_bad, unknown=()):
    """Return the states after a complete search in which the probes of *unknown* are inconclusive."""
    states = {}
    while (index := next_probe(states, last)) is not None:
        states[index] = "unknown" if index in unknown else "bad" if index >= first_bad else "good"
    return states


@given(st.integers(1, 200), st.data())
def test_the_first_bad_commit_is_found_with_log2_n_probes(last, data):
    first_bad = data.draw(st.integers(1, last))
    states = search(last, first_bad)

    assert suspects(states, last) == range(first_bad, first_bad + 1)
    assert len(states) <= math.ceil(math.log2(last)) if last > 1 else not states


def test_adjacent_good_and_bad_commits_need_no_probe():
    assert next_probe({}, 1) is None
    assert suspects({}, 1) == range(1, 2)


def test_inconclusive_probes_are_skipped():
    states = search(16, 11, unknown=(8, 12))

    assert suspects(states, 16) == range(11, 12)


def test_inconclusive_probes_next_to_the_change_leave_several_suspects():
    states = search(8, 5, unknown=(4, 5))

    assert suspects(states, 8) == range(4, 7)


@pytest.mark.parametrize(
    ("low", "high", "state"),
    [(0.99, 1.01, "good"), (1.04, 1.08, "bad"), (1.0, 1.06, "unknown"), (float("nan"), float("nan"), "unknown")],
)
def test_a_ratio_is_good_or_bad_only_if_its_whole_interval_is(low, high, state):
    assert state_of(low, high, threshold=1.025) == state
