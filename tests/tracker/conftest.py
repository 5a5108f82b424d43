"""Measured projects whose history is listed and published."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from scripts import regressions
from tests.tracker.measured_project import QUICK, Build, Cell, Listing, Measured, Project, build_project


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
