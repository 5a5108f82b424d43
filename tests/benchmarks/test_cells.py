"""Cells, matrices, and the selections that users type."""

from itertools import groupby

import pytest

from benchmarks.harness.cells import Matrix, Selection, grid, key
from benchmarks.harness.matrices import ENGINES, GENERATE_MATRIX, MATRICES, PLANNER_MATRIX
from benchmarks.harness.settings import SettingsError
from tests.benchmarks.fakes import Deeds


def chosen(text):
    selection = Selection(text, MATRICES)
    return {matrix.name: [key(cell) for cell in selection.of(matrix)] for matrix in MATRICES}


def test_a_grid_has_every_combination_the_last_axis_running_fastest():
    assert [key(cell) for cell in grid({"a": (1, 2), "b": (False, True)}, stage="S")] == [
        "stage=S,a=1,b=False",
        "stage=S,a=1,b=True",
        "stage=S,a=2,b=False",
        "stage=S,a=2,b=True",
    ]


def test_the_matrix_of_music_is_complete():
    assert len(GENERATE_MATRIX.cells) == 4 * 3 * 2 * 2


@pytest.mark.parametrize("matrix", MATRICES, ids=lambda matrix: matrix.name)
def test_every_stage_has_quick_cells(matrix):
    assert {cell.get("stage") for cell in matrix.quick} == {cell.get("stage") for cell in matrix.cells}


@pytest.mark.parametrize("matrix", MATRICES, ids=lambda matrix: matrix.name)
def test_asv_s_pages_open_on_a_quick_cell(matrix):
    """At first they draw all engines, but of most other parameters the first value alone."""
    seen = {cell.get("stage"): dict(cell) for cell in reversed(matrix.cells)}

    assert all(first in matrix.quick for first in seen.values())


def test_the_cells_of_an_engine_follow_each_other_so_that_it_is_loaded_once():
    engines = [cell.get("engine", "pt") for cell in PLANNER_MATRIX.cells]

    assert [engine for engine, _ in groupby(engines)] == list(ENGINES)


def test_a_quick_cell_must_be_a_cell():
    with pytest.raises(ValueError, match="a=3"):
        Matrix("m", Deeds, ({"a": 1},), quick=({"a": 3},))


def test_quick_and_full():
    assert chosen("full") == {matrix.name: [key(cell) for cell in matrix.cells] for matrix in MATRICES}
    assert chosen("quick")["generate"] == [
        "duration=30,batch=1,thinking=False,steps=8",
        "duration=30,batch=1,thinking=True,steps=8",
        "duration=30,batch=2,thinking=True,steps=8",
    ]


@pytest.mark.parametrize("cell", [key(cell) for matrix in MATRICES for cell in matrix.cells])
def test_the_name_of_a_cell_chooses_it(cell):
    assert any(cell in names for names in chosen(cell).values())


def test_conditions_join_with_and_alternatives_with_or():
    names = chosen("thinking=True, duration=240 ,batch=4,steps=16; stage=VAEDecode,tiled=True,duration=30")

    assert names == {
        **{matrix.name: [] for matrix in MATRICES},
        "generate": ["duration=240,batch=4,thinking=True,steps=16"],
        "stages": ["stage=VAEDecode,duration=30,tiled=True"],
    }


def test_a_whole_matrix_can_be_chosen():
    assert {name for name, cells in chosen("matrix=startup").items() if cells} == {"startup"}
    assert chosen("matrix=startup")["startup"] == chosen("full")["startup"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("qick", "'qick' is neither quick nor full"),
        ("durations=30", "'durations=30' is neither"),
        ("duration", "'duration' is neither"),
        ("duration=31", "duration=31; its values are 30, 60, 120, 240"),
        ("stage=Nonsense", "TextEncode"),
        ("", "empty"),
        (" ; ", "empty"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_choices(text, told):
    with pytest.raises(SettingsError, match="ACESTEP_BENCH_CELLS") as caught:
        Selection(text, MATRICES)
    assert told in str(caught.value)
