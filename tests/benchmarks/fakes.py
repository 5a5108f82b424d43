"""Workloads without models: their cells say what to do."""

import os
import signal
import time
from pathlib import Path

from benchmarks.harness.cells import Matrix, grid
from benchmarks.harness.workload import Sample, Unsupported

DEEDS = ("ok", "raise", "oom", "kill", "skip", "hang", "drift", "fine")
MATRIX = Matrix("fake", tuple(grid({"deed": DEEDS})), quick=({"deed": "ok"}, {"deed": "fine"}))


class Deeds:
    """Does what the cell says; every prepared cell is noted in the conf folder."""

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
            notes.write(f"{cell['deed']} {os.getpid()}\n")
        return getattr(self, f"_{cell['deed']}", self._ok)

    def _ok(self):
        return Sample({"time": 0.001}, {"calls": 1}, timed_s=0.2)

    def _raise(self):
        raise ValueError("nothing will come of nothing")

    def _oom(self):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    def _kill(self):
        print("what the dead said")
        os.kill(os.getpid(), signal.SIGKILL)

    def _skip(self):
        raise Unsupported("this commit has no skip")

    def _hang(self):
        time.sleep(60)

    def _drift(self):
        return Sample({"time": 0.1}, {"calls": time.perf_counter()}, timed_s=0.2)


class WithoutModels(Deeds):
    def load(self, _settings):
        raise RuntimeError("no weights in sight")


class TooNew(Deeds):
    def load(self, _settings):
        raise Unsupported("this commit has no models")


class DiesLoading(Deeds):
    def load(self, _settings):
        os.kill(os.getpid(), signal.SIGTERM)


def prepared(folder):
    """The deeds prepared so far, in order."""
    notes = folder / "prepared.txt"
    return [line.split()[0] for line in notes.read_text().splitlines()] if notes.exists() else []
