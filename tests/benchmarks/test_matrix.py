"""`measure_matrix`, with real worker processes."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.harness import files
from benchmarks.harness.host import machine_facts
from benchmarks.harness.matrix import WHOLE, measure_matrix
from benchmarks.harness.progress import outcome_of
from benchmarks.harness.record import Record
from scripts.tracker.running import time_spent
from tests.benchmarks.fakes import MATRIX, Collapsing, Deeds, DiesLoading, TooNew, WithoutModels, prepared, settings_in

ROOT = Path(__file__).resolve().parents[2]


def measure(folder, deeds, workload=Deeds, **changes):
    return measure_matrix(replace(MATRIX, workload=workload), settings_in(folder, deeds, **changes), known=(MATRIX,))


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
    assert {"kernel", "boot", "affinity", "threads", "variables"} <= host.keys()


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


def test_a_run_that_asv_does_not_save_neither_reads_nor_writes_the_journal(tmp_path):
    measure(tmp_path, "ok")
    kept = journal(tmp_path).read_bytes()
    records = measure(tmp_path, "ok fine", saved=False)

    assert statuses(records) == {"ok": "ok", "fine": "ok"}
    assert prepared(tmp_path) == ["ok", "ok", "fine"]
    assert journal(tmp_path).read_bytes() == kept


@pytest.mark.parametrize(
    "fact", ["machine", "cpu", "os", "kernel", "boot", "affinity", "threads", "cores", "variables"]
)
def test_a_record_of_another_machine_or_of_before_it_was_restarted_does_not_count(tmp_path, monkeypatch, fact):
    measure(tmp_path, "ok")
    elsewhere = {**machine_facts(settings_in(tmp_path, "ok")), fact: "another"}
    monkeypatch.setattr("benchmarks.harness.journal.machine_facts", lambda _: elsewhere)

    assert statuses(measure(tmp_path, "ok", WithoutModels)) == {"ok": "fail"}


def test_a_record_of_yesterday_does_not_count(tmp_path):
    measure(tmp_path, "ok fine")
    header, *lines = (json.loads(line) for line in journal(tmp_path).read_text().splitlines())
    lines[0]["ended_unix"] -= 24 * 3600
    lines[1]["ended_unix"] -= 23 * 3600
    journal(tmp_path).write_text("".join(json.dumps(line) + "\n" for line in (header, *lines)))
    measure(tmp_path, "ok fine")

    assert prepared(tmp_path) == ["ok", "fine", "ok"]


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
    records = measure_matrix(MATRIX, settings_in(tmp_path, "typo"), known=(MATRIX,))

    assert "no cell has deed=typo" in records[WHOLE]["reason"]
    assert prepared(tmp_path) == []


def test_the_ledger_adds_up_what_was_measured_now(tmp_path):
    measure(tmp_path, "ok")
    measure(tmp_path, "ok fine raise")

    first, second = (json.loads(line) for line in (tmp_path / "journal" / "ledger.jsonl").read_text().splitlines())
    assert (first["cells"], first["resumed"], first["failed"]) == (1, 0, 0)
    assert (second["cells"], second["resumed"], second["failed"]) == (2, 1, 1)
    assert second["timed_s"] == pytest.approx(first["timed_s"]) == pytest.approx(10 * 0.2)
    assert second["started_unix"] <= second["ended_unix"]


def test_the_parts_of_a_run_are_disjoint_and_add_up_to_all_of_it(tmp_path):
    start = time.time()
    records = measure(tmp_path, "work exact raise")
    elapsed_s = time.time() - start
    (line,) = time_spent.read_ledger(tmp_path / "journal", start)
    parts = {name: getattr(line, name) for name in time_spent.PARTS.values()}

    assert all(seconds > 0 for seconds in parts.values()), parts
    assert sum(parts.values()) <= elapsed_s + 0.01
    assert parts["timed_s"] == pytest.approx(sum(records["deed=work"]["samples"]["time"]))
    assert parts["exact_s"] == pytest.approx(records["deed=exact"]["exact_s"] + records["deed=work"]["exact_s"])
    told = time_spent.summary([line], elapsed_s, building_s=0.0)
    assert sum(map(int, re.findall(r"(\d+) %", told))) == 100, told


def test_the_seconds_of_a_cell_that_takes_its_worker_along_are_counted(tmp_path):
    measure(tmp_path, "hang")
    (line,) = time_spent.read_ledger(tmp_path / "journal", 0.0)

    assert line.untimed_s >= Deeds.limit_s


def test_a_worker_that_dies_while_counting_leaves_its_samples(tmp_path, capsys):
    records = measure(tmp_path, "raise fine", Collapsing)

    assert statuses(records) == {"raise": "ok", "fine": "ok"}
    assert records["deed=raise"]["samples"]["time"] == [0.25] * 10
    assert records["deed=raise"]["host"]["dtype"] == "none"
    assert "while counting: the worker was killed by SIGKILL" in records["deed=raise"]["exact"]["uncounted"]
    assert "ok, 10 samples in 2.0 s, not counted: while counting: " in capsys.readouterr().out
    (line,) = time_spent.read_ledger(tmp_path / "journal", 0.0)
    assert line.failed == 1

    assert statuses(measure(tmp_path, "raise fine", WithoutModels)) == {"raise": "fail", "fine": "ok"}, (
        "not tried again"
    )


def test_every_finished_cell_is_a_line_of_progress(tmp_path, capsys):
    measure(tmp_path, "ok raise")

    printed = capsys.readouterr().out.splitlines()
    rows = [json.loads(line) for line in (tmp_path / "journal" / "progress.jsonl").read_text().splitlines()]
    followed = [row["text"] for row in rows]
    assert printed == followed
    assert followed[0] == "fake: 2 cells to measure"
    assert followed[1].startswith("[1/2] fake deed=ok ok, 10 samples in 2.0 s, about ")
    assert followed[2] == "[2/2] fake deed=raise fail: ValueError: nothing will come of nothing, about 0 s left"
    assert "cell" not in rows[0]
    assert [rows[1][name] for name in ("matrix", "cell", "outcome", "done", "total")] == [
        *("fake", "deed=ok", "ok, 10 samples in 2.0 s", 1, 2)
    ]


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ({"contended": [False], "timed_s": 2.0}, "ok, 1 sample in 2.0 s"),
        ({"contended": [False, True, None], "timed_s": 2.0}, "ok, 3 samples in 2.0 s, 1 of them contended"),
        ({"exact_s": 0.25, "untimed_s": 0.5}, "ok, exact, in 0.8 s"),
    ],
)
def test_an_outcome_counts_its_samples_or_says_that_it_is_exact(known, told):
    assert outcome_of(Record("m", {}, "ok", **known)) == told
