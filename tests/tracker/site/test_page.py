"""The published pages in a real browser, opened from disk with the network cut off."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.tracker.site.assets import ASSETS, FOLDER, cache_folder
from tests.tracker.measured_project import STAGES, Build, Measured, Project, acknowledge

ACKNOWLEDGED = """
[[acknowledged]]
commit = "{}"
series = "*"
reason = "The old decoder clicked."
by = "Ada"
"""
WIDE, NARROW = (1280, 900), (390, 844)
TRACES = "document.getElementById('stack').data.map(trace => trace.name)"
WALL = "document.getElementById('stack').data.at(-1).y"
OVERFLOWING = """
[...document.querySelectorAll('body *')].filter(node => {
  const clipped = edge => edge && (getComputedStyle(edge).overflowX === 'hidden' || clipped(edge.parentElement));
  const box = node.getBoundingClientRect();
  return box.width && box.right > innerWidth + 1 && !clipped(node.parentElement);
}).map(node => node.outerHTML.slice(0, 80))
"""


class Visit:
    """Opens pages; afterwards knows what they asked of the network and what they complained about."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self.requested: list[str] = []
        self.complaints: list[str] = []

    def open(self, page: Path, size: tuple[int, int] = WIDE, fragment: str = "", scheme: str = "light") -> Any:
        context = self._browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
        context.route("**/*", self._let_files_through)
        tab = context.new_page()
        tab.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        tab.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        tab.goto(page.as_uri() + fragment, wait_until="load")
        return tab

    def _let_files_through(self, route: Any) -> None:
        if route.request.url.startswith("file:"):
            route.continue_()
        else:
            self.requested.append(route.request.url)
            route.abort()


def wall_seconds(tab: Any) -> float:
    """The wall time of the first commit in the chart, whatever the unit of its axis."""
    unit = tab.evaluate("document.getElementById('stack').layout.yaxis.ticksuffix").strip()
    return float(tab.evaluate(WALL)[0] * {"s": 1.0, "ms": 1e-3}[unit])


@pytest.fixture
def visit(browser: object) -> Iterator[Visit]:
    visited = Visit(browser)
    yield visited
    assert visited.requested == []
    assert visited.complaints == []


@pytest.fixture(scope="module")
def long_history(build: Build) -> Project:
    """Published: two environments, thirty commits, a cell fails last.

    Torch changes at the fifth, output and DiT at the tenth, and a slower VAE from the twentieth on is acknowledged.
    """
    cells = [(30, 1, False, 8), (30, 1, True, 8), (60, 4, True, 16)]
    history = [
        Measured(
            f"Change {number}: a subject that is long enough to need a second line in most places",
            factors={"dit": 1.0 if number < 10 else 0.8, "vae": 1.0 if number < 20 else 1.3},
            output=1 + (number >= 10),
            failing=[cells[2]] if number == 29 else (),
        )
        for number in range(30)
    ]
    project = build(history, cells, [("a-machine-with-a-rather-long-name-in-a-rack", "cpu"), ("gpu", "cuda")])
    acknowledge(project, ACKNOWLEDGED.format(project.commits[20]))
    for number, commit in enumerate(project.commits):
        for result in project.results.glob(f"*/{commit[:8]}-*.json"):
            host = {"torch": "2.12.0" if number < 5 else "2.13.0"}
            result.with_suffix(".hosts.jsonl").write_text(json.dumps({"matrix": "generate", "host": host}))
    done = project.asv("publish")
    assert done.returncode == 0, done.stdout + done.stderr
    return project


def test_the_chart_stacks_every_stage_up_to_the_wall_time(visit: Visit, slower_vae: Project) -> None:
    tab = visit.open(slower_vae.html / "overview.html")
    tab.locator("#cell label", has_text="on").click()
    assert len(tab.evaluate(TRACES)) == len(STAGES) + 1
    top = tab.evaluate("document.getElementById('stack').data.slice(0, -1).reduce((sum, t) => sum + t.y[0], 0)")
    assert top == pytest.approx(tab.evaluate(WALL)[0], rel=0.02)
    assert tab.locator("#stack .barlayer .trace").count() == len(STAGES)
    assert "26 GB" in tab.locator("#machine").inner_text()


def test_another_cell_changes_chart_and_breakdown(visit: Visit, slower_vae: Project) -> None:
    tab = visit.open(slower_vae.html / "overview.html")
    before, said = wall_seconds(tab), tab.locator("#breakdown").inner_text()
    tab.locator("#cell label", has_text="60 s").click()
    assert wall_seconds(tab) > 4 * before
    assert tab.locator("#breakdown").inner_text() != said
    assert tab.locator('#cell input[name="steps"]:checked').input_value() == "16", "the measured cell with 60 s"
    assert tab.locator('#cell input[value="240"]').is_disabled()


def test_the_regression_table_names_commit_stage_and_size(visit: Visit, slower_vae: Project) -> None:
    tab = visit.open(slower_vae.html / "overview.html")
    shown = tab.locator("#regressions").inner_text()
    assert slower_vae.commits[2][:8] in shown
    assert "VAE decode" in shown
    assert re.search(r"▲ \+(49|50|51)", shown)
    assert tab.locator("#regressions tbody").count() == 1
    assert re.match(r"VAE decode \+(49|50|51)", tab.locator("#stack .annotation").first.text_content())


def test_a_subject_with_markup_is_shown_as_it_is(visit: Visit, slower_vae: Project) -> None:
    tab = visit.open(slower_vae.html / "overview.html")
    subject = "Decode <script>alert(1)</script> & half again"
    assert subject in tab.locator("#regressions").inner_text()
    box = tab.locator("#stack").bounding_box()
    tab.mouse.move(box["x"] + box["width"] * 0.62, box["y"] + box["height"] * 0.7)
    tab.locator("#stack .hovertext").wait_for()
    label = tab.locator("#stack .hovertext").text_content()
    assert slower_vae.commits[2][:8] in label
    assert "<script>alert(1)</script>" in label
    assert subject in tab.locator("#breakdown").inner_text()


@pytest.mark.parametrize("size", [WIDE, NARROW])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overflows(visit: Visit, long_history: Project, size: tuple[int, int], scheme: str) -> None:
    tab = visit.open(long_history.html / "overview.html", size, scheme=scheme)
    for summary in tab.locator("details > summary").all()[:6]:
        summary.click()
    assert tab.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert tab.evaluate(OVERFLOWING) == []


def test_the_series_can_be_filtered_sorted_and_opened(visit: Visit, long_history: Project) -> None:
    tab = visit.open(long_history.html / "overview.html")
    rows = tab.locator("#series tbody tr")
    tab.locator("#filter").fill("dit thinking 60")
    assert {text.split("\n")[0] for text in rows.all_inner_texts()} == {"DiT", "DiT, one step"}
    tab.locator("#only-significant").check()
    assert rows.count() == 2
    assert long_history.commits[10][:8] in rows.first.inner_text()
    assert "−20" in rows.first.inner_text()
    tab.locator("#filter").fill("")
    tab.locator("#series th button", has_text="Series").click()
    tab.locator("#only-significant").uncheck()
    names = [text.split("\n")[0] for text in rows.all_inner_texts()]
    assert names == sorted(names)
    rows.first.locator("button.spark").click()
    assert tab.locator("#history").is_visible()
    assert tab.locator("#history-chart .scatterlayer .point").count() == 30
    tab.keyboard.press("Escape")
    assert not tab.locator("#history").is_visible()


def test_a_reader_finds_the_planner_and_the_functions_that_ask_it(visit: Visit, long_history: Project) -> None:
    tab = visit.open(long_history.html / "overview.html")
    groups = tab.locator("#groups label")
    assert groups.all_inner_texts() == ["All", "Whole generation", "Stages alone", "Planner", "APIs", "Start-up"]
    rows = tab.locator("#series tbody tr td:first-child")
    groups.filter(has_text="Planner").click()
    assert rows.all_inner_texts() == ["Planner: prefill\npt"]
    groups.filter(has_text="APIs").click()
    assert [text.split("\n")[0] for text in rows.all_inner_texts()] == ["understand_music, forwards"]
    assert "1 of 1 series" in tab.locator("#shown").inner_text()


def test_a_machine_is_chosen_and_failures_and_outputs_are_shown(visit: Visit, long_history: Project) -> None:
    tab = visit.open(long_history.html / "overview.html")
    before = tab.evaluate(WALL)
    tab.locator("#environment").select_option("1")
    assert tab.evaluate(WALL) != before
    assert "60 s · batch 4 · thinking · 16 steps" in tab.locator("#missing").inner_text()
    assert "The output changed here" in tab.locator("#work").inner_text()
    assert "output changed" in tab.locator("#stack").text_content()
    assert "No regression is open" in tab.locator("#regressions").inner_text()
    assert "DiT" in tab.locator("#improvements").inner_text()


def test_acknowledged_regressions_and_other_surroundings_are_told_apart(visit: Visit, long_history: Project) -> None:
    tab = visit.open(long_history.html / "overview.html")
    assert "No regression is open" in tab.locator("#regressions").inner_text()
    acknowledged = tab.locator("#acknowledged")
    assert not acknowledged.locator("table").is_visible()
    acknowledged.locator("summary").first.click()
    said = acknowledged.inner_text()
    assert long_history.commits[20][:8] in said
    assert re.search(r"▲ \+(29|30|31)\s%\s+\+2\d\s% to \+3\d\s%", said)
    assert "> 99.99\u00a0%" in said
    assert "The old decoder clicked. (Ada)" in said
    breaks = tab.locator("#breaks").inner_text()
    assert f"Nothing is compared across {long_history.commits[5][:8]}" in breaks
    assert "torch 2.12.0 → 2.13.0" in breaks


@pytest.mark.parametrize("commits", [0, 1])
def test_the_page_works_with_hardly_anything_measured(visit: Visit, build: Build, commits: int) -> None:
    project = build([Measured("Measure the first time")] * commits)
    assert project.asv("publish").returncode == 0
    tab = visit.open(project.html / "overview.html", NARROW)
    if commits:
        assert len(tab.evaluate(WALL)) == 1
        assert "first value" in tab.locator("#series").inner_text()
    else:
        assert tab.get_by_text("Nothing has been measured yet").is_visible()
        assert not tab.locator("#main").is_visible()
    assert tab.evaluate("document.documentElement.scrollWidth") <= NARROW[0]


def test_values_without_samples_and_stages_that_begin_at_zero_are_shown(visit: Visit, build: Build) -> None:
    project = build([Measured(), Measured(), Measured(), Measured()])
    for number, commit in enumerate(project.commits):
        [path] = (project.results / "bench-1").glob(f"{commit[:8]}-*.json")
        result = json.loads(path.read_text())
        columns = result["result_columns"]
        for name in ("other", "wall"):
            row = result["results"][f"generate.GenerateMusic.track_time_{name}"]
            row[columns.index("result")] = [0.0 if number < 2 and name == "other" else 1.0] * 48
            row[columns.index("duration") :] = []
        path.write_text(json.dumps(result))
    assert project.asv("publish").returncode == 0
    tab = visit.open(project.html / "overview.html")
    assert len(tab.evaluate(WALL)) == 4
    assert "▲ new" in tab.locator("#regressions").inner_text()


def test_asvs_own_pages_open_from_disk(visit: Visit, build: Build) -> None:
    cache = cache_folder()
    if not all((cache / asset.name).is_file() for asset in ASSETS):
        pytest.skip(f"{cache} is not filled yet: run asv publish once where npm is at hand")
    project = build([Measured(), Measured(factors={"vae": 1.5}), Measured(factors={"vae": 1.5})])
    shutil.copytree(cache, project.root / "cache" / "acestep" / "asv-pages")
    assert project.asv("publish").returncode == 0
    assert (project.html / FOLDER).is_dir()
    tab = visit.open(project.html / "index.html")
    tab.get_by_text("GenerateMusic.track_time_vae").first.wait_for()
    tab = visit.open(project.html / "index.html", fragment="#/regressions")
    tab.get_by_text("generate.GenerateMusic.track_time_vae").first.wait_for()
    tab.get_by_role("link", name="Overview").click()
    tab.locator("#stack .barlayer").wait_for()
