"""How a table stands, and which of its cells get the time that is left."""

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
    """The first cells that are chosen, with nothing measured yet."""
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
    """Add a round in which head takes longer by *shift*, on the scale of logarithms."""
    comparison.rounds.append(ProcessPair())
    rng = np.random.default_rng(seed)
    for _ in range(pairs):
        base, head = rng.normal(0, noise, 2)
        comparison.add_pair({"time": float(np.exp(base))}, {"time": float(np.exp(head + shift))})
        comparison.rounds[-1].estimate(table)
    comparison.spent_s += spent_s


def measured(shifts: list[float], cells: str = DECODES, **how: float) -> tuple[list[CellComparison], Table]:
    """Cells with two rounds each."""
    found = comparisons(cells, len(shifts))
    table = table_of(found, DELTA)
    for place, (comparison, shift) in enumerate(zip(found, shifts, strict=True)):
        for number in range(2):
            measure(comparison, table, shift, seed=10 * place + number, **how)
    return found, table


def test_a_stage_is_slower_though_none_of_its_cells_is_known_to_be():
    found, table = measured([0.1] * 6, noise=0.12)
    standing = TableVerdicts.of(found, table)

    assert {judged.verdict for judged in standing.rows.values()} == {"not enough evidence"}
    (stage,) = standing.stages
    assert (stage.name, stage.cells, stage.judged.verdict) == ("VAE decode", 6, "slower")
    assert stage.judged.evidence.ratio == pytest.approx(1.105, abs=0.04)
    assert list(stage.judged.votes) == ["slower", "slower"]


def test_a_stage_that_gets_slower_here_and_faster_there_is_neither():
    found, table = measured([0.2, -0.2] * 3)
    standing = TableVerdicts.of(found, table)

    assert sorted(judged.verdict for judged in standing.rows.values()) == ["faster"] * 3 + ["slower"] * 3
    assert standing.stages[0].judged.verdict == "not enough evidence"


def test_cells_without_a_first_look_say_nothing_of_their_stage():
    found, table = measured([0.2] * 3, pairs=13)

    assert TableVerdicts.of(found, table).stages[0].judged.evidence.pairs == 0


def test_a_round_that_failed_at_once_says_nothing():
    found, table = measured([0.2] * 3)
    found[0].rounds.append(ProcessPair())

    assert TableVerdicts.of(found, table).stages[0].judged.votes[2] == "not enough evidence"
    assert TableVerdicts.of(found, table).rows[found[0], "time"].verdict == "slower"


def test_a_stage_of_one_cell_is_no_more_than_its_row():
    found, table = measured([0.2])

    assert TableVerdicts.of(found, table).stages == []
    assert table.rows == 1


def test_a_table_has_a_row_for_each_series_and_each_stage():
    assert table_of(comparisons(DECODES, 3), 0.02).rows == 4
    assert table_of([], 0.02).rows == 1


def test_a_round_by_itself_says_what_a_second_like_it_would_make_of_it():
    found, table = measured([0.3])
    measure(found[0], table, shift=0.0, noise=0.3)

    assert [round_verdicts(found, place, table)[found[0], "time"] for place in range(3)] == [
        "slower",
        "slower",
        "not enough evidence",
    ]


CHANGED = {"shift": 0.05, "noise": 0.09}
EQUAL = {"shift": 0.001, "noise": 0.05, "pairs": 47}


def planned(left_s: float, *cells: dict, other_work: tuple[int, ...] = ()) -> list[int]:
    """Which of *cells*, each measured in two equal rounds that say too little, would get *left_s*."""
    found = comparisons(DECODES, len(cells))
    table = table_of(found, DELTA)
    for place, (comparison, how) in enumerate(zip(found, cells, strict=True)):
        for _ in range(2):
            measure(comparison, table, **how)
        comparison.told = [{"FLOP": 1}, {"FLOP": 2 if place in other_work else 1}]
    plan = allocate(found, TableVerdicts.of(found, table), left_s, DELTA)
    assert plan.rounds == 2
    return [found.index(comparison) for comparison in plan.seconds]


def test_what_looks_changed_gets_time_before_what_looks_the_same():
    assert planned(18.0, EQUAL | {"spent_s": 1.0}, CHANGED | {"spent_s": 5.0}) == [1]


def test_what_does_other_work_gets_time_before_anything_else():
    assert planned(30.0, CHANGED | {"spent_s": 5.0}, CHANGED | {"spent_s": 6.0}, other_work=(1,)) == [1]


def test_what_is_nearest_to_a_verdict_gets_time_as_long_as_there_is_enough():
    cells = [CHANGED | {"spent_s": seconds} for seconds in (9.0, 2.0, 3.0)]

    assert planned(30.0, *cells) == [1, 2]
    assert planned(1000.0, *cells) == [0, 1, 2]
    assert planned(0.1, *cells) == [1]


def test_what_would_take_too_long_leaves_its_time_to_others():
    noisy = {"shift": -0.16, "noise": 0.5}

    assert planned(100.0, noisy, CHANGED, other_work=(0,)) == [1]


def test_what_never_came_to_a_look_comes_last():
    assert planned(5.0, CHANGED | {"pairs": 13}, CHANGED) == [1]


def test_what_half_has_a_verdict_needs_one_more_round():
    found, table = measured([0.02], noise=0.2)
    measure(found[0], table, 0.3)

    assert allocate(found, TableVerdicts.of(found, table), 10.0, DELTA).rounds == 1
    assert allocate([], TableVerdicts.of(found, table), 10.0, DELTA).seconds == {}
