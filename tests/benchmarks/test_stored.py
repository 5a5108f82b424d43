"""A run that asv has completed is measured anew, one that it has not is taken up: told by asv's own files."""

import datetime
import json
import math
import time

import pytest
from asv.results import Results
from asv.runner import BenchmarkResult

from benchmarks.harness.matrix import measure_matrix
from benchmarks.harness.stored import saved
from tests.benchmarks.fakes import MATRIX, prepared, settings_in

MACHINE = "here"


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A folder with asv's configuration, on a machine that asv knows."""
    (tmp_path / "asv.conf.json").write_text('{"repo": ".", "results_dir": ".asv/results"}')
    (tmp_path / ".asv-machine.json").write_text(json.dumps({"version": 1, MACHINE: {}}))
    monkeypatch.setenv("HOME", str(tmp_path))


def measure(folder):
    return measure_matrix(MATRIX, settings_in(folder, "ok"), known=(MATRIX,))


def save(folder, name="fake.Fake.track_time", value=1.0, machine=MACHINE, started_unix=None, **changes):
    """Let asv save a result, as it does at the end of a commit."""
    settings = settings_in(folder, "ok", **changes)
    results = Results({"machine": machine}, {}, settings.commit, 0, "3.11", settings.environment, {})
    result = BenchmarkResult(result=[value], samples=[None], number=[None], errcode=0, stderr="", profile=None)
    started = datetime.datetime.fromtimestamp(started_unix or time.time(), datetime.UTC)
    results.add_result({"name": name, "version": "1", "params": []}, result, started_at=started)
    results.save(str(folder / ".asv" / "results"))


def test_what_asv_saved_is_measured_anew_when_asked_for(tmp_path):
    measure(tmp_path)
    save(tmp_path)
    measure(tmp_path)

    assert prepared(tmp_path) == ["ok", "ok"]


@pytest.mark.parametrize(
    "other",
    [
        {"name": "other.Matrix.track_time"},
        {"commit": "c0ffee" * 6 + "beef"},
        {"environment": "venv-py3-other"},
        {"machine": "elsewhere"},
        {"value": None},
        {"value": math.nan},
        {"started_unix": 1.0},
    ],
    ids=lambda other: next(iter(other)),
)
def test_what_asv_saved_of_something_else_does_not_matter(tmp_path, other):
    measure(tmp_path)
    save(tmp_path, **other)
    measure(tmp_path)

    assert prepared(tmp_path) == ["ok"]


def test_an_environment_with_a_long_name_is_found_as_well(tmp_path):
    name = "virtualenv-" + "-".join(f"package{number}1.0" for number in range(20))
    save(tmp_path, environment=name, started_unix=1234.0)

    assert saved(settings_in(tmp_path, "ok", environment=name), "fake").unix("deed=ok") == 1234.0


def test_a_file_that_is_cut_off_saves_nothing(tmp_path):
    save(tmp_path)
    (path,) = (tmp_path / ".asv" / "results" / MACHINE).glob("*.json")
    path.write_text(path.read_text()[:-20])

    assert saved(settings_in(tmp_path, "ok"), "fake").unix("deed=ok") == 0.0
