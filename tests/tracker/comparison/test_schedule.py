"""Schedules, results and reports of real workers with made-up times."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.harness.process import HERE
from benchmarks.harness.settings import Settings
from scripts.tracker.comparison import schedule as schedules
from scripts.tracker.comparison.cell import CellComparison
from scripts.tracker.comparison.report import Report, seconds
from scripts.tracker.comparison.result import ComparisonResult, StageRow
from scripts.tracker.comparison.revisions import Revision
from scripts.tracker.comparison.schedule import Schedule
from scripts.tracker.comparison.series_names import UnknownSeriesError, series_named, series_of, series_text
from scripts.tracker.comparison.sides import Side
from scripts.tracker.statistics.judging import Evidence
from tests.tracker.comparison.fake_workload import FakeWorkload

CELLS = [{"stage": "DiTForward", "duration": duration, "batch": 1} for duration in (30, 60, 120)]
EVEN = {"30": {"time": 0.01}, "60": {"time": 0.02}, "120": {"time": 0.04}}


def sides(folder: Path, baseline: dict, candidate: dict) -> tuple[Side, Side]:
    """Return two sides with the given behaviour for each duration."""
    made = []
    for name, behaviours in (("main", baseline), ("HEAD", candidate)):
        path = folder / f"{name}.json"
        path.write_text(json.dumps(behaviours))
        settings = Settings(str(path), "cpu", "quick", name * 8, "none", str(folder), str(folder / "journal"))
        made.append(Side(Revision(name * 8, name, f"Subject of {name}", stored=True), HERE, settings))
    return made[0], made[1]


def cell_comparisons() -> list[CellComparison]:
    """Return the cells before anything is measured."""
    return [CellComparison.of("stages", cell) for cell in CELLS]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the schedule of two sides with the given behaviours; return it and its result. No cell is required."""
    monkeypatch.setattr("benchmarks.harness.expected.COMPLETE_SINCE", {})
    monkeypatch.setattr(schedules, "workload_of", lambda _matrix: FakeWorkload)

    def run(candidate, baseline=EVEN, budget_s=8.0):
        schedule = Schedule(
            cell_comparisons(), sides(tmp_path, {**EVEN, **baseline}, {**EVEN, **candidate}), budget_s, lambda *_: None
        )
        schedule.run()
        return schedule, ComparisonResult.of(schedule)

    return run


def test_every_row_gets_the_true_verdict(run):
    schedule, result = run({"30": {"time": 0.011}, "60": {"time": 0.018}}, budget_s=60.0)

    verdicts = {row.cell: row.verdict for row in result.rows}
    assert verdicts == {"30 s · batch 1": "slower", "60 s · batch 1": "faster", "120 s · batch 1": "same"}
    assert result.rows[0].ratio == pytest.approx(1.1, abs=0.02)
    assert result.status == 1
    assert schedule.left_s > 10  # it ends when every row has a verdict


def test_a_cell_with_long_runs_gets_several_shares_for_its_first_look(run):
    baseline, candidate = ({"120": {"time": time, "sleep": 0.04}} for time in (0.04, 0.06))
    schedule, result = run(candidate, baseline, budget_s=2.2)

    assert {row.cell: row.verdict for row in result.rows}["120 s · batch 1"] == "slower"
    assert [one.pairs for one in schedule.comparisons[-1].rounds] == [
        14,
        14,
    ]  # 1.12 s each, of 1.1 s for all in a round


def test_noisy_rows_are_inconclusive_and_no_failure(run):
    noisy = {duration: {"time": 0.01, "noise": 0.5} for duration in EVEN}
    _, result = run(noisy, baseline=noisy, budget_s=0.001)

    assert {row.verdict for row in result.rows} == {"not enough evidence"}
    assert result.status == 0


def test_a_cell_that_only_the_candidate_cannot_run_is_a_failure(run):
    _, result = run({"60": "skip"})

    assert [(error.side, error.reason) for error in result.errors] == [("candidate", "this commit has no such stage")]
    assert result.status == 2


def test_a_new_cell_is_no_failure(run):
    _, result = run({}, baseline={"60": "skip"})

    assert result.status == 0
    assert len(result.rows) == 2


def test_a_cell_that_kills_its_worker_does_not_affect_the_others(run):
    _, result = run({"60": "die"}, budget_s=20.0)

    assert [error.cell for error in result.errors] == ["DiT forward, 60 s · batch 1"]
    assert "SIGKILL" in result.errors[0].reason
    assert {row.cell for row in result.rows} == {"30 s · batch 1", "120 s · batch 1"}
    assert result.status == 2


def test_a_load_failure_is_reported_for_every_cell(run):
    _, result = run({"broken": True})

    assert len(result.errors) == len(CELLS)
    assert "no weights in sight" in result.errors[0].reason
    assert (result.rows, result.status) == ([], 2)


def test_changed_work_is_named_in_the_row(run):
    _, result = run({"30": {"time": 0.01, "work": {"steps": 9}}}, baseline={"30": {"time": 0.01, "work": {"steps": 8}}})

    (row,) = [row for row in result.rows if row.changed_counters]
    assert row.changed_counters == ("steps",)
    assert [(diff.name, diff.baseline, diff.candidate) for diff in result.counter_diffs] == [("steps", 8, 9)]


def test_the_report_has_the_same_rows_in_each_form(run):
    baseline = {duration: {**does, "wait": 0.0} for duration, does in EVEN.items()}
    candidate = {
        "30": {"time": 0.011, "work": {"steps": 9}, "wait": 0.5},
        "60": "skip",
        "120": {"time": 0.04, "wait": 0.5},
    }
    schedule, result = run(candidate, baseline, budget_s=20.0)
    conditions = {"scale": "tiny", "device": "cpu", "machine": "here", "spent_s": 61.0}
    report = Report(result, *(side.revision for side in schedule.sides), conditions, 0.02)

    for text in (report.text(), report.markdown()):
        assert "DiT forward, alone *" in text
        assert re.search(r"\+(9|10)\.\d%", text)
        assert "DiT forward, 30 s · batch 1: steps none → 9" in text
        assert "DiT forward, 60 s · batch 1, candidate: this commit has no such stage" in text
        assert "1 min 01 s; 50% of the runs waited for a core" in text
    written = json.loads(report.json())
    assert [row["verdict"] for row in written["rows"]] == [row.verdict for row in result.rows]
    assert (written["status"], written["contended"]) == (1, 0.5)
    assert written["candidate"]["subject"] == "Subject of HEAD"


def test_a_slower_stage_is_reported_before_its_cells(run):
    slower = {duration: {"time": 1.1 * does["time"]} for duration, does in EVEN.items()}
    schedule, result = run(slower, budget_s=20.0)
    conditions = {"scale": "tiny", "device": "cpu", "machine": "here", "spent_s": 61.0}
    report = Report(result, *(side.revision for side in schedule.sides), conditions, 0.02)

    (stage,) = result.stages
    assert (stage.stage, stage.cells, stage.verdict) == ("DiT", 3, "slower")
    assert stage.evidence.ratio == pytest.approx(1.1, abs=0.02)
    assert report.text().index("stage, all cells") < report.text().index("DiT forward, alone")
    for text in (report.text(), report.markdown()):
        assert "DiT slower in 3 cells together" in text
        assert "waited for a core" not in text, "it is unknown"
    assert "| 🔴 slower | DiT | 3 |" in report.markdown()
    assert json.loads(report.json())["stages"][0]["evidence"]["ratio"] == stage.evidence.ratio


def test_a_slower_stage_gives_status_1_even_if_no_row_is_slower():
    slower = StageRow("DiT", 3, "slower", Evidence(42, 1.05))

    assert ComparisonResult(stages=[slower]).status == 1
    assert ComparisonResult(stages=[replace(slower, verdict="not enough evidence")], exact_cells=1).status == 0


@pytest.mark.parametrize(
    ("value", "text"), [(12.34, "12.3 s"), (0.0456, "45.6 ms"), (1e-5, "10 µs"), (3e-9, "3 ns"), (1500.0, "1,500 s")]
)
def test_times_are_rendered_with_a_suitable_unit(value, text):
    assert seconds(value) == text


@pytest.mark.parametrize(
    "name", ["stages.DiTForward.track_time(60, 2)", "generate.GenerateMusic.track_time_vae(30, 2, True, 8)"]
)
def test_series_are_found_by_their_asv_names(name):
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


def test_a_failure_to_count_on_both_sides_is_reported():
    comparison = cell_comparisons()[0]
    prepared = {"work": {"steps": 8}, "exact": False, "series": {"time": 0.1, "operators": 7.0}}
    broken = {"status": "fail", "reason": "no profiler"}
    comparison.counters = [comparison.exact_metrics(prepared, broken)] * 2

    assert comparison.counters[0] == {"steps": 8, "operators": 7.0, "uncounted": "no profiler"}
    assert [(diff.name, diff.baseline) for diff in comparison.counter_diffs] == [("uncounted", "no profiler")]
