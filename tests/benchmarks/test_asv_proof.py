"""The whole road with asv itself: a decoder that does its work three times is found, named and dated."""

import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.harness.frozen.tree import cached

ROOT = Path(__file__).resolve().parents[2]
CELL = "duration=30,batch=1,thinking=False,steps=8"
SERIES = r"GenerateMusic\.track_(time_wall|time_vae|time_dit|fingerprint)\(30, 1, False, 8\)"
NAME = "generate.GenerateMusic.track_{}(30, 1, False, 8)"
ATTEMPTS = 2
"""How often to measure on a machine that changes its speed meanwhile; then what was measured last has to do."""
SLOWER = """

_decode = AceStepHandler.decode


def _decode_again(self, latents, *args, **kwargs):
    _decode(self, latents, *args, **kwargs)
    _decode(self, latents, *args, **kwargs)
    return _decode(self, latents, *args, **kwargs)


AceStepHandler.decode = _decode_again
"""


@dataclass
class Project:
    """A clone with three new commits, all of them measured and published; the last decodes more than it should."""

    folder: Path
    commits: list[str]
    environ: dict[str, str]

    def asv(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "asv", *arguments],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=Nobody", "-c", "user.email=nobody@example.org"]
        command = ["git", *identity, *arguments]
        return subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, path: str, text: str) -> None:
        with (self.folder / path).open("a") as file:
            file.write(text)
        self.git("add", path)
        self.git("commit", "--quiet", "-m", f"Change {path}")
        self.commits.append(self.git("rev-parse", "HEAD"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    home = tmp_path_factory.mktemp("proof")
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(home / "clone")], check=True)
    environ = {
        **os.environ,
        "HOME": str(home),
        "ACESTEP_BENCH_CACHE_DIR": str(cached().parents[1]),
        "ACESTEP_BENCH_CELLS": CELL,
    }
    project = Project(home / "clone", [], environ)
    project.git("checkout", "--quiet", "-B", "main")
    configure(project.folder / "asv.conf.json")
    project.commit("README.md", "\nA line.\n")
    project.commit("README.md", "\nAnother line.\n")
    project.commit("acestep/handler.py", SLOWER)
    project.asv("machine", "--yes")
    for _ in range(ATTEMPTS):
        measure(project)
        if quiet(project):
            break
    project.asv("publish")
    return project


def measure(project: Project) -> None:
    """Measure all commits, whether they were measured before or not."""
    for path in (project.folder / ".asv").glob("results/*/*-linked*.json"):
        path.unlink()
    shutil.rmtree(project.folder / ".asv" / "journal", ignore_errors=True)
    project.asv("run", "--record-samples", "--bench", SERIES, "HEAD~3..HEAD")


def quiet(project: Project) -> bool:
    """Whether the machine kept its speed: by what the last commit did not change, and nearly so before it."""
    dit, vae = (
        [results(project, one)[f"generate.GenerateMusic.track_time_{name}"] for one in project.commits]
        for name in ("dit", "vae")
    )
    return all(max(times) < limit * min(times) for times, limit in ((dit[1:], 1.35), (vae[:2], 2.0)))


def configure(path: Path) -> None:
    """Build and install as ever, into environments that borrow the dependencies."""
    configuration = json.loads(path.read_text())
    configuration["environment_type"] = "linked"
    configuration["plugins"] = [".tests.benchmarks.linked_environment"]
    configuration["matrix"]["req"] = {}
    configuration["uninstall_command"] = ["python -c pass"]
    path.write_text(json.dumps(configuration))


def changes(table: str) -> dict[str, str]:
    """The mark that `asv compare` gives each benchmark: + worse, - better, empty for unchanged."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {row[4]: row[0] for row in rows if len(row) == 5 and row[4].startswith("generate.")}


def results(project: Project, commit: str) -> dict[str, float]:
    """The medians that asv stored for *commit*, by benchmark."""
    (path,) = (project.folder / ".asv" / "results").glob(f"*/{commit[:8]}-*.json")
    stored = json.loads(path.read_text())["results"]
    return {name: next(value for value in row[0] if not math.isnan(value)) for name, row in stored.items()}


@pytest.mark.slow
def test_compare_names_the_decoder_and_the_whole_but_not_the_diffusion(project):
    table = project.asv("compare", "--factor", "1.4", *project.commits[1:])
    marks = changes(table)

    assert {name for name, mark in marks.items() if mark == "+"} == {
        NAME.format("time_vae"),
        NAME.format("time_wall"),
    }, table
    assert marks[NAME.format("time_dit")] == ""


@pytest.mark.slow
def test_publish_lists_the_regression_with_its_commit(project):
    html = project.folder / ".asv" / "html"
    regressions = json.loads((html / "regressions.json").read_text())["regressions"]
    hashes = json.loads((html / "index.json").read_text())["revision_to_hash"]

    latest = {name: hashes[str(jumps[-1][1])] for name, *_, jumps in regressions}

    assert latest[NAME.format("time_vae")] == project.commits[2]


@pytest.mark.slow
def test_the_fingerprint_stays_where_it_was(project):
    first, *others = (
        results(project, commit)["generate.GenerateMusic.track_fingerprint"] for commit in project.commits
    )

    assert others == pytest.approx([first, first], rel=1e-6)
