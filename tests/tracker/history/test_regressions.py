"""`python -m scripts.regressions` over measured projects, and the same list on the published site."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.series_types import COST, TIME
from scripts.tracker.history.acknowledged import Acknowledgement, AcknowledgementError, read_acknowledgements
from scripts.tracker.history.changes import Change
from scripts.tracker.history.model import Series
from scripts.tracker.history.regressions import SeriesChange, significant_changes
from tests.tracker.measured_project import Build, Listing, Measured, Project, acknowledge
from tests.tracker.site.test_publish import payload, published

VAE = "generate.GenerateMusic.track_time_vae"
SLOWER = {"vae": 1.5}
DUD = '\n[[acknowledged]]\ncommit = "{}"\nseries = "tiers.*"\nreason = "r"\nby = "b"\n'
"""An entry about nothing."""


@pytest.fixture
def slower(build: Build) -> Project:
    return build([Measured(), Measured(), Measured("Decode half again", SLOWER), Measured(factors=SLOWER)])


def series(project: Project, where: str) -> set[str]:
    """Labels of the entries of a table of the published page."""
    [environment] = payload(project)["environments"]
    return {group["label"] for group in environment[where]}


def test_open_regressions_have_commit_stage_size_and_probability(slower_vae: Project, listing: Listing) -> None:
    status, said, warned = listing(slower_vae)
    assert (status, warned) == (1, "")
    assert f"{slower_vae.commits[2][:8]} Decode <script>alert(1)</script> & half again" in said
    assert "VAE decode: +5" in said or "VAE decode: +49" in said
    assert f"[{VAE}] on bench-1 · tiny · cpu · torch 2.13.0" in said
    assert "probability > 99.99 %, open" in said


def test_the_list_is_that_of_the_published_site(slower_vae: Project, listing: Listing) -> None:
    found = json.loads(listing(slower_vae, "--json")[1])
    assert {entry["label"] for entry in found["regressions"]} == series(slower_vae, "regressions")
    assert found["open"] == len(found["regressions"])
    first = found["regressions"][0]
    assert first["commit"]["hash"] == slower_vae.commits[2]
    assert (first["since"], first["unmeasured_commits"]) == (slower_vae.commits[1], 0)
    assert first["interval"][0] < first["ratio"] < first["interval"][1]


def test_markdown_is_a_table_with_a_row_for_each(slower_vae: Project, listing: Listing) -> None:
    heading, _, *rows = listing(slower_vae, "--markdown")[1].splitlines()
    assert heading == f"{len(rows) - 2} open regressions."
    assert rows[0] == "| Commit | Stage | Series | Size | Probability | Where | State |"
    assert all(row.count(" | ") == 6 for row in rows)


def test_what_is_acknowledged_is_shown_apart_and_fails_no_more(slower: Project, listing: Listing) -> None:
    tables = listing(slower, "--toml")[1]
    path = acknowledge(slower, tables)
    status, _, said = listing(slower)
    assert status == 2
    assert f"{path.name}, entry 1 has reason = ''" in said
    path.write_text(tables.replace('reason = ""', 'reason = "It clicked"').replace('by = ""', 'by = "Ada"'))
    assert listing(slower)[:2] == (0, "No regression is open.\n")
    assert ": It clicked" in listing(slower, "--all")[1]

    path.write_text(path.read_text() + DUD.format("0123abcd"))
    assert "no measured commit begins with 0123abcd" in " ".join(published(slower).split())
    assert series(slower, "regressions") == set()
    assert "VAE decode" in series(slower, "acknowledged")
    assert json.loads((slower.html / "regressions.json").read_text()) == {"regressions": []}


def test_an_entry_covers_its_series_and_cells_alone(slower: Project, listing: Listing) -> None:
    entry = f'[[acknowledged]]\ncommit = "{slower.commits[2]}"\nreason = "r"\nby = "b"\n'
    acknowledge(slower, f'{entry}series = "generate.*"\ncell = "30 s *"\n')
    found = json.loads(listing(slower, "--json", "--all")[1])["regressions"]
    cells = {entry["state"]: {cell["text"][:4] for cell in entry["cells"]} for entry in found if entry["series"] == VAE}
    assert cells == {"acknowledged": {"30 s"}, "open": {"60 s"}}


def test_commits_without_a_value_are_told_as_possible_causes(slower: Project, listing: Listing) -> None:
    for result in (slower.results / "bench-1").glob(f"{slower.commits[1][:8]}-*.json"):
        result.unlink()
    assert (
        f"or the commit before it (not measured, or disturbed): last good value at {slower.commits[0][:8]}"
        in listing(slower)[1]
    )


def test_entries_that_match_nothing_are_told(slower: Project, listing: Listing) -> None:
    acknowledge(slower, DUD.format("0123abcd") + DUD.format(slower.commits[2]))
    status, _, warned = listing(slower)
    assert status == 1
    assert "no measured commit begins with 0123abcd" in warned
    assert "no regression of tiers.* at" in warned


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[acknowledged]", "cannot be read"),
        ('[[acknowledge]]\nby = "b"', "has acknowledge; it may hold"),
        ('[[acknowledged]]\ncommit = "0123456"\nseries = "s"\nby = "b"', "entry 1 has reason = None"),
        ('[[acknowledged]]\ncommit = "0123456"\nseries = 4\nby = "b"\nreason = "r"', "entry 1 has series = 4"),
        ('[[acknowledged]]\ncommit = "0123"\nseries = "s"\nby = "b"\nreason = "r"', "at least 7 characters"),
        ('[[acknowledged]]\nauthor = "0123"', "entry 1 has author; it may have commit"),
    ],
)
def test_a_malformed_file_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "acknowledged.toml"
    path.write_text(text)
    with pytest.raises(AcknowledgementError) as error:
        read_acknowledgements(path)
    assert said in str(error.value)
    assert str(path) in str(error.value)


def test_the_checked_in_file_can_be_read() -> None:
    assert read_acknowledgements(Path(__file__).parents[3] / "benchmarks" / "acknowledged.toml") == []


def test_a_fixed_regression_is_listed_only_if_all_are_asked_for(build: Build, listing: Listing) -> None:
    history = [*[Measured()] * 3, *[Measured(factors=SLOWER)] * 2, *[Measured()] * 3]
    project = build(history)
    assert listing(project)[:2] == (0, "No regression is open.\n")
    assert "fixed" in listing(project, "--all")[1]


def test_more_work_is_exact_and_another_output_is_no_regression(build: Build, listing: Listing) -> None:
    project = build([Measured(), Measured("Ask once more", output=2, tokens=3)])
    status, said, _ = listing(project, "--json")
    assert status == 1
    found = {entry["series"]: entry["probability"] for entry in json.loads(said)["regressions"]}
    assert found == {"generate.GenerateMusic.track_tokens": 1.0, "apis.Understand.track_forwards": 1.0}
    assert "probability exact, open" in listing(project)[1]


def write_hosts(project: Project, fact: str, values: list[str]) -> None:
    """Write what a run leaves beside the results, with one value of *fact* a commit."""
    for commit, value in zip(project.commits, values, strict=True):
        [result] = (project.results / "bench-1").glob(f"{commit[:8]}-*.json")
        lines = [{"matrix": matrix, "host": {fact: value, "commit": commit}} for matrix in ("generate", "stages")]
        result.with_suffix(".hosts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize(("fact", "old", "new"), [("torch", "2.12.0", "2.13.0"), ("workload", "0df7", "c0de")])
def test_a_commit_is_not_blamed_for_what_it_was_measured_with(
    slower: Project, listing: Listing, fact: str, old: str, new: str
) -> None:
    write_hosts(slower, fact, [old, old, new, new])
    environment = {"HOME": str(slower.root)}
    published(slower, **environment)
    assert series(slower, "regressions") == set()
    [page] = payload(slower)["environments"]
    assert page["breaks"] == [{"at": 2, "text": f"{fact} {old} → {new}"}]
    assert listing(slower)[:2] == (0, "No regression is open.\n")


def edit_results(project: Project, commits: list[str], change: Callable[[dict[str, Any]], None]) -> None:
    for commit in commits:
        [path] = (project.results / "bench-1").glob(f"{commit[:8]}-*.json")
        result = json.loads(path.read_text())
        change(result)
        path.write_text(json.dumps(result))


def another_kernel(result: dict[str, Any]) -> None:
    result["params"]["os"] = "Linux 6.0"


def another_wheel(result: dict[str, Any]) -> None:
    result["params"]["pip+torch"] = result["requirements"]["pip+torch"] = "2.12.0"


def another_version(result: dict[str, Any]) -> None:
    for row in result["results"].values():
        row[result["result_columns"].index("version")] = "0"


@pytest.mark.parametrize("change", [another_kernel, another_wheel, another_version])
def test_a_commit_is_not_blamed_for_what_asv_tells_apart(
    slower: Project, listing: Listing, change: Callable[[dict[str, Any]], None]
) -> None:
    edit_results(slower, slower.commits[:2], change)
    assert listing(slower, "--all")[:2] == (0, "No regression is open.\n")


@pytest.mark.parametrize(
    "setting", [{"regressions_first_commits": {".*": None}}, {"regressions_thresholds": {".*": 0.9}}]
)
def test_asvs_settings_of_regressions_are_obeyed(slower: Project, listing: Listing, setting: dict[str, Any]) -> None:
    conf = json.loads((slower.root / "asv.conf.json").read_text())
    (slower.root / "asv.conf.json").write_text(json.dumps({**conf, **setting}))
    assert listing(slower)[:2] == (0, "No regression is open.\n")


def test_without_anything_to_read_the_remedy_is_told(build: Build, listing: Listing, tmp_path: Path) -> None:
    status, _, said = listing(build([]))
    assert status == 2
    assert "has no results yet. Run scripts/track" in said
    status, _, said = listing(Project(tmp_path))
    assert status == 2
    assert "There is no asv.conf.json" in said


def test_results_of_another_branch_alone_are_told(slower: Project, listing: Listing) -> None:
    slower.git("branch", "--force", "other", slower.git("commit-tree", "HEAD^{tree}", "-m", "Begin anew"))
    conf = json.loads((slower.root / "asv.conf.json").read_text())
    (slower.root / "asv.conf.json").write_text(json.dumps({**conf, "branches": ["other"]}))
    status, _, said = listing(slower)
    assert status == 2
    assert "has no result of a commit on other" in said


def test_a_change_that_comes_alone_among_many_series_does_not_count() -> None:
    times, operators = (Series("b", type_, "", None, (), {}, None) for type_ in (TIME, COST))
    rare, usual = (Change(1.0, 1.1, 1, 2, (1.0, 1.2), 1 - p, persists=True) for p in (1e-5, 5e-3))
    sure, doubtful, exact = (
        SeriesChange(times, rare),
        SeriesChange(times, usual),
        SeriesChange(operators, replace(usual, probability=1.0)),
    )

    assert significant_changes([doubtful], 100) == []
    assert significant_changes([doubtful, sure, exact], 100) == [exact, sure]
    assert significant_changes([doubtful] * 10, 100) == [doubtful] * 10


@pytest.mark.parametrize(
    "text", ['quoted "30 s"', "back\\slash", "two\nlines\r\n", "tab\t", "\x00\x1b\x7f\x85", "größer · 大 🎵"]
)
def test_any_text_survives_being_written_and_read(tmp_path: Path, text: str) -> None:
    entry = Acknowledgement("0123abcd", series=text, reason=text, by=text, cell=text)
    path = tmp_path / "acknowledged.toml"
    path.write_text(entry.to_toml(), encoding="utf-8", newline="")
    assert read_acknowledgements(path) == [entry]
