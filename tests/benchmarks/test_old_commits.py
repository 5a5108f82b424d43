"""Commits from before `acestep.probe` can still be measured, and every curve goes on."""

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from benchmarks.harness.exact import EXACT_METRICS
from benchmarks.harness.matrices import MATRICES
from benchmarks.harness.series_types import EXACT_TYPES
from benchmarks.harness.suite import all_series

REPOSITORY = Path(__file__).resolve().parents[2]
BEFORE_PROBE = "89eba6c111f768b75b9e811bc433697ade71e638"
"""The last commit whose modules all lie where they did before the package was divided into rooms."""
CHANGED = {}
"""What the package does otherwise since then on purpose: names of numbers, such as ``exact operators``, by cell."""
SUITE = """
import json, sys
from asv_runner.discovery import list_benchmarks
with open(sys.argv[2], "w") as file:
    list_benchmarks(sys.argv[1], file)
"""


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """A folder in which `package` has the package of `BEFORE_PROBE`, and `suite` its benchmarks."""
    command = ["git", "-C", str(REPOSITORY), "archive", BEFORE_PROBE, "acestep", "benchmarks"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"this clone does not have the commit {BEFORE_PROBE[:7]}: git fetch --unshallow")
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    for name, place in (("acestep", "package"), ("benchmarks", "suite")):  # today's benchmarks measure the package
        (folder / place).mkdir()
        (folder / name).rename(folder / place / name)
    return folder


def measured(folder):
    """What the cells of `measure_cells` are with the package in *folder*."""
    command = [sys.executable, "-P", str(Path(__file__).with_name("measure_cells.py")), str(REPOSITORY)]
    environment = {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert Path(found["acestep"]).is_relative_to(folder)
    assert Path(found["benchmarks"]).is_relative_to(REPOSITORY)
    return found["cells"]


def exact_series(matrix):
    """The names in the records of the series of *matrix* that are equal from run to run."""
    return {
        series.record
        for name, series in all_series().items()
        if name.startswith(f"{matrix}.") and series.type in EXACT_TYPES
    }


@pytest.mark.slow
def test_a_commit_from_before_the_probe_has_the_same_exact_metrics(old):
    before, now = measured(old / "package"), measured(REPOSITORY)

    assert before.keys() == now.keys()
    assert {name.partition("/")[0] for name in now} == {matrix.name for matrix in MATRICES}
    for name, cell in now.items():
        assert "reason" not in before[name] | cell, (name, before[name], cell)
        assert before[name]["series"].keys() == cell["series"].keys(), name
        assert cell["exact"].keys() <= EXACT_METRICS.keys()
        assert exact_numbers(name, before[name]) == exact_numbers(name, cell), name


def exact_numbers(name, cell):
    """Everything of *cell* that is equal from run to run, without what has changed on purpose."""
    exact = exact_series(name.partition("/")[0])
    series = {f"series {key}": value for key, value in cell["series"].items() if key in exact}
    work = {f"work {key}": value for key, value in cell["work"].items()}
    numbers = {**series, **work, **{f"exact {key}": value for key, value in cell["exact"].items()}}
    return {key: value for key, value in numbers.items() if key not in CHANGED.get(name, ())}


def discovered(benchmarks, folder):
    """The version of each series that asv finds in *benchmarks*, by its name."""
    path = folder / "benchmarks.json"
    subprocess.run([sys.executable, "-c", SUITE, str(benchmarks), str(path)], cwd=folder, check=True)
    return {entry["name"]: entry["version"] for entry in json.loads(path.read_text())}


def test_every_series_of_that_commit_is_still_found(old, tmp_path):
    before, now = discovered(old / "suite" / "benchmarks", tmp_path), discovered(REPOSITORY / "benchmarks", tmp_path)

    assert before.keys() <= now.keys()
