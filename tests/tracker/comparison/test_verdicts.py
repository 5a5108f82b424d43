"""The verdicts of a table, and the allocation of the remaining time to its cells."""

import numpy as np
import pytest

from benchmarks.harness.cells import Selection
from benchmarks.harness.matrices import MATRICES
from scripts.tracker.comparison.allocation import allocate
from scripts.tracker.comparison.cell import CellComparison, ProcessPair
from scripts.tracker.comparison.verdicts import TableVerdicts, round_verdicts, table_of
from scripts.tracker.statistics.judging import DELTA, Table

DECODES = "matrix=stages,stage=VAEDecode;matrix=stages,stage=VAEWindows,window=128"


def comparisons(cells: str, count: int) -> list[CellComparison]:
    """Return the first of the chosen cells, before anything is measured."""
    found = [
        CellComparison.of(matrix.name, cell) for matrix in MATRICES for cell in Selection(cells, MATRICES).of(matrix)
    ]
    assert len(found) >= count
    return found[:count]


def measure(
    comparison: CellComparison,
    table: Table,
    shift: float,
    noise: float = 0.05,
    pairs: int = 14,
    seed: int = 0,
    spent_s: float = 2.0,
) -> None:
    """Add a round in which the log of the candidate's time is larger by *shift*."""
    comparison.rounds.append(ProcessPair())
    rng = np.random.default_rng(seed)
    for _ in range(pairs):
        baseline, candidate = rng.normal(0, noise, 2)
        comparison.add_pair({"time": float(np.exp(baseline))}, {"time": float(np.exp(candidate + shift))})
        comparison.rounds[-1].estimate(table)
    comparison.spent_s += spent_s


def measured(shifts: list[float], cells: str = DECODES, **how: float) -> tuple[list[CellComparison], Table]:
    """Return cells with two rounds each."""
    found = comparisons(cells, len(shifts))
    table = table_of(found, DELTA)
    for index, (comparison, shift) in enumerate(zip(found, shifts, strict=True)):
        for number in range(2):
            measure(comparison, table, shift, seed=10 * index + number, **how)
    return found, table


def test_a_stage_can_be_slower_while_all_of_its_cells_are_inconclusive():
    found, table = measured([0.1] * 6, noise=0.12)
    verdicts = TableVerdicts.of(found, table)

    assert {row.verdict for row in verdicts.rows.values()} == {"not enough evidence"}
    (stage,) = verdicts.stages
    assert (stage.name, stage.cells, stage.pooled.verdict) == ("VAE decode", 6, "slower")
    assert stage.pooled.evidence.ratio == pytest.approx(1.105, abs=0.04)
    assert list(stage.pooled.by_round) == ["slower", "slower"]


def test_a_stage_with_slower_and_faster_cells_is_inconclusive():
    found, table = measured([0.2, -0.2] * 3)
    verdicts = TableVerdicts.of(found, table)

    assert sorted(row.verdict for row in verdicts.rows.values()) == ["faster"] * 3 + ["slower"] * 3
    assert verdicts.stages[0].pooled.verdict == "not enough evidence"


def test_cells_without_a_first_look_do_not_count_for_their_stage():
    found, table = measured([0.2] * 3, pairs=13)

    assert TableVerdicts.of(found, table).stages[0].pooled.evidence.pairs == 0


def test_a_round_without_pairs_is_inconclusive():
    found, table = measured([0.2] * 3)
    found[0].rounds.append(ProcessPair())

    assert TableVerdicts.of(found, table).stages[0].pooled.by_round[2] == "not enough evidence"
    assert TableVerdicts.of(found, table).rows[found[0], "time"].verdict == "slower"


def test_a_stage_of_one_cell_has_no_row():
    found, table = measured([0.2])

    assert TableVerdicts.of(found, table).stages == []
    assert table.rows == 1


def test_a_table_has_a_row_for_each_series_and_each_stage():
    assert table_of(comparisons(DECODES, 3), 0.02).rows == 4
    assert table_of([], 0.02).rows == 1


def test_the_verdict_of_a_round_is_the_one_that_an_equal_round_would_confirm():
    found, table = measured([0.3])
    measure(found[0], table, shift=0.0, noise=0.3)

    assert [round_verdicts(found, number, table)[found[0], "time"] for number in range(3)] == [
        "slower",
        "slower",
        "not enough evidence",
    ]


CHANGED = {"shift": 0.05, "noise": 0.09}
EQUAL = {"shift": 0.001, "noise": 0.05, "pairs": 47}


def allocated(left_s: float, *cells: dict, changed_work: tuple[int, ...] = ()) -> list[int]:
    """Return which of *cells*, each measured in two equal and inconclusive rounds, get a part of *left_s* seconds."""
    found = comparisons(DECODES, len(cells))
    table = table_of(found, DELTA)
    for index, (comparison, how) in enumerate(zip(found, cells, strict=True)):
        for _ in range(2):
            measure(comparison, table, **how)
        comparison.counters = [{"FLOP": 1}, {"FLOP": 2 if index in changed_work else 1}]
    allocation = allocate(found, TableVerdicts.of(found, table), left_s, DELTA)
    assert allocation.rounds == 2
    return [found.index(comparison) for comparison in allocation.seconds]


def test_cells_that_look_changed_get_time_before_those_that_look_the_same():
    assert allocated(18.0, EQUAL | {"spent_s": 1.0}, CHANGED | {"spent_s": 5.0}) == [1]


def test_cells_with_changed_work_get_time_first():
    assert allocated(30.0, CHANGED | {"spent_s": 5.0}, CHANGED | {"spent_s": 6.0}, changed_work=(1,)) == [1]


def test_cells_closest_to_a_verdict_get_time_while_there_is_enough():
    cells = [CHANGED | {"spent_s": seconds} for seconds in (9.0, 2.0, 3.0)]

    assert allocated(30.0, *cells) == [1, 2]
    assert allocated(1000.0, *cells) == [0, 1, 2]
    assert allocated(0.1, *cells) == [1]


def test_a_cell_that_would_take_too_long_leaves_its_time_to_others():
    noisy = {"shift": -0.16, "noise": 0.5}

    assert allocated(100.0, noisy, CHANGED, changed_work=(0,)) == [1]


def test_a_cell_without_an_interim_look_comes_last():
    assert allocated(5.0, CHANGED | {"pairs": 13}, CHANGED) == [1]


def test_a_cell_with_one_agreeing_round_needs_one_more():
    found, table = measured([0.02], noise=0.2)
    measure(found[0], table, 0.3)

    assert allocate(found, TableVerdicts.of(found, table), 10.0, DELTA).rounds == 1
    assert allocate([], TableVerdicts.of(found, table), 10.0, DELTA).seconds == {}
