"""The worker process, which loads the models and measures one cell after the other until its input ends.

Input and output are lines of JSON. The first line in names the workload and the settings; the first line out says
whether the models were loaded. If the worker is used ``by`` cell, each further line in is a cell. The worker answers
with the cell's record, first with the samples and then with the exact metrics, and says which record is the ``last``.
If it is used ``by`` sample, each further line in is a request to `cell_sampler.CellSampler`.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import json
import os
import signal
import sys
import threading
from queue import SimpleQueue
from typing import IO, Any

from benchmarks.harness.cell_sampler import CellSampler
from benchmarks.harness.cells import key
from benchmarks.harness.device import tensor_bytes
from benchmarks.harness.expected import Expecting
from benchmarks.harness.host import describe, pin_threads
from benchmarks.harness.measure import classify, measure_cell, run_once
from benchmarks.harness.reference_outputs import name_of, read_outputs
from benchmarks.harness.settings import Settings
from benchmarks.harness.workload import Workload


def main() -> None:
    """Answer the lines of standard input. Everything else that is printed goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    lines = _read_lines()
    order = json.loads(lines.get())
    settings = Settings(**order["settings"])
    workload, state, answer = _load(order["workload"], settings, order["expected"])
    _send(answers, answer)
    if workload is None:
        threading.Event().wait()  # until the parent ends this process
        return
    gc.collect()
    loaded = tensor_bytes() if settings.device == "cpu" and workload.memory else None
    gc.freeze()  # the models never become garbage: the collector need not visit them between samples
    outputs = read_outputs(settings.scale, settings.device)
    sampler = CellSampler(order["matrix"], workload, state, settings.device, outputs)
    while True:
        request = json.loads(lines.get())
        if order["by"] == "sample":
            _send(answers, sampler.answer(request))
            continue
        if settings.once:
            record = run_once(order["matrix"], workload, state, request)
            _send(answers, {"record": record.to_dict(), "last": True})
            continue
        expected = outputs.get(name_of(order["matrix"], key(request)))
        for record, last in measure_cell(order["matrix"], workload, state, request, loaded, settings.device, expected):
            _send(answers, {"record": record.to_dict(), "last": last})


def _read_lines() -> SimpleQueue[str]:
    """Read standard input in a thread that ends the process, even in the middle of a cell, when the parent is gone.

    The processes that this one has started end with it: they are in its process group, which the parent created.
    """
    lines: SimpleQueue[str] = SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        if os.getpgrp() == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    return lines


def _load(reference: dict[str, str], settings: Settings, expected: bool) -> tuple[Workload | None, Any, dict[str, Any]]:
    """Create the workload and load its models; return them, and the answer with host or reason."""
    try:
        workload: Workload = find_workload(**reference)()
        if expected:
            workload = Expecting(workload)
        state = workload.load(settings)
        pin_threads(settings)
        host = {**describe(settings), **workload.facts(state)}
    except Exception as error:  # noqa: BLE001 - the parent records why the models cannot be loaded
        status, reason = classify(error)
        return None, None, {"status": status, "reason": reason}
    return workload, state, {"status": "ok", "host": host}


def find_workload(module: str, file: str, name: str) -> type[Workload]:
    """Import the class *name* from *module* of `benchmarks`, or, for any other module, from its *file*."""
    if not module.startswith("benchmarks."):
        spec = importlib.util.spec_from_file_location(module, file)
        if spec is None or spec.loader is None:
            raise ImportError(f"cannot load the workload {name} from {file}")
        sys.modules[module] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[module])
    found: type[Workload] = getattr(importlib.import_module(module), name)
    return found


def _send(answers: IO[str], answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
