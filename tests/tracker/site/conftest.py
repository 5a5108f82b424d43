"""Measured projects to publish, and a browser to look at what was published."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence

import pytest

from scripts import regressions
from tests.tracker.site.project import QUICK, Cell, Measured, Project, build_project

Build = Callable[..., Project]
Listing = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Builds measured projects; see `build_project`."""

    def make(
        history: Sequence[Measured],
        cells: Sequence[Cell] = QUICK,
        where: Sequence[tuple[str, str]] = (("bench-1", "cpu"),),
    ) -> Project:
        return build_project(tmp_path_factory.mktemp("project") / "p", history, cells, where)

    return make


@pytest.fixture
def listing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Listing:
    """Runs the command in a project; returns exit status, output and errors."""

    def run(project: Project, *options: str) -> tuple[int, str, str]:
        monkeypatch.chdir(project.root)
        status = regressions.main(options)
        return status, *capsys.readouterr()

    return run


@pytest.fixture(scope="session")
def slower_vae(build: Build) -> Project:
    """Published: four commits, of which the third makes the VAE decode take 1.5 times as long."""
    history = [
        Measured("Measure the first time"),
        Measured("Rename a variable"),
        Measured("Decode <script>alert(1)</script> & half again", factors={"vae": 1.5}),
        Measured("Write the docs", factors={"vae": 1.5}),
    ]
    project = build(history)
    done = project.asv("publish")
    assert done.returncode == 0, done.stdout + done.stderr
    return project


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """Debian's chromium, headless; the test is skipped where it is not installed."""
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("no chromium: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    flags = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    flags += " --disable-component-update --disable-sync"
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=executable, args=flags.split())
        yield running
        running.close()
