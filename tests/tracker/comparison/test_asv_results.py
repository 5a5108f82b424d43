"""The samples of a comparison that are stored in asv's files."""

import pytest

from scripts.tracker.comparison.asv_results import MAX_SAMPLES, evenly_spaced


@pytest.mark.parametrize("count", [1, 10, MAX_SAMPLES])
def test_few_samples_are_all_kept(count):
    values = [float(value) for value in range(count)]

    assert evenly_spaced(values) == values


def test_of_many_samples_evenly_spaced_ones_are_kept():
    kept = evenly_spaced([float(value) for value in range(1000)], most=4)

    assert kept == [0.0, 250.0, 500.0, 750.0]
