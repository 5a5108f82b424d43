"""The process that loads the models and measures cells, one after the other, until its input ends.

It talks in lines of JSON: the first one in names workload and settings; the first one out tells how loading went.
Each further one in is a cell, and out comes its record, with samples and then with exact metrics, and whether it is the
`last` one; or, `by` sample, a question as `turns` answers it.
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
from benchmarks.harness.host import describe, pinned_threads
from benchmarks.harness.measure import classify, measure_cell, run_once
from benchmarks.harness.reference_outputs import kept, name_of
from benchmarks.harness.settings import Settings
from benchmarks.harness.workload import Workload


def main() -> None:
    """Answer the lines of standard input; whatever else the models print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    lines = _read_lines()
    order = json.loads(lines.get())
    settings = Settings(**order["settings"])
    workload, state, answer = _load(order["workload"], settings, order["expected"])
    _send(answers, answer)
    if workload is None:
        threading.Event().wait()  # there is nothing to do until the parent ends this process
        return
    gc.collect()
    loaded = tensor_bytes() if settings.device == "cpu" and workload.memory else None
    gc.freeze()  # the loaded models never become garbage: collecting between samples need not visit them
    outputs = kept(settings.scale, settings.device)
    turns = CellSampler(order["matrix"], workload, state, settings.device, outputs)
    while True:
        question = json.loads(lines.get())
        if order["by"] == "sample":
            _send(answers, turns.answer(question))
            continue
        if settings.once:
            record = run_once(order["matrix"], workload, state, question)
            _send(answers, {"record": record.to_dict(), "last": True})
            continue
        expected = outputs.get(name_of(order["matrix"], key(question)))
        for record, last in measure_cell(order["matrix"], workload, state, question, loaded, settings.device, expected):
            _send(answers, {"record": record.to_dict(), "last": last})


def _read_lines() -> SimpleQueue[str]:
    """Read standard input in a thread that ends the process, at work or not, when the parent is gone.

    With it ends what it has started, which is in its group: the parent had it lead one.
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
    """Create the workload and load its models; the answer says where that was, or why it failed."""
    try:
        workload: Workload = find_workload(**reference)()
        if expected:
            workload = Expecting(workload)
        state = workload.load(settings)
        _pin_threads(pinned_threads(settings))
        host = {**describe(settings), **workload.facts(state)}
    except Exception as error:  # noqa: BLE001 - the parent records whatever kept the models from loading
        status, reason = classify(error)
        return None, None, {"status": status, "reason": reason}
    return workload, state, {"status": "ok", "host": host}


def find_workload(module: str, file: str, name: str) -> type[Workload]:
    """Import the class *name*: from the package of benchmarks by *module*, from anywhere else by *file*."""
    if not module.startswith("benchmarks."):
        spec = importlib.util.spec_from_file_location(module, file)
        if spec is None or spec.loader is None:
            raise ImportError(f"cannot load the workload {name} from {file}")
        sys.modules[module] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[module])
    found: type[Workload] = getattr(importlib.import_module(module), name)
    return found


def _pin_threads(count: int) -> None:
    """Hold torch, if the workload uses it, to *count* threads, whatever else has set."""
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(count)


def _send(answers: IO[str], answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
