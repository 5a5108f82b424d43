"""Real workers with made-up times: who wins, what fails, and what is told."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.harness.process import HERE
from benchmarks.harness.settings import Settings
from scripts.tracker.comparison import schedule as matches
from scripts.tracker.comparison.cell import CellComparison
from scripts.tracker.comparison.report import Report, seconds
from scripts.tracker.comparison.result import ComparisonResult, StageRow
from scripts.tracker.comparison.revisions import Revision
from scripts.tracker.comparison.schedule import Schedule
from scripts.tracker.comparison.series_names import UnknownSeriesError, series_named, series_of, series_text
from scripts.tracker.comparison.sides import Side
from scripts.tracker.statistics.judging import Evidence
from tests.tracker.comparison.racers import Racers

CELLS = [{"stage": "DiTForward", "duration": duration, "batch": 1} for duration in (30, 60, 120)]
EVEN = {"30": {"time": 0.01}, "60": {"time": 0.02}, "120": {"time": 0.04}}


def sides(folder: Path, base: dict, head: dict) -> tuple[Side, Side]:
    """Two sides that do what *base* and *head* tell for each duration."""
    made = []
    for name, told in (("main", base), ("HEAD", head)):
        path = folder / f"{name}.json"
        path.write_text(json.dumps(told))
        settings = Settings(str(path), "cpu", "quick", name * 8, "none", str(folder), str(folder / "journal"))
        made.append(Side(Revision(name * 8, name, f"Subject of {name}", stored=True), HERE, settings))
    return made[0], made[1]


def comparisons() -> list[CellComparison]:
    """Nothing measured yet."""
    return [CellComparison.of("stages", cell) for cell in CELLS]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a match of two sides that do what they are told; returns it and how it ended. They may lack everything."""
    monkeypatch.setattr("benchmarks.harness.expected.COMPLETE_SINCE", {})
    monkeypatch.setattr(matches, "workload_of", lambda _matrix: Racers)

    def run(head, base=EVEN, budget_s=8.0):
        match = Schedule(comparisons(), sides(tmp_path, {**EVEN, **base}, {**EVEN, **head}), budget_s, lambda *_: None)
        match.run()
        return match, ComparisonResult.of(match)

    return run


def test_every_row_gets_the_verdict_that_is_true(run):
    match, outcome = run({"30": {"time": 0.011}, "60": {"time": 0.018}}, budget_s=60.0)

    verdicts = {row.cell: row.verdict for row in outcome.rows}
    assert verdicts == {"30 s · batch 1": "slower", "60 s · batch 1": "faster", "120 s · batch 1": "same"}
    assert outcome.rows[0].ratio == pytest.approx(1.1, abs=0.02)
    assert outcome.status == 1
    assert match.left_s > 10  # it ends when all is known


def test_long_runs_get_several_shares_to_come_to_a_verdict(run):
    base, head = ({"120": {"time": time, "sleep": 0.04}} for time in (0.04, 0.06))
    match, outcome = run(head, base, budget_s=2.2)

    assert {row.cell: row.verdict for row in outcome.rows}["120 s · batch 1"] == "slower"
    assert [one.pairs for one in match.comparisons[-1].rounds] == [14, 14]  # 1.12 s each, of 1.1 s for all in a round


def test_noise_is_no_evidence_and_no_complaint(run):
    noisy = {duration: {"time": 0.01, "noise": 0.5} for duration in EVEN}
    _, outcome = run(noisy, base=noisy, budget_s=0.001)

    assert {row.verdict for row in outcome.rows} == {"not enough evidence"}
    assert outcome.status == 0


def test_a_cell_that_only_head_cannot_run_is_a_failure(run):
    _, outcome = run({"60": "skip"})

    assert [(one.side, one.reason) for one in outcome.troubles] == [("head", "this commit has no such stage")]
    assert outcome.status == 2


def test_a_cell_that_is_new_is_none(run):
    _, outcome = run({}, base={"60": "skip"})

    assert outcome.status == 0
    assert len(outcome.rows) == 2


def test_a_cell_that_takes_its_worker_along_leaves_the_others(run):
    _, outcome = run({"60": "die"}, budget_s=20.0)

    assert [one.cell for one in outcome.troubles] == ["DiT forward, 60 s · batch 1"]
    assert "SIGKILL" in outcome.troubles[0].reason
    assert {row.cell for row in outcome.rows} == {"30 s · batch 1", "120 s · batch 1"}
    assert outcome.status == 2


def test_models_that_do_not_load_are_told_for_every_cell(run):
    _, outcome = run({"broken": True})

    assert len(outcome.troubles) == len(CELLS)
    assert "no weights in sight" in outcome.troubles[0].reason
    assert (outcome.rows, outcome.status) == ([], 2)


def test_other_work_is_named_next_to_its_time(run):
    _, outcome = run({"30": {"time": 0.01, "work": {"steps": 9}}}, base={"30": {"time": 0.01, "work": {"steps": 8}}})

    (row,) = [row for row in outcome.rows if row.other_work]
    assert row.other_work == ("steps",)
    assert [(fact.name, fact.base, fact.head) for fact in outcome.facts] == [("steps", 8, 9)]


def test_the_report_has_the_same_rows_in_each_form(run):
    base = {duration: {**does, "wait": 0.0} for duration, does in EVEN.items()}
    head = {"30": {"time": 0.011, "work": {"steps": 9}, "wait": 0.5}, "60": "skip", "120": {"time": 0.04, "wait": 0.5}}
    match, outcome = run(head, base, budget_s=20.0)
    facts = {"scale": "tiny", "device": "cpu", "machine": "here", "spent_s": 61.0}
    report = Report(outcome, *(side.commit for side in match.sides), facts, 0.02)

    for text in (report.text(), report.markdown()):
        assert "DiT forward, alone *" in text
        assert re.search(r"\+(9|10)\.\d%", text)
        assert "DiT forward, 30 s · batch 1: steps none → 9" in text
        assert "DiT forward, 60 s · batch 1, head: this commit has no such stage" in text
        assert "1 min 01 s; 50% of the runs waited for a core" in text
    told = json.loads(report.json())
    assert [row["verdict"] for row in told["rows"]] == [row.verdict for row in outcome.rows]
    assert (told["status"], told["contended"]) == (1, 0.5)
    assert told["head"]["subject"] == "Subject of HEAD"


def test_a_stage_that_is_slower_everywhere_is_told_before_its_cells(run):
    slower = {duration: {"time": 1.1 * does["time"]} for duration, does in EVEN.items()}
    match, outcome = run(slower, budget_s=20.0)
    facts = {"scale": "tiny", "device": "cpu", "machine": "here", "spent_s": 61.0}
    report = Report(outcome, *(side.commit for side in match.sides), facts, 0.02)

    (stage,) = outcome.stages
    assert (stage.stage, stage.cells, stage.verdict) == ("DiT", 3, "slower")
    assert stage.evidence.ratio == pytest.approx(1.1, abs=0.02)
    assert report.text().index("stage, all cells") < report.text().index("DiT forward, alone")
    for text in (report.text(), report.markdown()):
        assert "DiT slower in 3 cells together" in text
        assert "waited for a core" not in text, "nobody knows"
    assert "| 🔴 slower | DiT | 3 |" in report.markdown()
    assert json.loads(report.json())["stages"][0]["evidence"]["ratio"] == stage.evidence.ratio


def test_a_slower_stage_is_a_failure_though_no_row_is_known_to_be():
    slower = StageRow("DiT", 3, "slower", Evidence(42, 1.05))

    assert ComparisonResult(stages=[slower]).status == 1
    assert ComparisonResult(stages=[replace(slower, verdict="not enough evidence")], exact_cells=1).status == 0


@pytest.mark.parametrize(
    ("value", "text"), [(12.34, "12.3 s"), (0.0456, "45.6 ms"), (1e-5, "10 µs"), (3e-9, "3 ns"), (1500.0, "1,500 s")]
)
def test_times_have_a_unit_that_suits_them(value, text):
    assert seconds(value) == text


@pytest.mark.parametrize(
    "name", ["stages.DiTForward.track_time(60, 2)", "generate.GenerateMusic.track_time_vae(30, 2, True, 8)"]
)
def test_series_are_found_by_the_names_that_asv_gives_them(name):
    matrix, cell, series = series_named(name)

    assert series_text(cell, series) == name
    assert series_of(matrix.name, cell)[series.name] == series


def test_a_series_without_parameters_is_that_of_a_quick_cell():
    assert series_named("stages.DiTForward.track_time")[1] == {"stage": "DiTForward", "duration": 30, "batch": 1}


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("nonsense.Thing.track_time", "it begins with one of generate, tasks"),
        ("stages.DiTForward.track_tame", "there are .*stages.DiTForward.track_time"),
        ("apis.Understand.track_wall", "has a new name: 'apis.Understand.track_time_wall'"),
        ("stages.DiTForward.track_time(31, 1)", r"no parameters \(31, 1\); there are \(120, 1\)"),
    ],
)
def test_an_unknown_series_is_refused_with_what_there_is(name, complaint):
    with pytest.raises(UnknownSeriesError, match=complaint):
        series_named(name)


def test_what_neither_side_could_count_is_told():
    comparison = comparisons()[0]
    prepared = {"work": {"steps": 8}, "exact": False, "series": {"time": 0.1, "operators": 7.0}}
    broken = {"status": "fail", "reason": "no profiler"}
    comparison.told = [comparison.exact_numbers(prepared, broken)] * 2

    assert comparison.told[0] == {"steps": 8, "operators": 7.0, "uncounted": "no profiler"}
    assert [(fact.name, fact.base) for fact in comparison.facts] == [("uncounted", "no profiler")]
