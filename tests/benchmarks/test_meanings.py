"""What the numbers of each matrix mean is kept beside the versions of its series, and must not change alone."""

import json

import pytest

from benchmarks.generate import GenerateMusic
from benchmarks.harness.matrices import GENERATE_MATRIX, MATRICES, STAGES_MATRIX
from scripts import meanings
from scripts.meanings import changed, code_digest, explained, meaning_of, read

SOURCE = '''
"""A module."""
CAPTION = "A song"  # what is sung
def prepare(cell):
    """Make it."""
    return [cell, CAPTION]
'''


@pytest.mark.parametrize("matrix", MATRICES, ids=lambda matrix: matrix.name)
def test_no_number_changes_its_meaning_without_another_version(matrix):
    before, now = read()[matrix.name], meaning_of(matrix)

    assert changed(before, now) == [], explained({matrix.name: changed(before, now)})
    assert before["versions"] == now["versions"], "Versions were raised: run `python -m scripts.meanings`."


def test_only_what_code_does_counts():
    again = SOURCE.replace("A module", "The module").replace("# what is sung", "").replace("Make it", "Return it")
    laid_out = again.replace("[cell, CAPTION]", "[\n        cell,\n        CAPTION,\n    ]")

    assert code_digest(laid_out) == code_digest(SOURCE)
    assert code_digest(SOURCE.replace("A song", "Another")) != code_digest(SOURCE)
    assert code_digest(SOURCE.replace("[cell, CAPTION]", "[CAPTION, cell]")) != code_digest(SOURCE)


def test_a_meaning_is_that_of_cells_workload_and_code():
    meaning = meaning_of(STAGES_MATRIX)
    sources = meaning["sources"].keys()

    assert {"workloads/stages.py", "workloads/vae.py", "workloads/models.py", "device.py", "exact.py"} <= sources
    assert sources.isdisjoint({"workloads/planner.py", "record.py", "workload.py", "series.py", "measure.py"})
    assert meaning["versions"]["VAEDecode.track_peak_memory"] != meaning["versions"]["VAEDecode"]
    assert "workload" not in read()["footprint"]


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """The file with a workload of generate that has changed since, and a reason that is kept for stages."""
    path = tmp_path / "meanings.json"
    entries = {matrix.name: meaning_of(matrix) for matrix in MATRICES}
    entries["generate"]["sources"]["workloads/music.py"] = "what it was"
    entries["stages"]["same_meaning"] = "A function has another name."
    path.write_text(json.dumps(entries))
    monkeypatch.setattr(meanings, "KEPT", path)
    return path


def test_the_command_refuses_another_meaning_under_the_same_version(kept, capsys):
    before = kept.read_text()

    assert meanings.main([]) == 1
    assert "generate: workloads/music.py changed\nNumbers may mean something else now." in capsys.readouterr().err
    assert kept.read_text() == before


def test_a_reason_is_kept_until_the_meaning_changes(kept):
    assert meanings.main(["--same-meaning", "Its names are longer."]) == 0
    assert meanings.main([]) == 0
    entries = json.loads(kept.read_text())

    assert entries["generate"] == {**meaning_of(GENERATE_MATRIX), "same_meaning": "Its names are longer."}
    assert entries["stages"]["same_meaning"] == "A function has another name."
    assert "same_meaning" not in entries["tiers"]


def test_a_raised_version_needs_no_reason(kept, monkeypatch):
    monkeypatch.setattr(GenerateMusic, "version", "1000")

    assert meanings.main([]) == 0
    assert json.loads(kept.read_text())["generate"] == meaning_of(GENERATE_MATRIX)
