"""What of a comparison goes into asv's files."""

import pytest

from scripts.tracker.comparison.asv_results import MAX_SAMPLES, spread_evenly


@pytest.mark.parametrize("count", [1, 10, MAX_SAMPLES])
def test_few_samples_are_all_kept(count):
    values = [float(place) for place in range(count)]

    assert spread_evenly(values) == values


def test_of_many_samples_some_of_every_part_are_kept():
    kept = spread_evenly([float(place) for place in range(1000)], most=4)

    assert kept == [0.0, 250.0, 500.0, 750.0]
