"""`measure_matrix`, with real worker processes."""

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from benchmarks.harness import files
from benchmarks.harness.matrix import WHOLE, measure_matrix
from tests.benchmarks.fakes import MATRIX, Deeds, DiesLoading, TooNew, WithoutModels, prepared, settings_in

ROOT = Path(__file__).resolve().parents[2]


def measure(folder, deeds, workload=Deeds, **changes):
    return measure_matrix(MATRIX, workload, settings_in(folder, deeds, **changes), known=(MATRIX,))


def statuses(records):
    return {name.removeprefix("deed="): record["status"] for name, record in records.items()}


def journal(folder):
    (path,) = (folder / "journal").glob("*-fake.jsonl")
    return path


def test_a_failing_cell_takes_no_other_with_it(tmp_path):
    records = measure(tmp_path, "ok raise oom skip drift fine")

    assert statuses(records) == {
        "ok": "ok",
        "raise": "fail",
        "oom": "oom",
        "skip": "skip",
        "drift": "fail",
        "fine": "ok",
    }
    assert records["deed=raise"]["reason"] == "ValueError: nothing will come of nothing"
    assert "different work" in records["deed=drift"]["reason"]


def test_a_killed_worker_is_recorded_and_replaced(tmp_path):
    records = measure(tmp_path, "ok kill fine")

    assert statuses(records) == {"ok": "ok", "kill": "fail", "fine": "ok"}
    assert "killed by SIGKILL" in records["deed=kill"]["reason"]
    assert "what the dead said" in records["deed=kill"]["reason"]
    assert records["deed=ok"]["samples"]["pid"] != records["deed=fine"]["samples"]["pid"]


def test_nothing_is_left_in_the_temporary_folder(tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    measure(tmp_path, "kill fine")

    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_cell_that_takes_too_long_is_ended(tmp_path):
    records = measure(tmp_path, "hang fine")

    assert statuses(records) == {"hang": "timeout", "fine": "ok"}


def test_one_worker_measures_all_cells_and_says_where(tmp_path):
    records = measure(tmp_path, "ok fine")

    assert records["deed=ok"]["samples"]["pid"][0] == records["deed=fine"]["samples"]["pid"][0] != os.getpid()
    host = records["deed=ok"]["host"]
    assert host["dtype"] == "none"
    assert host["commit"] == settings_in(tmp_path, "ok").commit
    assert {"machine", "os", "cpu", "cores", "python"} <= host.keys()


@pytest.mark.parametrize(
    ("workload", "status", "reason"),
    [
        (WithoutModels, "fail", "RuntimeError: no weights in sight"),
        (TooNew, "skip", "this commit has no models"),
        (DiesLoading, "fail", "loading failed: the worker was killed by SIGTERM"),
    ],
)
def test_models_that_do_not_load_are_the_reason_of_every_cell(tmp_path, workload, status, reason):
    records = measure(tmp_path, "ok fine", workload)

    assert {(record["status"], record["reason"]) for record in records.values()} == {(status, reason)}


def test_an_interrupted_run_goes_on_with_the_missing_cells(tmp_path):
    script = (
        "from tests.benchmarks.test_matrix import measure; from pathlib import Path; import sys;"
        "measure(Path(sys.argv[1]), 'ok stop fine')"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    assert prepared(tmp_path) == ["ok", "stop"]

    records = measure(tmp_path, "ok stop fine")

    assert prepared(tmp_path) == ["ok", "stop", "stop", "fine"]
    assert statuses(records) == {"ok": "ok", "stop": "ok", "fine": "ok"}


def test_a_worker_ends_with_its_parent(tmp_path):
    test_an_interrupted_run_goes_on_with_the_missing_cells(tmp_path)
    (mark,) = tmp_path.glob("stopped-by-*")

    deadline = time.monotonic() + 20
    while Path(f"/proc/{mark.name.split('-')[-1]}").exists():
        assert time.monotonic() < deadline, "the worker outlived the process that started it"
        time.sleep(0.05)


def test_failures_are_tried_again(tmp_path):
    measure(tmp_path, "ok raise kill")
    measure(tmp_path, "ok raise kill")

    assert prepared(tmp_path) == ["ok", "raise", "kill", "raise", "kill"]


def test_a_torn_line_costs_its_cell_and_no_other(tmp_path):
    measure(tmp_path, "ok fine")
    path = journal(tmp_path)
    path.write_text(path.read_text()[:-40])

    records = measure(tmp_path, "ok fine")

    assert prepared(tmp_path) == ["ok", "fine", "fine"]
    assert statuses(records) == {"ok": "ok", "fine": "ok"}
    assert all(json.loads(line) for line in path.read_text().splitlines())


@pytest.mark.parametrize(
    "changes", [{"scale": "full"}, {"device": "cuda"}, {"environment": "other"}, {"commit": "beef" * 10}]
)
def test_what_was_measured_elsewhere_does_not_count(tmp_path, changes):
    measure(tmp_path, "ok")

    assert statuses(measure(tmp_path, "ok", WithoutModels, **changes)) == {"ok": "fail"}


def test_changed_benchmarks_measure_anew(tmp_path, monkeypatch):
    measure(tmp_path, "ok")
    monkeypatch.setattr("benchmarks.harness.matrix.definition", lambda _settings: "another")
    measure(tmp_path, "ok")

    assert prepared(tmp_path) == ["ok", "ok"]


def test_a_working_tree_is_always_measured_anew(tmp_path):
    measure(tmp_path, "ok", commit="")
    measure(tmp_path, "ok", commit="")

    assert prepared(tmp_path) == ["ok", "ok"]


def test_a_folder_that_cannot_be_written_says_what_to_do(tmp_path, capsys):
    (tmp_path / "file").touch()
    records = measure(tmp_path, "ok", journal=str(tmp_path / "file" / "journal"))

    assert records[WHOLE]["status"] == "fail"
    assert "ACESTEP_BENCH_JOURNAL" in records[WHOLE]["reason"]
    assert records[WHOLE]["reason"] in capsys.readouterr().out


def test_a_full_disk_says_what_to_do_and_keeps_what_is_measured(tmp_path, monkeypatch):
    measure(tmp_path, "ok")
    written = os.fsync

    def full(descriptor):
        if "fine" in prepared(tmp_path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written(descriptor)

    monkeypatch.setattr(files.os, "fsync", full)
    records = measure(tmp_path, "ok fine")
    monkeypatch.setattr(files.os, "fsync", written)

    assert "No space left on device" in records[WHOLE]["reason"]
    assert statuses(measure(tmp_path, "ok")) == {"ok": "ok"}
    assert prepared(tmp_path).count("ok") == 1


def test_unknown_cells_are_refused_before_anything_is_measured(tmp_path):
    records = measure_matrix(MATRIX, Deeds, settings_in(tmp_path, "typo"), known=(MATRIX,))

    assert "no cell has deed=typo" in records[WHOLE]["reason"]
    assert prepared(tmp_path) == []


def test_the_ledger_adds_up_what_was_measured_now(tmp_path):
    measure(tmp_path, "ok")
    measure(tmp_path, "ok fine raise")

    first, second = (json.loads(line) for line in (tmp_path / "journal" / "ledger.jsonl").read_text().splitlines())
    assert (first["cells"], first["resumed"], first["failed"]) == (1, 0, 0)
    assert (second["cells"], second["resumed"], second["failed"]) == (2, 1, 1)
    assert second["measuring_s"] == pytest.approx(first["measuring_s"]) == pytest.approx(10 * 0.2)
    assert second["started_unix"] <= second["ended_unix"]


def test_every_finished_cell_is_a_line_of_progress(tmp_path, capsys):
    measure(tmp_path, "ok raise")

    printed = capsys.readouterr().out.splitlines()
    followed = [json.loads(line)["text"] for line in (tmp_path / "journal" / "progress.jsonl").read_text().splitlines()]
    assert printed == followed
    assert followed[0] == "fake: 2 cells to measure"
    assert followed[1].startswith("[1/2] fake deed=ok ok, 10 samples in 2.0 s, about ")
    assert followed[2] == "[2/2] fake deed=raise fail: ValueError: nothing will come of nothing, about 0 s left"
