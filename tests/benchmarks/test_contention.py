"""Whether a sample waited for a core, and nothing else, is told by its run-queue wait."""

import os
import subprocess
import sys
import threading
import time

import pytest

from benchmarks.harness import contention, device
from benchmarks.harness.contention import is_contended, read_waits, waited_s
from benchmarks.harness.device import observe
from benchmarks.harness.workloads import startup

BUSY = "print('busy', flush=True)\nwhile True: pass"
LINUX = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux binds a process to a core")


@pytest.fixture
def competitor():
    """Another program on the only core that this thread may use."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    with subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process
        process.kill()
    os.sched_setaffinity(0, cores)


def compute(seconds):
    """Use *seconds* of processor time, however long that takes."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


@LINUX
@pytest.mark.usefixtures("competitor")
def test_a_call_that_shares_its_core_with_another_program_waits_for_it():
    run = observe("cpu", lambda: compute(0.1))

    assert run.wait_s > 0.02
    assert is_contended(run.wait_s, run.time_s)


@LINUX
@pytest.mark.usefixtures("competitor")
def test_an_import_in_a_new_interpreter_tells_how_long_it_waited():
    sample = startup._import(("json", "unittest.mock", "xml.dom.minidom"))

    assert sample.wait_s > 0
    assert sample.series["time"] == sample.timed_s


def test_a_load_in_a_fork_tells_the_wait_of_the_fork(monkeypatch):
    monkeypatch.setattr(startup, "_load", lambda: ({"time": 2.0}, 0.25))

    sample = startup._load_in_fork(startup._load)

    assert (sample.timed_s, sample.wait_s) == (2.0, 0.25)


def test_only_what_the_call_itself_waits_counts(monkeypatch):
    """A clock of waiting that runs on between the calls."""
    clock = [0.0]
    monkeypatch.setattr(device, "read_waits", lambda: {"1": clock[0]})
    waits = []
    for of_the_call in (0.0, 0.5, 0.0):
        clock[0] += 10.0
        waits.append(observe("cpu", lambda: clock.__setitem__(0, clock[0] + of_the_call)).wait_s)  # noqa: B023

    assert waits == [0.0, 0.5, 0.0]


@pytest.mark.parametrize(
    ("before", "after", "waited"),
    [
        ({"1": 1.0, "2": 5.0}, {"1": 1.5, "2": 5.25}, 0.75),
        ({"1": 1.0}, {"1": 1.0, "2": 0.5}, 0.5),
        ({"1": 1.0, "2": 5.0}, {"1": 1.5}, None),
        ({}, {}, 0),
    ],
    ids=["both wait", "one began meanwhile", "one ended meanwhile", "nothing is known"],
)
def test_waits_of_all_threads_are_added_and_unknown_without_one(before, after, waited):
    assert waited_s(before, after) == waited


@LINUX
def test_every_thread_is_read():
    before, started, ended = read_waits(), threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: started.set() or ended.wait())
    thread.start()
    started.wait()
    during = read_waits()
    ended.set()
    thread.join()

    assert set(during) - set(before) == {str(thread.native_id)}
    assert all(wait_s >= 0 for wait_s in during.values())


def test_without_the_statistics_of_threads_context_switches_are_counted(monkeypatch, tmp_path):
    monkeypatch.setattr(contention, "_TASKS", str(tmp_path / "tasks"))
    assert list(read_waits()) == [contention._PROCESS]
    (tmp_path / "tasks" / "17").mkdir(parents=True)
    assert list(read_waits()) == [contention._PROCESS]
