"""What it costs to begin: importing, and loading the models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness.device import observe, tensor_bytes
from benchmarks.harness.record import Cell, Scalar
from benchmarks.harness.settings import Settings
from benchmarks.harness.workload import CellFailed, Sample, TakeSample, Unsupported, require
from benchmarks.harness.workloads.models import checkpoints, load_dit, load_lm

IMPORTS = {
    "acestep": ("acestep",),
    "inference": ("acestep.inference", "acestep.handler", "acestep.llm_inference"),
}

LOADS = {"dit": ("acestep.handler", load_dit), "lm": ("acestep.llm_inference", load_lm)}

_IMPORT = """
import sys, time
start = time.perf_counter()
for name in sys.argv[1:]:
    __import__(name)
print(time.perf_counter() - start, len(sys.modules))
"""


class Startup:
    """Imports in a fresh interpreter a sample, loads models in a fresh process a sample."""

    limit_s = 900.0
    memory = False

    def load(self, settings: Settings) -> Settings:
        """Import what loading models needs, so that forks of this process spend their time on loading alone."""
        for module in ("acestep.inference", *(module for module, _ in LOADS.values())):
            with suppress(Unsupported):
                require(module, "__name__")
        return settings

    def facts(self, state: Settings) -> Mapping[str, Scalar]:  # noqa: ARG002 - part of the interface
        """Return nothing: no model is loaded here."""
        return {}

    def weight(self, cell: Cell) -> float:
        """Importing everything takes longest by far."""
        return 15.0 if cell.get("target") == "inference" else 1.0

    def prepare(self, state: Settings, cell: Cell) -> TakeSample:
        """Return a function that imports or loads once."""
        if cell["stage"] == "Import":
            modules = IMPORTS[str(cell["target"])]
            for module in modules:
                require(module, "__name__")
            return partial(_import, modules)
        module, load = LOADS[str(cell["component"])]
        require(module, "__name__")
        root = Path(in_fork(lambda: str(checkpoints(state))))
        return partial(_load_in_fork, partial(_load, load, state, root))


def _import(modules: tuple[str, ...]) -> Sample:
    """Import *modules* in a new interpreter, which takes the time itself."""
    command = [sys.executable, "-P", "-c", _IMPORT, *modules]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CellFailed(done.stderr.strip().splitlines()[-1])
    time_s, count = done.stdout.split()[-2:]
    return Sample({"time": float(time_s)}, {"modules": int(count)}, timed_s=float(time_s))


def _load(load: Callable[[Settings, Path], Any], settings: Settings, root: Path) -> dict[str, float]:
    """Load and return the time, and the size of the tensors that stay."""
    before = tensor_bytes()
    region = observe(settings.device, partial(load, settings, root))
    return {"time": region.time_s, "memory": float(tensor_bytes() - before)}


def _load_in_fork(load: Callable[[], dict[str, float]]) -> Sample:
    series = in_fork(load)
    return Sample(series, {}, timed_s=series["time"])


def in_fork(call: Callable[[], Any]) -> Any:
    """Return what *call*, run in a copy of this process, returns as JSON; CellFailed if it raises or dies.

    This process itself must stay as it is after importing: threads or a CUDA context do not survive a fork.
    """
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        _answer(write_end, call)
    os.close(write_end)
    with os.fdopen(read_end) as answer:
        told = answer.read()
    os.waitpid(child, 0)
    result, error = json.loads(told) if told else (None, "the loading process died")
    if error:
        raise CellFailed(error)
    return result


def _answer(write_end: int, call: Callable[[], Any]) -> None:
    """Write what *call* returns, or why it failed, and end this process without any clean-up of its parent's."""
    try:
        told = [call(), None]
    except Exception as error:  # noqa: BLE001 - the parent process raises it again
        told = [None, f"{type(error).__name__}: {error}"]
    with os.fdopen(write_end, "w") as answer:
        answer.write(json.dumps(told))
    os._exit(0)
