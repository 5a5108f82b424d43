"""Workloads without models: their cells say what to do."""

import os
import signal
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness.cells import Matrix, grid
from benchmarks.harness.device import observe
from benchmarks.harness.measure import measure_cell
from benchmarks.harness.record import Record
from benchmarks.harness.settings import Settings
from benchmarks.harness.workload import Sample, Unavailable, Unsupported

DEEDS = ("ok", "raise", "oom", "kill", "skip", "hang", "drift", "stop", "fine", "work", "exact", "elsewhere")


def settings_in(folder: Path, deeds: str, **changes: Any) -> Settings:
    """Settings whose journal is in *folder*, for the space-separated *deeds*."""
    cells = ";".join(f"deed={deed}" for deed in deeds.split())
    plain = {"scale": "tiny", "device": "cpu", "commit": "c0ffee" * 6 + "cafe", "environment": "venv-py3"}
    folders = {"conf_dir": str(folder), "journal": str(folder / "journal")}
    return Settings(cells=cells, **{**plain, **folders, **changes})


def record_of(*order: Any, **known: Any) -> Record:
    """The record of a cell when it is complete, measured in this process."""
    *_, (record, last) = measure_cell(*order, **known)
    assert last
    return record


def prepared(folder: Path) -> list[str]:
    """The deeds prepared so far, in order."""
    notes = folder / "prepared.txt"
    return notes.read_text().split() if notes.exists() else []


class Deeds:
    """Does what the cell says; every prepared cell is noted in a file of the conf folder."""

    limit_s = 3.0
    memory = False

    def load(self, settings):
        return Path(settings.conf_dir)

    def facts(self, _state):
        return {"dtype": "none"}

    def weight(self, _cell):
        return 1.0

    def prepare(self, state, cell):
        with (state / "prepared.txt").open("a") as notes:
            notes.write(f"{cell['deed']}\n")
        deed = getattr(self, f"_{cell['deed']}", self._ok)
        return lambda: deed(state)

    def _ok(self, _state):
        return Sample({"time": 0.25, "pid": float(os.getpid())}, {"calls": 1}, timed_s=0.2, in_torch=False)

    def _raise(self, _state):
        raise ValueError("nothing will come of nothing")

    def _oom(self, _state):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    def _kill(self, _state):
        Path(tempfile.gettempdir(), "left-behind").touch()
        print("what the dead said")
        os.kill(os.getpid(), signal.SIGKILL)

    def _skip(self, _state):
        raise Unsupported("this commit has no skip")

    def _elsewhere(self, _state):
        raise Unavailable("there is no such device here")

    def _hang(self, _state):
        time.sleep(60)

    def _drift(self, _state):
        return Sample({"time": 0.1}, {"calls": time.perf_counter()}, timed_s=0.2)

    def _work(self, _state):
        """Take 5 ms that are timed and 2 ms that are not."""
        run = observe("cpu", partial(time.sleep, 0.005))
        time.sleep(0.002)
        return Sample({"time": run.time_s}, {}, run.time_s, wait_s=run.wait_s)

    def _exact(self, _state):
        time.sleep(0.03)
        return Sample({"peak": 7.0}, {}, timed_s=0.03, exact=True)

    def _stop(self, state):
        """Kill the process that asked, the first time."""
        mark = state / f"stopped-by-{os.getpid()}"
        if not list(state.glob("stopped-by-*")):
            mark.touch()
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)
        return self._ok(state)


class Collapsing(Deeds):
    """Dies when a run of the cell `raise` is counted."""

    limit_s = 60.0

    def load(self, settings):
        import torch

        self.is_counted = torch.autograd._profiler_enabled
        return super().load(settings)

    def _raise(self, _state):
        if self.is_counted():
            os.kill(os.getpid(), signal.SIGKILL)
        return Sample({"time": 0.25}, {}, timed_s=0.2)


class WithoutModels(Deeds):
    """Cannot load."""

    def load(self, _settings):
        raise RuntimeError("no weights in sight")


class TooNew(Deeds):
    """Needs what the commit does not have."""

    def load(self, _settings):
        raise Unsupported("this commit has no models")


class DiesLoading(Deeds):
    """Takes its process along while loading."""

    def load(self, _settings):
        os.kill(os.getpid(), signal.SIGTERM)


MATRIX = Matrix("fake", Deeds, tuple(grid({"deed": DEEDS})), quick=({"deed": "ok"}, {"deed": "fine"}))
