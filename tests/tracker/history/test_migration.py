"""Renamed series keep their history: stored results get the present names."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asv.util import UserError

from benchmarks.harness.suite import all_series
from scripts.tracker.history.migration import migrate
from scripts.tracker.history.renamed_series import RENAMED, names_of
from tests.tracker.history.test_regressions import VAE
from tests.tracker.measured_project import Build, Listing, Measured, Project, acknowledge
from tests.tracker.site.test_publish import payload, published

FORMER_VAE = "generate.GenerateMusic.track_vae"
SLOWER = [Measured(), Measured(), Measured("Decode half again", {"vae": 1.5}), Measured(factors={"vae": 1.5})]


def written_before(project: Project) -> Project:
    """Give the files of *project* the names that asv stored before the series were renamed."""
    former = {name: old for old, name in RENAMED.items()}
    for path in project.results.rglob("*.json"):
        data = json.loads(path.read_text())
        if "results" in data:
            data["results"] = {former.get(name, name): row for name, row in data["results"].items()}
        elif path.name == "benchmarks.json":
            version = data.pop("version")
            data = {
                former.get(name, name): entry | {"type": "track", "unit": "exact bytes"} for name, entry in data.items()
            }
            data = {name: entry | {"name": name} for name, entry in data.items()} | {"version": version}
        path.write_text(json.dumps(data))
    return project


@pytest.fixture
def old(build: Build) -> Project:
    return written_before(build(SLOWER))


def content(project: Project) -> dict[str, Any]:
    return {path.name: json.loads(path.read_text()) for path in project.results.rglob("*.json")}


def changed(project: Project, change: Callable[[dict[str, Any]], object]) -> Path:
    """The oldest result of *project*, after *change*."""
    [path] = (project.results / "bench-1").glob(f"{project.commits[0][:8]}-*.json")
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    return path


def migrated(project: Project) -> tuple[int, list[str]]:
    said: list[str] = []
    return migrate(str(project.results), said.append), said


def test_every_former_name_is_gone_and_every_present_one_is_there() -> None:
    assert set(RENAMED.values()) <= set(all_series())
    assert not set(RENAMED) & set(all_series())
    assert names_of(VAE) == (VAE, FORMER_VAE)
    assert names_of("stages.VAEDecode.track_time") == ("stages.VAEDecode.track_time",)


def test_results_are_as_if_they_had_been_measured_under_the_present_names(build: Build) -> None:
    project = build(SLOWER)
    measured = content(project)
    assert content(written_before(project)) != measured
    assert migrated(project) == (4, ["Renamed series in 4 result files, as track_vae to track_time_vae."])
    assert content(project) == measured


def test_what_grew_as_a_tier_allowed_more_is_converted(old: Project) -> None:
    former, present = "tiers.Resolve.track_max_batch", "tiers.Resolve.track_batch_shortfall"
    stored = {
        "result": [1.0, 4.0, None],
        "stats_ci_99_a": [-math.inf, 3.0, None],
        "stats_ci_99_b": [math.inf, 5.0, None],
    }
    stored |= {"params": [["4", "8", "80"]], "version": "1", "samples": [[1.0], [4.0, 4.0], None]}
    expected = {
        "result": [7.0, 4.0, None],
        "stats_ci_99_a": [-math.inf, 3.0, None],
        "stats_ci_99_b": [math.inf, 5.0, None],
    }
    expected |= {"params": stored["params"], "version": "1", "samples": [[7.0], [4.0, 4.0], None]}

    def measured(data: dict[str, Any]) -> None:
        data["result_columns"] = list(stored)
        data["results"] = {former: list(stored.values()), "tiers.Resolve.track_quantized": [[1.0]]}

    path = changed(old, measured)
    migrated(old)
    results = json.loads(path.read_text())["results"]
    assert dict(zip(stored, results[present], strict=True)) == expected
    assert list(results) == [present, "tiers.Resolve.track_quantized"]


def test_nothing_is_touched_the_second_time(old: Project) -> None:
    migrated(old)
    times = {path: path.stat().st_mtime_ns for path in old.results.rglob("*")}
    assert migrated(old) == (0, [])
    assert {path: path.stat().st_mtime_ns for path in old.results.rglob("*")} == times


def test_both_stay_where_both_are_and_the_present_one_counts(old: Project) -> None:
    def measured_again(data: dict[str, Any]) -> None:
        data["results"][VAE] = ["the present one"]

    path = changed(old, measured_again)
    migrated(old)
    results = json.loads(path.read_text())["results"]
    assert results[VAE] == ["the present one"]
    assert results[FORMER_VAE] != results[VAE]
    assert "generate.GenerateMusic.track_time_dit" in results
    assert migrated(old) == (0, [])


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"results": 4}', "\udcff"])
def test_what_cannot_be_read_is_left_to_asv(old: Project, text: str) -> None:
    [path] = (old.results / "bench-1").glob(f"{old.commits[0][:8]}-*.json")
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    before = path.read_bytes()
    count, said = migrated(old)
    assert count == 3
    assert path.read_bytes() == before
    assert not any(str(path) in line for line in said)


def test_a_file_that_cannot_be_replaced_stays_whole_and_is_named(old: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    before = content(old)

    def full(*_paths: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(UserError, match=r"former names of series and cannot be replaced: .*No space left"):
        migrated(old)
    assert content(old) == before


def test_nothing_is_said_of_a_folder_without_results(tmp_path: Path) -> None:
    assert migrate(str(tmp_path), pytest.fail) == 0
    assert migrate(str(tmp_path / "nowhere"), pytest.fail) == 0


def test_publish_shows_the_history_of_renamed_series(old: Project) -> None:
    assert "Renamed series in 4 result files" in " ".join(published(old).split())
    [environment] = payload(old)["environments"]
    vae = [series for series in environment["series"] if series["benchmark"] == VAE]
    assert vae
    assert all(len(series["y"]) == 4 and None not in series["y"] for series in vae)
    assert "VAE decode" in {group["label"] for group in environment["regressions"]}
    assert "Renamed" not in published(old)


def test_run_renames_before_it_measures(old: Project) -> None:
    old.asv("run", HOME=str(old.root))  # has nothing to measure with here, and fails afterwards
    assert all(VAE in data["results"] for data in content(old).values() if "results" in data)


def test_the_list_of_regressions_has_renamed_series_and_stays_json(
    old: Project,
    listing: Listing,
) -> None:
    status, said, warned = listing(old, "--json")
    assert status == 1
    assert VAE in {entry["series"] for entry in json.loads(said)["regressions"]}
    assert "Renamed series in 4 result files" in warned


@pytest.mark.parametrize("series", [FORMER_VAE, VAE, "*.track_vae", "generate.*"])
def test_acknowledgements_of_former_names_go_on_working(
    old: Project,
    listing: Listing,
    series: str,
) -> None:
    entry = {"commit": old.commits[2], "series": series, "reason": "It clicked", "by": "Ada"}
    acknowledge(old, "[[acknowledged]]\n" + "\n".join(f'{name} = "{value}"' for name, value in entry.items()))
    _, said, warned = listing(old, "--json", "--all")
    states = {entry["state"] for entry in json.loads(said)["regressions"] if entry["series"] == VAE}
    assert states == {"acknowledged"}
    assert "acknowledges nothing" not in warned


def test_a_series_under_another_version_stays_hidden(old: Project) -> None:
    def earlier(data: dict[str, Any]) -> None:
        data["results"][FORMER_VAE][data["result_columns"].index("version")] = "0"

    changed(old, earlier)
    published(old)
    [environment] = payload(old)["environments"]
    assert {series["y"][0] for series in environment["series"] if series["benchmark"] == VAE} == {None}
