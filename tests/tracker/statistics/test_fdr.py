"""The Benjamini-Hochberg procedure, compared with computations by hand and a simulation."""

import numpy as np
import pytest

from scripts.tracker.statistics.changepoints import change_points
from scripts.tracker.statistics.fdr import FALSE_DISCOVERY_RATE, passes_fdr


@pytest.mark.parametrize(
    ("p", "family", "counts"),
    [
        ([0.0009], 100, [True]),  # a hundredth of a tenth
        ([0.0011], 100, [False]),
        ([0.0011, 0.0019], 100, [True, True]),  # two of them may be twice that
        ([0.0011, 0.0021], 100, [False, False]),
        ([0.0009, 0.5], 100, [True, False]),
        ([0.01] * 10, 100, [True] * 10),
        ([0.05], 1, [True]),
        ([], 100, []),
    ],
)
def test_the_threshold_of_a_p_value_depends_on_its_rank(p, family, counts):
    assert passes_fdr(p, family) == counts


def test_steady_series_hold_the_false_discovery_rate():
    rng = np.random.default_rng(4)
    alone = together = 0
    for _ in range(20):
        finds = []
        for _ in range(100):
            values = 1 + 0.01 * rng.standard_normal(20)
            finds += [1 - point.probability for point in change_points(list(values), [0.0] * 20) if point.index == 19]
        alone += len(finds)
        together += any(passes_fdr(finds, 100))

    assert alone > 0
    assert together / 20 <= FALSE_DISCOVERY_RATE
