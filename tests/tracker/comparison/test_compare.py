"""A whole comparison: a clone, asv's environment, two builds, two workers, a verdict, and asv's result files."""

import json
import os
import subprocess
import sys

import pytest

from benchmarks.harness.frozen.tree import cached
from scripts.bisect import main as bisect_main
from scripts.compare import main, parse
from scripts.tracker.comparison.arguments import duration
from scripts.tracker.comparison.compare_commits import SLOW_MATRIX, chosen_cells
from tests.benchmarks.test_asv_proof import ROOT, Project, configure

CELL = "stage=TextEncode,batch=1"
SERIES = "stages.TextEncode.track_time"
TWICE = """

_encode = AceStepHandler.encode_text


def _encode_twice(self, *args, **kwargs):
    _encode(self, *args, **kwargs)
    return _encode(self, *args, **kwargs)


AceStepHandler.encode_text = _encode_twice
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A clone whose last commit encodes its text twice, and whose working tree adds a line of no effect."""
    home = tmp_path_factory.mktemp("comparison")
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(home / "clone")], check=True)
    environ = {**os.environ, "HOME": str(home), "ACESTEP_BENCH_CACHE_DIR": str(cached().parents[1])}
    project = Project(home / "clone", [], environ)
    project.git("checkout", "--quiet", "-B", "main")
    configure(project.folder / "asv.conf.json")
    project.git("commit", "--quiet", "-am", "Borrow the dependencies")
    project.git("checkout", "--quiet", "-b", "branch")
    project.commit("acestep/handler.py", TWICE)
    with (project.folder / "acestep" / "handler.py").open("a") as file:
        file.write("\nNOTHING = None\n")
    return project


def run(project: Project, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"scripts.{script}", *arguments],
        cwd=project.folder,
        env={**project.environ, "PYTHONPATH": str(project.folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def compared(project):
    reports = "--json", "report.json", "--markdown", "report.md"
    return run(project, "compare", "main", "branch", "--cells", CELL, "--budget", "60s", *reports)


def test_a_commit_with_twice_the_work_is_slower(project, compared):
    assert compared.returncode == 1, compared.stdout + compared.stderr
    report = json.loads((project.folder / "report.json").read_text())

    (row,) = report["rows"]
    assert (row["benchmark"], row["verdict"]) == (SERIES, "slower")
    assert row["ratio"] == pytest.approx(2, rel=0.3)
    assert "slower" in compared.stdout
    assert "🔴 slower" in (project.folder / "report.md").read_text()


@pytest.mark.usefixtures("compared")
def test_asv_has_the_samples_of_both_sides(project):
    files = list((project.folder / ".asv" / "results").glob("*/*-linked*.json"))
    stored = [json.loads(path.read_text()) for path in files]

    assert len(stored) == 2
    for data in stored:
        row = dict(zip(data["result_columns"], data["results"][SERIES], strict=False))
        assert len(row["samples"][0]) >= 10
    table = project.asv("compare", "main", "branch")
    (line,) = [line for line in table.splitlines() if SERIES + "(1)" in line]
    assert line.startswith("| +")


@pytest.mark.usefixtures("compared")
def test_the_working_tree_is_compared_but_not_stored(project):
    done = run(project, "compare", "branch", ".", "--cells", "stage=Resolve")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "candidate  the working tree" in done.stdout
    assert "12 cells with exact metrics only" in done.stdout
    assert len(list((project.folder / ".asv" / "results").glob("*/*-linked*.json"))) == 2


@pytest.mark.usefixtures("compared")
def test_bisect_finds_the_commit_with_twice_the_work_by_exact_metrics(project):
    found = run(project, "bisect", "main", "branch", "--series", "stages.TextEncode.track_operators(1)")

    assert found.returncode == 0, found.stdout + found.stderr
    assert f"  {project.commits[-1][:7]}" in found.stdout
    assert "Change acestep/handler.py" in found.stdout
    assert "operators" in found.stdout


def test_the_slow_matrix_is_compared_only_if_it_is_chosen():
    quick = {comparison.matrix for comparison in chosen_cells(parse([]))}
    asked = {comparison.matrix for comparison in chosen_cells(parse(["--cells", f"matrix={SLOW_MATRIX}"]))}

    assert SLOW_MATRIX not in quick
    assert {"generate", "stages", "planner", "apis"} <= quick
    assert asked == {SLOW_MATRIX}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["HEAD", "HEAD~1", "--series", "stages.DiTForward.track_time"], "is not before"),
        (["HEAD~1", "HEAD", "--series", "stages.Nonsense.track_time"], "is no series of stages"),
        (["HEAD~1", "nowhere", "--series", "stages.DiTForward.track_time"], "'nowhere' is no commit"),
        (["HEAD~1", "HEAD", "--series", "stages.DiTForward.track_time", "--device", "tpu"], "is no device"),
    ],
)
def test_what_cannot_be_searched_is_refused(arguments, complaint, capsys):
    assert bisect_main(arguments) == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["HEAD", "HEAD"], "are the same commit"),
        (["nowhere", "HEAD"], "'nowhere' is no commit"),
        (["HEAD~1", "HEAD", "--cells", "stage=Nonsense"], "no cell has stage=Nonsense"),
        (["HEAD~1", "HEAD", "--json", "/nowhere/report.json"], "/nowhere/report.json cannot be written"),
        (["HEAD~1", "HEAD", "--config", "/nowhere/asv.conf.json"], "no git history"),
    ],
)
def test_commits_that_cannot_be_compared_are_refused(arguments, complaint, capsys):
    assert main(arguments) == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "10", "0s", "ten minutes", "-5m"])
def test_an_invalid_budget_is_refused(text, capsys):
    with pytest.raises(SystemExit) as refusal:
        main(["main", "HEAD", f"--budget={text}"])

    assert refusal.value.code == 2
    assert "give 90s, 10m or 1h30m" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("1h30m", 5400), ("1.5m", 90)])
def test_budgets_are_parsed(text, seconds):
    assert duration(text) == seconds
